#!/bin/sh
# Two hosts that are managed from a desk: install, refuse, roll back, lock down, break the glass.
# Run it with `make demo-remote`; it writes to build/demo-remote alone, and listens on loopback.
set -eu
cd "$(dirname "$0")/../.."
rm -rf build/demo-remote
mkdir -p build/demo-remote
chmod 600 keys-example/*/*.key
keys=$PWD/keys-example
. docs/examples/demo-words.sh
cd build/demo-remote
served=
trap 'for one in $served; do kill "$one" 2>/dev/null || true; done' EXIT

# certificate NAME SUBJECT EXTENSIONS: a key and a certificate below the CA, by OpenSSL
certificate() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
    printf '%s\n' "$3" >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -days 30 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
}

# serve NAME: make a host, and serve it
serve() {
    mkdir "$1"
    modseal host init --root "$1" --policy "$keys/policy.toml" --level partner >/dev/null
    printf 'schema = "modseal/serve@1"\nport = 0\ncertificate = "host.pem"\nkey = "host.key"\nspool = "%s"\n' "$PWD" >"$1.toml"
    printf '[[client]]\nca = "ca.pem"\ngrants = "admin"\n' >>"$1.toml"
    modseal serve --root "$1" --config "$1.toml" 2>"$1.said" &
    served="$served $!"
    until grep -q serving "$1.said"; do sleep 0.1; done
    printf '[host.%s]\naddress = "%s"\n' "$1" "$(sed -n 's|.*https://||p' "$1.said")" >>remote.toml
}

# pack LEVEL VERSION: the example, claiming a level, in LEVEL-VERSION.seal, signed by that level's signer
pack() {
    rm -rf hello
    cp -R ../../docs/examples/hello hello
    sed -i -e "s/^level = .*/level = \"$1\"/" -e "s/^version = .*/version = \"$2\"/" hello/module.toml
    modseal pack hello -o "$1-$2.seal" >/dev/null
    modseal sign "$1-$2.seal" --key "$keys/$1/signer.key" --cert "$keys/$1/signer.pem" >/dev/null 2>&1
}

desk() {
    run modseal remote --inventory remote.toml "$@"
}

say "A CA of the site, a certificate for the hosts, and one for an operator and an administrator:"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=Site \
    -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
certificate host /CN=host 'subjectAltName=IP:127.0.0.1'
client='extendedKeyUsage=clientAuth
keyUsage=digitalSignature'
certificate operator /OU=modseal:operator/CN=Olga "$client"
certificate admin /OU=modseal:admin/CN=Ann "$client"
printf 'schema = "modseal/remote@1"\nca = "ca.pem"\ncertificate = "admin.pem"\nkey = "admin.key"\n' >remote.toml
chmod 1777 .
serve one
serve two
pack certified 1.0-1
pack certified 2.0-1
pack community 3.0-1

say "Both hosts get a module, and a newer one:"
desk --all install certified-1.0-1.seal
desk --all update certified-2.0-1.seal
desk one list

say "What is proved for less than partner, and what was tampered with, no host takes:"
refused modseal remote --inventory remote.toml --all install community-3.0-1.seal
{ head -c 3000 certified-2.0-1.seal && printf evil && tail -c +3005 certified-2.0-1.seal; } >tampered.seal
refused modseal remote --inventory remote.toml --all install tampered.seal

say "One host goes back:"
desk one rollback
desk --all list

say "An operator does not set levels, an administrator does:"
refused modseal remote --inventory remote.toml --cert operator.pem --key operator.key one acceptance set accepted
desk one acceptance set partner

say "Host two is locked down: its controller changes it, and nobody else, root on the console included:"
run modseal host lockdown set normal --root two --controller admin.pem --break-glass "$keys/partner/signer.pem" \
    --break-glass "$keys/accepted/signer.pem" --threshold 2
desk two lockdown set strict
refused modseal host remove hello --root two
refused modseal remote --inventory remote.toml --cert operator.pem --key operator.key two rollback
desk two rollback

say "The controller is lost. Two people sign, and the glass of this host breaks, once:"
rm admin.key
host=$(modseal host lockdown get --root two | sed -n 's/^host  *//p')
lock=$(modseal host lockdown get --root two | sed -n 's/^lock  *//p')
run modseal break-glass create --host "$host" --lock "$lock" --reason "the controller burnt down" \
    --key "$keys/partner/signer.key" --cert "$keys/partner/signer.pem" -o open.glass
run modseal break-glass endorse open.glass --key "$keys/accepted/signer.key" --cert "$keys/accepted/signer.pem"
run modseal host break-glass open.glass --root two
refused modseal host break-glass open.glass --root two
run modseal host log --root two --verify
