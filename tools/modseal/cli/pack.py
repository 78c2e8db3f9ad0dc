"""`modseal pack`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from modseal.bundle.pack import pack as pack_module
from modseal.cli.options import FILE
from modseal.format.manifest import Kind
from modseal.report.text import safe


@click.command()
@click.argument("spec", type=FILE)
@click.option("-o", "--output", type=FILE, metavar="OUT", help="The bundle to write; by default named after the module.")
@click.option("--format", "kind", type=click.Choice(["seal", "vib"]), help="seal for a module.toml, vib for a stage folder by default.")
def pack(spec: Path, output: Path | None, kind: Kind | None) -> None:
    """Pack the module of SPEC into an unsigned bundle.

    SPEC is a module.toml, a folder with one, or a vibauthor stage folder (descriptor.xml and payloads/).
    The same input gives the same bytes on every machine; SOURCE_DATE_EPOCH sets the time of entries.
    """
    packed = pack_module(spec, output, kind, environ=os.environ)
    for warning in packed.warnings:
        click.echo(f"modseal: warning: {safe(warning)}", err=True)
    click.echo(f"{safe(packed.path)}: packed {packed.manifest.name} {packed.manifest.version}, sha256 {packed.sha256}")
