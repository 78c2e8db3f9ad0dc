"""`modseal inspect`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modseal.bundle.inspect import Inspection, Uninspected, look, look_at_each
from modseal.cli.options import BUNDLES, FILE_OR_STREAM, Choice, now
from modseal.errors import UsageError
from modseal.report import inspections

if TYPE_CHECKING:
    from modseal.policy.carried import Carried


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=FILE_OR_STREAM, metavar="BUNDLE...", shell_complete=BUNDLES)
@click.option("--format", "form", type=Choice(["text", "json"]), default="text", help="The form of the result.")
@click.option("--digests", is_flag=True, help="Show only what a policy's [deny] digests needs to deny the bundles.")
def inspect(bundles: tuple[Path, ...], form: str, *, digests: bool) -> int:
    """Show what BUNDLE says about itself. Inspecting is not verifying: nothing shown is proved.

    Several BUNDLEs have one line each. A BUNDLE may also be a trust bundle, or `-`, which is standard input.

    Exit status: 0; 1 where a part of a bundle cannot be read; 3 where a file cannot be read at all.
    """
    if digests and form == "json":
        raise UsageError("--digests is a form of the text; the JSON has manifest_sha256 and payload_sha256 anyway")
    if len(bundles) == 1 and not digests:
        found = look(bundles[0], now())
        click.echo(inspections.render(found, form))
        return _status(found)
    statuses: list[int] = []

    def each() -> Iterator[Inspection | Carried | Uninspected]:
        found: Iterator[Inspection | Carried | Uninspected]
        found = iter([look(bundles[0], now())]) if len(bundles) == 1 else look_at_each(bundles, now())
        for one in found:
            statuses.append(_status(one))
            yield one

    for piece in [inspections.digests(each())] if digests else inspections.pieces(each(), form):
        click.echo(piece)
    return 1 if 1 in statuses else max(statuses)


def _status(found: Inspection | Carried | Uninspected) -> int:
    return 3 if isinstance(found, Uninspected) else 1 if found.problems else 0
