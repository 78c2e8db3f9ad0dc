"""One command for several bundles: each is done for itself, and the worst exit status counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from modseal.cli.main import report_failure
from modseal.errors import ModsealError, UsageError
from modseal.report.text import safe

WORST_LAST = (0, 2, 3, 1)
"""Exit statuses: a rejection weighs more than what could not be decided."""


def targets(bundles: tuple[Path, ...], output: Path | None) -> list[tuple[Path, Path]]:
    """Each bundle, and the file that is written for it: itself without an `output`.

    An output is a file, or a folder that is there, in which the file has the bundle's name. Several bundles need a
    folder, and names of their own. Raises `UsageError`.
    """
    if output is None:
        return [(bundle, bundle) for bundle in bundles]
    if output.is_dir():
        names: dict[str, Path] = {}
        for bundle in bundles:
            if (other := names.setdefault(bundle.name, bundle)) is not bundle:
                raise UsageError(f"{other} and {bundle} would both be written to {output / bundle.name}")
        return [(bundle, output / bundle.name) for bundle in bundles]
    if len(bundles) > 1:
        raise UsageError(f"{output} is not a folder, and {len(bundles)} bundles need one; make it, or leave -o out")
    return [(bundles[0], output)]


def each(pairs: Sequence[tuple[Path, Path]], do: Callable[[Path, Path], None], note: str = "") -> int:
    """Do it for each bundle and its output. A failure is told, and the others go on; gives the worst exit status.

    `note` is said once, after all, where anything was done.
    """
    worst, done = 0, False
    for bundle, output in pairs:
        replaces = output != bundle and output.is_file() and output.stat().st_size > 0
        try:
            do(bundle, output)
        except ModsealError as error:
            worst = max(worst, report_failure(error, bundle if len(pairs) > 1 else None), key=WORST_LAST.index)
            continue
        done = True
        if replaces:
            click.echo(f"modseal: warning: {safe(output)} was there already, and is replaced", err=True)
    if note and done:
        click.echo(note)
    return worst
