"""`modseal timestamp`."""

from __future__ import annotations

from pathlib import Path

import click

from modseal.cli.options import BUNDLES, FILE, OUTPUT, authorities, now, require_no_input, tsa_options
from modseal.errors import UsageError
from modseal.packing.timestamp import timestamp as timestamp_bundle
from modseal.report.text import safe


@click.command()
@click.argument("bundle", type=FILE, shell_complete=BUNDLES)
@tsa_options(required=True)
@click.option(
    "-o", "--output", type=OUTPUT, metavar="OUT", help="The bundle with timestamps; by default BUNDLE itself."
)
def timestamp(bundle: Path, tsa: tuple[str, ...], tsa_anchor: tuple[Path, ...], output: Path | None) -> None:
    """Add a timestamp to each signature of BUNDLE that lacks one.

    A timestamp proves that a signature was made while its certificate was valid, so that it outlives it.
    """
    require_no_input(click.get_current_context())
    stamp = authorities(tsa, tsa_anchor)
    if stamp is None:
        raise UsageError("name a timestamp authority with --tsa")
    stamped = timestamp_bundle(bundle, output or bundle, stamp, now())
    for reason in stamped.skipped:
        click.echo(f"modseal: warning: {safe(reason)}", err=True)
    click.echo(f"{safe(stamped.path)}: {stamped.added} timestamp(s) added")
