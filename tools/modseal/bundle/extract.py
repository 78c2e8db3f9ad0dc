"""Verify a bundle and unpack it, in one pass over one open file.

The bytes that are hashed are the bytes that are written, into a private staging folder; only an
accepted verdict renames it. So there is no moment between verification and use, and no unverified
byte outside the staging folder. Unproved manifests write nothing at all, unless `--unverified` was asked
for, and then the container, the payloads and the files must still be sound.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from modseal.bundle import layout, stage_modes
from modseal.bundle.open import OpenBundle
from modseal.bundle.stage_modes import is_usual
from modseal.bundle.verify import Result, examined
from modseal.errors import FormatError, InputError, UsageError
from modseal.files.staging import StagingFolder
from modseal.files.tree import Tree
from modseal.format import rules
from modseal.format.manifest import MANIFEST_MEMBER, Entry, FileType
from modseal.format.payload import VISOR_TYPES, read_layout
from modseal.format.stream import Piece
from modseal.trust.examination import Examination, Verdict
from modseal.trust.policy import Policy

PAYLOADS = "payloads"
"""The folder of a stage folder that has a tree for each payload (docs/vib.md)."""

_FILE = 0o644
_TAKEN = (errno.EEXIST, errno.ENOTDIR, errno.ELOOP)
"""What the file system says where a file or a link stands in the place of what is to be made."""


class TreeWriter:
    """Writes entries into a tree that other users cannot enter.

    Links and folder modes come last (`finish`), so that while files are written no link exists that a path could go
    through (TAR-01) and no folder is closed to us. So do the bits that lend the owner's rights, once the verdict is
    known: until then no file has them. They are for signed data only (TAR-05): without `special` they are left out.
    Raises `InputError` for what cannot be written; `name` says where.
    """

    def __init__(self, tree: Tree, *, name: str = "the files", by_payload: bool = False, special: bool = True) -> None:
        self._tree = tree
        self._name = name
        self._by_payload = by_payload
        self._bits = rules.PERMISSIONS | (rules.SPECIAL_BITS if special else rules.STICKY)
        self._descriptor = -1
        self._later: list[Entry] = []
        self._special: list[tuple[Entry, tuple[int, int]]] = []
        self.unusual: dict[str, Entry] = {}
        """The files and folders, by path, whose modes `pack` does not give them by itself."""

    def begin(self, entry: Entry) -> None:
        """See `format.payload.Sink.begin`. Raises `FormatError` for what must not be written."""
        rules.require(next(iter(rules.check_entry(entry)), None))
        if entry.type in (FileType.FILE, FileType.DIRECTORY) and not is_usual(entry.type, entry.mode or 0):
            self.unusual[entry.path] = entry
        try:
            if entry.type is FileType.FILE:
                self._descriptor = self._tree.create(self._place(entry))
                return
            if entry.type is FileType.DIRECTORY:
                self._tree.folder(self._place(entry))
            self._later.append(entry)
        except OSError as error:
            if error.errno in _TAKEN:
                detail = f"{entry.path!r} is there twice, or below a file"
                raise FormatError("unsafe-path", detail, path=entry.path) from None
            raise self._trouble(error) from error

    def _place(self, entry: Entry) -> str:
        return f"{PAYLOADS}/{entry.payload}/{entry.path}" if self._by_payload else entry.path

    def write(self, data: Piece) -> None:
        """See `format.payload.Sink.write`."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise self._trouble(error) from error

    def _trouble(self, error: OSError) -> InputError:
        return InputError.of(self._name, error)

    def end(self, entry: Entry) -> None:
        """See `format.payload.Sink.end`."""
        if self._descriptor < 0:
            return
        mode = (entry.mode or 0) & self._bits
        if mode & rules.SPECIAL_BITS:  # for its owner alone, until `finish`
            status = os.fstat(self._descriptor)
            self._special.append((entry, (status.st_dev, status.st_ino)))
        else:
            os.fchmod(self._descriptor, mode)
        self.close()

    def finish(self) -> None:
        """What waits for an accepted verdict: special bits, links, and the modes of folders, deepest first."""
        self.close()
        for entry, made in self._special:
            self._tree.set_mode(self._place(entry), (entry.mode or 0) & self._bits, made)
        folders = [entry for entry in self._later if entry.type is FileType.DIRECTORY]
        for entry in self._later:
            if entry.type is FileType.SYMLINK:
                self._tree.link(self._place(entry), entry.target or "")
        for entry in sorted(folders, key=lambda folder: folder.path.count("/"), reverse=True):
            self._tree.set_mode(self._place(entry), (entry.mode or 0o755) & self._bits)

    def close(self) -> None:
        """Close a file that an interrupted pass left open."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def extract(
    path: Path, destination: Path, policy: Policy | None, at: datetime, *, stage: bool = False, shared: bool = False
) -> Result:
    """Unpack the bundle at `path` into a new folder `destination`; without a policy, unverified.

    With `stage` a `.vib` becomes a stage folder, which `pack` makes into the same visor tar again. With `shared` the
    folder around the destination may be one in which others can rename.
    Nothing is there unless the verdict of the result is accepted. Raises `UsageError` for a destination
    that is in the way, `InputError` for trouble with files, `InternalError`.
    """
    with StagingFolder(destination, shared=shared) as staging:
        special = policy is not None
        writer = TreeWriter(staging.tree, name=str(destination), by_payload=stage, special=special)
        try:
            with examined(path, policy, at, writer) as (bundle, examination):
                result = Result(str(path), None, examination)
                if stage and bundle.kind != "vib":
                    raise UsageError(f"{path}: only a .vib can be unpacked as a stage folder")
                if result.verdict is Verdict.ACCEPTED:
                    writer.finish()
                    if stage:
                        _finish_stage(bundle, examination, staging.tree, writer.unusual)
                    staging.commit()
                return result
        finally:
            writer.close()


def _finish_stage(bundle: OpenBundle, examination: Examination, tree: Tree, unusual: Mapping[str, Entry]) -> None:
    """The rest of a stage folder: the descriptor as it is, how each visor tar was laid out, and the other modes."""
    tree.write(MANIFEST_MEMBER["vib"], bundle.manifest, _FILE)
    members = {member.name: member for member in bundle.members}
    laid_out: set[str] = set()
    for payload in examination.manifest.payloads if examination.manifest else ():
        tree.folder(f"{PAYLOADS}/{payload.name}")
        if payload.type in VISOR_TYPES:
            found, entries = read_layout(payload, members[payload.name].span(bundle.source))
            tree.write(f"{PAYLOADS}/{payload.name}{layout.SUFFIX}", layout.encode(found, entries), _FILE)
            laid_out.add(payload.name)
    modes = {path: entry.mode or 0 for path, entry in unusual.items() if entry.payload not in laid_out}
    if modes:
        tree.write(stage_modes.FILE, stage_modes.encode(modes), _FILE)
