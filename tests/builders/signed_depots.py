"""Signed depots for tests: `index` gives a good index, signed by its root, and `files` the depot in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from builders import bundles
from builders import cms as cms_builder
from builders.bundles import Bundle
from builders.pki import NOW, Identity, signer
from modseal.depot import index as depot_index
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
from modseal.format import image_profile
from modseal.format import recall as recall_format
from modseal.format.image_profile import ImageProfile
from modseal.format.recall import Recall
from modseal.format.rooted import Root
from modseal.format.source import BytesSource

SEAL, VIB = bundles.make("seal"), bundles.make("vib", name="acme-driver")
DAY = timedelta(days=1)


def entry(bundle: Bundle) -> Listed:
    digest = hashlib.sha256(bundle.data).hexdigest()
    return listed(bundle.manifest, bundle_path(bundle.manifest, digest), len(bundle.data), digest)


def recall_entry(recall: Recall) -> ListedDocument:
    data = recall_format.encode(recall)
    digest = hashlib.sha256(data).hexdigest()
    path = recall_path(recall.name, recall.version, digest)
    return ListedDocument(path, recall.name, recall.version, len(data), digest)


def profile_entry(profile: ImageProfile) -> tuple[ListedDocument, bytes]:
    """An image profile as an index lists it, and the bytes of its file."""
    data = image_profile.encode(profile)
    digest = hashlib.sha256(data).hexdigest()
    path = profile_path(profile.name, profile.version, digest)
    return ListedDocument(path, profile.name, profile.version, len(data), digest), data


def root_of(*signers: Identity, threshold: int = 1) -> Root:
    return Root(threshold, tuple(sorted(one.fingerprint for one in signers)))


def index(
    *made: Bundle,
    name: str = "acme",
    version: int = 1,
    by: Sequence[Identity] | None = None,
    root: Root | None = None,
    issued: datetime = NOW - DAY,
    expires: datetime = NOW + 90 * DAY,
    recalls: Sequence[Recall] = (),
    rotations: Sequence[DepotIndex] = (),
    previous_root: Root | None = None,
) -> DepotIndex:
    """A good index of these bundles (of a `.seal` and a `.vib`), signed `by` its root where nobody else is named."""
    signers = (signer(),) if by is None else tuple(by)
    unsigned = DepotIndex(
        name,
        version,
        issued,
        expires,
        root or root_of(*signers),
        tuple(sorted(map(entry, made or (SEAL, VIB)), key=lambda one: one.path)),
        tuple(map(recall_entry, recalls)),
        tuple((one.version, one.sha256) for one in rotations),
        previous_root,
    )
    return signed(unsigned, *signers)


def signed(unsigned: DepotIndex, *by: Identity) -> DepotIndex:
    """The index made and signed anew, one block for each."""
    data = depot_index.encode(unsigned)
    blocks = [cms_builder.pem(cms_builder.block(data, one)) for one in by]
    return replace(depot_index.decode(data), signature=b"".join(blocks))


def contents(
    made: DepotIndex,
    held: Sequence[Bundle] = (SEAL, VIB),
    recalls: Sequence[Recall] = (),
    rotations: Sequence[DepotIndex] = (),
) -> dict[str, bytes]:
    """Every file of a depot by its path."""
    found = {entry(one).path: one.data for one in held}
    found |= {recall_entry(one).path: recall_format.encode(one) for one in recalls}
    for one in rotations:
        found |= {rotation_path(one.version): one.signed, signature_path(one.sha256): one.signature}
    return found | {INDEX: made.signed, signature_path(made.sha256): made.signature}


def files(held: Mapping[str, bytes]) -> DepotFiles:
    """An open depot of these files."""
    sizes = {path: len(data) for path, data in held.items()}
    return DepotFiles("depot", sizes, lambda path: nullcontext(BytesSource(held[path])), lambda _: b"")


def write(folder: Path, held: Mapping[str, bytes]) -> Path:
    for name, data in held.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
