"""`modseal extract`."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import click

from modseal.bundle.extract import extract as extract_bundle
from modseal.cli.options import BUNDLES, FILE, FOLDERS, at_option, now, policy_option
from modseal.cli.progress import progress
from modseal.errors import UsageError
from modseal.policy.sources import load
from modseal.report import colour, text
from modseal.trust.examination import Verdict


@click.command()
@click.argument("bundle", type=FILE, shell_complete=BUNDLES)
@click.option(
    "-C",
    "--directory",
    required=True,
    type=FILE,
    metavar="DIR",
    shell_complete=FOLDERS,
    help="A new (or empty) folder to unpack into.",
)
@policy_option(required=False)
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
    bundle: Path,
    directory: Path,
    policy: str | None,
    at: datetime | None,
    *,
    unverified: bool,
    stage: bool,
    shared_parent: bool,
) -> int:
    """Verify BUNDLE and unpack its files into DIR: all of them, or none.

    Say either which policy must accept the bundle, or that you want it --unverified.
    """
    if (policy is None) != unverified:
        raise UsageError("give either --policy POLICY or --unverified")
    rules = load(policy) if policy else None
    with progress(str(bundle), bundle):
        result = extract_bundle(bundle, directory, rules, at or now(), stage=stage, shared=shared_parent)
    if result.verdict is Verdict.ACCEPTED:
        manifest = result.examination.manifest if result.examination else None
        count = len(manifest.files) if manifest else 0
        note = " (unverified)" if unverified else ""
        click.echo(f"{text.safe(bundle)}: extracted {count} entries to {text.safe(directory)}{note}")
        return 0
    in_colour = colour.wanted(sys.stderr)
    click.echo(f"modseal: {text.render(result, in_colour=in_colour)}", err=True, color=in_colour)
    return 1 if result.verdict is Verdict.REJECTED else 3
