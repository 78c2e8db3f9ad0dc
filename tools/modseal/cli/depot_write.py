"""`modseal depot build | add | remove | merge | recall`: what writes depots."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modseal.cli.depot_options import (
    DEPOT_ARGUMENT,
    EXPIRES,
    OCI,
    STATE,
    index_options,
    issue_of,
    key_options,
    open_signers,
    progress,
)
from modseal.cli.options import (
    BUNDLES,
    FILE,
    OUTPUT,
    PLACE,
    Choice,
    now,
    policy_files,
    policy_option,
    require_no_input,
    require_not_read,
    tell_replaced,
    with_options,
)
from modseal.depot.offline_plan import FORMS, Choices
from modseal.errors import RefusedError, UsageError
from modseal.report.text import plural, safe, safe_name

if TYPE_CHECKING:
    from modseal.depot.files import DepotFiles
    from modseal.depot.index import DepotIndex
    from modseal.packing.signed_depot import Published

_RECALLS = click.option("--recall", "recalls", multiple=True, type=FILE, metavar="FILE", help="A recall to put in.")
_BUNDLES = click.argument("bundles", nargs=-1, type=FILE, metavar="BUNDLE...", shell_complete=BUNDLES)
_OFFLINE = (
    click.option(
        "--form",
        type=Choice(FORMS),
        default="component",
        show_default=True,
        help="Offline bundle: a component for ESXi 7.0 and later, or the form of 6.x or 5.x.",
    ),
    click.option(
        "--esxi",
        multiple=True,
        metavar="VERSION",
        help="Offline bundle: the ESXi it is for, such as 8.0 or 7.*; repeatable.",
    ),
    click.option(
        "--vendor", default="", metavar="NAME", help="Offline bundle: whose it is; by default the bundles' vendor."
    ),
    click.option(
        "--code",
        default="",
        metavar="CODE",
        help="Offline bundle: the vendor's short name in its index, beside --vendor.",
    ),
    click.option(
        "--component", default="", metavar="NAME=VERSION", help="Offline bundle: one component that all bundles form."
    ),
    click.option("--kb-url", default="", metavar="URL", help="Offline bundle: where people can read about it."),
    click.option("--contact", default="", metavar="TEXT", help="Offline bundle: whom to ask."),
)


def offline_options(command: Any) -> Any:
    """What the maker of an offline bundle may say."""
    return with_options(command, _OFFLINE)


@click.command()
@_BUNDLES
@click.option(
    "-o",
    "--output",
    "destination",
    required=True,
    type=FILE,
    metavar="OUT",
    help="The depot to write: OUT.zip is an offline bundle, or with --name a signed depot; else a folder.",
)
@click.option("--name", metavar="NAME", help="Signed depot: what it is called.")
@click.option(
    "--previous",
    type=PLACE,
    metavar="DEPOT",
    help="Signed depot: the version before this one, a folder, zip file, OCI image layout or address.",
)
@OCI
@STATE
@index_options
@_RECALLS
@offline_options
def build(bundles: tuple[Path, ...], destination: Path, **given: Any) -> None:
    """Write a depot of BUNDLEs.

    With --name, --expires, --key and --cert it is a signed depot, for .seal and .vib alike. Without, it is an ESXi
    offline bundle of .vib files; the same input gives the same bytes.
    """
    require_not_read([destination], (*bundles, *given["recalls"], *given["cert"], *given["key"]))
    tell_replaced(destination)
    if any(given[option] for option in ("name", "previous", "key", "expires", "oci", "recalls", "state_file")):
        _build_signed(bundles, destination, given)
        return
    if not bundles:
        raise UsageError("name at least one bundle")
    if destination.suffix.lower() != ".zip":
        raise UsageError(
            f"{destination} does not end with .zip, as an offline bundle does; a signed depot needs --name, --expires, "
            "--key and --cert"
        )
    from modseal.packing import offline_bundle
    from modseal.packing.plan import read_epoch

    with progress() as tell:
        written = offline_bundle.build(bundles, destination, choices(given), read_epoch(os.environ), tell)
    count = len(written.modules)
    what = plural(count, "bundle")
    click.echo(f"{safe_name(destination)}: offline bundle of {what}, sha256 {written.sha256}")


def _build_signed(bundles: tuple[Path, ...], output: Path, given: dict[str, Any]) -> None:
    from modseal.files.staging import require_free
    from modseal.packing import signed_depot as depots
    from modseal.packing.depot_layout import kind_of

    layout = kind_of(output, oci=given["oci"])
    if layout != "zip":
        require_free(output)
    issue = issue_of(given, given["name"])
    with ExitStack() as stack, progress() as tell:
        previous = open_signed(stack, given["previous"]) if given["previous"] else None
        items = depots.items_of_files(bundles, tell)
        new = [depots.read_recall_file(path) for path in given["recalls"]]
        depots.merged_recalls([*(_recalls(*previous) if previous else ()), *new])  # refused if one replaces another's
        recalls = depots.merged_recalls(new)
        state_file = given["state_file"]
        show_published(depots.publish(output, layout, items, recalls, issue, previous, tell, state_file=state_file))


@click.command()
@DEPOT_ARGUMENT
@_BUNDLES
@STATE
@index_options
@_RECALLS
def add(depot_path: str, bundles: tuple[Path, ...], **given: Any) -> None:
    """Put BUNDLEs and recalls into the signed DEPOT, as its next version.

    DEPOT is a folder, a zip file or an OCI image layout; of one that is behind an address, change a copy.
    """
    from modseal.depot.signed import read_profiles
    from modseal.packing import signed_depot as depots

    if not bundles and not given["recalls"]:
        raise UsageError("name a bundle, or a recall with --recall")
    issue = issue_of(given, None)
    with ExitStack() as stack, progress() as tell:
        files, index = open_signed(stack, depot_path)
        items = [*depots.items_taken_over(files, index), *depots.items_of_files(bundles, tell)]
        new = [depots.read_recall_file(path) for path in given["recalls"]]
        recalls = depots.merged_recalls([*_recalls(files, index), *new])
        profiles = [data for _, data in read_profiles(files, index)]
        before = files, index
        show_published(
            depots.publish(
                Path(depot_path),
                _layout(files),
                items,
                recalls,
                issue,
                before,
                tell,
                profiles=profiles,
                state_file=given["state_file"],
            )
        )


@click.command()
@DEPOT_ARGUMENT
@click.argument("modules", nargs=-1, required=True, metavar="MODULE...")
@STATE
@index_options
def remove(depot_path: str, modules: tuple[str, ...], **given: Any) -> None:
    """Take MODULEs out of the signed DEPOT, as its next version: NAME, or NAME=VERSION.

    DEPOT is a folder, a zip file or an OCI image layout; of one that is behind an address, change a copy.

    Image profiles that name one of them go, too. That withdraws nothing from those who have it; `modseal depot recall`
    does.
    """
    from modseal.packing import signed_depot as depots

    issue = issue_of(given, None)
    with ExitStack() as stack, progress() as tell:
        files, index = open_signed(stack, depot_path)
        gone = {one.path for text in modules for one in _meant(text, index)}
        items = [one for one in depots.items_taken_over(files, index) if one.listed.path not in gone]
        profiles, broken = depots.whole_profiles(files, index, [one.listed for one in items])
        for profile in broken:
            text = f"the image profile {profile.name}, version {profile.version}, goes too: it has such a module"
            click.echo(f"modseal: warning: {safe(text)}", err=True)
        recalls, before = _recalls(files, index), (files, index)
        show_published(
            depots.publish(
                Path(depot_path),
                _layout(files),
                items,
                recalls,
                issue,
                before,
                tell,
                profiles=profiles,
                state_file=given["state_file"],
            )
        )


@click.command()
@click.argument("depot_paths", nargs=-1, required=True, type=PLACE, metavar="DEPOT...")
@click.option("-o", "--output", "destination", required=True, type=FILE, metavar="OUT", help="The depot to write.")
@click.option("--name", required=True, metavar="NAME", help="What it is called.")
@click.option("--previous", type=PLACE, metavar="DEPOT", help="The version before this one, as a DEPOT.")
@OCI
@policy_option(required=False)
@STATE
@index_options
def merge(depot_paths: tuple[str, ...], destination: Path, **given: Any) -> None:
    """Write a signed depot with all bundles of DEPOTs: signed ones and offline bundles.

    A depot is a folder, a zip file, an OCI image layout, or the address of one.

    Each bundle is examined anew, and nothing that the DEPOTs say is taken over but their recalls and image profiles.
    With --policy each DEPOT and all its bundles must be accepted; else whoever uses the new depot proves its bundles.
    """
    from modseal.depot.check import require_accepted
    from modseal.depot.open import open_depot
    from modseal.depot.signed import is_signed_depot, read_index, read_profiles
    from modseal.files.staging import require_free
    from modseal.packing import signed_depot as depots
    from modseal.packing.depot_layout import kind_of
    from modseal.policy.sources import load

    require_not_read([destination], (*policy_files(given["policy"]), *given["cert"], *given["key"]))
    tell_replaced(destination)
    layout = kind_of(destination, oci=given["oci"])
    if layout != "zip":
        require_free(destination)
    issue = issue_of(given, given["name"])
    rules = None if given["policy"] is None else load(given["policy"])
    with ExitStack() as stack, progress() as tell:
        before = open_signed(stack, given["previous"]) if given["previous"] else None
        items, recalls, profiles = [], [], list[bytes]()
        for path in depot_paths:
            files = stack.enter_context(open_depot(path))
            if rules:
                require_accepted(files, rules, now())
            items += depots.items_of_depot(files, tell)
            if is_signed_depot(files):
                index = read_index(files)
                recalls += _recalls(files, index)
                profiles += [data for _, data in read_profiles(files, index)]
        before_recalls = _recalls(*before) if before else []
        depots.merged_recalls([*before_recalls, *recalls])  # refused if one replaces another's
        recalls = depots.merged_recalls(recalls)
        show_published(
            depots.publish(
                destination,
                layout,
                items,
                recalls,
                issue,
                before,
                tell,
                profiles=profiles,
                state_file=given["state_file"],
            )
        )


@click.command()
@click.argument("modules", nargs=-1, required=True, metavar="MODULE...")
@click.option("--vendor", required=True, metavar="NAME", help="The vendor of the modules, as their manifests say it.")
@click.option("--reason", required=True, metavar="TEXT", help="Why they are withdrawn.")
@click.option("--replacement", default="", metavar="TEXT", help="What to use instead.")
@click.option("--name", metavar="NAME", help="What the list is called; every version of it has the same name.")
@click.option("--previous", type=FILE, metavar="FILE", help="The version before, whose entries stay.")
@click.option("--number", type=click.IntRange(1, 2**31 - 1), metavar="N", help="Its version; by default the next one.")
@EXPIRES
@key_options
@click.option("-o", "--output", required=True, type=OUTPUT, metavar="OUT", help="The recall to write.")
def recall(modules: tuple[str, ...], output: Path, **given: Any) -> None:
    """Withdraw MODULEs: a signed list for `modseal verify --recall`, policies and depots.

    MODULE is a name, with versions where not all are meant: "acme-agent >= 1.0, << 1.3". The list counts only from a
    signer whose anchor covers the vendor and the names.
    """
    from modseal.cli.sign import signing_time
    from modseal.files.small import read_small
    from modseal.format import recall as recall_format
    from modseal.format.times import time_text
    from modseal.limits import RECALL_SIZE
    from modseal.packing import recall as recalls

    if given["expires"] is None:
        raise UsageError("a recall needs --expires TIME, until when this version of the list may be used")
    require_no_input(click.get_current_context())
    tell_replaced(output)
    previous = recall_format.decode(read_small(given["previous"], RECALL_SIZE).data) if given["previous"] else None
    entry = recalls.RecallEntry(given["vendor"], modules, given["reason"], given["replacement"])
    time = signing_time()
    made = recalls.make(entry, given["name"], given["number"], time, given["expires"], previous)
    signers = open_signers(given)
    if previous:
        recalls.require_own(previous, signers)
    made = recalls.sign(made, signers, now(), time)
    recalls.write(made, output)
    entries = plural(len(made.modules), "entry")
    click.echo(
        f"{safe_name(output)}: recall {safe(made.name)}, version {made.version}, {entries}, "
        f"expires {time_text(made.expires)}"
    )


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


def open_signed(stack: ExitStack, path: str) -> tuple[DepotFiles, DepotIndex]:
    """An open signed depot, and its index."""
    from modseal.depot.index import INDEX
    from modseal.depot.open import open_depot
    from modseal.depot.signed import is_signed_depot, read_index

    files = stack.enter_context(open_depot(path))
    if not is_signed_depot(files):
        raise UsageError(f"{path} has no {INDEX}: it is not a signed depot; make one with `modseal depot merge`")
    for failure in files.failures:
        raise RefusedError(failure.code, f"{path}: {failure.detail}", **failure.evidence)
    return files, read_index(files)


def _recalls(files: DepotFiles, index: DepotIndex) -> list[bytes]:
    from modseal.depot.signed import read_recalls

    return [data for _, data in read_recalls(files, index)]


def _meant(text: str, index: DepotIndex) -> Iterable[Any]:
    """The bundles that a text of the command line means."""
    name, equals, version = text.partition("=")
    found = [one for one in index.bundles if one.name == name and (not equals or one.version == version)]
    if not found:
        raise UsageError(f"the depot lists no module {text}")
    return found


def _layout(files: DepotFiles) -> Any:
    if files.layout == "server":
        raise UsageError(f"{files.name} is on a server: mirror it, change the copy, and publish that")
    return files.layout


def show_published(published: Published) -> None:
    """Say what was written."""
    from modseal.format.times import time_text

    index = published.index
    click.echo(
        f"{safe_name(published.path)}: depot {safe(index.name)}, version {index.version}, "
        f"{plural(len(index.bundles), 'bundle')}, expires {time_text(index.expires)}, sha256 {index.sha256}"
    )
