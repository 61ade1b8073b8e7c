#!/bin/sh
# Makes sure that what the named Debian packages provide is on this machine.
#
#   .ci/install.sh PACKAGE...
#
# Looks for the thing, not for the package, so that hand-built tools and other distributions
# count. What is missing is installed with apt-get, as root or through sudo; where neither can be
# had, it says what to install and fails.
set -eu

is_there() {
    case $1 in
    nanomsg-utils) command -v nanocat ;;
    prometheus) command -v promtool ;;
    libnanomsg-dev) printf '#include <nanomsg/nn.h>\n' |
        cc -shared -x c - -Wl,--no-as-needed -lnanomsg -o /dev/null ;;
    libnng-dev) printf '#include <nng/nng.h>\n' |
        cc -shared -x c - -Wl,--no-as-needed -lnng -o /dev/null ;;
    libzmq3-dev) printf '#include <zmq.h>\n' |
        cc -shared -x c - -Wl,--no-as-needed -lzmq -o /dev/null ;;
    libnanomsg-raw-perl) perl -MNanoMsg::Raw -e 1 ;;
    libcriterion-dev) printf '#include <criterion/criterion.h>\n' | cc -E -x c - -o /dev/null ;;
    libc6-dev) printf '#include <stdio.h>\n' | cc -E -x c - -o /dev/null ;;
    python3-venv) python3 -c 'import ensurepip, venv' ;;
    clang) command -v clang++ ;;
    libuv1-dev) printf '#include <uv.h>\n' | cc -E -x c - -o /dev/null ;;
    libev-dev) printf '#include <ev.h>\n' | cc -E -x c - -o /dev/null ;;
    libglib2.0-dev) pkg-config --exists glib-2.0 ;;
    # Not everybody has the directories of the administrator on his path.
    nginx | haproxy) PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v "$1" ;;
    libnginx-mod-stream)
        PATH="$PATH:/usr/sbin:/usr/local/sbin" nginx -V 2>&1 | grep -Eq -- '--with-stream( |$)' ||
            test -e /usr/lib/nginx/modules/ngx_stream_module.so
        ;;
    libnss3-tools) command -v certutil ;;
    debhelper) command -v dh ;;
    binutils) command -v nm && command -v readelf ;;
    ninja-build) command -v ninja ;;
    musl-tools) command -v musl-gcc ;;
    groff-base) command -v groff ;;
    qemu-user) command -v qemu-s390x ;;
    musl-tools) command -v musl-gcc ;;
    libc6-i386) test -e /lib/ld-linux.so.2 ;;
    lib32gcc-s1) test -e /usr/lib32/libgcc_s.so.1 || ldconfig -p | grep 'libgcc_s.so.1 (libc6)' ;;
    gcc-*-linux-*) command -v "${1#gcc-}-gcc" ;;
    libc6-dev-i386-cross) test -e /usr/i686-linux-gnu/include/stdio.h ;;
    libc6-dev-armhf-cross) test -e /usr/arm-linux-gnueabihf/include/stdio.h ;;
    libc6-dev-arm64-cross) test -e /usr/aarch64-linux-gnu/include/stdio.h ;;
    libc6-dev-*-cross)
        arch=${1#libc6-dev-}
        test -e "/usr/${arch%-cross}-linux-gnu/include/stdio.h"
        ;;
    ca-certificates) test -e /etc/ssl/certs/ca-certificates.crt ;;
    *) command -v "$1" ;;
    esac >/dev/null 2>&1
}

missing_of() {
    for package in "$@"; do
        is_there "$package" || printf '%s ' "$package"
    done
}

missing=$(missing_of "$@")
[ -n "$missing" ] || exit 0

advise() {
    echo "$1 Please install these Debian packages, or what your system calls them:" >&2
    echo "    $missing" >&2
    exit 1
}

command -v apt-get >/dev/null 2>&1 || advise "There is no apt-get here."
if [ "$(id -u)" -eq 0 ]; then
    sudo=
elif command -v sudo >/dev/null 2>&1; then
    sudo=sudo
else
    advise "Installing needs root or sudo."
fi

echo "Missing on this machine: $missing"
echo "Installing it with ${sudo:+sudo }apt-get."
quiet="-qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0"
# An index that cannot be refreshed may still be good enough; the installation will tell.
# The words of these variables are meant to be split.
# shellcheck disable=SC2086
$sudo apt-get $quiet update || echo "The package index could not be refreshed; trying anyway."
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive apt-get $quiet install -y --no-install-recommends \
    $missing || advise "apt-get could not install everything."

# shellcheck disable=SC2086
missing=$(missing_of $missing)
[ -z "$missing" ] || advise "Something is still missing after the installation."
