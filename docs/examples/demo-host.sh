#!/bin/sh
# A host in one minute: what is signed well enough gets in, nothing else does, and damage is found.
# Run it with `make demo-host`; it writes to build/demo-host alone.
set -eu
cd "$(dirname "$0")/../.."
# As root, in a mount namespace of its own, so that there can be a guard whose file system nobody else has.
if [ "$(id -u)" = 0 ] && [ -z "${DEMO_PRIVATE:-}" ] && unshare --mount true 2>/dev/null; then
    DEMO_PRIVATE=1 exec unshare --mount --propagation private sh docs/examples/demo-host.sh
fi
rm -rf build/demo-host
mkdir -p build/demo-host/root
chmod 600 keys-example/*/*.key
keys=$PWD/keys-example
. docs/examples/demo-words.sh
cd build/demo-host

# pack LEVEL VERSION: the example, claiming a level, in LEVEL-VERSION.seal, signed by that level's signer
pack() {
    rm -rf hello
    cp -R ../../docs/examples/hello hello
    sed -i -e "s/^level = .*/level = \"$1\"/" -e "s/^version = .*/version = \"$2\"/" hello/module.toml
    modseal pack hello -o "$1-$2.seal"
    modseal sign "$1-$2.seal" --key "$keys/$1/signer.key" --cert "$keys/$1/signer.pem" 2>&1 | grep -v warning
}

say "A vendor's modules:"
pack certified 1.0-1
pack certified 2.0-1
pack community 3.0-1

say "A host that takes what is proved for partner or above:"
run modseal host init --root root --policy "$keys/policy.toml" --level partner
run modseal host install certified-1.0-1.seal --root root
run modseal host install certified-2.0-1.seal --root root
run modseal host list --root root
run root/var/lib/extensions/modseal/opt/hello/bin/hello

say "Under the guard the installed program runs, and a copy that is not signed does not:"
guard=
if [ -n "${DEMO_PRIVATE:-}" ]; then
    mkdir guarded
    mount -t tmpfs none guarded
    cp -R root/var/lib/extensions/modseal/opt/hello guarded/hello
    cp guarded/hello/bin/hello guarded/hello/bin/unsigned
    echo "echo evil" >> guarded/hello/bin/unsigned
    modseal host guard --root root --mount guarded > guard.jsonl &
    guard=$!
    trap 'kill "$guard" 2>/dev/null || true' EXIT
    while kill -0 "$guard" 2>/dev/null && ! grep -q '"started"' guard.jsonl; do sleep 0.1; done
fi
if [ -n "$guard" ] && kill -0 "$guard" 2>/dev/null; then
    run guarded/hello/bin/hello
    refused guarded/hello/bin/unsigned
    kill "$guard"
    wait "$guard"
    grep '"denied"' guard.jsonl
else
    echo "(left out: a guard takes root, a mount namespace and fanotify)"
fi

say "One byte of a payload is changed in a copy; a community module; an older version:"
python3 - <<'PYTHON'
data = bytearray(open("certified-2.0-1.seal", "rb").read())
data[-20] ^= 1
open("tampered.seal", "wb").write(data)
PYTHON
refused modseal host install tampered.seal --root root
refused modseal host install community-3.0-1.seal --root root
refused modseal host install certified-1.0-1.seal --root root

say "A depot of the vendor: the newest version comes by its name, and an older index of the depot is refused:"
sign="--key $keys/certified/signer.key --cert $keys/certified/signer.pem"
pack certified 2.1-1
run modseal depot build certified-2.0-1.seal -o depot --name demo --expires 2099-01-01 $sign 2> /dev/null
cp -R depot old-depot
run modseal depot add depot certified-2.1-1.seal --expires 2099-01-01 $sign 2> /dev/null
run modseal host install hello --depot depot --root root --dry-run
run modseal host update --depot depot --root root
refused modseal host update --depot old-depot --root root

say "The vendor recalls version 2.1: it is found on the host, updated, and not taken again from anywhere:"
pack certified 2.2-1
run modseal depot recall "hello = 2.1-1" --vendor Acme --reason "it greets the wrong people" --name demo-recalls \
    --expires 2099-01-01 -o demo.recall $sign 2> /dev/null
run modseal depot add depot certified-2.2-1.seal --recall demo.recall --expires 2099-01-01 $sign 2> /dev/null
refused modseal host verify --root root --recall demo.recall
run modseal host update --depot depot --root root
refused modseal host install certified-2.1-1.seal --root root
refused modseal host rollback --root root

say "Somebody exchanges the program; it is found, and the bundle puts it right:"
printf '#!/bin/sh\necho evil\n' > root/var/lib/extensions/modseal/opt/hello/bin/hello
refused modseal host verify --root root
run modseal host install hello --depot depot --root root
run modseal host verify --root root

say "The policy withdraws version 2.2, too, and the host goes back to version 1:"
mkdir policy
cp -R "$keys/." policy
digest=$(modseal host get hello --root root --format json | sed -n 's/.*"manifest_sha256": "\(.*\)",/\1/p')
printf '\n[deny]\ndigests = ["sha256:%s"]\n' "$digest" >> policy/policy.toml
run modseal host policy set policy/policy.toml --root root
refused modseal host verify --root root
run modseal host rollback --root root --to 1
run modseal host verify --root root
run root/var/lib/extensions/modseal/opt/hello/bin/hello
run modseal host prune --keep 1 --root root
run modseal host history --root root
run modseal host log --root root --verify
