"""`modseal timestamp`."""

from __future__ import annotations

from pathlib import Path

import click

from modseal.cli.options import BUNDLES, FILE, OUTPUT, authorities, now, require_no_input, tsa_options
from modseal.cli.several import each, targets
from modseal.errors import UsageError
from modseal.packing.timestamp import timestamp as timestamp_bundle
from modseal.report import signatures_text
from modseal.report.text import safe


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=FILE, metavar="BUNDLE...", shell_complete=BUNDLES)
@tsa_options(required=True)
@click.option(
    "-o",
    "--output",
    type=OUTPUT,
    metavar="OUT",
    help="The bundle with timestamps, or a folder for it; by default BUNDLE itself.",
)
def timestamp(
    bundles: tuple[Path, ...], tsa: tuple[str, ...], tsa_anchor: tuple[Path, ...], output: Path | None
) -> int:
    """Add a timestamp to each signature of BUNDLEs that lacks one.

    A timestamp proves that a signature was made while its certificate was valid, so that it outlives it. Each bundle
    is done for itself: where one fails, the others go on, and the worst exit status counts.
    """
    require_no_input(click.get_current_context())
    pairs = targets(bundles, output)
    stamp = authorities(tsa, tsa_anchor)
    if stamp is None:
        raise UsageError("name a timestamp authority with --tsa")

    def add(bundle: Path, out: Path) -> None:
        stamped = timestamp_bundle(bundle, out, stamp, now())
        for reason in stamped.skipped:
            click.echo(f"modseal: warning: {safe(reason)}", err=True)
        click.echo(signatures_text.stamped_line(stamped))

    return each(pairs, add, signatures_text.CHANGED)
