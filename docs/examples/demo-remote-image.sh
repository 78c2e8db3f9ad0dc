#!/bin/sh
# A host image in QEMU that is managed from a desk: `make demo-remote-image`. Fetches Debian packages and wheels once,
# into FOLDER; listens on loopback.
set -eu
here=$(dirname "$0")/reference_host
folder=${1:-build/image}
for tool in qemu-system-x86_64 mkfs.erofs apt-get gcc openssl; do
    command -v "$tool" >/dev/null || { echo "skipped: $tool is not installed"; exit 0; }
done
. docs/examples/demo-words.sh

desk() {
    run modseal remote --inventory "$folder/site/edge.toml" "$@"
}

say "A host with a certificate of its site, and the generation after it, with a newer agent:"
python "$here/prepare.py" "$folder" serve
rm -rf "$folder/served" "$folder/next" "$folder/port"
run modseal image build "$folder/served.toml" -o "$folder/served"
run modseal image build "$folder/next.toml" -o "$folder/next"

say "It boots, with Secure Boot, and has no interpreter that could be started any more:"
python "$here/guest.py" "$folder/served" "$folder/port" &
machine=$!
trap 'kill "$machine" 2>/dev/null || true' EXIT
until [ -s "$folder/port" ]; do
    kill -0 "$machine" || exit 1
    sleep 1
done
cp "$folder/site/remote.toml" "$folder/site/edge.toml"
printf '\n[host.edge]\naddress = "127.0.0.1:%s"\n' "$(cat "$folder/port")" >>"$folder/site/edge.toml"

say "What runs, proved again:"
desk edge list
desk edge verify

say "What was tampered with is refused; and what is good is its owner's to install:"
cp "$folder/site-agent-1.0.1-1.seal" "$folder/tampered.seal"
printf evil | dd of="$folder/tampered.seal" bs=1 seek=3000 conv=notrunc 2>/dev/null
refused modseal remote --inventory "$folder/site/edge.toml" edge install "$folder/tampered.seal"
refused modseal remote --inventory "$folder/site/edge.toml" edge install "$folder/site-agent-1.0.1-1.seal"
refused modseal remote --inventory "$folder/site/edge.toml" edge rollback

say "In strict mode a controller alone brings what the owner has signed:"
admin="--cert $folder/site/admin.pem --key $folder/site/admin.key"
run modseal remote --inventory "$folder/site/edge.toml" $admin edge lockdown set strict \
    --controller "$folder/site/admin.pem" --break-glass "$folder/site/reader.pem" --threshold 1
refused modseal remote --inventory "$folder/site/edge.toml" edge install "$folder/next/modules.update"
run modseal remote --inventory "$folder/site/edge.toml" $admin edge lockdown set normal

say "What the owner has signed is tried by a restart, and kept because it runs well:"
desk edge install "$folder/next/modules.update"
until modseal remote --inventory "$folder/site/edge.toml" edge list 2>/dev/null | grep -q 1.0.1-1; do sleep 5; done
desk edge list
desk edge history
desk edge log --verify
