#!/bin/bash
# Does what README.md tells its reader to do, word for word.
#
# The reader is a user with an empty home directory in target/ci/readme and a clean checkout in it,
# as `git clone` puts it there.
# Blocks of C and CMake are saved under the name that the line above them gives; blocks of shell
# are run one after the other, but for `make demo` and `make test`, which have stages of their own.
set -euo pipefail
cd "$(dirname "$0")/.."

checkout=$PWD
reader=$PWD/target/ci/readme
rm -rf "$reader"
mkdir -p "$reader/home/spmsg/hello" "$reader/blocks"
tar --exclude=./target --exclude=./.git -cf - . | tar -C "$reader/home/spmsg" -xf -

awk -v reader="$reader" '
    /^```/ && open { open = 0; close(file); next }
    /^```(c|cmake|sh)$/ {
        open = 1
        if ($0 == "```sh") {
            file = sprintf("%s/blocks/%02d.sh", reader, ++blocks)
        } else if (match(named, /`[^`]+`/)) {
            file = reader "/home/spmsg/" substr(named, RSTART + 1, RLENGTH - 2)
        } else {
            print "README.md:" NR ": which file is this?"; exit 1
        }
        next
    }
    /^```$/ { open = 1; file = "/dev/null"; next }
    open { print >file; next }
    /[^ ]/ { named = $0 }
' README.md

# The reader has his own home, but the Rust of this machine.
export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
export HOME=$reader/home
# It is the words that are tested; what is built need not be fast.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
export CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_DEBUG=0
cd "$HOME/spmsg"

{
    echo "set -e"
    for block in "$reader"/blocks/*.sh; do
        grep -Eqx 'make (demo|test)' "$block" || cat "$block"
    done
} >"$reader/all.sh"
expected=$(grep -Ec '^(hello/|nanocat|nn_push|.*with-spmsg" hello/)' "$reader/all.sh")
traced=$(grep -c '^SPMSG_TRACE=1' "$reader/all.sh")
timeout 340 bash -x "$reader/all.sh" 2>&1 | tee "$reader/said"
said=$(grep -Ec '^hello( from libnanomsg)?$' "$reader/said")
if [ "$expected" -lt 5 ] || [ "$said" -ne "$expected" ]; then
    echo "README.md: $said of $expected programs said hello"
    exit 1
fi
# Nobody else writes such lines.
found=$(sed -n 's/^spmsg \([0-9]*\) .* attached .*/\1/p' "$reader/said" | sort -u | wc -l)
if [ "$traced" -lt 3 ] || [ "$found" -ne "$traced" ]; then
    echo "README.md: $found of $traced programs ran on spmsg"
    exit 1
fi
echo "README.md: its $expected programs were built or started as it says, and said hello"
