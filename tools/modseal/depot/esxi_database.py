"""What an ESXi host keeps of its installed VIBs: `var/db/esximg`, as files of a folder or in an `imgdb.tgz`.

For each VIB there is a descriptor as the host writes it (`vibs/NAME.xml`), which its tools show; the signature
(`NAME.xml.sig`); and where the host's own writing changed a byte, the descriptor as it was signed (`NAME.xml.orig`).
`profiles/` has the image profile. This module reads documents, bounded, and judges nothing.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from modseal import limits
from modseal.depot import esxi_profile
from modseal.depot.esxi_profile import Profile
from modseal.errors import Failure, FormatError, InputError, foreign
from modseal.files.small import read_small
from modseal.format import rules
from modseal.format.inflate import GZIP, inflate
from modseal.format.shape import quote
from modseal.format.source import Source, blocks

PLACE = "var/db/esximg"
"""Where a host has its database, below the root of its file system and in `imgdb.tgz`."""
ARCHIVE = "imgdb.tgz"
"""What has the database in a boot bank, and on an installer's disc."""
_ORIGINAL, _SIGNATURE = ".orig", ".sig"
_FOLDERS = ("vibs", "profiles")
_TAR_MAGIC = 257
_BLOCK = 64 * limits.KIB


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents of one installed VIB; `path` is that of its `.xml` in the database.

    `original` is None where the host wrote the descriptor as it was, `signature` where there is none at all.
    """

    path: str
    shown: bytes
    original: bytes | None
    signature: bytes | None

    @property
    def descriptor(self) -> bytes:
        """The bytes that a signature is over."""
        return self.shown if self.original is None else self.original


@dataclass(frozen=True, slots=True)
class Database:
    """A host's database: the documents of its VIBs, its profiles, and what is wrong with it.

    `read` are the paths of all documents that were made use of, `others` those of what else lies there.
    """

    vibs: tuple[Documents, ...]
    profiles: tuple[Profile, ...]
    failures: tuple[Failure, ...] = ()
    read: frozenset[str] = frozenset()
    others: tuple[str, ...] = ()


def in_folder(folder: Path) -> Database:
    """The database in a folder that has `vibs/`. No link is followed. Raises `InputError`."""
    contents: dict[str, bytes] = {}
    failures: list[Failure] = []
    others: list[str] = []
    room = limits.DEPOT_METADATA_SIZE
    for path, status in _listed(folder):
        if len(contents) + len(others) + len(failures) > limits.ZIP_ENTRIES:
            failures.append(Failure("limit-exceeded", f"the database has more than {limits.ZIP_ENTRIES} files"))
            break
        if not stat.S_ISREG(status.st_mode) or path.split("/")[0] not in _FOLDERS:
            others.append(path)
            continue
        try:
            contents[path] = read_small(folder / path, min(room, limits.MANIFEST_SIZE), follow=False).data
        except InputError as error:
            failures.append(error.failure)
            continue
        room -= len(contents[path])
    return _assembled(contents, failures, others)


def in_archive(source: Source) -> Database:
    """The database in an `imgdb.tgz`, read once from its beginning to its end. Raises `FormatError`."""
    contents: dict[str, bytes] = {}
    others: list[str] = []
    for path, data in _unpacked(source):
        within = path.removeprefix("./").removeprefix(f"{PLACE}/")
        if data is None or within == path.removeprefix("./") or within.split("/")[0] not in _FOLDERS:
            others.append(path)
        elif within in contents:
            raise FormatError("duplicate-member", f"{quote(path)} is in the archive twice", member=rules.shown(path))
        else:
            contents[within] = data
    return _assembled(contents, [], others)


def _listed(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """What is in the database's folder and in its folders, in the order of names; links are not followed."""
    try:
        for name in sorted(os.listdir(folder), key=os.fsencode):
            status = os.lstat(folder / name)
            if name in _FOLDERS and stat.S_ISDIR(status.st_mode):
                for inner in sorted(os.listdir(folder / name), key=os.fsencode):
                    yield f"{name}/{inner}", os.lstat(folder / name / inner)
            else:
                yield name, status
    except OSError as error:
        raise InputError.of(folder, error) from None


def _assembled(contents: Mapping[str, bytes], failures: list[Failure], others: list[str]) -> Database:
    """The database of these documents, by their paths in it."""
    taken: frozenset[str] = frozenset()
    vibs = []
    for path in (path for path in contents if path.startswith("vibs/") and path.endswith(".xml")):
        beside = (path + _ORIGINAL, path + _SIGNATURE)
        taken |= {path, *beside}
        vibs.append(Documents(path, contents[path], *map(contents.get, beside)))
    profiles = []
    for path in (path for path in contents if path.startswith("profiles/")):
        taken |= {path}
        try:
            profiles.append(esxi_profile.decode(contents[path]))
        except FormatError as error:
            detail = f"{quote(path, limits.PATH_LENGTH)}: {error.failure.detail}"
            failures.append(Failure(error.failure.code, detail, {**error.failure.evidence, "document": path}))
    others += [path for path in contents if path not in taken]
    return Database(tuple(vibs), tuple(profiles), tuple(failures), taken & contents.keys(), tuple(others))


class _Reader:
    """What `tarfile` reads from: gzip's content, no more of it than a limit."""

    def __init__(self, source: Source) -> None:
        self._rest = inflate(blocks(source), GZIP, "the archive")
        self._left = limits.DEPOT_METADATA_SIZE
        self._held = b""

    def read(self, size: int) -> bytes:
        """The next bytes, fewer only at the end."""
        pieces = [self._held]
        have = len(self._held)
        while have < size and (block := next(self._rest, b"")):
            self._left -= len(block)
            if self._left < 0:
                raise FormatError("limit-exceeded", f"it unpacks to more than {limits.DEPOT_METADATA_SIZE} bytes")
            pieces.append(block)
            have += len(block)
        data = b"".join(pieces)
        self._held = data[size:]
        return data[:size]

    def require_end(self) -> None:
        """Read on to the end of the gzip file: only zeros may follow a tar, which other readers could read on after."""
        while data := self.read(_BLOCK):
            if data.strip(b"\0"):
                raise FormatError("trailing-bytes", "bytes follow the end of the tar archive")


def _unpacked(source: Source) -> Iterator[tuple[str, bytes | None]]:
    """The files of a tar in gzip, with their paths; None for the content of what is not a plain file."""
    start = next(inflate(blocks(source), GZIP, "the archive"), b"")
    if start[_TAR_MAGIC : _TAR_MAGIC + 5] == b"visor":
        raise FormatError("malformed-archive", "it is a visor tar, of which other readers see other files")
    with foreign(lambda why: FormatError("malformed-archive", f"it is not a tar archive that can be read: {why}")):
        count = 0
        reader = _Reader(source)
        with tarfile.open(fileobj=cast("IO[bytes]", reader), mode="r|") as archive:
            for member in archive:
                count += 1
                if count > limits.ZIP_ENTRIES:
                    raise FormatError("limit-exceeded", f"it has more than {limits.ZIP_ENTRIES} entries")
                # A sparse file's content can be a terabyte of zeros that the archive does not have.
                if member.isreg() and member.sparse is None and (file := archive.extractfile(member)):
                    yield member.name, file.read()
                elif not member.isdir():
                    yield member.name, None
        reader.require_end()
