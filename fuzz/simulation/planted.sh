#!/bin/bash
# Puts known bugs back, one after the other, and has the simulation find each of them.
#
#   fuzz/simulation/planted.sh [NAME...]      those of fuzz/simulation/planted/NAME.patch, or all
#
# Works on a copy of the tree in target/planted. Prints the seed that found each one and the time
# that it took, and fails when one is not found within SECONDS_MAX (600 without more). The same
# seeds on the library as it is find nothing, or what they find is another bug.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly COPY=target/planted/tree SECONDS_MAX=${SECONDS_MAX:-600}
export RUSTFLAGS="--cfg simulated" CARGO_TARGET_DIR="$PWD/target/planted/build"

names=("$@")
[ ${#names[@]} -gt 0 ] || names=($(basename -s .patch fuzz/simulation/planted/*.patch))
failed=0
for name in "${names[@]}"; do
    rm -rf "$COPY"
    mkdir -p "$COPY"
    cp -r Cargo.toml Cargo.lock build.rs src include fuzz "$COPY"
    (cd "$COPY" && patch --quiet --strip=1) <"fuzz/simulation/planted/$name.patch"
    cargo build --quiet --release --manifest-path "$COPY/fuzz/simulation/Cargo.toml"
    began=$SECONDS
    if found=$("$CARGO_TARGET_DIR/release/spmsg-simulation" --seconds "$SECONDS_MAX" --first 1); then
        echo "$name: NOT FOUND in $((SECONDS - began)) s"
        failed=1
    else
        echo "$name: found after $((SECONDS - began)) s: $(grep -m 1 '^seed ' <<<"$found")"
    fi
done
exit "$failed"
