"""`modseal inspect`."""

from __future__ import annotations

from pathlib import Path

import click

from modseal.bundle.inspect import inspect as inspect_bundle
from modseal.cli.options import BUNDLES, FILE, Choice
from modseal.errors import UsageError
from modseal.report import inspection


@click.command()
@click.argument("bundle", type=FILE, shell_complete=BUNDLES)
@click.option("--format", "output", type=Choice(["text", "json"]), default="text", help="The form of the result.")
@click.option("--digests", is_flag=True, help="Show only what a policy's [deny] digests needs to deny this bundle.")
def inspect(bundle: Path, output: str, digests: bool) -> int:
    """Show what BUNDLE says about itself. Inspecting is not verifying: nothing shown is proved.

    Exit status: 0, or 1 where a part of the bundle cannot be read.
    """
    if digests and output == "json":
        raise UsageError("--digests is a form of the text; the JSON has manifest_sha256 and payload_sha256 anyway")
    found = inspect_bundle(bundle)
    render = inspection.render_json if output == "json" else inspection.render_text
    click.echo((inspection.render_digests if digests else render)(found))
    return 1 if found.problems else 0
