#!/bin/sh
# The main job in one minute: a vendor packs and signs, a gate proves, a tampered copy is refused.
# Run it with `make demo`; it writes to build/demo alone.
set -eu
cd "$(dirname "$0")/../.."
rm -rf build/demo
mkdir -p build/demo
chmod 600 keys-example/*/*.key
. docs/examples/demo-words.sh

run modseal pack docs/examples/hello -o build/demo/hello.seal
run modseal sign build/demo/hello.seal --key keys-example/partner/signer.key --cert keys-example/partner/signer.pem \
    --policy keys-example/policy.toml
run modseal verify build/demo/hello.seal --policy keys-example/policy.toml

say "One byte of the manifest is changed in a copy:"
sed 's/"name":"hello"/"name":"hullo"/' build/demo/hello.seal > build/demo/tampered.seal
refused modseal verify build/demo/tampered.seal --policy keys-example/policy.toml
printf '\n(exit status 1: refused, as it must be)\n'
