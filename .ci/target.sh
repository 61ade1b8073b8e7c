#!/bin/bash
# Builds the library for another machine, and runs there what can be run here.
#
#   .ci/target.sh TARGET        a name of Rust's: one of those at the bottom
#   .ci/target.sh --tools       installs what all of them need, as far as it can be had
#
# What is left out of a run, and why, is said. doc/platforms.md has all of it as a table. Where the
# tools cannot be had on this machine, it says so and ends with 77.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

readonly TARGET=$1 SKIPPED=77
readonly LIBRARIES=$PWD/target/targets/$TARGET/release BUILD=target/c-tests-$TARGET
# Slower code than that of a release, which is compiled in a fraction of the time.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
export CARGO_PROFILE_RELEASE_DEBUG=none

missing() {
    echo "not run: $1"
    exit "$SKIPPED"
}

# library COMPILER PACKAGE...: builds it, once the packages and the Rust for the target are there.
library() {
    local linker=CARGO_TARGET_${TARGET//-/_}_LINKER
    export "${linker^^}=$1"
    .ci/install.sh "${@:2}" || missing "compiler or emulator cannot be installed on this machine"
    rustup target list --installed | grep -qx "$TARGET" ||
        timeout 120 rustup target add "$TARGET" ||
        missing "the Rust for $TARGET cannot be installed on this machine"
    cargo build --locked --release --lib --target "$TARGET" --target-dir target/targets || exit
}

# programs COMPILER PROCESSOR [EMULATOR]: makes the C suite for that machine. Its libraries of
# others are not those of this one. Programs have the large types of the C library, where it has
# two kinds. They may take longer before they are given up: code of 32 bits that is hardly optimised
# takes eight times as long to encrypt, and another machine's tests run beside them.
programs() {
    local slowness=3
    [ -z "${3-}" ] || slowness=5
    cmake -S c-tests -B "$BUILD" -DCMAKE_BUILD_TYPE=Release -DCMAKE_SYSTEM_NAME=Linux \
        "-DCMAKE_SYSTEM_PROCESSOR=$2" "-DCMAKE_C_COMPILER=$1" \
        "-DCMAKE_C_FLAGS=-D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64" \
        "-DCMAKE_CROSSCOMPILING_EMULATOR=${3-}" "-DSPMSG_SLOWNESS=$slowness" \
        -DNANOMSG_LIBRARY= -DNANOCAT= -DNNG_LIBRARY= -DWEBSOCKETS_PYTHON= -DCHROMIUM= \
        "-DSPMSG_LIBRARY=$LIBRARIES/libspmsg.so" || exit
}

# reference_headers COMPILER [EMULATOR...]: what is true of ours is true of the reference's own.
reference_headers() {
    local include=$PWD/$BUILD/reference
    if ! test -e /usr/include/nanomsg/nn.h; then
        echo "left out: the headers of the reference, which are not there"
        return
    fi
    mkdir -p "$include"
    ln -sfn /usr/include/nanomsg "$include/nanomsg"
    cmake "-DCOMPILER=$1" -DSTANDARD=c99 "-DINCLUDE=$include" -P c-tests/abi/headers.cmake || exit
    "$1" -D_GNU_SOURCE "-I$include" -Ic-tests -o "$BUILD/reference-layout" c-tests/abi/layout.c \
        "$BUILD/support/libsupport.a" "-L$BUILD/linkname" -lspmsg || exit
    LD_LIBRARY_PATH=$BUILD/lib/spmsg "${@:2}" "$BUILD/reference-layout" || exit
}

# run TESTS: what ctest finds of these. Most of them sleep most of the time, so that there may be
# more of them than processors.
run() {
    ctest --test-dir "$BUILD" --output-on-failure --no-tests=error --label-regex '^spmsg$' \
        --tests-regex "$1" --parallel "$((2 * $(nproc)))"
}

# natively COMPILER PROCESSOR PACKAGE...: all of the suite, and what it loads to encrypt.
natively() {
    library "$1" "${@:3}"
    cargo build --locked --release --package spmsg-tls --target "$TARGET" \
        --target-dir target/targets || exit
    programs "$1" "$2"
    cmake --build "$BUILD" --parallel "$(nproc)" || exit
    reference_headers "$1"
    run .
}

# emulated TRIPLE PROCESSOR PACKAGE...: what needs neither haste nor other programs.
emulated() {
    local wanted
    library "$1-gcc" qemu-user "gcc-$1" "${@:3}"
    programs "$1-gcc" "$2" "qemu-$2;-L;/usr/$1"
    wanted=$(cmake --build "$BUILD" --target help |
        sed -nE 's/^\.\.\. ((abi|api|protocols)-.*|transports-wire)$/\1/p')
    # One word a program.
    # shellcheck disable=SC2086
    cmake --build "$BUILD" --parallel "$(nproc)" --target $wanted || exit
    reference_headers "$1-gcc" "qemu-$2" -L "/usr/$1"
    printf 'left out: %s\n' "${LEFT_OUT[@]}"
    SPMSG_TEST_EXCEPT=$(printf '%s\n' "${LEFT_OUT[@]}" | sed 's/ .*//' | paste -sd '|')
    export SPMSG_TEST_EXCEPT
    run '^((abi|api|protocols)/|transports/wire-)'
}

# Cases that cannot pass in an emulator of programs, each with the reason behind its name.
readonly LEFT_OUT=(
    "a_receiver_that_sleeps_bounds_the_sender_and_loses_nothing counts what is on the way while \
the receiver stands still, to which an emulated end adds a message"
)

# conversation COMMAND...: two processes that exchange their names, over tcp and over ipc.
conversation() {
    local url first second
    for url in "tcp://127.0.0.1:$((30000 + $$ % 2700))" "ipc://$BUILD/conversation.ipc"; do
        "$@" 0 "$url" &
        first=$!
        "$@" 1 "$url" &
        second=$!
        wait "$first" && wait "$second" || exit
    done
}

case $TARGET in
--tools)
    .ci/install.sh qemu-user musl-tools libc6-i386 lib32gcc-s1 \
        gcc-{i686,aarch64,s390x,riscv64}-linux-gnu gcc-arm-linux-gnueabihf \
        libc6-dev-{i386,armhf,arm64,s390x,riscv64}-cross ||
        missing "not all compilers and emulators can be had on this machine"
    ;;
i686-unknown-linux-gnu)
    natively i686-linux-gnu-gcc i686 gcc-i686-linux-gnu libc6-dev-i386-cross libc6-i386 lib32gcc-s1
    ;;
armv7-unknown-linux-gnueabihf) emulated arm-linux-gnueabihf arm libc6-dev-armhf-cross ;;
aarch64-unknown-linux-gnu) emulated aarch64-linux-gnu aarch64 libc6-dev-arm64-cross ;;
s390x-unknown-linux-gnu) emulated s390x-linux-gnu s390x libc6-dev-s390x-cross ;;
riscv64gc-unknown-linux-gnu)
    library riscv64-linux-gnu-gcc qemu-user gcc-riscv64-linux-gnu libc6-dev-riscv64-cross
    programs riscv64-linux-gnu-gcc riscv64
    cmake --build "$BUILD" --target examples-pair || exit
    export LD_LIBRARY_PATH=$BUILD/lib/spmsg
    conversation qemu-riscv64 -L /usr/riscv64-linux-gnu "$BUILD/examples-pair"
    ;;
x86_64-unknown-linux-musl)
    library musl-gcc musl-tools
    mkdir -p "$BUILD"
    # The C compiler's own library for unwinding is made for another C library.
    own=$(rustc --print target-libdir --target "$TARGET")/self-contained
    musl-gcc -O2 -static -Iinclude -o "$BUILD/pair" c-tests/examples/pair.c \
        "$LIBRARIES/libspmsg.a" "-L$own" -lunwind || exit
    ! readelf --program-headers "$BUILD/pair" | grep INTERP || exit 1
    conversation "$BUILD/pair"
    ;;
*)
    echo "$TARGET is no target of this script" >&2
    exit 2
    ;;
esac
