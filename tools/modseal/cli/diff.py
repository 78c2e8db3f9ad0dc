"""`modseal diff`."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import click

from modseal.bundle.diff import compare
from modseal.cli.options import BUNDLES, FILE, Choice, at_option, now, policy_option
from modseal.cli.progress import progress
from modseal.policy.sources import load
from modseal.report import bundle_diff, colour
from modseal.trust.examination import Verdict


@click.command()
@click.argument("left", type=FILE, metavar="A", shell_complete=BUNDLES)
@click.argument("right", type=FILE, metavar="B", shell_complete=BUNDLES)
@policy_option(required=False)
@at_option
@click.option("--format", "output", type=Choice(["text", "json"]), default="text", help="The form of the result.")
def diff(left: Path, right: Path, policy: str | None, at: datetime | None, output: str) -> int:
    """Compare the bundles A and B: fields, levels, signers, digests and files.

    Without --policy nothing that is compared is proved. With it, both are verified.

    Exit status: 0 where they are the same, byte for byte (and accepted, with --policy); 1 where they differ or one is
    rejected; 3 where one cannot be read in full, or is undecided.
    """
    rules = load(policy) if policy else None
    with progress(f"{left}, {right}"):
        found = compare(left, right, rules, at or now())
    if output == "json":
        click.echo(bundle_diff.render_json(found))
    else:
        in_colour = colour.wanted(sys.stdout)
        click.echo(bundle_diff.render_text(found, in_colour=in_colour), color=in_colour)
    if found.verdict is Verdict.REJECTED:
        return 1
    if found.verdict is Verdict.UNDECIDED or not found.is_complete:
        return 3
    return 1 if found.changes else 0
