"""`modseal init`."""

from __future__ import annotations

from pathlib import Path

import click

from modseal.cli.options import FILE, FILES, FOLDERS, Choice
from modseal.errors import UsageError
from modseal.format.level import Level
from modseal.packing.proposal import Given, start
from modseal.report import proposal_text


@click.command()
@click.argument("folder", default=".", type=FILE, metavar="[DIR]", shell_complete=FOLDERS)
@click.option("--policy", is_flag=True, help="Write a policy.toml too, and keep a module.toml that is there already.")
@click.option(
    "--anchor",
    multiple=True,
    type=FILE,
    metavar="PEM",
    shell_complete=FILES,
    help="A certificate that the policy trusts: a CA's, or an exact signer's.",
)
@click.option("--vendor", default="", metavar="NAME", help="Who answers for the module.")
@click.option("--name", default="", metavar="NAME", help="What the module is called; by default as the folder.")
@click.option(
    "--version",
    default="",
    metavar="VERSION",
    help="The module's version; by default from the folder's name, or a file VERSION.",
)
@click.option(
    "--level",
    type=Choice([str(level) for level in sorted(Level, reverse=True)]),
    default="community",
    help="The level that the module claims, and the policy grants; community by default.",
)
def init(
    folder: Path, anchor: tuple[Path, ...], vendor: str, name: str, version: str, level: str, *, policy: bool
) -> None:
    """Write a module.toml for the folder DIR, so that `modseal pack` can pack it.

    What can be guessed is guessed, and stands in the file with a comment. Nothing is ever replaced.
    """
    if anchor and not policy:
        raise UsageError("--anchor has no effect without --policy")
    spec, rules = start(folder, Given(vendor, name, version, level), policy=policy, anchors=anchor)
    if spec:
        click.echo(proposal_text.module(spec))
    if rules:
        click.echo(proposal_text.policy(rules, is_empty=not anchor))
