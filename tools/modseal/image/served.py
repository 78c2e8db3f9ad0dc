"""What an image has for a host that is managed from outside: a spec of `modseal serve` in the root, a key beside it.

A root is for everybody to read: its hash is public, and so is what updates it. So the private key goes to the data
partition alone, which no update has, and nothing that is a private key goes into the root.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from modseal import limits
from modseal.boot.documents import PLACE, SERVE_FILE, SERVE_FOLDER, SERVE_KEY, SERVE_SPOOL, SERVED
from modseal.errors import KeyMaterialError, SpecError
from modseal.files.small import read_small
from modseal.image.spec import ServedSpec
from modseal.policy.material import read_certificates, read_crls
from modseal.serve.spec_shape import PORT, SCHEMA

_DATA = "/data"
_SECRET = b"PRIVATE KEY"


def files(spec: ServedSpec) -> dict[str, bytes]:
    """Files of the root, by path. Raises `SpecError`, `KeyMaterialError`, `InputError`."""
    _require_pair(spec)
    found = {"certificate.pem": _public(spec.certificate)}
    bounds = {"port": PORT, **spec.bounds}
    text = f'schema = "{SCHEMA}"\naddress = "0.0.0.0"\ncertificate = "certificate.pem"\n'
    text += f'key = "{_DATA}/{SERVED}/{SERVE_KEY}"\nspool = "{_DATA}/{SERVED}/{SERVE_SPOOL}"\n'
    text += "".join(f"{name} = {number}\n" for name, number in bounds.items())
    for number, one in enumerate(spec.clients):
        crls = {f"client-{number}-{place}.crl": _public(path) for place, path in enumerate(one.crls)}
        text += f'\n[[client]]\nca = "client-{number}.pem"\ngrants = "{one.grants}"\n'
        named = ", ".join(f'"{name}"' for name in crls)
        text += f"crls = [{named}]\n" if crls else ""
        found |= {f"client-{number}.pem": _public(one.ca), **crls}
        try:
            read_certificates(found[f"client-{number}.pem"])
            for name, data in crls.items():
                read_crls(data, name=name)
        except ValueError as error:
            raise SpecError(f"{one.ca}, or a CRL of it: {error}").because("image-spec") from None
    found[SERVE_FILE] = text.encode()
    return {f"{PLACE}/{SERVE_FOLDER}/{name}": data for name, data in found.items()}


def write_key(spec: ServedSpec, folder: Path) -> None:
    """Write the private key to the folder of the data partition. Raises `InputError`."""
    folder.mkdir(mode=0o700)
    path = folder / SERVE_KEY
    path.touch(mode=0o600)
    path.write_bytes(read_small(spec.key, limits.POLICY_FILE_SIZE).data)


def _public(path: Path) -> bytes:
    """A file for the root. Raises `SpecError`, `InputError`."""
    data = read_small(path, limits.POLICY_FILE_SIZE).data
    if _SECRET in data:
        raise SpecError(f"{path} has a private key in it, and the root is for everybody to read").because("image-spec")
    return data


def _require_pair(spec: ServedSpec) -> None:
    """A host whose service cannot start must not be built. Raises `KeyMaterialError`, `InputError`."""
    for path in (spec.certificate, spec.key):
        read_small(path, limits.POLICY_FILE_SIZE)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(spec.certificate, spec.key, lambda: b"")
    except (OSError, ValueError):  # OpenSSL's own words name neither the file nor what is wrong with it
        detail = f"{spec.certificate} and {spec.key} are not a certificate and its private key, without a passphrase"
        raise KeyMaterialError(detail).because("serve-key") from None
