"""`modseal keys`."""

from __future__ import annotations

from pathlib import Path

import click

from modseal.cli.options import FILE, now
from modseal.report.text import safe


@click.group()
def keys() -> None:
    """Make keys and certificates for trying out."""


@keys.command()
@click.argument("directory", type=FILE, metavar="DIR")
def example(directory: Path) -> None:
    """Write an example PKI into the new folder DIR: never in production.

    A root and a signer for each level, a revoked, an expired and a wrong-purpose signer, and a policy.
    """
    from modseal.signing.example import make_example_pki

    make_example_pki(directory, now=now())
    click.echo(f"{safe(directory)}: example keys, certificates and policy.toml; never use them in production")
