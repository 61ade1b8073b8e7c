#!/bin/sh
# Prints the path of the cargo to build with: the newest of those on the PATH, rustup's, and the
# distribution's packages of newer versions, or the one that CARGO names.
#
#   cmake/find-cargo.sh
#
# Fails, and says what to do, when there is none that is as new as Cargo.toml demands.
set -eu
manifest=$(dirname "$0")/../Cargo.toml
oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$manifest")

# A number that is greater for a newer version.
rank() {
    echo "$1" | awk -F '[.-]' '{ printf "%d\n", $1 * 1000000 + $2 * 1000 + $3 }'
}

candidates() {
    if [ -n "${CARGO:-}" ]; then
        command -v "$CARGO" || true
        return
    fi
    echo "$PATH" | tr ':' '\n' | sed 's|$|/cargo|'
    echo "${CARGO_HOME:-$HOME/.cargo}/bin/cargo"
    ls -d /usr/lib/rust-*/bin/cargo 2>/dev/null || true
}

found=$(candidates | while read -r cargo; do
    # Asked where the library is built: that is what rustup's choice may depend on.
    version=$(cd "$(dirname "$manifest")" && "$cargo" --version 2>/dev/null) || continue
    version=$(echo "$version" | awk '{ print $2 }')
    echo "$(rank "$version") $version $cargo"
done | sort -s -n -r -k 1,1 | head -n 1)

advice="Please install it, from https://rustup.rs for example."
if [ -z "$found" ]; then
    echo "Rust is missing here: spmsg is built with cargo, of Rust $oldest or newer. $advice" >&2
    exit 1
fi
version=$(echo "$found" | cut -d ' ' -f 2)
if [ "$(rank "$version")" -lt "$(rank "$oldest")" ]; then
    echo "Rust is too old here: the newest cargo is of Rust $version, and spmsg needs $oldest." \
        "$advice" >&2
    exit 1
fi
echo "$found" | cut -d ' ' -f 3-
