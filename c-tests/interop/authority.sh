#!/bin/sh
# Makes a private authority in a directory, and certificates for which it vouches.
#
#   authority.sh DIRECTORY
#
# here is this machine, there another one, client has names of no machine; alone is vouched for by
# nobody. NAME.pem is the certificate, NAME.key its key, NAME.both has both in one file.
set -eu
cd "$1"

key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

# The words of $key are meant to be split.
# shellcheck disable=SC2086
make() {
    openssl req -x509 $key -keyout ca.key -out ca.pem -days 2 -subj /CN=ours \
        -addext keyUsage=critical,keyCertSign,cRLSign
    openssl req -x509 $key -keyout alone.key -out alone.pem -days 2 -subj /CN=alone \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1
    for entry in here:serverAuth,clientAuth:DNS:localhost,DNS:service.example,IP:127.0.0.1 \
        there:serverAuth:DNS:elsewhere.test client:clientAuth:DNS:client.test; do
        name=${entry%%:*} entry=${entry#*:}
        {
            echo "extendedKeyUsage=${entry%%:*}"
            echo "subjectAltName=${entry#*:}"
        } >"$name.ext"
        openssl req $key -keyout "$name.key" -out "$name.csr" -subj "/CN=$name"
        openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
            -extfile "$name.ext" -out "$name.pem"
    done
}

if ! make >log 2>&1; then
    cat log >&2
    exit 1
fi
for name in alone here there client; do
    cat "$name.pem" "$name.key" >"$name.both"
done
