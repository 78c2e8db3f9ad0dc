"""Where the reports of an audit go: standard output, a file, or several files in several forms."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modseal.cli.options import OUTPUT
from modseal.errors import UsageError
from modseal.files.output import output_file, require_output

if TYPE_CHECKING:
    from modseal.auditing.run import Audit

FORMATS = {
    "text": "text/plain",
    "json": "application/json",
    "sarif": "application/sarif+json",
    "html": "text/html",
    "csv": "text/csv",
    "junit": "application/xml",
    "gitlab": "application/json",
}
"""The forms of a report, and their media types."""


class FormatAndFile(click.ParamType[tuple[str, Path]]):
    """`html=audit.html`: a form, and the file that gets it."""

    name = "format=file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Path]:
        """Both parts of a text."""
        if isinstance(value, tuple):
            return value
        form, _, name = value.partition("=")
        if form not in FORMATS or not name:
            self.fail(f"{value!r} is not a form of {', '.join(FORMATS)}, '=' and a file", param, ctx)
        return form, OUTPUT.convert(name, param, ctx)


def require_writable(files: Iterable[Path]) -> None:
    """Reports can go to these files, each to its own. Raises `UsageError`, `InputError`."""
    seen: set[str] = set()
    for path in files:
        require_output(path, is_report=True)
        place = os.path.realpath(path)
        if place in seen:
            raise UsageError(f"{path}: two reports cannot go to one file")
        seen.add(place)


def pieces(audit: Audit, form: str, *, verbose: bool = False, in_colour: bool = False) -> Iterable[bytes]:
    """A report in pieces; what a person may ask for counts for the text alone."""
    module: Any = import_module(f"modseal.report.audit_{form}")
    made: Iterable[bytes] = module.render(audit, *((verbose, in_colour) if form == "text" else ()))
    return made


def write(made: Iterable[bytes], output: Path | None = None) -> None:
    """Write a report to its file, or to standard output. Raises `InputError`."""
    if output is None:
        _print(made)
        return
    with output_file(output, is_report=True) as file:
        for piece in made:
            file.write(piece)


def _print(made: Iterable[bytes]) -> None:
    stream = getattr(sys.stdout, "buffer", None)
    for piece in made:
        if stream:
            stream.write(piece)  # as it is: another encoding would be another document
        else:
            click.echo(piece.decode("utf-8"), nl=False)
