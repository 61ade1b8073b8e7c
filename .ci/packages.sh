#!/bin/bash
# Builds the Debian packages twice, in two places, and looks at them: the same bytes both times, no
# error that lintian knows, and programs that run on what they contain.
#
#   .ci/packages.sh
set -euo pipefail
cd "$(dirname "$0")/.."

readonly WORK=$PWD/target/packages
rm -rf "$WORK"
.ci/install.sh debhelper lintian
packaging/licences.py

# What is committed, or, outside a repository, what is there.
sources() {
    mkdir -p "$1"
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git archive HEAD | tar x -C "$1"
    else
        tar c --exclude=./target . | tar x -C "$1"
    fi
}

# Rust does not come from a package here.
for place in first/spmsg-0.1.0 second-place/spmsg; do
    sources "$WORK/$place"
    (cd "$WORK/$place" && dpkg-buildpackage --build=binary --no-check-builddeps --unsigned-changes \
        --unsigned-buildinfo >../build.log 2>&1) || { tail -n 60 "$WORK/$place/../build.log"; exit 1; }
done
for package in "$WORK"/first/*.deb; do
    cmp "$package" "$WORK/second-place/$(basename "$package")"
    echo "the same twice: $(basename "$package")"
done
lintian --allow-root --fail-on error "$WORK"/first/*.changes

# As if they were installed.
root=$WORK/root
for package in "$WORK"/first/*.deb; do
    dpkg -x "$package" "$root"
done
lib=$(dirname "$(find "$root/usr/lib" -maxdepth 2 -name libspmsg.so.0)")
for name in libspmsg.so.0 libnanomsg.so.5 libnanomsg.so.6 spmsg/lib/libnanomsg.so; do
    readelf --dynamic "$lib/$name" | grep -q SONAME || { echo "$name leads nowhere"; exit 1; }
done
printf '#include <nanomsg/nn.h>\nint main(void) { return nn_term(), nn_errno() < 0; }\n' >"$WORK/a.c"
PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR='' bash -c \
    "cc $WORK/a.c -o $WORK/a \$(pkg-config --define-prefix --cflags --libs spmsg)"
LD_LIBRARY_PATH=$lib "$WORK/a"
if command -v ldd >/dev/null && [ -x /usr/bin/nanocat ]; then
    LD_LIBRARY_PATH=$lib ldd /usr/bin/nanocat | grep -F "libnanomsg.so.5 => $lib/libnanomsg.so.5"
    # Nobody receives, and it says so: as good as any other proof that it runs.
    { LD_LIBRARY_PATH=$lib /usr/bin/nanocat --push --bind "ipc://$WORK/x.ipc" --data x \
        --send-timeout 0.2 2>&1 || true; } | grep "timed out"
fi
stripped=$(stat -c %s "$lib/libspmsg.so.0")
echo "libspmsg.so.0 takes $stripped bytes; it has:"
readelf --dynamic --program-headers --wide "$lib/libspmsg.so.0" |
    grep -E 'BIND_NOW|GNU_RELRO|GNU_STACK|NEEDED'
! readelf --dynamic "$lib/libspmsg.so.0" | grep TEXTREL
