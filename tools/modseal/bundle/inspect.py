"""Everything that a bundle says about itself, unproved: for people, never for a gate."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from modseal.bundle.fence import fenced
from modseal.bundle.open import open_bundle
from modseal.errors import Failure, FormatError
from modseal.format import cms
from modseal.format.ar import Member
from modseal.format.cms import SignedData
from modseal.format.manifest import Entry, Kind, Manifest
from modseal.pki.certificate import Certificate
from modseal.trust.integrity import read_manifest


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


def inspect(path: Path) -> Inspection:
    """Look at the bundle at `path` as far as it can be read. Raises `InputError` and `InternalError` alone."""
    with fenced(str(path)), open_bundle(path, with_digest=True) as bundle:
        problems: list[Failure] = []
        if isinstance(bundle.container, Failure):
            return Inspection(
                str(path), bundle.sha256(), None, bundle.source.size, None, (), None, (), (), (), (bundle.container,)
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
            str(path),
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
