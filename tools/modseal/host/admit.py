"""A bundle is examined and unpacked in one pass over one open file: what is judged is what will be installed.

Its files go into a staging folder of the store, which nobody else can enter, by the digests of the very bytes that were
written. Only what was accepted is used further (docs/adr/0009 and 0027).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from modseal.bundle.fence import fenced
from modseal.bundle.open import OpenBundle
from modseal.bundle.values import result_values
from modseal.bundle.verify import Result
from modseal.errors import Failure, FormatError, InputError, InternalError
from modseal.files.open import open_file
from modseal.format import canonical_json, rules
from modseal.format.manifest import Entry, FileType, Manifest, View
from modseal.format.source import FileSource, Source, Span
from modseal.format.stream import Piece
from modseal.format.times import time_text
from modseal.host.documents import ModuleRecord, Part
from modseal.host.installed import Installed
from modseal.trust.examination import Verdict
from modseal.trust.examine import examine
from modseal.trust.policy import Policy
from modseal.values import dataclass


class Keeper(Protocol):
    """Where what was accepted is kept. A dry run keeps nothing, and everything else is the same."""

    def begin(self) -> int | None:
        """A new staged file, open for writing; None where nothing is kept."""

    def end(self, descriptor: int | None, sha256: str, mode: int) -> None:
        """The staged file is complete."""

    def record(self, data: bytes) -> str:
        """Keep some bytes; gives their digest."""

    def record_source(self, source: Span) -> str:
        """Keep the bytes of a member; gives their digest."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A bundle that was examined: the result, and the module where it was accepted."""

    result: Result
    module: Installed | None = None


class _Files:
    """Writes the files of a bundle, each under a name of its own (`format.payload.Sink`)."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._descriptor: int | None = None
        self._open = False

    def begin(self, entry: Entry) -> None:
        """See `Sink.begin`. Raises `FormatError` for what must not be written."""
        rules.require(next(iter(rules.check_entry(entry)), None))
        if entry.type is FileType.FILE:
            with _storing():
                self._descriptor, self._open = self._keeper.begin(), True

    def write(self, data: Piece) -> None:
        """See `Sink.write`."""
        if self._descriptor is not None:
            view = memoryview(data)
            with _storing():
                while view:
                    view = view[os.write(self._descriptor, view) :]

    def end(self, entry: Entry) -> None:
        """See `Sink.end`."""
        if self._open and entry.sha256 is not None:
            with _storing():
                self._keeper.end(self._descriptor, entry.sha256.hex(), entry.mode or 0)
            self._descriptor, self._open = None, False

    def close(self) -> None:
        """Close a file that an interrupted pass left open."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextmanager
def _storing() -> Iterator[None]:
    """A full disk is the store's fault, and not that of the bundle or depot that is read meanwhile."""
    try:
        yield
    except OSError as error:
        raise InputError.of("the image store", error) from error


def admit(path: Path, policy: Policy, at: datetime, keeper: Keeper) -> Admitted:
    """Examine the bundle at `path`, and keep its parts; never raises for what the file is.

    What was kept of a bundle that is not accepted must not be used: the caller throws it away.
    """
    try:
        with open_file(path) as descriptor:
            return admit_source(FileSource(descriptor), str(path), policy, at, keeper)
    except InputError as error:
        return Admitted(Result(str(path), None, None, error.failure))


def admit_source(source: Source, name: str, policy: Policy, at: datetime, keeper: Keeper) -> Admitted:
    """The same for a bundle that is open, such as one of a depot."""
    files = _Files(keeper)
    try:
        with fenced(name):
            bundle = OpenBundle(source, name, files, with_digest=True, member_digests=True)
            examination = examine(bundle, policy, at)
            # What is no bundle may have any size, and is not read to its end for a digest.
            digest = None if isinstance(bundle.container, Failure) else bundle.sha256()
            result = Result(name, digest, examination)
            if result.verdict is not Verdict.ACCEPTED or examination.manifest is None:
                return Admitted(result)
            record = _record(bundle, examination.manifest, result, policy, at, keeper)
            entries = tuple(bundle.entries)
            level = examination.effective_level
            return Admitted(result, Installed(record, examination.manifest, examination, entries, level))
    except (InputError, InternalError, FormatError) as error:  # a FormatError where the file shrinks while it is read
        return Admitted(Result(name, None, None, error.failure))
    finally:
        files.close()


def _record(
    bundle: OpenBundle, manifest: Manifest, result: Result, policy: Policy, at: datetime, keeper: Keeper
) -> ModuleRecord:
    """Keep the original bytes: manifest, signature, attachments; of a `.vib` the payloads, too.

    The manifest of a `.vib` does not say what its files are. So only the payloads can prove the files again.
    """
    decision = {"policy": policy.origin.digest if policy.origin else None, "at": time_text(at), **result_values(result)}
    members = {member.name: member for member in bundle.members}
    payloads = []
    for payload in manifest.payloads:
        measured = bundle.measured[payload.name]
        digest = measured.digests["sha256", View.RAW].hex()
        if bundle.kind == "vib":
            _require_same(keeper.record_source(members[payload.name].span(bundle.source)), digest, payload.name)
        payloads.append(Part(payload.name, members[payload.name].size, digest))
    attachments = []
    for attachment in manifest.attachments:
        digest = keeper.record_source(members[attachment.name].span(bundle.source))
        _require_same(digest, attachment.sha256.hex(), attachment.name)
        attachments.append(Part(attachment.name, attachment.size, digest))
    return ModuleRecord(
        bundle.kind,
        keeper.record(bundle.manifest),
        keeper.record(bundle.signature),
        bundle.sha256(),
        tuple(payloads),
        tuple(attachments),
        tuple(sorted({path for measured in bundle.measured.values() for path in measured.relocatable})),
        keeper.record(canonical_json.dump(decision) + b"\n"),
    )


def _require_same(digest: str, examined: str, member: str) -> None:
    if digest != examined:
        raise FormatError("payload-digest-mismatch", f"member {member!r} changed while it was read", member=member)
