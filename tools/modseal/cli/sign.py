"""`modseal sign`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from modseal.bundle.sign import sign as sign_bundle
from modseal.cli.options import FILE, now
from modseal.errors import InputError, KeyMaterialError, UsageError
from modseal.report.text import safe
from modseal.signing import keys
from modseal.trust.algorithms import ALGORITHMS


@click.command()
@click.argument("bundle", type=FILE)
@click.option("--key", required=True, metavar="KEY", help="The private key: a PEM or PKCS#12 file.")
@click.option("--cert", type=FILE, metavar="PEM", help="The signer's certificate; a PKCS#12 file may bring its own.")
@click.option("--chain", multiple=True, type=FILE, metavar="PEM", help="Certificates between signer and anchor, to embed.")
@click.option("--passphrase-file", type=FILE, metavar="FILE", help="A file with the key's passphrase; else it is asked for.")
@click.option("--algorithm", metavar="NAME", type=click.Choice(sorted(ALGORITHMS)), help="Default: the usual one for the key.")
@click.option("-o", "--output", type=FILE, metavar="OUT", help="The signed bundle; by default BUNDLE itself.")
def sign(
    bundle: Path,
    key: str,
    cert: Path | None,
    chain: tuple[Path, ...],
    passphrase_file: Path | None,
    algorithm: str | None,
    output: Path | None,
) -> None:
    """Add a signature block to BUNDLE.

    The key signs the manifest's bytes. A certificate that no verifier would accept is refused here.
    """
    signer = keys.open(key, cert, chain, lambda: _passphrase(passphrase_file))
    for warning in signer.warnings:
        click.echo(f"modseal: warning: {safe(warning)}", err=True)
    signed = sign_bundle(bundle, output or bundle, signer, now(), _signing_time(), algorithm)
    click.echo(f"{safe(signed.path)}: signed by {safe(signed.subject)} with {signed.algorithm}, {signed.blocks} block(s)")


def _passphrase(file: Path | None) -> bytes:
    if file:
        try:
            return file.read_bytes().removesuffix(b"\n").removesuffix(b"\r")
        except OSError as error:
            raise InputError(f"{file}: {error.strerror}") from None
    try:
        return str(click.prompt("Passphrase", hide_input=True, err=True)).encode()
    except click.Abort:
        raise KeyMaterialError("the key is encrypted and no passphrase was given; use --passphrase-file") from None


def _signing_time() -> datetime:
    """Now, or SOURCE_DATE_EPOCH for reproducible blocks. It is information, never proof."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return now()
    try:
        return datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"SOURCE_DATE_EPOCH is {epoch!r}, which is no time in seconds") from None
