#!/bin/sh
# Makes the keys and certificates of this folder: an authority for those who sign callers, one below it,
# and certificates with the TNAuthLists (RFC 8226) that tests need. They are valid for a hundred years.
set -e
cd "$(dirname "$0")"
key() { openssl genpkey -quiet -algorithm EC -pkeyopt "ec_paramgen_curve:$2" -out "$1.key"; }
# certify NAME ISSUER KEY EXTENSIONS…
certify() {
    name=$1 issuer=$2 key=$3; shift 3
    printf '%s\n' "$@" > extensions
    openssl req -new -key "$key.key" -subj "/CN=$name" -out request
    openssl x509 -req -in request -days 36500 -extfile extensions -out "$name.pem" \
        -CA "$issuer.pem" -CAkey "$issuer.key" -CAcreateserial 2>/dev/null
    rm -f extensions request "$issuer.srl"
}
for name in root below signer; do key $name P-256; done
key other P-384
openssl req -x509 -new -key root.key -days 36500 -subj /CN=root -out root.pem \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
certify below root below basicConstraints=critical,CA:TRUE keyUsage=critical,keyCertSign
leaf=basicConstraints=critical,CA:FALSE
use=keyUsage=critical,digitalSignature
list=1.3.6.1.5.5.7.1.26=DER
# Service provider code 709J.
code=$list:30:08:a0:06:16:04:37:30:39:4a
certify provider below signer $leaf $use $code
certify wrong-curve root other $leaf $use $code
certify no-list root signer $leaf $use
# 12155551212 alone.
certify number root signer $leaf $use $list:30:0f:a2:0d:16:0b:31:32:31:35:35:35:35:31:32:31:32
# A hundred numbers from 12155551300 on.
certify range root signer $leaf $use \
    $list:30:14:a1:12:30:10:16:0b:31:32:31:35:35:35:35:31:33:30:30:02:01:64
# One that nobody vouches for.
openssl req -x509 -new -key signer.key -days 36500 -subj /CN=itself -out itself.pem \
    -addext $leaf -addext $use -addext $code
rm -f root.key below.key other.key
