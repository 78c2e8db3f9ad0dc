"""`modseal keys`: the group, and the commands for keys, requests and looking at files. The CA is in `keys_ca`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modseal.cli import keys_ca
from modseal.cli.key_options import PASSPHRASE, UNENCRYPTED, new_passphrase, type_option, warn
from modseal.cli.options import FILE, FILE_OR_STREAM, OUTPUT, now, require_no_input, tell_replaced
from modseal.cli.sign import passphrase
from modseal.report.text import safe, safe_name

if TYPE_CHECKING:
    from modseal.ca.description import Description


@click.group()
def keys() -> None:
    """Make keys, certificates and CRLs: a small PKI.

    See docs/how-to/make-a-small-pki.md, which also says when to use a real CA instead.
    """


@keys.command()
@click.argument("key", type=OUTPUT, metavar="KEY")
@type_option("ecdsa-p256")
@PASSPHRASE
@UNENCRYPTED
def new(key: Path, kind: str, passphrase_file: Path | None, *, unencrypted: bool) -> None:
    """Write a new private key into the new file KEY, which only you can read.

    It is encrypted with a passphrase, which is asked for twice.
    """
    from modseal.ca.folder import write_new_key
    from modseal.pki.public_key import kind_of_key
    from modseal.signing.key_file import encode_key, new_key

    secret = new_passphrase(key, passphrase_file, unencrypted=unencrypted)
    made = new_key(kind)
    write_new_key(key, encode_key(made, secret))
    how = "not encrypted" if secret is None else "encrypted"
    click.echo(f"{safe(key)}: a new key, {kind_of_key(made.public_key())}, {how}")


@keys.command()
@click.option(
    "--key", required=True, type=FILE_OR_STREAM, metavar="KEY", help="The private key: a PEM or PKCS#12 file."
)
@click.option(
    "--subject", required=True, metavar="NAME", help="Whose it is, such as 'CN=Acme release signer 1,O=Acme'."
)
@PASSPHRASE
@click.option("-o", "--output", required=True, type=OUTPUT, metavar="CSR", help="The request to write.")
def csr(key: Path, subject: str, passphrase_file: Path | None, output: Path) -> None:
    """Ask for a certificate for KEY: write the request that a CA needs. The key itself stays here."""
    from cryptography.hazmat.primitives.serialization import Encoding

    from modseal.ca.request import make_request, parse_subject
    from modseal.files.output import output_file, require_output
    from modseal.signing.material import read_key

    name = parse_subject(subject)
    require_no_input(click.get_current_context())
    require_output(output)
    tell_replaced(output)
    found = read_key(key, lambda: passphrase(str(key), passphrase_file))
    warn(found.warnings)
    data = make_request(name, found.key).public_bytes(Encoding.PEM)
    with output_file(output) as file:
        file.write(data)
    click.echo(f"{safe_name(output)}: a request for {safe(name.rfc4514_string())}; the CA issues the certificate")


@keys.command()
@click.argument("path", type=FILE, metavar="FILE")
@PASSPHRASE
def show(path: Path, passphrase_file: Path | None) -> None:
    """Show what is in FILE: a key, certificate, request, CRL or PKCS#12 file, or the folder of a CA.

    Warns of what has expired, or will within 90 days. Nothing secret is shown.
    """
    from modseal.ca import folder as authority_folder
    from modseal.ca.description import describe_authority, describe_file

    if path.is_dir():
        _print(describe_authority(authority_folder.read(path), now()))
        return
    may_ask = passphrase_file is not None or _is_pkcs12(path)
    _print(describe_file(path, (lambda: passphrase(str(path), passphrase_file)) if may_ask else None, now()))


@keys.command()
@click.argument("directory", type=FILE, metavar="DIR")
def example(directory: Path) -> None:
    """Write an example PKI into the new folder DIR: never in production.

    A root and a signer for each level, a revoked, an expired and a wrong-purpose signer, and a policy.
    """
    from modseal.ca.example import make_example_pki

    make_example_pki(directory, now=now())
    click.echo(f"{safe(directory)}: example keys, certificates and policy.toml; never use them in production")


def _print(description: Description) -> None:
    for line in description.lines:
        click.echo(safe(line))
    warn(description.warnings)


def _is_pkcs12(path: Path) -> bool:
    from modseal.signing import material

    return material.is_pkcs12(material.read_file(path)[0])


for _command in (keys_ca.ca, keys_ca.issue, keys_ca.revoke, keys_ca.crl):
    keys.add_command(_command)
