"""Everything that a bundle says about itself, unproved: for people, never for a gate."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from modseal import limits
from modseal.bundle.fence import fenced
from modseal.bundle.open import OpenBundle, open_bundle
from modseal.errors import Failure, FormatError, InputError, InternalError
from modseal.format import cms
from modseal.format.ar import Member
from modseal.format.cms import SignedData
from modseal.format.manifest import Entry, FileType, Kind, Manifest
from modseal.pki.certificate import Certificate
from modseal.trust.integrity import read_manifest
from modseal.values import dataclass

if TYPE_CHECKING:
    from modseal.policy.carried import Carried


@dataclass(frozen=True, slots=True)
class Block:
    """One signature block as it claims to be: its CMS values, and its certificates parsed."""

    data: SignedData
    certificates: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found, and `problems`: what could not be read.

    `payload_sha256` has the SHA-256 of each payload's member, in hex, by its name.
    """

    bundle: str
    sha256: str
    manifest_sha256: str | None
    size: int
    kind: Kind | None
    members: tuple[Member, ...]
    manifest: Manifest | None
    blocks: tuple[Block, ...]
    entries: tuple[Entry, ...]
    payload_sha256: tuple[tuple[str, str], ...]
    problems: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class Uninspected:
    """A file that cannot be read at all, one of several."""

    bundle: str
    failure: Failure


def listed_mode(entry: Entry) -> str:
    """An entry's type and mode as `ls -l` shows them."""
    kinds = {FileType.FILE: stat.S_IFREG, FileType.DIRECTORY: stat.S_IFDIR, FileType.SYMLINK: stat.S_IFLNK}
    return stat.filemode(kinds.get(entry.type or FileType.FILE, 0) | (entry.mode or 0))


def inspect(path: Path) -> Inspection:
    """Look at the bundle at `path` as far as it can be read. Raises only `InputError` and `InternalError`."""
    with fenced(str(path)), open_bundle(path, with_digest=True, streams=True) as bundle:
        return _inspection(bundle)


def look(path: Path, now: datetime) -> Inspection | Carried:
    """Look at the bundle or the trust bundle at `path`; the signers of the latter are judged at `now`.

    Raises `InputError`, `InternalError`, and `FormatError` for a trust bundle that is not well formed.
    """
    with fenced(str(path)), open_bundle(path, with_digest=True, streams=True) as bundle:
        failure = bundle.container
        if isinstance(failure, Failure) and failure.evidence.get("reason") == "trust-bundle":
            from modseal.policy import carried  # most files are bundles of modules

            return carried.decode(bundle.source.read(0, min(bundle.source.size, _MOST)), str(path), now)
        return _inspection(bundle)


def look_at_each(paths: Iterable[Path], now: datetime) -> Iterator[Inspection | Carried | Uninspected]:
    """Look at several files; one that cannot be read does not keep the others from it."""
    for path in paths:
        try:
            yield look(path, now)
        except (InputError, InternalError, FormatError) as error:
            yield Uninspected(str(path), error.failure)


_MOST = limits.TRUST_BUNDLE_SIZE + 1
"""Bytes of a trust bundle: one more than it may have, so that its reader says so."""


def _inspection(bundle: OpenBundle) -> Inspection:
    path = bundle.name
    problems: list[Failure] = []
    if isinstance(bundle.container, Failure):
        return Inspection(
            path, bundle.sha256(), None, bundle.source.size, None, (), None, (), (), (), (bundle.container,)
        )
    blocks: list[Block] = []
    try:
        for block in cms.split_blocks(bundle.signature, bundle.kind):
            data = cms.decode(block)
            blocks.append(Block(data, tuple(map(Certificate.parse, data.certificates))))
    except FormatError as error:
        problems.append(error.failure)
    manifest = None
    try:
        manifest = read_manifest(bundle.kind, bundle.manifest)
    except FormatError as error:
        problems.append(error.failure)
    problems += manifest.vib.unknown if manifest and manifest.vib else ()
    entries: list[Entry] = []
    digests: list[tuple[str, str]] = []
    members = {member.name: member for member in bundle.members}
    for payload in manifest.payloads if manifest else ():
        if payload.name in members:
            measured = bundle.measure(payload, members[payload.name], up_to=None, to_sink=False)
            entries += measured.entries
            problems += measured.failures
            digests.append((payload.name, bundle.digest(members[payload.name]).hex()))
        else:
            problems.append(
                Failure("missing-member", f"payload {payload.name!r} is not there", {"member": payload.name})
            )
    return Inspection(
        path,
        bundle.sha256(),
        hashlib.sha256(bundle.manifest).hexdigest(),
        bundle.source.size,
        bundle.kind,
        bundle.members,
        manifest,
        tuple(blocks),
        tuple(entries),
        tuple(digests),
        tuple(problems),
    )
