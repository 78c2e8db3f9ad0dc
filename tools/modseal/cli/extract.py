"""`modseal extract`."""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path

import click

from modseal.bundle.extract import extract as extract_bundle
from modseal.bundle.extract_each import extract_each
from modseal.bundle.verify import Result
from modseal.cli.options import BUNDLES, FILE, FOLDERS, at_option, now, policy_option, recall_option
from modseal.cli.progress import progress
from modseal.cli.verify import EXIT
from modseal.errors import UsageError
from modseal.policy.sources import load, with_recall_files
from modseal.report import colour, text
from modseal.trust.examination import WORST_LAST, Verdict


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=FILE, metavar="BUNDLE...", shell_complete=BUNDLES)
@click.option(
    "-C",
    "--directory",
    required=True,
    type=FILE,
    metavar="DIR",
    shell_complete=FOLDERS,
    help="A new (or empty) folder to unpack into; of several BUNDLEs, the folder that gets one for each.",
)
@policy_option(required=False)
@recall_option
@click.option("--unverified", is_flag=True, help="Unpack without proving who signed it; damage is still refused.")
@click.option(
    "--stage", is_flag=True, help="Write a stage folder (descriptor.xml, payloads/) that pack can use; .vib only."
)
@click.option(
    "--shared-parent",
    is_flag=True,
    help="Unpack into DIR even where others may rename it, and so can exchange what was verified.",
)
@at_option
def extract(
    bundles: tuple[Path, ...],
    directory: Path,
    policy: str | None,
    recalls: tuple[Path, ...],
    at: datetime | None,
    *,
    unverified: bool,
    stage: bool,
    shared_parent: bool,
) -> int:
    """Verify BUNDLE and unpack its files into DIR: all of them, or none.

    Say either which policy must accept the bundle, or that you want it --unverified. Several BUNDLEs are unpacked each
    into a new folder below DIR, named after its file; they have one line each, and the worst decides the exit status.
    """
    if (policy is None) != unverified:
        raise UsageError("give either --policy POLICY or --unverified")
    if unverified and recalls:
        raise UsageError("--recall goes with --policy, which says whose recalls count")
    rules, time = with_recall_files(load(policy), recalls) if policy else None, at or now()
    if len(bundles) == 1:
        with progress(str(bundles[0]), bundles[0]):
            result = extract_bundle(bundles[0], directory, rules, time, stage=stage, shared=shared_parent)
        _print(result, directory, unverified=unverified, line=False)
        return EXIT[result.verdict]
    verdicts = set()
    with closing(extract_each(bundles, directory, rules, time, stage=stage, shared=shared_parent)) as each:
        for path in bundles:
            with progress(str(path), path):
                result, place = next(each)
            verdicts.add(result.verdict)
            _print(result, place, unverified=unverified, line=True)
    return EXIT[max(verdicts, key=WORST_LAST.index)]


def _print(result: Result, place: Path, *, unverified: bool, line: bool) -> None:
    if result.verdict is Verdict.ACCEPTED:
        click.echo(text.extracted(result, place, unverified=unverified))
    else:
        in_colour = colour.wanted(sys.stderr)
        render = text.line if line else text.render
        click.echo(f"modseal: {render(result, in_colour=in_colour)}", err=True, color=in_colour)
