#!/bin/bash
# Does what README.md tells its reader to do, word for word.
#
# The reader is a user with an empty home directory in target/ci/readme, and a checkout beside it.
# Blocks of C and CMake are saved under the name that the line above them gives; blocks of shell
# are run one after the other, but for `make demo`, `make test` and `make nanocat`, which have stages
# of their own.
set -euo pipefail
cd "$(dirname "$0")/.."

checkout=$PWD
reader=$PWD/target/ci/readme
rm -rf "$reader"
mkdir -p "$reader/home" "$reader/checkout/hello" "$reader/blocks"
for entry in "$checkout"/*; do
    ln -s "$entry" "$reader/checkout/"
done

awk -v reader="$reader" '
    /^```/ && open { open = 0; close(file); next }
    /^```(c|cmake|sh)$/ {
        open = 1
        if ($0 == "```sh") {
            file = sprintf("%s/blocks/%02d.sh", reader, ++blocks)
        } else if (match(named, /`[^`]+`/)) {
            file = reader "/checkout/" substr(named, RSTART + 1, RLENGTH - 2)
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
cd "$reader/checkout"

{
    echo "set -e"
    for block in "$reader"/blocks/*.sh; do
        grep -Eqx 'make (demo|test|nanocat)' "$block" || cat "$block"
    done
} >"$reader/all.sh"
expected=$(grep -Ec '^hello/|^nanocat|^nn_push' "$reader/all.sh")
timeout 100 bash -x "$reader/all.sh" 2>&1 | tee "$reader/said"
said=$(grep -Ec '^hello( from libnanomsg)?$' "$reader/said")
if [ "$expected" -lt 5 ] || [ "$said" -ne "$expected" ]; then
    echo "README.md: $said of $expected programs said hello"
    exit 1
fi
echo "README.md: its $expected programs were built or started as it says, and said hello"
