#!/bin/bash
# Installs what `make build` has built, and uses it in every way that somebody may.
#
#   .ci/installation.sh [CHECK...]     without names, all checks, from the start
#
# Everything lies in target/ci/installation; nothing is installed into the system. Names with blanks
# are on purpose. Ends with the number of checks, and fails when one of them does.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
export LC_ALL=C
unset LD_LIBRARY_PATH LD_PRELOAD PKG_CONFIG_PATH CMAKE_PREFIX_PATH DESTDIR MAKEFLAGS SPMSG_TRACE

readonly SOURCES=$PWD WORK=$PWD/target/ci/installation
readonly PARTS=$SOURCES/.ci/installation
# Short of what breaks every shell, this is as bad as a prefix can be.
readonly PREFIX="$WORK/a prefix" MOVED="$WORK/another place"
readonly NAMES=lib/spmsg

fail() {
    echo "    $*"
    return 1
}

# says_hello [COMMAND...]
says_hello() {
    local said
    said=$(timeout 30 "$@" 2>&1)
    [ "$said" = hello ] || fail "$1 said: $said"
}

# asks_for PROGRAM LIBRARY: of the libraries that could be ours, it needs this one.
asks_for() {
    local needed
    needed=$(readelf -dW "$1" | sed -n 's/.*(NEEDED).*\[\(lib\(spmsg\|nanomsg\).*\)\].*/\1/p')
    [ "$needed" = "$2" ] || fail "$1 asks for ${needed:-nothing}, not for $2"
}

# compile OUTPUT ARGUMENT...: as a shell would, for the output of pkg-config with its quoting.
compile() {
    local output=$1
    shift
    eval "cc \"$PARTS/hello.c\" -o \"$output\" $*"
}

# --- what is installed ---

both_fronts_install_the_same() {
    make -s install-compat PREFIX="$PREFIX" >/dev/null &&
        cmake --install target/front --prefix "$WORK/by-cmake" >/dev/null &&
        diff -r --no-dereference "$PREFIX" "$WORK/by-cmake"
}

# Headers, libraries and packages of libnanomsg's names are only where nobody looks unasked.
it_hides_nothing() {
    local found
    found=$(cd "$PREFIX" && find . -name '*nanomsg*' ! -path "./$NAMES/*" \
        ! -path './include/spmsg/*' ! -path './share/man/*')
    [ -z "$found" ] || fail "these are in the way: $found"
}

names_are_libraries_of_their_own() {
    local number
    .ci/check-exports.sh "$PREFIX/lib/libspmsg.so.0" || return
    for number in 5 6; do
        .ci/check-exports.sh "$PREFIX/$NAMES/lib/libnanomsg.so.$number" "libnanomsg.so.$number" ||
            return
    done
}

archive_is_small() {
    local size
    size=$(stat -c %s "$PREFIX/lib/libspmsg.a")
    [ "$size" -lt 10000000 ] || fail "libspmsg.a has $size bytes"
    echo "libspmsg.a has $size bytes"
}

# Neither the builder's home nor where the sources were is told.
nobody_knows_who_built_it() {
    local file place
    for file in "$PREFIX"/lib/libspmsg*.{so.0,a} "$PREFIX/$NAMES"/lib/libnanomsg.so.? \
        "$PREFIX"/bin/*; do
        for place in "$HOME/" "$SOURCES" "${CARGO_HOME:-$HOME/.cargo}"; do
            ! strings -a "$file" | grep -F -- "$place" || fail "that is in $file" || return
        done
    done
}

install_says_that_it_would_hit_the_sources() {
    local said
    ! said=$(make -s install PREFIX="$SOURCES" 2>&1) || fail "it does not mind" || return
    [[ $(echo "$said" | tr -s '\n ' ' ') == *"$SOURCES holds the sources of spmsg"* ]] ||
        fail "it says: $said"
}

# --- compilers ---

export_moved() {
    export PKG_CONFIG_PATH="$1/lib/pkgconfig:$1/$NAMES/lib/pkgconfig"
    export LD_LIBRARY_PATH="$1/lib:$1/$NAMES/lib"
}

# by_pkg_config PREFIX [--define-prefix]
by_pkg_config() (
    export_moved "$1"
    shift
    compile "$WORK/shared" "$(pkg-config "$@" --cflags --libs spmsg)" &&
        says_hello "$WORK/shared" && asks_for "$WORK/shared" libspmsg.so.0 || exit
    for name in nanomsg libnanomsg; do
        pkg-config "$@" --exact-version=1.1.5 "$name" &&
            compile "$WORK/$name" "$(pkg-config "$@" --cflags --libs "$name")" &&
            says_hello "$WORK/$name" && asks_for "$WORK/$name" libnanomsg.so.5 || exit
    done
    eval "c++ -x c++ '$PARTS/hello.c' -x none -o '$WORK/c++' \
        $(pkg-config "$@" --cflags --libs spmsg)" && says_hello "$WORK/c++" || exit
    for name in spmsg nanomsg; do
        compile "$WORK/static" "-static $(pkg-config "$@" --static --cflags --libs "$name")" \
            2>"$WORK/static.log" || { cat "$WORK/static.log"; exit 1; }
        unset LD_LIBRARY_PATH
        says_hello "$WORK/static" && asks_for "$WORK/static" "" || exit
    done
)

pkg_config_finds_it() { by_pkg_config "$PREFIX"; }

cc_finds_it_by_name() {
    cc "$PARTS/hello.c" -o "$WORK/plain" "-I$PREFIX/$NAMES/include" "-L$PREFIX/$NAMES/lib" \
        -lnanomsg && asks_for "$WORK/plain" libnanomsg.so.5 &&
        cc "$PARTS/hello.c" -o "$WORK/newer" "-I$PREFIX/$NAMES/include" \
            "-L$PREFIX/$NAMES/lib" -l:libnanomsg.so.6 && asks_for "$WORK/newer" libnanomsg.so.6 &&
        says_hello "$PREFIX/bin/with-spmsg" "$WORK/plain" &&
        says_hello "$PREFIX/bin/with-spmsg" "$WORK/newer"
}

# by_cmake PREFIX
by_cmake() {
    local build="$WORK/find-build" program
    rm -rf "$build"
    mkdir -p "$WORK/find"
    cp -r "$PARTS/find/." "$PARTS/hello.c" "$WORK/find"
    cmake -S "$WORK/find" -B "$build" "-DCMAKE_PREFIX_PATH=$1;$1/$NAMES" >"$build.log" 2>&1 &&
        cmake --build "$build" --parallel "$(nproc)" >>"$build.log" 2>&1 ||
        { cat "$build.log"; return 1; }
    for program in "$build"/by-* "$build"/wanted-*/by-*; do
        says_hello "$program" || return
        case ${program##*/} in
        by-spmsg) asks_for "$program" libspmsg.so.0 ;;
        by-archive) asks_for "$program" "" ;;
        *) asks_for "$program" libnanomsg.so.5 ;;
        esac || return
    done
    ! grep -F "$PREFIX" "$build/CMakeCache.txt" | grep -vF "$1" || fail "the old place is there"
}

cmake_finds_it() { by_cmake "$PREFIX"; }

an_installation_can_be_moved() {
    local status
    mv "$PREFIX" "$MOVED" || return
    by_cmake "$MOVED" && by_pkg_config "$MOVED" && by_pkg_config "$MOVED" --define-prefix &&
        says_hello "$MOVED/bin/with-spmsg" "$WORK/plain"
    status=$?
    mv "$MOVED" "$PREFIX" && return "$status"
}

# As distributions have it: libraries in a directory of their own for each machine.
multiarch_is_no_trouble() {
    local root="$WORK/root" libdir=/opt/x/lib/x86_64-linux-gnu
    DESTDIR=$root make -s install-compat PREFIX=/opt/x libdir=$libdir >/dev/null &&
        PKG_CONFIG_PATH="$root$libdir/pkgconfig" compile "$WORK/multiarch" \
            "$(PKG_CONFIG_PATH="$root$libdir/pkgconfig" pkg-config --cflags --libs spmsg)" &&
        LD_LIBRARY_PATH="$root$libdir" says_hello "$WORK/multiarch" &&
        says_hello "$root/opt/x/bin/with-spmsg" "$WORK/plain" &&
        DESTDIR=$root make -s uninstall PREFIX=/opt/x libdir=$libdir >/dev/null || return
    [ -z "$(find "$root" ! -type d)" ] || fail "left behind: $(find "$root")"
}

# --- as a part of others ---

# as_a_part NAME OPTION...
as_a_part() {
    local build="$WORK/part-$1" program
    shift
    mkdir -p "$WORK/part"
    cp "$PARTS/part/CMakeLists.txt" "$PARTS/hello.c" "$WORK/part"
    cp "$PARTS/hello.c" "$WORK/part/hello.cc"
    # What was built before need not be built again.
    cmake -S "$WORK/part" -B "$build" -DCMAKE_BUILD_TYPE=Release "-DSPMSG_SOURCES=$SOURCES" \
        "-DSPMSG_CARGO_DIR=$SOURCES/target" "$@" >"$build.log" 2>&1 &&
        cmake --build "$build" >>"$build.log" 2>&1 || { cat "$build.log"; return 1; }
    for program in "$build"/by-*; do
        says_hello "$program" || return
        case $*:${program##*/} in
        *NN_STATIC_LIB*) asks_for "$program" "" ;;
        *:by-nanomsg*) asks_for "$program" libnanomsg.so.5 ;;
        *) asks_for "$program" libspmsg.so.0 ;;
        esac || return
    done
}

add_subdirectory_takes_it_in() { as_a_part add -DADD=ON; }
add_subdirectory_takes_the_archive() { as_a_part archive -DADD=ON -DNN_STATIC_LIB=ON; }
fetch_content_takes_it_in() { as_a_part fetch -G Ninja; }

# Another directory, another home for cargo's work, another front: the library is the same.
meson_takes_it_in() {
    local part="$WORK/meson" program
    mkdir -p "$part/subprojects"
    cp "$PARTS/meson/meson.build" "$PARTS/hello.c" "$part"
    copy_sources "$part/subprojects/spmsg" &&
        cp packaging/meson/spmsg.wrap "$part/subprojects" &&
        cp packaging/meson/meson.build packaging/meson/build.sh "$part/subprojects/spmsg" || return
    (cd "$part" && meson setup --buildtype=release --wrap-mode=forcefallback build &&
        ninja -C build) >"$part.log" 2>&1 || { cat "$part.log"; return 1; }
    for program in by-spmsg by-nanomsg; do
        says_hello "$part/build/$program" && asks_for "$part/build/$program" libspmsg.so.0 || return
    done
}

two_builds_give_one_library() {
    sha256sum "$SOURCES/target/release/libspmsg.so" \
        "$WORK"/meson/build/subprojects/spmsg/libspmsg.so | tee "$WORK/hashes"
    [ "$(cut -d ' ' -f 1 "$WORK/hashes" | sort | uniq -c | awk '{ print $1 }')" = 2 ]
}

copy_sources() {
    mkdir -p "$1"
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf -
    else
        tar --exclude=./target -cf - .
    fi | tar -C "$1" -xf -
}

# The archive for another C library, from sources that bring all crates along, with nothing of
# cargo's at home, and without optimisation.
musl_links_it_statically() {
    local vendored="$WORK/vendored"
    ! command -v rustup >/dev/null ||
        timeout 120 rustup target add x86_64-unknown-linux-musl >/dev/null 2>&1
    if ! command -v musl-gcc >/dev/null || ! rustc --print target-libdir \
        --target x86_64-unknown-linux-musl | xargs test -e; then
        echo "left out: there is no musl-gcc, or no Rust for musl"
        return
    fi
    copy_sources "$vendored" || return
    (cd "$vendored" && cargo vendor --locked >/dev/null) 2>"$WORK/vendor.log" ||
        { cat "$WORK/vendor.log"; return 1; }
    mkdir -p "$WORK/no-crates"
    CARGO_HOME="$WORK/no-crates" cmake -S "$vendored" -B "$vendored/build" \
        -DCMAKE_C_COMPILER=musl-gcc -DCMAKE_BUILD_TYPE=Debug -DNN_STATIC_LIB=ON -DNN_TESTS=OFF \
        -DNN_TOOLS=OFF "-DCMAKE_INSTALL_PREFIX=$WORK/musl" -DCMAKE_INSTALL_LIBDIR=lib \
        >"$vendored.log" 2>&1 &&
        CARGO_HOME="$WORK/no-crates" cmake --build "$vendored/build" >>"$vendored.log" 2>&1 &&
        cmake --install "$vendored/build" >>"$vendored.log" || { cat "$vendored.log"; return 1; }
    [ -d "$vendored/build/cargo/x86_64-unknown-linux-musl/debug" ] ||
        fail "built for another machine" || return
    [ -z "$(find "$WORK/musl" -name '*.so*')" ] || fail "there are shared libraries" || return
    PKG_CONFIG_PATH="$WORK/musl/lib/pkgconfig"
    eval "musl-gcc -static '$PARTS/hello.c' -o '$WORK/musl-hello' $(
        PKG_CONFIG_PATH=$PKG_CONFIG_PATH pkg-config --static --cflags --libs spmsg)" &&
        says_hello "$WORK/musl-hello"
}

# What recipes for libnanomsg set; CMake would tell of one that it does not know.
recipes_go_on_working() {
    local build="$WORK/recipe" log="$WORK/recipe.log"
    cmake -S . -B "$build" -DNN_STATIC_LIB=ON -DNN_TESTS=OFF -DNN_TOOLS=OFF \
        -DNN_ENABLE_NANOCAT=OFF -DNN_ENABLE_DOC=OFF -DNN_MAX_SOCKETS=4096 \
        -DNN_ENABLE_COVERAGE=OFF -DNN_ENABLE_GETADDRINFO_A=OFF -DSPMSG_NAMES=IN_PLACE \
        "-DSPMSG_CARGO_DIR=$SOURCES/target" -DCMAKE_INSTALL_PREFIX=/usr \
        -DCMAKE_INSTALL_LIBDIR=lib64 >"$log" 2>&1 &&
        cmake --build "$build" >>"$log" 2>&1 &&
        DESTDIR="$WORK/recipe-root" cmake --install "$build" >>"$log" || { cat "$log"; return 1; }
    ! grep -A 5 -i 'warning' "$log" || return
    (cd "$WORK/recipe-root" && find . ! -type d) >"$WORK/recipe.files"
    ! grep -E '\.so|/man/|/bin/' "$WORK/recipe.files" || fail "that was not asked for" || return
    cc "$PARTS/hello.c" -o "$WORK/in-place" "-I$WORK/recipe-root/usr/include" \
        "-L$WORK/recipe-root/usr/lib64" -lnanomsg -lpthread -lm -ldl && says_hello "$WORK/in-place"
}

# One program of the suite is enough: its run on all is another stage.
tests_run_through_cmake() {
    local build="$WORK/tests"
    cmake -S . -B "$build" -DNN_TOOLS=OFF "-DSPMSG_CARGO_DIR=$SOURCES/target" >"$build.log" 2>&1 &&
        cmake --build "$build" --target spmsg-cargo api-socket >>"$build.log" 2>&1 ||
        { cat "$build.log"; return 1; }
    ctest --test-dir "$build" --output-on-failure --no-tests=error --tests-regex '^api/socket@' |
        tee "$build.said"
    grep -q '100% tests passed.* out of 1$' "$build.said"
}

# told_by TARGET COMPILER OPTION...: with that compiler, cargo builds for that target.
told_by() {
    local target=$1 compiler=$2 build="$WORK/machine-$1"
    shift 2
    if ! echo '#include <stdlib.h>' | $compiler "$@" -E -xc - >/dev/null 2>&1; then
        echo "    left out: there is no $compiler $*"
        return
    fi
    told=$((told + 1))
    printf 'set(CMAKE_SYSTEM_NAME Linux)\nset(CMAKE_SYSTEM_PROCESSOR any)\n%s\n%s\n' \
        "set(CMAKE_C_COMPILER $compiler)" "set(CMAKE_C_FLAGS_INIT \"$*\")" >"$build.cmake"
    cmake -S . -B "$build" "-DCMAKE_TOOLCHAIN_FILE=$build.cmake" -DNN_TESTS=OFF >"$build.log" 2>&1 ||
        { cat "$build.log"; return 1; }
    grep -qF "[target.$target]" "$build/cargo.toml" ||
        fail "$compiler $* is taken for $(grep -F '[target.' "$build/cargo.toml")"
}

the_compiler_tells_the_machine() {
    told=0
    told_by aarch64-unknown-linux-gnu aarch64-linux-gnu-gcc &&
        told_by armv7-unknown-linux-gnueabihf arm-linux-gnueabihf-gcc &&
        told_by i686-unknown-linux-gnu i686-linux-gnu-gcc &&
        told_by i686-unknown-linux-gnu gcc -m32 &&
        told_by riscv64gc-unknown-linux-gnu riscv64-linux-gnu-gcc &&
        told_by s390x-unknown-linux-gnu s390x-linux-gnu-gcc &&
        told_by x86_64-unknown-linux-musl musl-gcc && ((told > 0)) || return
    # And where it goes wrong, who builds says it.
    cmake -S . -B "$WORK/machine" -DSPMSG_CARGO_TARGET=mips64el-unknown-linux-muslabi64 \
        -DNN_TESTS=OFF >/dev/null &&
        grep -qF '[target.mips64el-unknown-linux-muslabi64]' "$WORK/machine/cargo.toml"
}

# --- encrypted ---

make_certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=here \
        -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=CA:FALSE \
        -keyout "$WORK/key.pem" -out "$WORK/cert.pem" 2>"$WORK/openssl.log" ||
        fail "$(<"$WORK/openssl.log")"
}

# talks_in_secret OUTPUT ARGUMENT...: so does a program that is linked like this.
talks_in_secret() {
    local output="$WORK/$1"
    shift
    cc "$PARTS/secret.c" -o "$output" "$@" -lpthread -lm -ldl &&
        says_hello "$output" "$WORK/cert.pem" "$WORK/key.pem"
}

# Beside the library, whatever that is called; the system looks nowhere here.
what_encrypts_is_found() {
    local lib names="$PREFIX/$NAMES/lib" include=("-I$PREFIX/include" "-I$PREFIX/include/spmsg")
    if [ ! -e "$PREFIX/lib/libspmsg-tls.so.0" ]; then
        echo "    left out: make tls was not run"
        return
    fi
    lib="$PREFIX/lib"
    make_certificate &&
        talks_in_secret secret-1 "${include[@]}" "-L$lib" -lspmsg "-Wl,-rpath,$lib" &&
        talks_in_secret secret-2 "${include[@]}" "-L$names" -lnanomsg "-Wl,-rpath,$names" &&
        talks_in_secret secret-3 "${include[@]}" "-L$names" -l:libnanomsg.so.6 \
            "-Wl,-rpath,$names" || return
    # And where it is not, that is said.
    mkdir -p "$WORK/alone" && cp "$lib/libspmsg.so.0" "$WORK/alone" &&
        cc "$PARTS/secret.c" -o "$WORK/secret-4" "${include[@]}" "-L$lib" -lspmsg || return
    complains libspmsg-tls "is not installed" -- env "LD_LIBRARY_PATH=$WORK/alone" \
        "$WORK/secret-4" "$WORK/cert.pem" "$WORK/key.pem"
}

# One file for all, and the archive likewise.
what_encrypts_may_be_inside() {
    local build="$WORK/inside" prefix="$WORK/inside-prefix" include
    cmake -S . -B "$build" -DSPMSG_TLS=INSIDE -DCMAKE_BUILD_TYPE=Debug -DNN_TESTS=OFF \
        -DNN_TOOLS=OFF "-DSPMSG_CARGO_DIR=$SOURCES/target/inside" \
        "-DCMAKE_INSTALL_PREFIX=$prefix" >"$build.log" 2>&1 &&
        cmake --build "$build" >>"$build.log" 2>&1 && cmake --install "$build" >>"$build.log" ||
        { cat "$build.log"; return 1; }
    [ -z "$(find "$prefix" -name '*tls.so*')" ] || fail "it lies beside" || return
    .ci/check-exports.sh "$prefix/lib/libspmsg.so.0" &&
        .ci/check-exports.sh "$prefix/$NAMES/lib/libnanomsg.so.5" libnanomsg.so.5 || return
    include=("-I$prefix/include" "-I$prefix/include/spmsg")
    make_certificate &&
        talks_in_secret inside-1 "${include[@]}" "-L$prefix/lib" -lspmsg "-Wl,-rpath,$prefix/lib" &&
        talks_in_secret inside-2 "${include[@]}" "$prefix/lib/libspmsg.a"
}

# --- programs that exist ---

with_spmsg_runs_who_loads_it() {
    local path
    "$PREFIX/bin/with-spmsg" python3 "$PARTS/loads.py" libnanomsg.so libnanomsg.so.5 \
        libnanomsg.so.6 >"$WORK/loaded" || return
    [ "$(wc -l <"$WORK/loaded")" -eq 3 ] || fail "$(cat "$WORK/loaded")" || return
    while read -r path; do
        [[ $path == "$PREFIX"/* ]] || fail "it came from $path" || return
    done <"$WORK/loaded"
}

# A path of its own would win over LD_LIBRARY_PATH. Loaders take blanks for separators.
with_spmsg_runs_who_has_a_path() {
    local prefix="$WORK/plain-prefix" real
    real=$(ldconfig -p | sed -n 's/.*libnanomsg\.so\.5 .*=> //p' | head -n 1)
    make -s install-compat PREFIX="$prefix" >/dev/null &&
        cc "$PARTS/hello.c" -o "$WORK/own-path" "-I$prefix/include/spmsg" "$real" \
            "-Wl,--disable-new-dtags,-rpath,$(dirname "$real")" &&
        SPMSG_TRACE=$WORK/own-path.trace "$prefix/bin/with-spmsg" "$WORK/own-path" &&
        grep -q ^spmsg "$WORK/own-path.trace"
}

with_spmsg_runs_nanocat() {
    local address="ipc://$WORK/nanocat.ipc" trace="$WORK/nanocat.trace" nanocat
    nanocat=$(PATH=/usr/bin:/bin command -v nanocat) || fail "there is no nanocat" || return
    SPMSG_TRACE=$trace "$PREFIX/bin/with-spmsg" "$nanocat" --pair --bind "$address" --ascii \
        --recv-timeout 5 >"$WORK/nanocat.said" &
    "$nanocat" --pair --connect "$address" --data hello --recv-timeout 1
    wait $!
    [ "$(cat "$WORK/nanocat.said")" = hello ] || fail "it said: $(cat "$WORK/nanocat.said")" ||
        return
    grep -q "^spmsg .* attached" "$trace"
}

with_spmsg_tells_what_is_wrong() {
    local status
    "$PREFIX/bin/with-spmsg" 2>/dev/null
    status=$?
    [ "$status" -eq 125 ] || fail "without a command it ends with $status" || return
    "$PREFIX/bin/with-spmsg" sh -c 'exit 7'
    status=$?
    [ "$status" -eq 7 ] || fail "it ends with $status" || return
    [ "$("$PREFIX/bin/with-spmsg" --directory)" = "$PREFIX/$NAMES/lib" ]
}

ws_chat_stays_in_the_background() {
    cc c-tests/examples/ws-chat.c -o "$WORK/ws-chat" -Iinclude "-L$PREFIX/lib" -lspmsg -lpthread &&
        LD_LIBRARY_PATH="$PREFIX/lib" python3 "$PARTS/background.py" 'pulling on' "$WORK/ws-chat" \
            "ipc://$WORK/chat-pub.ipc" "ipc://$WORK/chat-pull.ipc"
}

# --- who has not what it takes ---

# bare_path DIRECTORY: a path on which there is little more than make needs.
bare_path() {
    local tool
    mkdir -p "$1"
    for tool in sh make sed awk sort head cut tr ls dirname echo mkdir rm cat env printf; do
        ln -sf "$(command -v "$tool")" "$1/$tool"
    done
}

# tool DIRECTORY VERSION: a cargo that tells that version.
fake_cargo() {
    mkdir -p "$1"
    printf '#!/bin/sh\necho "cargo %s (000000000 2020-01-01)"\n' "$2" >"$1/cargo"
    chmod +x "$1/cargo"
}

# complains WORD... -- COMMAND...: it fails, and names the words.
complains() {
    local words=() said word
    while [ "$1" != -- ]; do
        words+=("$1")
        shift
    done
    shift
    ! said=$("$@" 2>&1) || fail "it does not mind" || return
    for word in "${words[@]}"; do
        [[ $said == *"$word"* ]] || fail "nothing about $word in: $said" || return
    done
}

make_says_what_is_missing() {
    local bare="$WORK/bare"
    bare_path "$bare"
    complains "Rust is missing" rustup.rs -- env -i "PATH=$bare" "HOME=$WORK" make build || return
    fake_cargo "$WORK/old" 1.65.0
    complains 1.65.0 1.89 rustup.rs -- env -i "PATH=$WORK/old:$bare" "HOME=$WORK" make build ||
        return
    fake_cargo "$WORK/new" 1.99.0
    complains gcc libc6-dev -- env -i "PATH=$WORK/new:$bare" "HOME=$WORK" make build
}

the_newest_rust_wins() {
    local found place
    bare_path "$WORK/bare"
    fake_cargo "$WORK/old" 1.65.0
    fake_cargo "$WORK/new" 1.99.0
    fake_cargo "$WORK/home/.cargo/bin" 1.100.1
    for place in "$WORK/old:$WORK/new:$WORK/bare" "$WORK/new:$WORK/old:$WORK/bare"; do
        found=$(env -i "PATH=$place" "HOME=$WORK" cmake/find-cargo.sh) &&
            [ "$found" = "$WORK/new/cargo" ] || fail "on $place it finds $found" || return
    done
    found=$(env -i "PATH=$place" "HOME=$WORK/home" cmake/find-cargo.sh)
    [ "$found" = "$WORK/home/.cargo/bin/cargo" ] || fail "rustup's is not found, but $found"
}

make_knows_the_usual_targets() {
    [ "$(make -n | head -n 1)" = "$(make -n build | head -n 1)" ] &&
        [ "$(make -n all)" = "$(make -n build)" ] && [ "$(make -n check)" = "$(make -n test)" ]
}

# There is no linker for it here: what would be linked is looked at, and how.
macos_has_names_of_its_own() {
    local build="$WORK/macos" link
    command -v clang >/dev/null || fail "clang is missing" || return
    cmake -S . -B "$build" -DCMAKE_SYSTEM_NAME=Darwin -DCMAKE_C_COMPILER=clang \
        -DCMAKE_C_COMPILER_TARGET=x86_64-apple-darwin -DCMAKE_C_COMPILER_WORKS=1 \
        -DCMAKE_OSX_SYSROOT=/ -DSPMSG_CARGO_TARGET=x86_64-apple-darwin -DNN_TESTS=OFF \
        -DCMAKE_INSTALL_PREFIX=/opt/spmsg >"$WORK/macos.log" 2>&1 ||
        fail "$(<"$WORK/macos.log")" || return
    link=$(<"$build/CMakeFiles/nanomsg.dir/link.txt")
    for option in " -install_name @rpath/libnanomsg.5.dylib " \
        " -Wl,-force_load,$build/archive/libspmsg.a " \
        " -Wl,-exported_symbols_list,$build/names/exports.list "; do
        [[ $link == *"$option"* ]] || fail "not linked with $option, but by $link" || return
    done
    [[ $link != *-z,* ]] && [ "$(<"$build/names/exports.list")" = $'_nn_*\n_spmsg_*' ] &&
        [ "$(readlink "$build/links/lib/libspmsg.dylib")" = libspmsg.0.dylib ] &&
        [ "$(readlink "$build/links/lib/spmsg/lib/libnanomsg.dylib")" = libnanomsg.5.dylib ] &&
        grep -q 'RENAME "libnanomsg.6.dylib"' "$build/cmake_install.cmake" &&
        grep -q '@rpath/libspmsg.0.dylib' "$build/filled/lib/cmake/spmsg/spmsg-config.cmake" &&
        grep -q '^export DYLD_LIBRARY_PATH' "$build/filled/bin/with-spmsg" || return
    ! grep -rE '\.so\b|[^Y]LD_(PRELOAD|LIBRARY)' "$build/filled" "$build/cmake_install.cmake"
}

# --- the end ---

strip_takes_debug_lines_away() {
    local whole="$PREFIX/lib/libspmsg.so.0" stripped="$WORK/stripped/lib/libspmsg.so.0"
    make -s install-strip PREFIX="$WORK/stripped" >/dev/null || return
    readelf -SW "$whole" | grep '\.debug_line' >/dev/null || fail "there were none" || return
    ! readelf -SW "$stripped" | grep '\.debug_line' || return
    echo "stripped, libspmsg.so.0 has $(stat -c %s "$stripped") bytes"
    readelf -SW "$whole" | grep '\.symtab' >/dev/null && [ -x "$stripped" ]
}

uninstall_leaves_nothing() {
    make -s uninstall PREFIX="$PREFIX" >/dev/null &&
        cmake "-DBUILD=$SOURCES/target/front" "-DPREFIX=$WORK/by-cmake" \
            -P cmake/uninstall.cmake >/dev/null || return
    [ ! -e "$PREFIX" ] && [ ! -e "$WORK/by-cmake" ] || fail "$(find "$PREFIX" "$WORK/by-cmake")"
}

# Some build on what others have left: the order is theirs.
readonly CHECKS="make_knows_the_usual_targets the_newest_rust_wins make_says_what_is_missing
    install_says_that_it_would_hit_the_sources both_fronts_install_the_same it_hides_nothing
    names_are_libraries_of_their_own archive_is_small nobody_knows_who_built_it pkg_config_finds_it
    cc_finds_it_by_name cmake_finds_it an_installation_can_be_moved multiarch_is_no_trouble
    with_spmsg_runs_who_loads_it with_spmsg_runs_who_has_a_path with_spmsg_runs_nanocat
    with_spmsg_tells_what_is_wrong ws_chat_stays_in_the_background recipes_go_on_working
    add_subdirectory_takes_it_in add_subdirectory_takes_the_archive fetch_content_takes_it_in what_encrypts_is_found
    what_encrypts_may_be_inside tests_run_through_cmake the_compiler_tells_the_machine meson_takes_it_in
    macos_has_names_of_its_own two_builds_give_one_library musl_links_it_statically
    strip_takes_debug_lines_away uninstall_leaves_nothing"

(($# > 0)) || rm -rf "$WORK"
mkdir -p "$WORK"
make -s build >/dev/null || exit
passed=0
failed=0
for check in ${*:-$CHECKS}; do
    began=$SECONDS
    if "$check"; then
        passed=$((passed + 1))
        echo "$check ($((SECONDS - began)) s)"
    else
        failed=$((failed + 1))
        echo "FAILED: $check ($((SECONDS - began)) s)"
    fi
done
echo "installation: $passed checks passed, $failed failed"
((failed == 0))
