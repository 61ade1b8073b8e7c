#!/bin/sh
# Checks what the loader sees of the library: its name, its exports, what it asks for.
#
#   .ci/check-exports.sh [target/release/libspmsg.so [libspmsg.so.0]]      the name in it
#
# A host program shares one symbol space with us, so an export too many can break it, and one too
# few will. Our own additions are called spmsg_* and may come; anything else may not.
set -eu
export LC_ALL=C

library=${1:-target/release/libspmsg.so}
soname=${2:-libspmsg.so.0}
failures=0
fail() {
    echo "$library: $*" >&2
    failures=$((failures + 1))
}

[ -r "$library" ] || { fail "not there, build it first"; exit 1; }

expected=$(printf '%s\n' \
    nn_allocmsg nn_bind nn_close nn_cmsg_nxthdr_ nn_connect nn_device nn_errno nn_freemsg \
    nn_get_statistic nn_getsockopt nn_init nn_poll nn_reallocmsg nn_recv nn_recvmsg nn_send \
    nn_sendmsg nn_setsockopt nn_shutdown nn_socket nn_strerror nn_symbol nn_symbol_info nn_term)

symbols=$(nm -D --defined-only "$library")
for name in $expected; do
    echo "$symbols" | grep -q " T $name\$" || fail "does not export the function $name"
done
for name in $(echo "$symbols" | awk '{ print $NF }' | grep -vxF "$expected"); do
    case $name in
    spmsg_*) ;;
    *) fail "exports $name, which is no part of its interface" ;;
    esac
done
if nm -D --undefined-only "$library" | grep -E ' nn_'; then
    fail "takes nn_* functions from elsewhere"
fi

dynamic=$(readelf -dW "$library")
echo "$dynamic" | grep -Fq "Library soname: [$soname]" ||
    fail "its SONAME is not $soname"
# Threads of ours may still run library code when the host calls dlclose.
echo "$dynamic" | grep -E '\(FLAGS_1\)' | grep -qw NODELETE ||
    fail "dlclose would unmap it: the flag NODELETE is not set"
for needed in $(echo "$dynamic" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p'); do
    case $needed in
    libc.so.* | libgcc_s.so.* | ld-linux*.so.*) ;;
    *) fail "needs $needed" ;;
    esac
done

[ "$failures" -eq 0 ] || exit 1
echo "$library: $(echo "$symbols" | wc -l) exports, SONAME and dependencies as they should be"
