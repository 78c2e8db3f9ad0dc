"""`modseal depot`: read, check, compare and mirror sets of bundles; `cli.depot_write` has what writes them."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import click

from modseal.cli import depot_write
from modseal.cli.depot_options import DEPOT_ARGUMENT, OCI, STATE, progress
from modseal.cli.options import FILE, PLACE, Choice, at_option, now, policy_option
from modseal.errors import UsageError
from modseal.report.text import safe

_FORMAT = click.option(
    "--format", "form", type=Choice(["text", "json"]), default="text", help="The form of the result."
)
_NAME = click.option("--name", metavar="NAME", help="The depot that is wanted; another one is refused.")


@click.group()
def depot() -> None:
    """Build, read and check depots: sets of bundles with an index.

    An offline bundle is the depot of VMware's tools: one zip file, whose index nobody signs. A signed depot of modseal
    is a folder, a zip file or an OCI image layout, with a signed depot.json. DEPOT is a path, or an address such as
    https://... or s3://... (extra `remote`).
    """


for _command in (depot_write.build, depot_write.add, depot_write.remove, depot_write.merge, depot_write.recall):
    depot.add_command(_command)


@depot.command(name="list")
@DEPOT_ARGUMENT
@_FORMAT
def list_command(depot_path: str, form: str) -> int:
    """Show what DEPOT says that it has, unproved. No bundle is opened.

    A depot is a folder, a zip file, an OCI image layout, or the address of one.

    Exit status: 0; 1 if something of its metadata cannot be read.
    """
    from modseal.depot.listing import listing_of
    from modseal.depot.open import open_depot
    from modseal.report import depot_text

    with open_depot(depot_path) as opened:
        name, found = opened.name, listing_of(opened)
    render = depot_text.listing_json if form == "json" else depot_text.listing_text
    click.echo(render(name, found))
    return 1 if found.failures else 0


@depot.command()
@DEPOT_ARGUMENT
@policy_option(required=True)
@at_option
@STATE
@_NAME
@_FORMAT
@click.option("-v", "--verbose", is_flag=True, help="Show every bundle, not only those that are not accepted.")
def check(
    depot_path: str,
    policy: str,
    at: datetime | None,
    state_file: Path | None,
    name: str | None,
    form: str,
    *,
    verbose: bool,
) -> int:
    """Prove DEPOT: its index, that exactly what it lists is there, and every bundle under a policy.

    A depot is a folder, a zip file, an OCI image layout, or the address of one.

    Exit status: 0 if and only if all is accepted; 1 if something is rejected; 3 if something is undecided.
    """
    from modseal.cli.verify import EXIT
    from modseal.depot.check import check as check_depot
    from modseal.depot.open import open_depot
    from modseal.policy.sources import load
    from modseal.report import depot_text

    rules, clock = load(policy), now()
    at = at or clock
    with open_depot(depot_path) as opened, progress() as tell:
        found = check_depot(opened, rules, at, state_file=state_file, name=name, remember=at <= clock, progress=tell)
    if form == "json":
        click.echo(depot_text.check_json(found, rules.source, at))
    else:
        click.echo(depot_text.check_text(found, verbose=verbose))
    return EXIT[found.verdict]


@depot.command()
@click.argument("before", type=PLACE, metavar="BEFORE")
@click.argument("after", type=PLACE, metavar="AFTER")
@_FORMAT
def diff(before: str, after: str, form: str) -> None:
    """Show how AFTER differs from BEFORE: modules that came, went or changed. Nothing is proved.

    A depot is a folder, a zip file, an OCI image layout, or the address of one.
    """
    from modseal.depot.listing import compare, listing_of
    from modseal.depot.open import open_depot
    from modseal.report import depot_text

    with open_depot(before) as old, open_depot(after) as new:
        found = compare(listing_of(old), listing_of(new))
        names = old.name, new.name
    click.echo(depot_text.diff_json(*names, found) if form == "json" else depot_text.diff_text(*names, found))


@depot.command()
@DEPOT_ARGUMENT
@click.option(
    "-o", "--output", "destination", required=True, type=FILE, metavar="OUT", help="The copy: a folder, or OUT.zip."
)
@OCI
@policy_option(required=True)
@at_option
@STATE
@_NAME
def mirror(
    depot_path: str,
    destination: Path,
    policy: str,
    at: datetime | None,
    state_file: Path | None,
    name: str | None,
    *,
    oci: bool,
) -> int:
    """Copy the signed DEPOT, signatures and all, once it is proved: what is not accepted is not copied.

    A depot is a folder, a zip file, an OCI image layout, or the address of one.
    A copy that is there is brought up to date, and never to an older version.
    Exit status: as of `modseal depot check`.
    """
    from modseal.cli.verify import EXIT
    from modseal.depot.check import check as check_depot
    from modseal.depot.open import open_depot
    from modseal.depot.signed import is_signed_depot, require_update
    from modseal.packing.depot_layout import kind_of
    from modseal.packing.signed_depot import copy
    from modseal.policy.sources import load
    from modseal.report import depot_text
    from modseal.trust.examination import Verdict

    rules, clock = load(policy), now()
    at = at or clock
    layout = kind_of(destination, oci=oci)
    with ExitStack() as stack:
        opened = stack.enter_context(open_depot(depot_path))
        tell = stack.enter_context(progress())
        if not (is_signed_depot(opened) or state_file or name):
            raise UsageError(
                f"{opened.name} is not a signed depot; copy the file, or make one with `modseal depot merge`"
            )
        found = check_depot(opened, rules, at, state_file=state_file, name=name, remember=at <= clock, progress=tell)
        if found.verdict is Verdict.ACCEPTED and found.index:
            require_update(destination, found.index)
            copy(opened, found.index, destination, layout, tell)
    click.echo(depot_text.check_text(found, verbose=False))
    if found.verdict is Verdict.ACCEPTED:
        click.echo(f"  copied to      {safe(destination)}")
    return EXIT[found.verdict]
