"""`modseal verify`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from modseal.bundle.verify import Result
from modseal.bundle.verify import verify as verify_bundle
from modseal.cli.options import (
    BUNDLES,
    FILE_OR_STREAM,
    OUTPUT,
    Choice,
    at_option,
    now,
    policy_option,
    recall_option,
    require_no_input,
    tell_replaced,
)
from modseal.cli.progress import progress
from modseal.errors import UsageError
from modseal.policy.sources import load, with_recall_files
from modseal.report import colour, text
from modseal.trust.examination import WORST_LAST, Verdict

EXIT = {Verdict.ACCEPTED: 0, Verdict.UNDECIDED: 3, Verdict.REJECTED: 1}


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=FILE_OR_STREAM, metavar="BUNDLE...", shell_complete=BUNDLES)
@policy_option(required=True)
@at_option
@recall_option
@click.option(
    "--format", "form", type=Choice(["text", "json", "sarif"]), default="text", help="The form of the result."
)
@click.option("-o", "--output", type=OUTPUT, metavar="FILE", help="Write the result to FILE instead.")
@click.option("-q", "--quiet", is_flag=True, help="Print only what is not accepted, one line a bundle.")
@click.option("-v", "--verbose", is_flag=True, help="Show every step, not only what failed.")
@click.pass_context
def verify(
    context: click.Context,
    bundles: tuple[Path, ...],
    policy: str,
    at: datetime | None,
    recalls: tuple[Path, ...],
    form: str,
    output: Path | None,
    *,
    quiet: bool,
    verbose: bool,
) -> int:
    """Prove BUNDLEs under a policy: who signed them, and is that enough.

    Several BUNDLEs have one line each; -v shows all of each. The BUNDLE `-` is standard input.

    Exit status: 0 if and only if every bundle is accepted; 1 if one is rejected; 3 if one is undecided.
    """
    if quiet and (verbose or form != "text"):
        raise UsageError("--quiet is a form of the text, and does not go with --verbose or --format")
    require_no_input(context, reads=bundles)
    tell_replaced(output)
    rules, at = with_recall_files(load(policy), recalls), at or now()
    verdicts: set[Verdict] = set()

    def results() -> Iterator[Result]:
        for path in bundles:
            with progress(str(path), path):
                result = verify_bundle(path, rules, at, with_digest=form != "text")
            verdicts.add(result.verdict)
            yield result

    detail: text.Detail = "quiet" if quiet else "verbose" if verbose else "lines" if len(bundles) > 1 else "failures"
    in_colour = output is None and colour.wanted(sys.stdout)
    if form == "text":
        _write(text.pieces(results(), detail, in_colour=in_colour), output, in_colour=in_colour)
    else:
        _write(_document(form, results(), rules.source, at), output)
    return EXIT[max(verdicts, key=WORST_LAST.index)]


def _document(form: str, results: Iterator[Result], policy: str, at: datetime) -> Iterator[str]:
    if form == "sarif":
        from modseal.report import sarif

        yield sarif.render(list(results))
    else:
        from modseal.report import json_report

        yield json_report.render(list(results), policy, at)


def _write(pieces: Iterator[str], output: Path | None, *, in_colour: bool = False) -> None:
    """To standard output, each as soon as it is known; or to a file, all or nothing."""
    if output is None:
        for piece in pieces:
            click.echo(piece, color=in_colour)
        return
    from modseal.files.output import output_file

    with output_file(output, is_report=True) as file:
        for piece in pieces:
            file.write(f"{piece}\n".encode("utf-8", "backslashreplace"))
