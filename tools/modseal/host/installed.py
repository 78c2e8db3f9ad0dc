"""An installed module, proved: from the original bytes of its manifest and signature, by the same examination as ever.

What a generation says of a module is recorded (`documents.ModuleName`): anybody who can write to the store can write
that. `Installed` is the other type: it exists only with an examination under today's policy, at a given time. The
examination of a `.seal` takes the files that its signed manifest declares; whether they are there is another question
(`host.verify`). A `.vib` declares no more than paths, so its payloads are kept, and unpacked once more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from itertools import chain

from modseal import limits
from modseal.bundle.fence import fenced
from modseal.errors import Failure
from modseal.format import rules
from modseal.format.ar import Member
from modseal.format.level import Level
from modseal.format.manifest import (
    MANIFEST_MEMBER,
    SIGNATURE_MEMBER,
    Entry,
    Kind,
    Manifest,
    Payload,
    Relationships,
    View,
)
from modseal.format.payload import Measured, measure
from modseal.format.source import FileSource
from modseal.host.documents import ModuleName, ModuleRecord, Part, invalid
from modseal.host.store import Store, record_name
from modseal.trust.examination import Examination, Verdict
from modseal.trust.examine import examine
from modseal.trust.policy import Policy
from modseal.values import dataclass


@dataclass(frozen=True, slots=True)
class Installed:
    """A module with its examination. `entries` is all that it brings; `level` what counts for the host's level.

    What the manifest says is proved where the examination is accepted, and only there.
    """

    record: ModuleRecord
    manifest: Manifest
    examination: Examination
    entries: tuple[Entry, ...]
    level: Level

    @property
    def name(self) -> str:
        """See `depot.relations.Related`."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """See `depot.relations.Related`."""
        return self.manifest.version

    @property
    def relationships(self) -> Relationships:
        """See `depot.relations.Related`."""
        return self.manifest.relationships


class _StoredBundle:
    """The stored parts of a module, as `trust.examine` asks for them (`trust.integrity.Bundle`).

    The payloads of a `.seal` are gone: what its signed manifest declares takes their place. Those of a `.vib` are
    there; they are unpacked with `unpack`, else they are taken to be what they were when they came.
    """

    def __init__(self, store: Store, record: ModuleRecord, *, unpack: bool) -> None:
        self._store, self._record, self._unpack = store, record, unpack
        self._parts = {part.name: part for part in (*record.payloads, *record.attachments)}
        self.kind: Kind = record.kind
        self.manifest = store.record(record.manifest, limits.MANIFEST_SIZE)
        self.signature = store.record(record.signature, limits.SIGNATURE_MEMBER_SIZE)
        sizes = {MANIFEST_MEMBER[record.kind]: len(self.manifest), SIGNATURE_MEMBER: len(self.signature)}
        sizes |= {part.name: part.size for part in self._parts.values()}
        self.container: tuple[Member, ...] | Failure = tuple(
            Member(name, 0, size, plain=True) for name, size in sizes.items()
        )
        self.partial = False
        self.measured: list[Measured] = []

    def measure(
        self,
        payload: Payload,
        member: Member,  # noqa: ARG002
        *,
        up_to: int | None,
        to_sink: bool,  # noqa: ARG002
        raw: bool = False,  # noqa: ARG002
        declared: Iterable[Entry] = (),
    ) -> Measured:
        """See `trust.integrity.Bundle.measure`."""
        part = self._part(payload.name)
        if self.kind == "vib" and self._unpack:
            with self._store.open(record_name(part.sha256), part.size) as file:  # the digest is compared by `examine`
                found = measure(payload, FileSource(file.fileno()), bound=up_to)
        else:
            found = self._as_declared(payload, bytes.fromhex(part.sha256), tuple(declared))
        self.measured.append(found)
        return found

    def _part(self, name: str) -> Part:
        if name not in self._parts:
            raise invalid(f"the record of a module has no {rules.shown(name)!r}, which its manifest names")
        return self._parts[name]

    def _as_declared(self, payload: Payload, sha256: bytes, entries: tuple[Entry, ...]) -> Measured:
        digests = {("sha256", View.RAW): sha256} | {(one.algorithm, one.view): one.value for one in payload.digests}
        relocatable = frozenset(self._record.relocatable)
        return Measured(digests, payload.size, payload.unpacked_size, entries, (), True, relocatable)

    def digest(self, member: Member) -> bytes:
        """See `trust.integrity.Bundle.digest`. Raises `UndecidedError` (host-invalid)."""
        return hashlib.sha256(self._store.record(self._part(member.name).sha256, limits.ATTACHMENT_SIZE)).digest()

    def sha256(self) -> str:
        """The digest of the file that the module came in, as recorded: only a deny list asks for it."""
        return self._record.bundle


def prove(store: Store, module: ModuleName, policy: Policy, at: datetime, *, unpack: bool = True) -> Installed:
    """The module of a generation, examined under a policy at a time. Whether it is accepted is in its examination.

    Without `unpack`, a `.vib` is judged by the paths that its signed descriptor lists; what it brings is not known.
    Raises `UndecidedError` (host-invalid) where the store has lost something, or the record names another module.
    """
    record = store.module(module.record)
    label = f"{module.name} {module.version}"
    with fenced(label):
        bundle = _StoredBundle(store, record, unpack=unpack)
        examination = examine(bundle, policy, at)
    manifest = examination.manifest
    if manifest is None:
        raise invalid(f"the stored manifest of {label} cannot be read", record=module.record)
    if (manifest.vendor, manifest.name, manifest.version) != (module.vendor, module.name, module.version):
        said = f"{manifest.vendor} {manifest.name} {manifest.version}"
        raise invalid(f"the stored manifest of {label} is that of {said}", record=module.record)
    known = unpack or bundle.kind == "seal"
    entries = tuple(chain.from_iterable(measured.entries for measured in bundle.measured)) if known else ()
    return Installed(record, manifest, examination, entries, examination.effective_level)


def is_accepted(module: Installed) -> bool:
    """Whether today's policy accepts it."""
    return module.examination.verdict is Verdict.ACCEPTED
