"""`modseal profile`: sets of modules that go together."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modseal.cli import profile_export, profile_files
from modseal.cli.depot_options import DEPOT_HELP, progress
from modseal.cli.options import (
    FILE,
    FILES,
    OUTPUT,
    PLACE,
    Choice,
    at_option,
    now,
    policy_option,
    require_no_input,
    tell_replaced,
)

if TYPE_CHECKING:
    from modseal.profile.installed import TargetModules


@click.group()
def profile() -> None:
    """Find sets of modules that go together, from depots, for a target; keep them as image profiles."""


for _command in (
    profile_files.create,
    profile_files.show,
    profile_files.compare,
    profile_files.validate,
    profile_files.add,
    profile_files.remove,
    profile_files.set_level,
    profile_export.export,
):
    profile.add_command(_command)


@profile.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--depot",
    "depots",
    multiple=True,
    required=True,
    type=PLACE,
    metavar="DEPOT",
    shell_complete=FILES,
    help=DEPOT_HELP,
)
@policy_option(required=True)
@click.option(
    "--installed",
    type=FILE,
    metavar="FILE",
    help="What the target has: a list, a host's root or database, or its depot.",
)
@click.option(
    "--platform",
    metavar="VERSION",
    help="The target's ESXi, such as 8.0.2 or 8.0U2; by default the esx-base of the set.",
)
@click.option("--level", metavar="LEVEL", help="Take only modules that are proved for this level or above.")
@at_option
@click.option("--format", "form", type=Choice(["text", "json"]), default="text", help="The form of the result.")
def solve(
    names: tuple[str, ...],
    depots: tuple[str, ...],
    policy: str,
    installed: Path | None,
    platform: str | None,
    level: str | None,
    at: datetime | None,
    form: str,
) -> int:
    """Find the modules that NAME needs and that can live together. NAME may be 'acme-agent >= 1.0'.

    Only bundles that the policy accepts count. Modules that are installed stay, get newer or are replaced.

    Exit status: 0 if there is a set; 1 if there is none; 3 if that cannot be decided.
    """
    from modseal.errors import UsageError
    from modseal.format.level import Level
    from modseal.policy.sources import load
    from modseal.profile.candidates import Refused, open_shelf, require_one_content
    from modseal.profile.installed import TargetModules
    from modseal.profile.platform import parse_platform
    from modseal.profile.proved import Prover
    from modseal.profile.solve import parse_asked
    from modseal.profile.solve import solve as solve_set
    from modseal.report import profile_text

    asked = [parse_asked(name) for name in names]
    rules = load(policy)
    if level:
        try:
            rules = replace(rules, minimum_level=max(rules.minimum_level, Level.parse(level)))
        except ValueError as error:
            raise UsageError(str(error)) from None
    there = _target(installed, at or now()) if installed else TargetModules()
    target = parse_platform(platform, there.platform) if platform else None
    if there.level and there.level > rules.minimum_level:
        rules = replace(rules, minimum_level=there.level)
        note = f"the target's acceptance level is {there.level}: nothing below it is taken"
        there = replace(there, notes=(*there.notes, note))
    refused: list[Refused] = []
    with ExitStack() as stack:
        shelf = open_shelf(stack, depots, rules, at or now())
        candidates = require_one_content(shelf.candidates(target, refused))
        prover = Prover(shelf, at or now())
        found = solve_set(asked, candidates, there, prover.why_not, refused, target, prover.files_of)
    click.echo(profile_text.solution_json(found) if form == "json" else profile_text.solution_text(found))
    return 0 if found.modules else 3 if found.uncertain else 1


@profile.command()
@click.argument("places", nargs=-1, required=True, type=PLACE, metavar="PLACE...", shell_complete=FILES)
@click.option(
    "--depot",
    "depots",
    multiple=True,
    type=PLACE,
    metavar="DEPOT",
    shell_complete=FILES,
    help=f"Where the bundles of an image profile are. {DEPOT_HELP}",
)
@click.option(
    "--format",
    "form",
    type=Choice(["text", "json", "html"]),
    help="By default what the suffix of FILE says, else text.",
)
@click.option("-o", "--output", type=OUTPUT, metavar="FILE", help="Write the result to FILE.")
def footprint(places: tuple[str, ...], depots: tuple[str, ...], form: str | None, output: Path | None) -> None:
    """Show how much room modules take, packed and installed: by module, by vendor and by claimed level. Unproved.

    PLACE is a bundle, a depot, or an image profile (FILE.profile, with --depot).
    """
    from modseal.cli.audit_output import write
    from modseal.files.output import require_output
    from modseal.profile.footprint import measure
    from modseal.report import footprint as report

    suffix = output.suffix.lower().removeprefix(".") if output else ""
    form = form or (suffix if suffix in ("json", "html") else "text")
    require_no_input(click.get_current_context())
    if output:
        require_output(output, is_report=True)
        tell_replaced(output)
    with progress() as tell:
        modules = measure(places, depots, tell)
    if form == "html":
        from modseal.report.footprint_html import render

        write([render(modules)], output)
    else:
        text = report.footprint_json(modules) if form == "json" else report.footprint_text(modules)
        write([f"{text}\n".encode()], output)


def _target(path: Path, at: datetime) -> TargetModules:
    """What a target has: the modules of a host of ours at its root, else what the file or folder says."""
    from modseal.host import store
    from modseal.host.look import modules_of
    from modseal.profile.installed import of_manifests, read_installed

    if not path.joinpath(*store.PLACE).is_dir():
        return read_installed(path)
    with store.open_store(path) as opened:
        modules = modules_of(opened, opened.state.generation, at)
        return of_manifests((one.manifest for one in modules), opened.state.level)
