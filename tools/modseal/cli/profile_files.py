"""`modseal profile create | show | compare | validate | add | remove | set-level`: image profiles as documents."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modseal.cli.depot_options import DEPOT_HELP, key_options, open_signers, progress
from modseal.cli.options import (
    FILE,
    FILES,
    OUTPUT,
    PLACE,
    Choice,
    at_option,
    authorities,
    now,
    policy_option,
    require_no_input,
    tell_replaced,
    tsa_options,
    with_options,
)
from modseal.errors import UsageError

if TYPE_CHECKING:
    from modseal.format.image_profile import ImageProfile
    from modseal.format.level import Level
    from modseal.profile.candidates import Shelf
    from modseal.profile.change import ProfileDraft
    from modseal.trust.policy import Policy

_FORMAT = click.option(
    "--format", "form", type=Choice(["text", "json"]), default="text", help="The form of the result."
)
DEPOTS = click.option(
    "--depot",
    "depots",
    multiple=True,
    required=True,
    type=PLACE,
    metavar="DEPOT",
    shell_complete=FILES,
    help=DEPOT_HELP,
)
_MORE_DEPOTS = click.option(
    "--depot",
    "depots",
    multiple=True,
    type=PLACE,
    metavar="DEPOT",
    shell_complete=FILES,
    help=f"Where its bundles are; by default in the depot that has the profile. {DEPOT_HELP}",
)
_PROFILE = click.argument("profile_file", type=FILE, metavar="FILE")
_PLACE = click.argument("place", type=PLACE, metavar="FILE|DEPOT", shell_complete=FILES)
_NAME = click.option("--name", metavar="NAME", help="Which profile, where there are several.")
_PLATFORM = click.option("--platform", metavar="VERSION", help="The target's ESXi, such as 8.0.2 or 8.0U2.")
_LEVEL = click.option(
    "--level", metavar="LEVEL", help="The level of the profile; by default the lowest of its modules."
)


def _signing(command: Any) -> Any:
    """Who signs the new version; nobody has to."""
    return with_options(command, (key_options, tsa_options(required=False)))


@click.command()
@click.argument("names", nargs=-1, metavar="NAME...")
@DEPOTS
@policy_option(required=True)
@click.option("--from", "source", type=PLACE, metavar="FILE|DEPOT", help="Begin as the image profile there; add NAMEs.")
@click.option("--from-name", metavar="NAME", help="Which profile of --from, where there are several.")
@click.option("-o", "--output", required=True, type=OUTPUT, metavar="FILE", help="The profile to write.")
@click.option("--name", metavar="NAME", help="What it is called; by default as FILE.")
@click.option("--vendor", default="", metavar="NAME", help="Who publishes it; by default the vendor of its modules.")
@_LEVEL
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
@_PLATFORM
@at_option
@_signing
def create(names: tuple[str, ...], depots: tuple[str, ...], policy: str, output: Path, **given: Any) -> int:
    """Write an image profile: the modules that NAME needs, as `modseal profile solve` finds them.

    With --from it begins as another profile: a file, or one in an offline bundle, a signed depot or an ESXi host.
    Each module is proved, and all are held against one another, before anything is written. With --key the profile is
    signed: these belong together.

    Exit status: 0 if it is written; 1 if there is no such set; 3 if that cannot be decided.
    """
    from modseal.files.output import require_output
    from modseal.policy.sources import load
    from modseal.profile import change
    from modseal.profile.found import read_profiles
    from modseal.profile.platform import parse_platform
    from modseal.profile.solve import parse_asked

    if not names and not given["source"]:
        raise UsageError("name a module, or a profile to begin with, with --from")
    asked = [parse_asked(name) for name in names]
    level = _level(given["level"])
    platform = parse_platform(given["platform"]) if given["platform"] else None
    require_no_input(click.get_current_context())
    require_output(output)
    tell_replaced(output)
    called = given["name"] or output.name.removesuffix(".profile")
    head = change.ProfileHead(called, given["vendor"], level, given["description"])
    rules, at = load(policy), given["at"] or now()
    with ExitStack() as stack, progress() as tell:
        if given["source"]:
            base = read_profiles(given["source"]).only(given["source"], given["from_name"]).as_profile()
            shelf = _shelf(stack, depots, rules, at, level or base.level)
            draft = change.clone(base, asked, head, shelf, rules, at, platform, tell)
        else:
            shelf = _shelf(stack, depots, rules, at, level)
            draft = change.create(asked, head, shelf, at, platform)
    return _write(draft, output, given)


@click.command()
@_PLACE
@_NAME
@policy_option(required=False)
@_MORE_DEPOTS
@at_option
@_FORMAT
def show(
    place: str, name: str | None, policy: str | None, depots: tuple[str, ...], at: datetime | None, form: str
) -> int:
    """Show the image profiles in FILE, an offline bundle, a signed depot, or the database of an ESXi host.

    Nothing is proved without --policy. With it, the levels that are proved are shown beside the claimed ones.

    Exit status: 0; 1 if something cannot be read; with --policy as `modseal profile validate`.
    """
    from modseal.profile.found import FoundProfiles, read_profiles
    from modseal.report import image_profile_text as text

    if policy:
        return _validate(place, name, policy, depots, at, form)
    if depots:
        raise UsageError("--depot proves the profile; say under which --policy")
    found = read_profiles(place)
    if name:
        found = FoundProfiles((found.only(place, name),))
    click.echo(text.found_json(place, found) if form == "json" else text.found_text(place, found))
    return 1 if found.failures or not found.profiles else 0


@click.command()
@click.argument("reference", type=PLACE, metavar="REFERENCE", shell_complete=FILES)
@click.argument("comparison", type=PLACE, metavar="COMPARISON", shell_complete=FILES)
@click.option("--reference-name", metavar="NAME", help="Which profile of REFERENCE, where there are several.")
@click.option("--comparison-name", metavar="NAME", help="Which profile of COMPARISON, where there are several.")
@_FORMAT
def compare(
    reference: str, comparison: str, reference_name: str | None, comparison_name: str | None, form: str
) -> None:
    """Show how one image profile differs from another, as `Compare-EsxImageProfile` does. Nothing is proved.

    Both may be files, offline bundles, signed depots, or databases of ESXi hosts.
    """
    from modseal.profile.compare import compare as compare_profiles
    from modseal.profile.found import read_profiles
    from modseal.report import image_profile_text as text

    old = read_profiles(reference).only(reference, reference_name)
    new = read_profiles(comparison).only(comparison, comparison_name)
    found = compare_profiles(old, new)
    if form == "json":
        click.echo(text.difference_json(old, new, found))
    else:
        click.echo(text.difference_text((f"{old.place} ({old.name})", f"{new.place} ({new.name})"), found))


@click.command()
@_PLACE
@_NAME
@_MORE_DEPOTS
@policy_option(required=True)
@click.option("--signed", is_flag=True, help="Refuse a profile that nobody signed.")
@click.option(
    "--path-list",
    type=Choice(["esxi-5", "esxi-8"]),
    help="Refuse community modules with files where hosts of that release do not take them.",
)
@at_option
@_FORMAT
def validate(
    place: str,
    name: str | None,
    depots: tuple[str, ...],
    policy: str,
    path_list: str | None,
    at: datetime | None,
    form: str,
    *,
    signed: bool,
) -> int:
    """Prove an image profile: its signature, each of its modules, and that all can be together.

    Exit status: 0 if and only if all is accepted; 1 if something is rejected; 3 if something is undecided.
    """
    return _validate(place, name, policy, depots, at, form, signed=signed, path_list=path_list)


def _validate(
    place: str,
    name: str | None,
    policy: str,
    depots: tuple[str, ...],
    at: datetime | None,
    form: str,
    *,
    signed: bool = False,
    path_list: str | None = None,
) -> int:
    from modseal.cli.verify import EXIT
    from modseal.policy.sources import load
    from modseal.profile import validate as validating
    from modseal.profile.found import read_profiles
    from modseal.report import image_profile_text as text

    rules, at = load(policy), at or now()
    found = read_profiles(place).only(place, name)
    if found.own and found.place == place and not depots:
        raise UsageError("say with --depot where the bundles of the profile are")
    with ExitStack() as stack, progress() as tell:
        shelf = _shelf(stack, depots or (place,), rules, at)
        outcome = validating.validate(
            found.as_profile(), shelf, rules, at, signed=signed, path_list=path_list, tell=tell
        )
    click.echo(text.validation_json(outcome, rules.source) if form == "json" else text.validation_text(outcome))
    return EXIT[outcome.verdict]


@click.command()
@_PROFILE
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@DEPOTS
@policy_option(required=True)
@_PLATFORM
@at_option
@_signing
def add(profile_file: Path, names: tuple[str, ...], depots: tuple[str, ...], policy: str, **given: Any) -> int:
    """Put NAME and what it needs into the image profile FILE, as its next version.

    What is in it stays, gets newer, or is replaced. NAME may be 'acme-agent >= 1.0'.

    Exit status: 0 if it is written; 1 if it cannot be in the profile; 3 if that cannot be decided.
    """
    from modseal.policy.sources import load
    from modseal.profile import change
    from modseal.profile.found import read_file
    from modseal.profile.solve import parse_asked

    asked = [parse_asked(name) for name in names]
    rules, at, profile = load(policy), given["at"] or now(), read_file(profile_file)
    with ExitStack() as stack, progress() as tell:
        shelf = _shelf(stack, depots, rules, at, profile.level)
        draft = change.add(profile, asked, shelf, rules, at, given["platform"], tell)
    return _write(draft, profile_file, given, profile)


@click.command()
@_PROFILE
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@DEPOTS
@policy_option(required=True)
@at_option
@_signing
def remove(profile_file: Path, names: tuple[str, ...], depots: tuple[str, ...], policy: str, **given: Any) -> int:
    """Take NAMEs out of the image profile FILE, as its next version. What stays must have all that it needs.

    Exit status: 0 if it is written; 1 if what stays would be broken; 3 if that cannot be decided.
    """
    from modseal.policy.sources import load
    from modseal.profile import change
    from modseal.profile.found import read_file

    rules, at, profile = load(policy), given["at"] or now(), read_file(profile_file)
    with ExitStack() as stack, progress() as tell:
        shelf = _shelf(stack, depots, rules, at)
        draft = change.remove(profile, names, shelf, rules, at, tell)
    return _write(draft, profile_file, given, profile)


@click.command(name="set-level")
@_PROFILE
@click.argument("level", metavar="LEVEL")
@DEPOTS
@policy_option(required=True)
@at_option
@_signing
def set_level(profile_file: Path, level: str, depots: tuple[str, ...], policy: str, **given: Any) -> int:
    """Set the level of the image profile FILE, as its next version. Every module must be proved for it.

    Exit status: 0 if it is written; 1 if a module is not proved for LEVEL; 3 if that cannot be decided.
    """
    from modseal.policy.sources import load
    from modseal.profile import change
    from modseal.profile.found import read_file

    wanted = _level(level)
    rules, at, profile = load(policy), given["at"] or now(), read_file(profile_file)
    if wanted is None:
        raise UsageError("a level is certified, accepted, partner or community")
    with ExitStack() as stack, progress() as tell:
        shelf = _shelf(stack, depots, rules, at)
        draft = change.set_level(profile, wanted, shelf, rules, at, tell)
    return _write(draft, profile_file, given, profile)


def _shelf(stack: ExitStack, depots: tuple[str, ...], rules: Policy, at: datetime, level: Level | None = None) -> Shelf:
    """The open depots; where a level is given, only with modules that are proved for that level or above."""
    from modseal.profile.candidates import open_shelf

    if level:
        rules = replace(rules, minimum_level=max(rules.minimum_level, level))
    return open_shelf(stack, depots, rules, at)


def _level(text: str | None) -> Level | None:
    from modseal.format.level import Level

    try:
        return Level.parse(text) if text else None
    except ValueError as error:
        raise UsageError(str(error)) from None


def _write(draft: ProfileDraft, path: Path, given: dict[str, Any], before: ImageProfile | None = None) -> int:
    """Sign and write what was asked for, or say why not."""
    from modseal.cli.sign import signing_time
    from modseal.cli.verify import EXIT
    from modseal.packing import image_profile
    from modseal.report import image_profile_text as text
    from modseal.trust.examination import Verdict

    if draft.profile is None or draft.verdict is not Verdict.ACCEPTED:
        click.echo(text.refused_text(draft))
        return EXIT[draft.verdict]
    if before and (before.modules, before.level) == (draft.profile.modules, draft.profile.level):
        click.echo("nothing to do: the profile has all of it already")
        return 0
    signers = open_signers(given) if given["key"] or given["cert"] else []
    stamp = authorities(given["tsa"], given["tsa_anchor"])
    made = image_profile.finish(draft.profile, signers, now(), signing_time(), stamp)
    image_profile.write(made, path)
    if before and before.signature and not made.signature:
        click.echo("modseal: warning: the version before was signed, this one is not; sign it with --key", err=True)
    click.echo(text.written_text(path, made))
    return 0
