"""Verify a bundle and unpack it, in one pass over one open file.

The bytes that are hashed are the bytes that are written, into a private staging folder; only an
accepted verdict renames it. So there is no moment between verification and use, and no unverified
byte outside the staging folder. Unproved manifests write nothing at all, unless `--unverified` was asked
for, and then the container, the payloads and the files must still be sound.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from modseal.bundle import layout
from modseal.bundle.fence import fenced
from modseal.bundle.open import OpenBundle, open_bundle
from modseal.bundle.staging import StagingFolder
from modseal.bundle.verify import Result, examine_integrity
from modseal.errors import FormatError, InputError, UsageError
from modseal.format import rules
from modseal.format.manifest import MANIFEST_MEMBER, Entry, FileType
from modseal.format.payload import VISOR_TYPES, read_layout
from modseal.trust.examination import Examination, Verdict
from modseal.trust.examine import examine
from modseal.trust.policy import Policy

PAYLOADS = "payloads"
"""The folder of a stage folder that has a tree for each payload (docs/vib.md)."""


class TreeWriter:
    """Writes entries below a private folder.

    Links and folder modes come last (`finish`), so that while files are written no link exists that a
    path could go through (TAR-01) and no folder is closed to us. Bits that lend the owner's rights are
    for signed data only (TAR-05): without `special` they are left out. Raises `InputError` for what cannot be
    written; `name` says where.
    """

    def __init__(
        self, folder: Path, *, name: str = "the files", by_payload: bool = False, special: bool = True
    ) -> None:
        self._folder = folder
        self._name = name
        self._by_payload = by_payload
        self._bits = rules.PERMISSIONS | (rules.SPECIAL_BITS if special else rules.STICKY)
        self._descriptor = -1
        self._later: list[Entry] = []

    def begin(self, entry: Entry) -> None:
        """See `format.payload.Sink.begin`. Raises `FormatError` for what must not be written."""
        rules.require(next(rules.check_entry(entry), None))
        path = self._place(entry)
        try:
            self._make(entry, path)
        except (FileExistsError, NotADirectoryError):
            raise FormatError(
                "unsafe-path", f"{entry.path!r} is there twice, or below a file", path=entry.path
            ) from None
        except OSError as error:
            raise self._trouble(error) from error

    def _make(self, entry: Entry, path: Path) -> None:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if entry.type is FileType.DIRECTORY:
            path.mkdir(mode=0o755, exist_ok=True)
        if entry.type is not FileType.FILE:
            self._later.append(entry)
            return
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def _place(self, entry: Entry) -> Path:
        return (
            self._folder / PAYLOADS / (entry.payload or "") / entry.path
            if self._by_payload
            else self._folder / entry.path
        )

    def write(self, data: bytes) -> None:
        """See `format.payload.Sink.write`."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise self._trouble(error) from error

    def _trouble(self, error: OSError) -> InputError:
        return InputError(f"{self._name}: {error.strerror}", path=self._name)

    def end(self, entry: Entry) -> None:
        """See `format.payload.Sink.end`."""
        if self._descriptor >= 0:
            os.fchmod(self._descriptor, (entry.mode or 0) & self._bits)
            os.close(self._descriptor)
            self._descriptor = -1

    def finish(self) -> None:
        """Make the links, then give folders their modes, deepest first."""
        self.close()
        folders = [entry for entry in self._later if entry.type is FileType.DIRECTORY]
        for entry in self._later:
            if entry.type is FileType.SYMLINK:
                os.symlink(entry.target or "", self._place(entry))
        for entry in sorted(folders, key=lambda folder: folder.path.count("/"), reverse=True):
            os.chmod(self._place(entry), (entry.mode or 0o755) & self._bits)

    def close(self) -> None:
        """Close a file that an interrupted pass left open."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def extract(path: Path, destination: Path, policy: Policy | None, at: datetime, *, stage: bool = False) -> Result:
    """Unpack the bundle at `path` into a new folder `destination`; without a policy, unverified.

    With `stage` a `.vib` becomes a stage folder, which `pack` makes into the same visor tar again.
    Nothing is there unless the verdict of the result is accepted. Raises `UsageError` for a destination
    that is in the way, `InputError` for trouble with files, `InternalError`.
    """
    with StagingFolder(destination) as staging:
        writer = TreeWriter(staging.path, name=str(destination), by_payload=stage, special=policy is not None)
        try:
            digest = bool(policy and policy.deny.digests)
            with (
                fenced(str(path)),
                open_bundle(path, writer, sink_unproved=policy is None, with_digest=digest) as bundle,
            ):
                examination = examine(bundle, policy, at) if policy else examine_integrity(bundle, at)
                result = Result(str(path), None, examination)
                if stage and bundle.kind != "vib":
                    raise UsageError(f"{path}: only a .vib can be unpacked as a stage folder")
                if result.verdict is Verdict.ACCEPTED:
                    writer.finish()
                    if stage:
                        _finish_stage(bundle, examination, staging.path)
                    staging.commit()
                return result
        finally:
            writer.close()


def _finish_stage(bundle: OpenBundle, examination: Examination, folder: Path) -> None:
    """The rest of a stage folder: the descriptor as it is, and how each visor tar was laid out."""
    (folder / MANIFEST_MEMBER["vib"]).write_bytes(bundle.manifest)
    members = {member.name: member for member in bundle.members}
    for payload in examination.manifest.payloads if examination.manifest else ():
        (folder / PAYLOADS / payload.name).mkdir(parents=True, exist_ok=True)
        if payload.type in VISOR_TYPES:
            found, entries = read_layout(payload, members[payload.name].span(bundle.source))
            (folder / PAYLOADS / f"{payload.name}{layout.SUFFIX}").write_bytes(layout.encode(found, entries))
