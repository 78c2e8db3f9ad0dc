"""`modseal sign`."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from modseal.bundle.sign import sign as sign_bundle
from modseal.cli.options import FILE, authorities, now, tsa_options
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
@tsa_options(required=False)
@click.option("--timestamp-later", is_flag=True, help="Sign without a timestamp now; `modseal timestamp` adds one.")
@click.option("-o", "--output", type=FILE, metavar="OUT", help="The signed bundle; by default BUNDLE itself.")
def sign(
    bundle: Path,
    key: str,
    cert: Path | None,
    chain: tuple[Path, ...],
    passphrase_file: Path | None,
    algorithm: str | None,
    tsa: tuple[str, ...],
    tsa_anchor: tuple[Path, ...],
    output: Path | None,
    *,
    timestamp_later: bool,
) -> None:
    """Add a signature block to BUNDLE.

    The key signs the manifest's bytes. A certificate that no verifier would accept is refused here.
    With a timestamp, the signature outlives its certificate.
    """
    if timestamp_later and tsa:
        raise UsageError("--timestamp-later and --tsa exclude each other")
    stamp = authorities(tsa, tsa_anchor)
    signer = keys.open(key, cert, chain, lambda: passphrase(key, passphrase_file))
    for warning in signer.warnings:
        click.echo(f"modseal: warning: {safe(warning)}", err=True)
    signed = sign_bundle(bundle, output or bundle, signer, now(), signing_time(), algorithm, stamp)
    click.echo(f"{safe(signed.path)}: signed by {safe(signed.subject)} with {signed.algorithm}, {signed.blocks} block(s)")


def passphrase(key: str, file: Path | None) -> bytes:
    if file:
        try:
            return file.read_bytes().removesuffix(b"\n").removesuffix(b"\r")
        except OSError as error:
            raise InputError(f"{file}: {error.strerror}") from None
    missing = KeyMaterialError(f"{key} is encrypted (or damaged) and no passphrase was given; use --passphrase-file")
    if not sys.stdin.isatty():
        raise missing
    try:
        return str(click.prompt("Passphrase", hide_input=True, err=True)).encode()
    except click.Abort:
        raise missing from None


def signing_time() -> datetime:
    """Now, or SOURCE_DATE_EPOCH for reproducible blocks. It is information, never proof."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return now()
    try:
        return datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"SOURCE_DATE_EPOCH is {epoch!r}, which is no time in seconds") from None
