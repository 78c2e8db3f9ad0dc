"""`modseal sbom`."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Literal

import click

from modseal.bundle.attested import Wanted, read
from modseal.cli.options import BUNDLES, FILE, Choice, at_option, now, policy_option
from modseal.errors import UsageError
from modseal.policy.sources import load
from modseal.report import colour, text
from modseal.trust.examination import Verdict

# The names are those of bundle.sbom and bundle.provenance, which belong to packing and are not loaded here.
_WANTED = {
    "sbom": Wanted("SBOM", "sbom.cdx.json", "application/vnd.cyclonedx+json"),
    "provenance": Wanted("provenance", "provenance.json", "application/vnd.in-toto+json"),
}


@click.command()
@click.argument("bundle", type=FILE, shell_complete=BUNDLES)
@click.option("--show", type=Choice(["sbom", "provenance"]), default="sbom", help="What to print; by default the SBOM.")
@policy_option(required=False)
@click.option("--unverified", is_flag=True, help="Print it without proving who signed it; damage is still refused.")
@at_option
def sbom(
    bundle: Path, show: Literal["sbom", "provenance"], policy: str | None, at: datetime | None, *, unverified: bool
) -> int:
    """Verify BUNDLE and print the SBOM or the provenance that it carries.

    Say either which policy must accept the bundle, or that you want it --unverified.
    """
    if (policy is None) != unverified:
        raise UsageError("give either --policy POLICY or --unverified")
    result, data = read(bundle, _WANTED[show], load(policy) if policy else None, at or now())
    if data is None:
        in_colour = colour.wanted(sys.stderr)
        click.echo(f"modseal: {text.render(result, in_colour=in_colour)}", err=True, color=in_colour)
        return 1 if result.verdict is Verdict.REJECTED else 3
    if unverified:
        click.echo(f"modseal: {text.safe(bundle)}: unproved: the signature was not verified", err=True)
    _print(data)
    return 0


def _print(data: bytes) -> None:
    """The very bytes, for a program; a terminal gets nothing that could steer it."""
    if sys.stdout.isatty():
        click.echo("\n".join(map(text.safe, data.decode("utf-8", "replace").splitlines())))
    else:
        click.echo(data, nl=False)
