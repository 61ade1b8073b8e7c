#!/bin/sh
# Shows the library at work, and proves that it is the one at work.
#
#   c-tests/examples/demo.sh [BUILD [LIBRARY]]
#
# BUILD is the build directory of c-tests, LIBRARY our shared library. First two processes of the
# C program `pair` talk over tcp and ipc, and where the library that encrypts was built, a service
# and its client over TLS. Then the nanocat that the system installed, which knows
# nothing of us, runs on our library by LD_PRELOAD and talks to a nanocat on the reference, each
# of them once as the one that binds. The loader itself writes down which library each process
# took its nn_* functions from. The exit code is not 0 when anything did not happen.
set -u
export LC_ALL=C

here=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$here/target/c-tests}
library=$(realpath "${2:-$here/target/release/libspmsg.so}")
scratch=$(mktemp -d /tmp/spmsg-demo.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
failures=0
# Long enough for a loaded machine; nothing here takes more than a few seconds on a free one.
deadline=30

fail() {
    echo "  FAILED: $*"
    failures=$((failures + 1))
}

url_for() {
    case $1 in
    ipc) echo "ipc://$scratch/$2.ipc" ;;
    *) echo "$1://127.0.0.1:$(python3 -c '
import socket
probe = socket.socket()
probe.bind(("127.0.0.1", 0))
print(probe.getsockname()[1])')" ;;
    esac
}

# speak NAME [VARIABLE=VALUE...] PROGRAM [ARGUMENT...]
#
# Runs the program in the background of the caller's choice. What it says goes to the terminal
# under its name and to NAME.said, its exit code to NAME.status, the loader's notes to NAME.PID.
speak() {
    name=$1
    shift
    {
        timeout "$deadline" env LD_DEBUG=bindings "LD_DEBUG_OUTPUT=$scratch/$name" "$@" 2>&1
        echo $? >"$scratch/$name.status"
    } | tee "$scratch/$name.said" | sed -u "s/^/  [$name] /"
}

succeeded() {
    status=$(cat "$scratch/$1.status")
    [ "$status" -eq 0 ] || fail "$1 ended with exit code $status"
}

heard() {
    grep -Fq -e "$2" "$scratch/$1.said" || fail "$1 did not receive \"$2\""
}

# took_from NAME LIBRARY: every nn_* function that the program itself uses is this library's.
took_from() {
    note='.*binding file \([^ ]*\) \[0\] to \([^ ]*\) \[0\]: normal symbol .\(nn_[a-z_]*\).*'
    sed -n "s/$note/\1 \2 \3/p" "$scratch/$1".[0-9]* 2>/dev/null |
        grep -v '^[^ ]*/lib[a-z]*\.so' |
        while read -r _ source symbol; do
            echo "$(realpath "$source") $symbol"
        done | sort -u >"$scratch/$1.bound"
    if [ -s "$scratch/$1.bound" ] && ! grep -Fqv "$2 " "$scratch/$1.bound"; then
        names=$(cut -d ' ' -f 2 "$scratch/$1.bound" | tr '\n' ' ')
        echo "  loader: $1 took ${names}from $2"
    else
        fail "$1 did not take its nn_* functions from $2 alone:"
        cat "$scratch/$1.bound"
    fi
}

conversation() {
    echo
    echo "== Two processes of a C program talk over $1, both on libspmsg"
    url=$(url_for "$1" conversation)
    speak "pair-0-$1" "LD_LIBRARY_PATH=$build/lib/spmsg" "$build/examples-pair" 0 "$url" &
    first=$!
    speak "pair-1-$1" "LD_LIBRARY_PATH=$build/lib/spmsg" "$build/examples-pair" 1 "$url" &
    wait "$first" "$!"
    for name in "pair-0-$1" "pair-1-$1"; do
        succeeded "$name"
        took_from "$name" "$library"
    done
}

# A certificate that vouches for itself, made on the spot.
make_certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=demo \
        -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=CA:FALSE \
        -keyout "$scratch/key.pem" -out "$scratch/cert.pem" 2>"$scratch/openssl" ||
        fail "openssl says: $(cat "$scratch/openssl")"
}

# The service goes on until it is told to end.
in_secret() {
    echo
    echo "== A service and its client, C programs, talk over $1, both on libspmsg"
    url=$(url_for "$1" secret)
    speak "serve-$1" "LD_LIBRARY_PATH=$build/lib/spmsg" \
        "$build/examples-tls" serve "$url" "$scratch/cert.pem" "$scratch/key.pem" &
    service=$!
    speak "ask-$1" "LD_LIBRARY_PATH=$build/lib/spmsg" \
        "$build/examples-tls" ask "$url" "$scratch/cert.pem" - - "hello in secret"
    succeeded "ask-$1"
    heard "ask-$1" "HELLO IN SECRET"
    took_from "ask-$1" "$library"
    for note in "$scratch/serve-$1".[0-9]*; do
        kill "${note##*.}"
    done
    wait "$service"
}

# Each sends one message and then receives until nothing came for two seconds.
exchange() {
    echo
    echo "== nanocat on libspmsg ${2}s, nanocat on libnanomsg ${3}s, over $1"
    url=$(url_for "$1" "$2")
    ours=spmsg-$2-$1
    theirs=nanomsg-$3-$1
    speak "$ours" "LD_PRELOAD=$library" \
        nanocat --pair "--$2" "$url" --data "hello from $ours" --ascii --recv-timeout 2 &
    first=$!
    speak "$theirs" \
        nanocat --pair "--$3" "$url" --data "hello from $theirs" --ascii --recv-timeout 2 &
    wait "$first" "$!"
    succeeded "$ours"
    succeeded "$theirs"
    heard "$ours" "hello from $theirs"
    heard "$theirs" "hello from $ours"
    took_from "$ours" "$library"
    took_from "$theirs" "$reference"
}

reference=$(ldd "$(command -v nanocat)" | awk '$1 ~ /^libnanomsg\.so/ { print $3 }')
reference=$(realpath "$reference") || { fail "nanocat is not installed"; exit 1; }

conversation tcp
conversation ipc
if [ -e "$build/lib/spmsg/libspmsg-tls.so.0" ] && command -v openssl >/dev/null; then
    make_certificate
    in_secret tls+tcp
    in_secret wss
else
    echo
    echo "== Nothing is shown over tls+tcp and wss: make tls was not run, or there is no openssl"
fi
for transport in tcp ipc; do
    exchange "$transport" bind connect
    exchange "$transport" connect bind
done

echo
if [ "$failures" -ne 0 ]; then
    echo "The demo failed in $failures places."
    exit 1
fi
echo "All of it happened: two C processes, and an unmodified nanocat, talked over $library"
