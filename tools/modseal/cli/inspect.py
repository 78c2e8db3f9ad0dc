"""`modseal inspect`."""

from __future__ import annotations

from pathlib import Path

import click

from modseal.bundle.inspect import inspect as inspect_bundle
from modseal.cli.options import BUNDLES, FILE
from modseal.report import inspection


@click.command()
@click.argument("bundle", type=FILE, shell_complete=BUNDLES)
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", help="The form of the result.")
def inspect(bundle: Path, output: str) -> int:
    """Show what BUNDLE says of itself. Inspecting is not verifying: nothing shown is proved.

    Exit status: 0, or 1 where a part of the bundle cannot be read.
    """
    found = inspect_bundle(bundle)
    click.echo(inspection.render_json(found) if output == "json" else inspection.render_text(found))
    return 1 if found.problems else 0
