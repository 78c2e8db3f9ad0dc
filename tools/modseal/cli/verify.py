"""`modseal verify`."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import click

from modseal.bundle.verify import Result
from modseal.bundle.verify import verify as verify_bundle
from modseal.cli.options import BUNDLES, FILE, Choice, at_option, now, policy_option
from modseal.cli.progress import progress
from modseal.policy.sources import load
from modseal.trust.examination import WORST_LAST, Verdict

EXIT = {Verdict.ACCEPTED: 0, Verdict.UNDECIDED: 3, Verdict.REJECTED: 1}


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=FILE, metavar="BUNDLE...", shell_complete=BUNDLES)
@policy_option(required=True)
@at_option
@click.option(
    "--format", "output", type=Choice(["text", "json", "sarif"]), default="text", help="The form of the result."
)
@click.option("-v", "--verbose", is_flag=True, help="Show every step, not only what failed.")
def verify(bundles: tuple[Path, ...], policy: str, at: datetime | None, output: str, *, verbose: bool) -> int:
    """Prove BUNDLEs under a policy: who signed them, and is that enough.

    Exit status: 0 if and only if every bundle is accepted; 1 if one is rejected; 3 if one is undecided.
    """
    rules, at = load(policy), at or now()
    results: list[Result] = []
    verdicts: set[Verdict] = set()
    for path in bundles:
        with progress(str(path), path):
            result = verify_bundle(path, rules, at, with_digest=output != "text")
        verdicts.add(result.verdict)
        if output == "text":
            _print_text(result, verbose=verbose)
        else:
            results.append(result)
    if output != "text":
        click.echo(_document(output, results, rules.source, at))
    return EXIT[max(verdicts, key=WORST_LAST.index)]


def _print_text(result: Result, *, verbose: bool) -> None:
    from modseal.report import colour, text

    in_colour = colour.wanted(sys.stdout)
    click.echo(text.render(result, verbose=verbose, in_colour=in_colour), color=in_colour)


def _document(output: str, results: list[Result], policy: str, at: datetime) -> str:
    if output == "sarif":
        from modseal.report import sarif

        return sarif.render(results)
    from modseal.report import json_report

    return json_report.render(results, policy, at)
