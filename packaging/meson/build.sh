#!/bin/sh
# Builds the library, and copies it to where meson wants it.
#
#   build.sh BUILD TARGET FILE OUTPUT...      BUILD is a build directory of CMake
set -eu
build=$1 target=$2 file=$3
shift 3
cmake --build "$build" --target "$target"
library=$(sed -n "s/^set($file \"\(.*\)\")\$/\1/p" "$build/spmsg-built.cmake")
for output in "$@"; do
    cp "$library" "$output"
done
