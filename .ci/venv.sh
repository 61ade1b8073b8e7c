#!/bin/sh
# Makes target/venv, a Python of our own with the packages that some tests need.
set -eu
cd "$(dirname "$0")/.."

[ -x target/venv/bin/python ] || python3 -m venv target/venv
target/venv/bin/python -c 'import websockets.sync.client' 2>/dev/null ||
    target/venv/bin/pip --quiet --disable-pip-version-check install 'websockets>=13,<18'
