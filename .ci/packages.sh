#!/bin/bash
# Builds the Debian packages twice, in two places, and looks at them: the same bytes both times, no
# error that lintian knows, and programs that run on what they contain.
#
#   .ci/packages.sh
set -euo pipefail
cd "$(dirname "$0")/.."

readonly WORK=$PWD/target/packages
rm -rf "$WORK"
.ci/install.sh debhelper lintian openssl
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

# As if they were installed, but for what encrypts.
root=$WORK/root
for package in "$WORK"/first/*.deb; do
    [[ $package == */libspmsg-tls0_* ]] || dpkg -x "$package" "$root"
done
lib=$(dirname "$(find "$root/usr/lib" -maxdepth 2 -name libspmsg.so.0)")
for name in libspmsg.so.0 libnanomsg.so.5 libnanomsg.so.6 spmsg/lib/libnanomsg.so; do
    readelf --dynamic "$lib/$name" | grep SONAME >/dev/null || { echo "$name leads nowhere"; exit 1; }
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
# Encrypted addresses are refused, with the reason, until the package for them is there.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -addext basicConstraints=CA:FALSE \
    -keyout "$WORK/key" -out "$WORK/cert" 2>/dev/null
port=$(python3 -c 'import socket
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    print(probe.getsockname()[1])')
pull=("$root/usr/bin/nn_pull" --bind "wss://127.0.0.1:$port" --cert "$WORK/cert" --key "$WORK/key"
    --ascii --recv-timeout 10)
{ ! LD_LIBRARY_PATH=$lib "${pull[@]}" 2>&1; } | grep "libspmsg-tls.*is not installed"
dpkg -x "$WORK"/first/libspmsg-tls0_*.deb "$root"
for name in libspmsg-tls.so.0 spmsg/lib/libspmsg-tls.so.0; do
    readelf --dynamic "$lib/$name" | grep -F '[libspmsg-tls.so.0]'
done
LD_LIBRARY_PATH=$lib "${pull[@]}" >"$WORK/pulled" &
LD_LIBRARY_PATH=$lib "$root/usr/bin/nn_push" --connect "wss://localhost:$port" --cacert "$WORK/cert" \
    --data "hello in secret" --send-timeout 20
for _ in {1..100}; do
    ! grep -x "hello in secret" "$WORK/pulled" || break
    sleep 0.1
done
kill $! || true
grep -qx "hello in secret" "$WORK/pulled"
stripped=$(stat -c %s "$lib/libspmsg.so.0")
echo "libspmsg.so.0 takes $stripped bytes; it has:"
readelf --dynamic --program-headers --wide "$lib/libspmsg.so.0" |
    grep -E 'BIND_NOW|GNU_RELRO|GNU_STACK|NEEDED'
! readelf --dynamic "$lib/libspmsg.so.0" | grep TEXTREL
