"""`modseal policy`."""

from __future__ import annotations

import click

from modseal.report import policy_text
from modseal.trust.policy_file import load


@click.group()
def policy() -> None:
    """Check and show policies."""


@policy.command()
@click.argument("reference", metavar="POLICY")
def check(reference: str) -> None:
    """Read POLICY and say in one line the weakest thing that it would accept."""
    click.echo(policy_text.weakest(load(reference)))


@policy.command()
@click.argument("reference", metavar="POLICY")
def show(reference: str) -> None:
    """Show what POLICY says, defaults included."""
    click.echo(policy_text.render(load(reference)))
