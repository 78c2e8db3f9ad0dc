"""`modseal attest`. What it needs is imported where it is used."""

from __future__ import annotations

from pathlib import Path

import click

from modseal.cli.options import FILE, OUTPUT, tell_replaced
from modseal.errors import FormatError, UsageError

nonce_option = click.option(
    "--nonce", required=True, metavar="HEX", help="What nobody could know before: 16 to 64 hexadecimal digits."
)


def _nonce(text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if not 8 <= len(value) <= 32 or value.hex() != text:
        raise UsageError("--nonce needs 16 to 64 lower-case hexadecimal digits, an even number of them")
    return value


@click.group()
def attest() -> None:
    """Ask a host what it runs, and check what its TPM has proved.

    Exit status: 0 where the host runs what is expected; 1 where it does not, or nothing is proved.
    """


@attest.command()
@click.argument("address", metavar="URL")
@nonce_option
@click.option("-o", "--output", "out", type=OUTPUT, required=True, metavar="FILE", help="The attestation to write.")
def get(address: str, nonce: str, out: Path) -> None:
    """Ask the management interface at URL, such as http://192.0.2.7:9090, for a quote; nothing is checked."""
    from modseal.boot import attestation
    from modseal.files.output import output_file, require_output
    from modseal.image.ask import ask

    value = _nonce(nonce)
    require_output(out)
    try:
        found = attestation.decode(ask(address, value), address)
    except FormatError as error:
        raise error.because("host-answer") from None
    tell_replaced(out)
    with output_file(out) as file:
        file.write(attestation.encode_again(found))
    click.echo(f"{len(found.events)} events, unproved; `modseal attest verify` proves")


@attest.command()
@click.argument("path", type=FILE, metavar="ATTESTATION")
@click.option(
    "--expect", "expected", type=FILE, required=True, metavar="FILE", help="What `modseal image expect` has written."
)
@click.option(
    "--key", type=FILE, required=True, metavar="PEM", help="The public key of the host's TPM, which you know already."
)
@nonce_option
def verify(path: Path, expected: Path, key: Path, nonce: str) -> int:
    """Check ATTESTATION against what is expected: firmware's keys, program, root, policy, generation, each module."""
    from modseal.boot import attestation
    from modseal.files.small import read_small
    from modseal.limits import HOST_DOCUMENT_SIZE
    from modseal.report import image_text

    found = attestation.decode(read_small(path, HOST_DOCUMENT_SIZE).data, str(path))
    wanted = attestation.decode_expected(read_small(expected, HOST_DOCUMENT_SIZE).data, str(expected))
    result = attestation.verify(
        found, wanted, _nonce(nonce), attestation.public_key(read_small(key, 1 << 16).data, str(key))
    )
    click.echo(image_text.attested(result))
    return 1 if result.differences else 0


@attest.command()
@click.argument("path", type=FILE, metavar="ATTESTATION")
def key(path: Path) -> None:
    """Print the key that ATTESTATION says it is signed with, in PEM: unproved. Compare it on the host's first day."""
    from modseal.boot import attestation
    from modseal.files.small import read_small
    from modseal.limits import HOST_DOCUMENT_SIZE

    found = attestation.decode(read_small(path, HOST_DOCUMENT_SIZE).data, str(path))
    click.echo(attestation.key_pem(found), nl=False)
