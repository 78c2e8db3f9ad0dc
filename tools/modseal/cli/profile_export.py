"""`modseal profile export`: an image profile with all its bundles."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modseal.cli.depot_options import OCI, index_options, issue_of, progress
from modseal.cli.depot_write import choices, offline_options, open_signed, show_published
from modseal.cli.options import (
    FILE,
    PLACE,
    at_option,
    now,
    policy_files,
    policy_option,
    require_not_read,
    tell_replaced,
)
from modseal.cli.profile_files import DEPOTS
from modseal.errors import UsageError
from modseal.report.text import plural, safe, safe_name

if TYPE_CHECKING:
    from modseal.depot.check import Progress
    from modseal.depot.files import DepotFiles
    from modseal.format.image_profile import ImageProfile
    from modseal.profile.validate import Validation


@click.command()
@click.argument("profile_file", type=FILE, metavar="FILE")
@DEPOTS
@policy_option(required=False)
@at_option
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
@click.option("--previous", type=PLACE, metavar="DEPOT", help="Signed depot: the version before, as a DEPOT.")
@OCI
@index_options
@offline_options
def export(profile_file: Path, depots: tuple[str, ...], destination: Path, **given: Any) -> int:
    """Write the image profile FILE with all its bundles: an ESXi offline bundle, or a signed depot.

    Bundles are found by the digests of their manifests. With --policy the profile is proved first, as
    `modseal profile validate` does; without, whoever uses the depot proves it. A signed depot keeps the profile's
    signature, and signs a profile that has none; an offline bundle has no place for one.

    Exit status: 0 if it is written; 1 if the profile is rejected; 3 if that cannot be decided.
    """
    from modseal.cli.verify import EXIT
    from modseal.depot.open import open_depot
    from modseal.packing import profile_export
    from modseal.profile.found import read_file
    from modseal.report import image_profile_text as text
    from modseal.trust.examination import Verdict

    read = (profile_file, *depots, *policy_files(given["policy"]), *given["cert"], *given["key"])
    require_not_read([destination], read)
    is_signed = any(given[option] for option in ("name", "previous", "key", "expires", "oci"))
    if not is_signed and destination.suffix.lower() != ".zip":
        raise UsageError(
            f"{destination} does not end with .zip, as an offline bundle does; a signed depot needs --name, --expires, "
            "--key and --cert"
        )
    profile = read_file(profile_file)
    with ExitStack() as stack, progress() as tell:
        proved: Mapping[str, str] = {}
        if given["policy"]:
            found = _validated(profile, depots, given["policy"], given["at"], tell)
            if found.verdict is not Verdict.ACCEPTED:
                click.echo(text.validation_text(found))
                return EXIT[found.verdict]
            proved = {one.module.manifest: one.sha256 for one in found.proved}
        files = [stack.enter_context(open_depot(place)) for place in depots]
        held = profile_export.gather(profile, files, proved, tell)
        tell_replaced(destination)
        if is_signed:
            _signed_depot(stack, profile, held, files, destination, given, tell)
        else:
            _offline_bundle(profile, held, destination, given, tell)
    if not given["policy"]:
        click.echo("modseal: warning: nothing was proved; --policy proves the profile before it is exported", err=True)
    return 0


def _validated(
    profile: ImageProfile, depots: tuple[str, ...], policy: str, at: datetime | None, tell: Progress
) -> Validation:
    from modseal.policy.sources import load
    from modseal.profile.candidates import open_shelf
    from modseal.profile.validate import validate

    rules, at = load(policy), at or now()
    with ExitStack() as stack:
        return validate(profile, open_shelf(stack, depots, rules, at), rules, at, tell=tell)


def _signed_depot(
    stack: ExitStack,
    profile: ImageProfile,
    held: Sequence[Any],
    depots: Sequence[DepotFiles],
    destination: Path,
    given: dict[str, Any],
    tell: Progress,
) -> None:
    from modseal.files.staging import require_free
    from modseal.packing.depot_layout import kind_of
    from modseal.packing.profile_export import recalls_of, to_signed_depot

    layout = kind_of(destination, oci=given["oci"])
    if layout != "zip":
        require_free(destination)
    issue = issue_of(given, given["name"])
    previous = open_signed(stack, given["previous"]) if given["previous"] else None
    recalls = recalls_of([*depots, *([previous[0]] if previous else [])])
    show_published(to_signed_depot(profile, held, destination, layout, issue, previous, tell, recalls))


def _offline_bundle(
    profile: ImageProfile, held: Sequence[Any], destination: Path, given: dict[str, Any], tell: Progress
) -> None:
    from modseal.packing.plan import read_epoch
    from modseal.packing.profile_export import to_offline_bundle

    said = choices(given)
    said = replace(said, vendor=said.vendor or profile.vendor)
    written = to_offline_bundle(profile, held, destination, said, read_epoch(os.environ), tell)
    count = len(written.modules)
    click.echo(
        f"{safe_name(destination)}: offline bundle of {plural(count, 'bundle')} with the image profile "
        f"{safe(profile.name)}, sha256 {written.sha256}"
    )
    if profile.signature:
        click.echo("modseal: warning: an offline bundle has no place for the profile's signature", err=True)
