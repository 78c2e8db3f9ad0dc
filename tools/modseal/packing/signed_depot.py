"""Makes and changes signed depots: which bundles an index lists, its version, who may sign the next one; then signs it.

Every bundle is examined before it is listed. What an earlier version of the depot lists is taken over by its digest.
The finished depot is what `depot_layout` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from modseal import limits
from modseal.bundle.open import OpenBundle
from modseal.depot import index as depot_index
from modseal.depot import signed as signed_files
from modseal.depot import state
from modseal.depot.check import Progress, quiet
from modseal.depot.files import DepotFiles
from modseal.depot.index import (
    INDEX,
    DepotIndex,
    Listed,
    ListedDocument,
    bundle_path,
    listed,
    profile_path,
    recall_path,
    rotation_path,
    signature_path,
)
from modseal.depot.proved import INDEX_KIND, Seen, require_next
from modseal.errors import FormatError, RefusedError, UsageError
from modseal.files.small import read_small
from modseal.format import image_profile
from modseal.format import recall as recall_format
from modseal.format.image_profile import ImageProfile
from modseal.format.recall import Recall
from modseal.format.rooted import Root
from modseal.format.source import Source
from modseal.format.times import time_text
from modseal.packing import depot_layout
from modseal.packing.depot_layout import Content, Layout, of_bytes
from modseal.packing.offline_bundle import Sound, examine_all
from modseal.packing.recall import recall_keys
from modseal.packing.sign import ANY_TIME, require_sound
from modseal.policy.succession import below_threshold, require_threshold
from modseal.signing import fitness
from modseal.signing.signer import Signer
from modseal.signing.statement_writer import add_block
from modseal.signing.tsa import Stamp


@dataclass(frozen=True, slots=True)
class Item:
    """A bundle for an index, and how to open it."""

    listed: Listed
    open: Callable[[], AbstractContextManager[Source]]


@dataclass(frozen=True, slots=True)
class Issue:
    """Who signs an index, when, and what it says of itself. None stands for what the version before says.

    `root` are certificates of those who may sign the next version, `threshold` how many of them it takes; `at` is the
    time that signers' certificates are judged at, `time` the one that the index and its signatures say.
    """

    signers: Sequence[Signer]
    at: datetime
    time: datetime
    name: str | None = None
    version: int | None = None
    expires: datetime | None = None
    root: Sequence[Any] = ()
    threshold: int | None = None
    stamp: Stamp | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """A depot that was written, and its index."""

    path: Path
    layout: Layout
    index: DepotIndex


def items_of_files(paths: Sequence[Path], tell: Progress = quiet) -> list[Item]:
    """Bundles in files, once each is found sound. Raises `RefusedError`, `InputError`."""
    return [item(one) for one in examine_all(paths, tell)]


def items_of_depot(files: DepotFiles, tell: Progress = quiet) -> list[Item]:
    """The bundles of a depot of either kind, each examined anew, and those of a signed one as its index lists them.

    Raises `RefusedError`, `FormatError`, `InputError`.
    """
    found = []
    own = signed_files.read_index(files) if signed_files.is_signed_depot(files) else None
    known = {one.path: one for one in own.bundles} if own else {}
    paths = tuple(known) if own else files.bundles
    for done, path in enumerate(paths):
        tell(done, len(paths), path)
        with files.open(path) as source:
            bundle = OpenBundle(source, f"{files.name}/{path}", with_digest=True)
            manifest, digest = require_sound(bundle, ANY_TIME), bundle.sha256()
            if (given := known.get(path)) is not None:
                signed_files.require_listed(path, given.sha256, digest, given.size, source.size)
            one = listed(manifest, bundle_path(manifest, digest), source.size, digest)
        found.append(Item(one, lambda path=path: files.open(path)))  # type: ignore[misc]
    return found


def items_taken_over(files: DepotFiles, index: DepotIndex) -> list[Item]:
    """The bundles that the depot lists already, by their digests."""
    return [Item(one, lambda path=one.path: files.open(path)) for one in index.bundles]  # type: ignore[misc]


def whole_profiles(
    files: DepotFiles, index: DepotIndex, bundles: Sequence[Listed]
) -> tuple[list[bytes], list[ImageProfile]]:
    """The image profiles of a depot that name only some bundles, as bytes, and those that name others."""
    there = {(one.vendor, one.name, one.version, one.kind) for one in bundles}
    whole, broken = list[bytes](), list[ImageProfile]()
    for profile, data in signed_files.read_profiles(files, index):
        if {(one.vendor, one.name, one.version, one.kind) for one in profile.modules} <= there:
            whole.append(data)
        else:
            broken.append(profile)
    return whole, broken


def publish(
    destination: Path,
    layout: Layout,
    items: Iterable[Item],
    recalls: Sequence[bytes],
    issue: Issue,
    previous: tuple[DepotFiles, DepotIndex] | None = None,
    tell: Progress = quiet,
    *,
    profiles: Sequence[bytes] = (),
    state_file: Path | None = None,
) -> Published:
    """Write and sign a depot of these bundles, recalls and image profiles; `previous` is the version before, open.

    `state_file` has the newest version that was seen, on which this one must build, and keeps this one from now on.
    Raises `RefusedError` (depot-threshold, unfit-certificate, and what `depot.proved.require_next` raises),
    `UsageError`, `FormatError`, `InputError`, `UndecidedError`.
    """
    if state_file is None:
        return _publish(destination, layout, items, recalls, issue, previous, tell, profiles)
    with state.held(state_file):
        seen = state.read(state_file)
        if seen:
            require_next(previous[1] if previous else None, seen, issue.at)
        known = [recall_format.encode(one) for one in seen.recalls] if seen else []
        kept = merged_recalls([*known, *recalls])  # refused if one replaces another's
        published = _publish(destination, layout, items, recalls, issue, previous, tell, profiles)
        newest = max(issue.at, seen.newest) if seen else issue.at
        state.keep(state_file, Seen(published.index, newest, tuple(map(recall_format.decode, kept))))
    return published


def _publish(
    destination: Path,
    layout: Layout,
    items: Iterable[Item],
    recalls: Sequence[bytes],
    issue: Issue,
    previous: tuple[DepotFiles, DepotIndex] | None,
    tell: Progress,
    profiles: Sequence[bytes],
) -> Published:
    before = previous[1] if previous else None
    if before:
        require_own(before, issue.signers)
    if issue.expires is not None and issue.expires <= issue.time:
        raise UsageError(f"{time_text(issue.expires)} is past: nobody could use the depot; give a later --expires")
    unique = {item.listed.path: item for item in items}
    contents = [_content(item) for item in unique.values()]
    listed_recalls = []
    for data in recalls:
        one, content = _recall(data)
        listed_recalls.append(one)
        contents.append(content)
    listed_profiles = []
    for data in dict.fromkeys(profiles):
        one, content = _profile(data)
        listed_profiles.append(one)
        contents.append(content)
    rotations = before.rotations if before else ()
    if previous and before:
        kept = signed_files.read_rotations(previous[0], before)
        if before.previous_root:
            rotations = (*rotations, (before.version, before.sha256))[-limits.DEPOT_ROTATIONS :]
            kept = [*kept, before]
        for earlier in kept:
            contents += [
                of_bytes(rotation_path(earlier.version), earlier.signed),
                of_bytes(signature_path(earlier.sha256), earlier.signature),
            ]
    root = _root(issue, before)
    index = DepotIndex(
        name=_said(issue.name, before.name if before else None, "--name NAME, what the depot is called"),
        version=_version(issue, before),
        issued=issue.time,
        expires=_said(issue.expires, None, "--expires TIME, until when this version of the depot may be used"),
        root=root,
        bundles=tuple(item.listed for item in unique.values()),
        recalls=tuple(listed_recalls),
        rotations=rotations,
        previous_root=before.root if before and before.root != root else None,
        profiles=tuple(listed_profiles),
    )
    try:
        encoded = depot_index.encode(index)
    except FormatError as error:
        if error.failure.code != "index-invalid":
            raise
        raise UsageError(error.failure.detail) from error  # of what the options say: no depot is at fault
    index = _sign(depot_index.decode(encoded), issue)
    require_threshold(INDEX_KIND, index, before, issue.at)
    contents.append(of_bytes(signature_path(index.sha256), index.signature))
    contents.append(of_bytes(INDEX, index.signed))
    depot_layout.write(layout, destination, contents, index.name, tell)
    return Published(destination, layout, index)


def require_own(before: DepotIndex, signers: Sequence[Signer]) -> None:
    """The version before is what its root signed, and one of the signers is of that root.

    Else whoever changed a depot on its way here would have the change signed with it. Raises `RefusedError`
    (unsigned, index-invalid, depot-threshold).
    """
    if not before.signature:
        raise RefusedError(
            "unsigned", f"version {before.version}, the one before, has no signature", sha256=before.sha256
        )
    require_threshold(INDEX_KIND, before, None, before.issued)
    if not {fitness.parse(one.certificate).fingerprint for one in signers} & {*before.root.signers}:
        detail = f"none of the signers is a root signer of version {before.version}, the one before"
        raise below_threshold(INDEX_KIND, detail, before)


def copy(files: DepotFiles, index: DepotIndex, destination: Path, layout: Layout, tell: Progress = quiet) -> None:
    """The same depot once more, signatures and all, in this layout: what `depot mirror` writes."""
    contents = [_content(item) for item in items_taken_over(files, index)]
    recalls = signed_files.read_recalls(files, index)
    contents += [of_bytes(one.path, data) for one, (_, data) in zip(index.recalls, recalls, strict=True)]
    profiles = signed_files.read_profiles(files, index)
    contents += [of_bytes(one.path, data) for one, (_, data) in zip(index.profiles, profiles, strict=True)]
    rotations = signed_files.read_rotations(files, index)
    contents += [of_bytes(rotation_path(one.version), one.signed) for one in rotations]
    contents += [of_bytes(signature_path(one.sha256), one.signature) for one in (*rotations, index)]
    contents.append(of_bytes(INDEX, index.signed))
    depot_layout.write(layout, destination, contents, index.name, tell)


def read_recall_file(path: Path) -> bytes:
    """The bytes of a recall's file. Raises `InputError`, `FormatError` (recall-invalid)."""
    data = read_small(path, limits.RECALL_SIZE).data
    recall_format.decode(data)
    return data


def merged_recalls(recalls: Iterable[bytes]) -> list[bytes]:
    """Of each recall its newest version, where a signer of every older version has signed the next one too.

    Anybody can give a list any name and number: else whoever hands one in could take another vendor's list away.
    Raises `RefusedError` (recall-invalid), `FormatError`.
    """
    decoded = [(recall_format.decode(data), data) for data in recalls]
    newest: dict[str, tuple[Recall, bytes]] = {}
    for one, data in sorted(decoded, key=lambda pair: pair[0].version):
        before, _ = newest.get(one.name, (None, b""))
        if before and before.sha256 == one.sha256:
            continue
        if before and before.version == one.version:
            detail = f"two recalls are called {one.name} and have version {one.version}: {before.sha256}, {one.sha256}"
            raise RefusedError("recall-invalid", detail, recall=one.name, version=one.version)
        if before and recall_keys(before).isdisjoint(recall_keys(one)):
            detail = (
                f"version {one.version} of the recall {one.name} has no signer of version {before.version}, which it "
                "would replace: its publisher signs it with an earlier key too, or gives the list a name of its own"
            )
            raise RefusedError("recall-invalid", detail, recall=one.name, version=one.version)
        newest[one.name] = one, data
    return [data for _, data in newest.values()]


def item(sound: Sound) -> Item:
    """A sound bundle for an index."""
    path = bundle_path(sound.manifest, sound.sha256)
    return Item(listed(sound.manifest, path, sound.size, sound.sha256), sound.open)


def _content(item: Item) -> Content:
    return Content(item.listed.path, item.listed.size, item.listed.sha256, item.open)


def _recall(data: bytes) -> tuple[ListedDocument, Content]:
    one = recall_format.decode(data)
    plain = of_bytes("", data)
    content = replace(plain, path=recall_path(one.name, one.version, plain.sha256))
    return ListedDocument(content.path, one.name, one.version, content.size, content.sha256), content


def _profile(data: bytes) -> tuple[ListedDocument, Content]:
    one = image_profile.decode(data)
    plain = of_bytes("", data)
    content = replace(plain, path=profile_path(one.name, one.version, plain.sha256))
    return ListedDocument(content.path, one.name, one.version, content.size, content.sha256), content


def _said(value: Any, otherwise: Any, what: str) -> Any:
    if value is None and otherwise is None:
        raise UsageError(f"a signed depot needs {what}")
    return otherwise if value is None else value


def _version(issue: Issue, before: DepotIndex | None) -> int:
    """The next version, or the one that was asked for, which has to be newer."""
    if before and issue.version is not None and issue.version <= before.version:
        raise UsageError(f"version {issue.version} is not newer than version {before.version}")
    return issue.version if issue.version is not None else before.version + 1 if before else 1


def _root(issue: Issue, before: DepotIndex | None) -> Root:
    """Who may sign the next version: as asked for; else as before; else those who sign now."""
    if issue.root or before is None:
        certificates = [fitness.parse(one) for one in issue.root or [signer.certificate for signer in issue.signers]]
        if len({one.key_der for one in certificates}) < len(certificates):
            raise UsageError("two root certificates have the same key; one key is one signer")
        signers = tuple(sorted(one.fingerprint for one in certificates))
    else:
        signers = before.root.signers
    threshold = issue.threshold
    if threshold is None:
        threshold = before.root.threshold if before and not issue.root else 1
    if not 1 <= threshold <= len(signers) <= limits.ROOT_SIGNERS:
        raise UsageError(
            f"a threshold of {threshold} does not fit {len(signers)} root certificates; "
            f"there may be at most {limits.ROOT_SIGNERS}"
        )
    return Root(threshold, signers)


def _sign(index: DepotIndex, issue: Issue) -> DepotIndex:
    member = b""
    for signer in issue.signers:
        member = add_block(index.signed, member, signer, issue.at, issue.time, stamp=issue.stamp)
    return replace(index, signature=member)
