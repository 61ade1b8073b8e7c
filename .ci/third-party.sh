#!/bin/sh
# Fetches programs that use libnanomsg, from Debian and from the registries of their languages, and
# runs them on it and on ours.
#
#   .ci/third-party.sh [NAME...]
#
# Built against the headers of libnanomsg and linked with it, so that what meets us later is what
# their owners have. What cannot be fetched on this machine is left out, and named.
set -eu
cd "$(dirname "$0")/.."

work=target/third-party
mkdir -p "$work/node"
.ci/install.sh gcc libc6-dev libnanomsg-dev nanomsg-utils python3 python3-venv
# Not every Debian has them all, and no other system has these names.
for package in libnanomsg-raw-perl libcriterion-dev janus; do
    .ci/install.sh "$package" || echo "$package cannot be had here"
done

if [ ! -x "$work/venv/bin/python" ] || ! "$work/venv/bin/python" -c 'import nnpy'; then
    python3 -m venv "$work/venv" &&
        "$work/venv/bin/pip" --quiet --disable-pip-version-check install 'nnpy>=1.4,<2' ||
        { echo "nnpy cannot be had here"; rm -rf "$work/venv"; }
fi 2>/dev/null

# The headers of Node are where its program is, or in Debian's package.
node_prefix() {
    node -p 'path.dirname(path.dirname(process.execPath))'
}

fetch_node() {
    command -v node >/dev/null && command -v npm >/dev/null && command -v g++ >/dev/null || return
    [ -e "$(node_prefix)/include/node/node.h" ] || return
    # Its include path is wrong where the headers lie with those of the system.
    (cd "$work/node" && [ -e package.json ] || npm init --yes) >/dev/null &&
        (cd "$work/node" && CXXFLAGS=-I/usr/include/nanomsg \
            npm_config_use_system_libnanomsg=true npm_config_nodedir="$(node_prefix)" \
            timeout 240 npm install --no-audit --no-fund --loglevel=error nanomsg@4.2.1 tape@5 &&
            npm pack --silent nanomsg@4.2.1 >/dev/null &&
            tar xf nanomsg-4.2.1.tgz --strip-components=1 -C node_modules/nanomsg package/test)
}
[ -d "$work/node/node_modules/nanomsg/test" ] || fetch_node ||
    echo "the binding for Node cannot be had here"

python3 -B c-tests/interop/third_party.py --ours target/release/libspmsg.so --work "$work" "$@"
