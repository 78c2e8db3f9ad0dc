#!/bin/sh
# Builds a host image and boots it in QEMU: `make demo-image`. Fetches Debian packages and wheels once, into FOLDER.
set -eu
here=$(dirname "$0")/reference_host
folder=${1:-build/image}
for tool in qemu-system-x86_64 mkfs.erofs apt-get gcc openssl; do
    command -v "$tool" >/dev/null || { echo "skipped: $tool is not installed"; exit 0; }
done
python "$here/prepare.py" "$folder"
rm -rf "$folder/out"
modseal image build "$folder/host.toml" -o "$folder/out"
python "$here/guest.py" "$folder/out"
