#!/bin/sh
# certificates.sh OPENSSL: makes an authority (ca.pem) and a certificate of this machine (here.pem,
# here.key) in the current directory.
set -e
key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
# shellcheck disable=SC2086
"$1" req -x509 $key -keyout ca.key -out ca.pem -days 36500 -subj "/CN=authority of the tests"
echo "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1" >here.ext
# shellcheck disable=SC2086
"$1" req $key -keyout here.key -out here.csr -subj "/CN=the tests"
"$1" x509 -req -in here.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 36500 \
    -extfile here.ext -out here.new
mv here.new here.pem
