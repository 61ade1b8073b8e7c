#!/bin/bash
# Looks at the recipes of packaging/ as far as the tools of their systems are here: what is wrong
# for one of them fails, and which of them were asked is said at the end.
#
#   .ci/recipes.sh
set -uo pipefail
cd "$(dirname "$0")/../packaging" || exit

readonly WORK=../target/recipes VENV=../target/recipes/venv
mkdir -p "$WORK"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' ../Cargo.toml | head -n 1)
failed=0
asked=()

check() {
    local name=$1
    shift
    if "$@" >"$WORK/out" 2>&1; then
        asked+=("$name")
    else
        echo "$name:"
        cat "$WORK/out"
        failed=1
    fi
}

# Every recipe is one of this version, and knows where the archive is.
same_version() {
    grep -rLE "(^|[^0-9.])${version//./\\.}([^0-9]|\$)" alpine/APKBUILD buildroot/spmsg.mk \
        conan/conanfile.py conan/conandata.yml homebrew/spmsg.rb nixpkgs/package.nix \
        vcpkg/vcpkg.json | grep . && return 1
    [ -e "openembedded/spmsg_$version.bb" ] && head -n 1 ../debian/changelog | grep -F "($version)"
}

licences_of_openembedded() {
    local name sum
    for name in MIT APACHE; do
        sum=$(md5sum "../LICENSE-$name" | cut -d ' ' -f 1)
        grep -F "file://LICENSE-$name;md5=$sum" "openembedded/spmsg_$version.bb" || return
    done
}

# The options that recipes give are those that the build has.
options_exist() {
    local option
    for option in $(grep -rhoE '\b(NN|SPMSG)_[A-Z_]+\b' alpine homebrew nixpkgs vcpkg conan \
        openembedded | sort -u); do
        grep -qw "$option" ../CMakeLists.txt || { echo "$option is no option"; return 1; }
    done
    for option in $(grep -oE '\-D(NN|SPMSG)_[A-Z_]+' buildroot/spmsg.mk | sed 's/^-D//' | sort -u); do
        grep -qw "$option" ../CMakeLists.txt || { echo "$option is no option"; return 1; }
    done
}

alpine() {
    sh -n alpine/APKBUILD && ! command -v apkbuild-lint || apkbuild-lint alpine/APKBUILD
}

# What buildroot itself brings is left out.
buildroot() {
    printf 'include buildroot/spmsg.mk\nall:\n\t@echo $(SPMSG_CONF_OPTS)\n' >"$WORK/Makefile"
    make --warn-undefined-variables -n -f "$WORK/Makefile" BR2_PACKAGE_SPMSG_TOOLS=y \
        BR2_PACKAGE_SPMSG_AS_NANOMSG=y BR2_STATIC_LIBS=y PKG_CARGO_ENV= RUSTC_TARGET_NAME=x \
        cmake-package= | grep -F -e '-DNN_ENABLE_NANOCAT=ON -DSPMSG_NAMES=IN_PLACE'
}

# The same for vcpkg, whose functions do nothing here.
vcpkg() {
    python3 -m json.tool vcpkg/vcpkg.json || return
    {
        echo "cmake_minimum_required(VERSION 3.16)"
        grep -oE '^ *vcpkg_[a-z_]+' vcpkg/portfile.cmake | sort -u |
            sed 's/.*/function(&)\nendfunction()/; s/( */(/'
        printf 'set(VERSION 1)\nset(CURRENT_PACKAGES_DIR "%s/none")\ninclude("%s")\n' \
            "$PWD/$WORK" "$PWD/vcpkg/portfile.cmake"
    } >"$WORK/port.cmake"
    cmake -P "$WORK/port.cmake"
}

tools_of_python() {
    [ -x "$VENV/bin/oelint-adv" ] && [ -x "$VENV/bin/conan" ] && return
    python3 -m venv "$VENV" && "$VENV/bin/pip" --quiet --disable-pip-version-check install \
        'conan>=2,<3' oelint-adv
}

openembedded() {
    # Whom to ask, and that the archive has no sum yet, is known.
    "$VENV/bin/oelint-adv" --quiet --suppress oelint.vars.srcurichecksum \
        "openembedded/spmsg_$version.bb" | tee "$WORK/oelint" | grep ':error:' && return 1
    cat "$WORK/oelint"
}

check "versions" same_version
check "licences" licences_of_openembedded
check "options" options_exist
check "Alpine, by sh" alpine
check "buildroot, by make" buildroot
check "vcpkg, by CMake" vcpkg
check "Conan, by Python" python3 -m py_compile conan/conanfile.py
rm -rf conan/__pycache__
if tools_of_python >"$WORK/pip" 2>&1; then
    check "Conan, by conan" env CONAN_HOME="$PWD/$WORK/conan" "$VENV/bin/conan" inspect conan
    check "OpenEmbedded, by oelint-adv" openembedded
    rm -rf conan/__pycache__
else
    echo "conan and oelint-adv cannot be had here"
fi
! command -v ruby >/dev/null || check "Homebrew, by ruby" ruby -c homebrew/spmsg.rb
! command -v nix-instantiate >/dev/null ||
    check "nixpkgs, by nix-instantiate" nix-instantiate --parse nixpkgs/package.nix
printf 'looked at: %s\n' "${asked[@]}"
exit "$failed"
