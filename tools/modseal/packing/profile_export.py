"""Writes an image profile with all its bundles: as an offline bundle, or as a signed depot."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from modseal.bundle.open import OpenBundle
from modseal.codes import CODES
from modseal.depot import signed as signed_files
from modseal.depot.check import Progress, quiet
from modseal.depot.files import DepotFiles
from modseal.depot.index import DepotIndex
from modseal.depot.offline_plan import Choices
from modseal.errors import ModsealError, RefusedError, UndecidedError
from modseal.format import image_profile
from modseal.format.image_profile import ImageProfile, module_of
from modseal.packing import offline_bundle, signed_depot
from modseal.packing.depot_layout import Layout
from modseal.packing.image_profile import finish
from modseal.packing.offline_bundle import Sound, WrittenOfflineBundle
from modseal.packing.signed_depot import Issue, Published
from modseal.trust import signers
from modseal.trust.examination import Status
from modseal.trust.signature import verify_member


def require_intact(profile: ImageProfile) -> None:
    """Refuse a profile with a signature that is not one of its bytes, whoever made it: that needs no policy.

    Raises `RefusedError` (malformed-signature, content-digest-mismatch, bad-signature), `UndecidedError`
    (unsupported-algorithm).
    """
    if not profile.signature:
        return
    found = verify_member(profile.signature, profile.signed)
    for check in signers.signature_checks(False, found.signers, found.failures):
        if check.status is Status.FAILED and check.code:
            detail = f"the signature of the profile: {check.detail}"
            kind = UndecidedError if CODES[check.code].undecided else RefusedError
            raise kind(check.code, detail, **check.evidence)


def gather(
    profile: ImageProfile, depots: Sequence[DepotFiles], proved: Mapping[str, str], tell: Progress = quiet
) -> list[Sound]:
    """The bundle of each module, by the digest of its manifest, once it is found sound, as the profile's signature is.

    `proved` has the SHA-256 of the bundles that were proved before, by that of their manifests: then no others are
    taken. Raises `RefusedError` (profile-module-missing, profile-mismatch, and what is wrong with a bundle),
    `InputError`, and what `require_intact` raises.
    """
    require_intact(profile)
    places, unread = _places(profile, depots)
    found = []
    for done, one in enumerate(profile.modules):
        tell(done, len(profile.modules), f"{one.name} {one.version}")
        held = [_sound(*place) for place in places.get(one.manifest, ())]
        fit = [each for each in held if each.sha256 == proved.get(one.manifest, each.sha256)]
        if not fit:
            more = f"; and a bundle cannot be read: {unread[0]}" if unread else ""
            detail = f"no depot has {one.name} {one.version} with the manifest {one.manifest}{more}"
            raise RefusedError("profile-module-missing", detail, module=one.name, said=one.manifest)
        if module_of(fit[0].manifest, one.manifest) != one:
            detail = f"the profile does not say of {one.name} {one.version} what its manifest says"
            raise RefusedError("profile-mismatch", detail, module=one.name)
        found.append(fit[0])
    return found


def _places(
    profile: ImageProfile, depots: Sequence[DepotFiles]
) -> tuple[dict[str, list[tuple[DepotFiles, str]]], list[str]]:
    """Where the depots have manifests that the profile names, and why others cannot be read."""
    wanted = {one.manifest for one in profile.modules}
    found: dict[str, list[tuple[DepotFiles, str]]] = {}
    unread: list[str] = []
    for files in depots:
        own = signed_files.read_index(files) if signed_files.is_signed_depot(files) else None
        for path in [one.path for one in own.bundles] if own else files.bundles:
            try:
                with files.open(path) as source:
                    bundle = OpenBundle(source, path)
                    bundle.members  # noqa: B018 - raises where the container cannot be read
                    digest = hashlib.sha256(bundle.manifest).hexdigest()
            except ModsealError as error:
                unread.append(f"{files.name}/{path}: {error.failure.detail}")
                continue
            if digest in wanted:
                found.setdefault(digest, []).append((files, path))
    return found, unread


def _sound(files: DepotFiles, path: str) -> Sound:
    with files.open(path) as source:
        bundle = OpenBundle(source, f"{files.name}/{path}", with_digest=True)
        return offline_bundle.sound(bundle, partial(files.open, path))


def recalls_of(depots: Sequence[DepotFiles]) -> list[bytes]:
    """The recalls of those depots that are signed, of each the newest version.

    Raises `RefusedError` (recall-invalid), and what `depot.signed` raises.
    """
    signed = [(files, signed_files.read_index(files)) for files in depots if signed_files.is_signed_depot(files)]
    found = (data for files, index in signed for _, data in signed_files.read_recalls(files, index))
    return signed_depot.merged_recalls(found)


def to_offline_bundle(
    profile: ImageProfile,
    held: Sequence[Sound],
    output: Path,
    choices: Choices,
    epoch: int | None,
    tell: Progress = quiet,
) -> WrittenOfflineBundle:
    """An offline bundle with the profile in it, which has no place for a signature. As `offline_bundle.build`."""
    return offline_bundle.write(held, output, choices, epoch, [profile], tell)


def to_signed_depot(
    profile: ImageProfile,
    held: Sequence[Sound],
    destination: Path,
    layout: Layout,
    issue: Issue,
    previous: tuple[DepotFiles, DepotIndex] | None = None,
    tell: Progress = quiet,
    recalls: Sequence[bytes] = (),
) -> Published:
    """A signed depot with the profile in it, signed by the same signers where nobody has signed it yet.

    `recalls` come along: those of the depots that the bundles are from, and of the version before.

    Raises as `signed_depot.publish`.
    """
    made = profile if profile.signature else finish(profile, issue.signers, issue.at, issue.time, issue.stamp)
    items = [signed_depot.item(one) for one in held]
    data = image_profile.encode(made)
    return signed_depot.publish(destination, layout, items, recalls, issue, previous, tell, profiles=[data])
