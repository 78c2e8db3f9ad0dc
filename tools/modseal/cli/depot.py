"""`modseal depot`: build, read, check and change sets of bundles."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from modseal.cli.options import BUNDLES, FILE, OUTPUT, Choice
from modseal.depot.offline_plan import FORMS, Choices
from modseal.errors import UsageError
from modseal.report.text import safe


@click.group()
def depot() -> None:
    """Build, read and check depots: sets of bundles with an index.

    An offline bundle is the depot of VMware's tools: one zip file, whose index nobody signs. A signed depot of modseal
    is a folder, a zip file or an OCI image layout, with a signed depot.json.
    """


DEPOTS = click.argument("depot_path", metavar="DEPOT", shell_complete=BUNDLES)


@depot.command()
@click.argument("bundles", nargs=-1, required=True, type=FILE, metavar="BUNDLE...", shell_complete=BUNDLES)
@click.option("-o", "--output", required=True, type=OUTPUT, metavar="OUT", help="The depot to write: OUT.zip.")
@click.option(
    "--form",
    type=Choice(FORMS),
    default="component",
    show_default=True,
    help="Offline bundle: a component for ESXi 7.0 and later, or the form of 6.x or 5.x.",
)
@click.option(
    "--esxi",
    multiple=True,
    metavar="VERSION",
    help="Offline bundle: the ESXi it is for, such as 8.0 or 7.*; repeatable.",
)
@click.option(
    "--vendor", default="", metavar="NAME", help="Offline bundle: whose it is; by default the bundles' vendor."
)
@click.option("--code", default="", metavar="CODE", help="Offline bundle: the vendor's code.")
@click.option(
    "--component", default="", metavar="NAME=VERSION", help="Offline bundle: one component that all bundles form."
)
@click.option("--kb-url", default="", metavar="URL", help="Offline bundle: where people can read about it.")
@click.option("--contact", default="", metavar="TEXT", help="Offline bundle: whom to ask.")
def build(bundles: tuple[Path, ...], output: Path, **given: Any) -> None:
    """Write a depot of BUNDLEs. The same input gives the same bytes."""
    from modseal.packing import offline_bundle
    from modseal.packing.plan import read_epoch

    with progress() as tell:
        written = offline_bundle.build(bundles, output, choices(given), read_epoch(os.environ), tell)
    count = len(written.modules)
    click.echo(f"{safe(output)}: offline bundle of {count} bundle{'' if count == 1 else 's'}, sha256 {written.sha256}")


@depot.command(name="list")
@DEPOTS
@click.option("--format", "form", type=Choice(["text", "json"]), default="text", help="The form of the result.")
def list_command(depot_path: str, form: str) -> int:
    """Show what DEPOT says that it has, unproved. No bundle is opened.

    Exit status: 0; 1 if something of its metadata cannot be read.
    """
    from modseal.depot.listing import of_metadata
    from modseal.depot.offline_bundle import open_depot
    from modseal.report import depot_text

    with open_depot(depot_path) as opened:
        found = of_metadata(opened.metadata)
    render = depot_text.listing_json if form == "json" else depot_text.listing_text
    click.echo(render(depot_path, found))
    return 1 if found.failures else 0


def choices(given: dict[str, Any]) -> Choices:
    """What the options say of an offline bundle."""
    name, equals, version = given["component"].partition("=")
    if given["component"] and not equals:
        raise UsageError("--component needs a name and a version: NAME=VERSION")
    return Choices(
        given["form"],
        given["esxi"],
        given["vendor"],
        given["code"],
        (name, version) if equals else None,
        given["kb_url"],
        given["contact"],
    )


@contextmanager
def progress() -> Iterator[Any]:
    """What tells a person at a terminal how far long work is; others are told nothing."""
    from modseal.packing.offline_bundle import quiet

    if not sys.stderr.isatty():
        yield quiet
        return

    def tell(done: int, count: int, what: str) -> None:
        click.echo(f"\r\033[Kmodseal: {done} of {count}: {safe(what)[-60:]}", nl=False, err=True)

    try:
        yield tell
    finally:
        click.echo("\r\033[K", nl=False, err=True)
