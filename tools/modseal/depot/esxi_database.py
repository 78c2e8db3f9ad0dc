"""What an ESXi host keeps of its installed VIBs: `var/db/esximg`, as files of a folder or in an `imgdb.tgz`.

For each VIB there is a descriptor as the host writes it (`vibs/NAME.xml`), which its tools show; the signature
(`NAME.xml.sig`); and where the host's own writing changed a byte, the descriptor as it was signed (`NAME.xml.orig`).
`profiles/` has the image profile. This module reads documents, bounded, and judges nothing. What it does not take for
one of these, and a host could, is *odd*: links, other spellings, a signature without its descriptor.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from modseal import limits
from modseal.depot import esxi_archive, esxi_profile
from modseal.depot.esxi_profile import Profile
from modseal.errors import Failure, FormatError, InputError
from modseal.files.small import read_small
from modseal.format import rules
from modseal.format.shape import quote
from modseal.format.source import BytesSource, Source
from modseal.values import dataclass

PLACE = "var/db/esximg"
"""Where a host has its database, below the root of its file system and in `imgdb.tgz`."""
ARCHIVE = "imgdb.tgz"
"""What has the database in a boot bank, and on an installer's disc."""
STATE, _LOCAL = "state.tgz", "local.tgz"
"""What has the host's own settings in a boot bank, and what has them in there. A host lays them over what it booted."""
_DATABASES = "var/db/"
_ORIGINAL, _SIGNATURE = ".orig", ".sig"
_FOLDERS = ("vibs", "profiles")


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


class OddFile(NamedTuple):
    """Something of a host that the host could read, or read otherwise than it is read here; `why` is a sentence."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class Database:
    """A host's database: the documents of its VIBs, its profiles, and what is wrong with it.

    `contents` has all documents that were read, by their paths, `others` the paths of what else lies there.
    `unread_profiles` are the paths of profiles that cannot be read: any may be the one of the host.
    """

    vibs: tuple[Documents, ...]
    profiles: tuple[Profile, ...]
    failures: tuple[Failure, ...]
    odd: tuple[OddFile, ...]
    contents: Mapping[str, bytes]
    others: tuple[str, ...]
    unread_profiles: tuple[str, ...] = ()

    @property
    def profile(self) -> Profile | None:
        """The one profile; None where there is none, or more than one."""
        return self.profiles[0] if len(self.profiles) == 1 and not self.unread_profiles else None

    @property
    def read(self) -> frozenset[str]:
        """The paths of all documents that were made use of."""
        return frozenset(self.contents.keys() - set(self.others))

    def unlike(self, other: Database) -> tuple[str, ...]:
        """The paths of all documents that only one of two databases has, or that are not the same in both."""
        paths = self.contents.keys() | other.contents.keys()
        return tuple(sorted(path for path in paths if self.contents.get(path) != other.contents.get(path)))


def in_folder(folder: Path) -> Database:
    """The database in a folder that has `vibs/`. No link is followed. Raises `InputError`."""
    reading = _Reading()
    for path, status in _listed(folder):
        if reading.count > limits.ZIP_ENTRIES:
            failure = Failure("limit-exceeded", f"the database has more than {limits.ZIP_ENTRIES} files")
            reading.failures.append(failure)
            break
        if not stat.S_ISREG(status.st_mode):
            reading.no_file(path, "it is a link" if stat.S_ISLNK(status.st_mode) else "it is not a plain file")
        elif path.split("/")[0] not in _FOLDERS:
            reading.others.append(path)
        else:
            try:
                room = min(reading.room, limits.MANIFEST_SIZE)
                reading.add(path, read_small(folder / path, room, follow=False).data)
            except InputError as error:
                reading.failures.append(error.failure)
    return reading.database()


def in_archive(source: Source) -> Database:
    """The database in an `imgdb.tgz`, read once from its beginning to its end. Raises `FormatError`."""
    reading = _Reading()
    for entry in esxi_archive.entries(source):
        within = entry.path.removeprefix(f"{PLACE}/")
        if entry.odd:
            reading.odd.append(OddFile(entry.path, entry.odd))
        elif within == entry.path:
            why = f"it is outside of {PLACE}, is not examined, and becomes a file of the host when it boots"
            reading.odd.append(OddFile(entry.path, why))
        if entry.data is None or within == entry.path or within.split("/")[0] not in _FOLDERS:
            reading.others.append(entry.path)
        elif within in reading.contents:
            detail = f"{quote(entry.path)} is in the archive twice"
            raise FormatError("duplicate-member", detail, member=rules.shown(entry.path))
        else:
            reading.add(within, entry.data)
    return reading.database()


def hidden_in_state(source: Source) -> tuple[str, ...]:
    """What `state.tgz` would put into the host's databases when it boots, from itself or the `local.tgz` in it.

    Raises `FormatError`.
    """
    found = []
    for entry in esxi_archive.entries(source):
        found += [entry.path] if _leads_to_databases(entry.path) else []
        if entry.path == _LOCAL and entry.data is not None:
            inner = esxi_archive.entries(BytesSource(entry.data))
            found += [f"{_LOCAL}!/{one.path}" for one in inner if _leads_to_databases(one.path)]
    return tuple(found)


def _leads_to_databases(path: str) -> bool:
    """Whether a file of this path is in the folder of the databases, is in its place, or could lead anywhere."""
    return path.startswith(_DATABASES) or f"{path}/" in ("var/", _DATABASES) or ".." in path.split("/")


def in_files(files: Iterable[tuple[str, Source | None]]) -> Database:
    """The database of these files, by their paths in it; None for what is not a plain file. Raises `FormatError`."""
    reading = _Reading()
    for path, source in files:
        if source is None:
            reading.no_file(path, "it is not a plain file")
        elif path.split("/")[0] not in _FOLDERS:
            reading.others.append(path)
        elif source.size > min(reading.room, limits.MANIFEST_SIZE):
            reading.failures.append(Failure("limit-exceeded", f"{quote(path)} has {source.size} bytes, too many"))
        else:
            reading.add(path, source.read(0, source.size))
    return reading.database()


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


class _Reading:
    """What was found of a database so far."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.failures: list[Failure] = []
        self.odd: list[OddFile] = []
        self.others: list[str] = []
        self.room = limits.DEPOT_METADATA_SIZE
        """Bytes that may still be read."""

    @property
    def count(self) -> int:
        """How many files there were."""
        return len(self.contents) + len(self.others) + len(self.failures)

    def add(self, path: str, data: bytes) -> None:
        """A document."""
        self.contents[path] = data
        self.room -= len(data)

    def no_file(self, path: str, why: str) -> None:
        """Something that is not a plain file: of other folders, hosts make no use."""
        self.others.append(path)
        if path.split("/", maxsplit=1)[0].casefold() in _FOLDERS:
            self.odd.append(OddFile(path, why))

    def database(self) -> Database:
        """The database of these documents."""
        taken: set[str] = set()
        vibs = []
        for path in (path for path in self.contents if path.startswith("vibs/") and path.endswith(".xml")):
            beside = (path + _ORIGINAL, path + _SIGNATURE)
            taken |= {path, *beside}
            vibs.append(Documents(path, self.contents[path], *map(self.contents.get, beside)))
        profiles, unread = [], []
        for path in (path for path in self.contents if path.startswith("profiles/")):
            taken |= {path}
            try:
                profiles.append(esxi_profile.decode(self.contents[path]))
            except FormatError as error:
                detail = f"{quote(path, limits.PATH_LENGTH)}: {error.failure.detail}"
                unread.append(path)
                self.failures.append(Failure(error.failure.code, detail, {**error.failure.evidence, "document": path}))
        left = [path for path in self.contents if path not in taken]
        self.odd += (OddFile(path, _STRAY) for path in left)
        self.odd += (OddFile(path, _CASE) for path in self.others if _is_otherwise_spelled(path))
        others = (*self.others, *left)
        failures = tuple(self.failures)
        odd = tuple(self.odd)
        return Database(tuple(vibs), tuple(profiles), failures, odd, self.contents, others, tuple(unread))


_STRAY = "it is not a `NAME.xml`, nor a `.xml.orig` or `.xml.sig` beside one"
_CASE = "its folder is that of the VIBs or profiles but for capitals"


def _is_otherwise_spelled(path: str) -> bool:
    """Whether the folder of a file, in the database or in an archive that has it, is only called like one of ours."""
    first, slash, _ = path.removeprefix(f"{PLACE}/").partition("/")
    return bool(slash) and first not in _FOLDERS and first.casefold() in _FOLDERS
