"""ISO 9660 images in an audit: what is in one is found by the rules of `discover`, as if it were a folder.

Nothing is unpacked: a file of an image is a run of the image's bytes. Depots are looked into, zipped or not, and so is
the boot bank of an installer's disc. After an image's name come `!/` and the path in it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager

from modseal.auditing.depots import SEPARATOR, depot_targets
from modseal.auditing.esxi import Host, by_name, is_archive, with_archive
from modseal.auditing.hiding import LONGEST, STARTS, hiding_place
from modseal.auditing.target import End, LeftOut, Opened, Target, Unreadable
from modseal.depot import esxi_database
from modseal.depot.files import is_depot_archive
from modseal.depot.metadata import INDEX, VENDOR_INDEX
from modseal.errors import Failure, FormatError
from modseal.files.identity import Identity
from modseal.files.open import open_file
from modseal.files.part import FilePart, within
from modseal.format import iso
from modseal.format.iso import IsoFile
from modseal.format.manifest import SUFFIXES
from modseal.format.shape import quote
from modseal.format.source import FileSource, Source
from modseal.format.zip import starts_like_zip
from modseal.values import dataclass

_HEAD = 4096
_DOCUMENT = re.compile(r"(?:(?P<folder>.*)/)?(?:vibs|profiles)/[^/]+", re.IGNORECASE)
"""Where a document of a host's database could lie."""
_STORED = "var/db/payloads/"


@dataclass(frozen=True, slots=True)
class PartTarget:
    """A bundle within an image."""

    name: str
    part: FilePart
    salt: str = ""

    @property
    def size(self) -> int:
        """See `Target.size`."""
        return self.part.size

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """See `Target.open`."""
        with self.part.open() as source:
            yield Opened(source, lambda: None)

    def identity(self) -> Identity | None:
        """None: the bytes of an image are recognised by their digest."""
        return None


Found = Target | End | LeftOut | Unreadable


def discover_image(path: str) -> Iterator[Found]:
    """All that is in an image: depots, hosts, then the other files. Raises `InputError`, `FormatError`."""
    if not iso.is_available():
        detail = f"{path}: an ISO image needs an extra library to be looked into: pip install modseal[iso]"
        yield Unreadable(path, Failure("io-error", detail, {"path": path}))
        return
    with open_file(path) as descriptor:
        yield from _Image(path, FileSource(descriptor)).found()


class _Image:
    """An open image. `rest` are the files that nothing accounts for yet, by their paths."""

    def __init__(self, name: str, source: Source) -> None:
        self._name = name
        self._files = iso.read(source)
        self._rest: dict[str, tuple[IsoFile, Source]] = {
            one.path: (one, within(source, one.runs)) for one in self._files if one.runs is not None
        }

    def found(self) -> Iterator[Found]:
        """See `discover_image`."""
        for folder in sorted({posixpath.dirname(path) for path in self._rest if posixpath.basename(path) == INDEX}):
            if self._is_depot(folder):
                self._take(path for path in self._rest if not folder or path.startswith(f"{folder}/"))
                yield from self._depot(folder)
        for root in self._databases():
            yield from self._database(root)
        for path in [path for path in self._rest if is_archive(path)]:
            yield from self._host(path)
        for path, (file, source) in self._rest.items():
            yield from self._other(path, file, source)
        for one in self._files:
            if one.runs is None:
                yield LeftOut(self._in(one.path), one.why, hides=one.is_hiding)

    def _in(self, path: str) -> str:
        return self._name + SEPARATOR + path

    def _part(self, file: IsoFile) -> FilePart:
        return FilePart(self._name, file.runs)

    def _is_depot(self, folder: str) -> bool:
        """As for a folder on a disk: its index is one of vendors."""
        index = self._rest.get(posixpath.join(folder, INDEX))
        if index is None:  # it is in a depot further up
            return False
        _, source = index
        beside = posixpath.join(folder, VENDOR_INDEX) in self._rest
        return beside or b"<vendorList" in source.read(0, min(source.size, _HEAD))

    def _take(self, paths: Iterator[str]) -> None:
        for path in list(paths):
            del self._rest[path]

    def _depot(self, path: str) -> Iterator[Found]:
        try:
            yield from depot_targets(self._in(path), self._name)
        except FormatError as error:
            yield Unreadable(self._in(path), error.failure, malformed=True)

    def _databases(self) -> list[str]:
        """The folders that are the database of a host. Where a tree of names has empty files alone, another has all."""
        by_folder: dict[str, list[IsoFile]] = {}
        for path, (file, _) in self._rest.items():
            if found := _DOCUMENT.fullmatch(path):
                by_folder.setdefault(found["folder"] or "", []).append(file)
        full = [folder for folder, files in by_folder.items() if any(file.size for file in files)] or by_folder
        return [folder for folder in full if self._is_database(folder)]

    def _is_database(self, folder: str) -> bool:
        """As for a folder on a disk: it has profiles, or signatures."""
        above = posixpath.join(folder, "").casefold()
        inside = [path.casefold().removeprefix(above) for path in self._rest if path.casefold().startswith(above)]
        return any(
            path.startswith("profiles/") or (path.startswith("vibs/") and path.endswith(".xml.sig")) for path in inside
        )

    def _database(self, folder: str) -> Iterator[Found]:
        """The host whose database lies unpacked in a folder of the image. Names in capitals are those of a disc."""
        above = posixpath.join(folder, "")
        files = [one for one in self._files if one.path.startswith(above)]
        shout = not any(_name_within(one, above) != _name_within(one, above).upper() for one in files)
        try:
            database = esxi_database.in_files(
                (
                    _name_within(one, above).lower() if shout else _name_within(one, above),
                    None if one.runs is None else self._rest[one.path][1],
                )
                for one in files
                if one.runs is None or one.path in self._rest
            )
        except FormatError as error:  # the image ends before a document does
            yield Unreadable(self._in(folder), error.failure)
            return
        if shout and database.odd:  # HELLO_XML.SIG was hello.xml.sig: what it belongs to is a guess
            self._take(path for path in list(self._rest) if path.startswith(above))
            detail = f"the disc has other names than the host gave, such as {quote(database.odd[0].path)}"
            yield Unreadable(self._in(folder), Failure("bad-metadata", detail, {"file": database.odd[0].path}))
            return
        root = folder[: -len(esxi_database.PLACE)] if folder.lower().endswith(esxi_database.PLACE) else None
        boot, odd = by_name(() if root is None else (*self._beside(f"{root}bootbank"), *self._beside(root.rstrip("/"))))
        stored = {
            path[len(f"{root}{_STORED}") :].casefold(): self._part(file)
            for path, (file, _) in self._rest.items()
            if root is not None and path.casefold().startswith(f"{root}{_STORED}".casefold())
        }
        host = Host(self._in(folder), self._in(above), database, boot, stored, odd=tuple(odd))
        place = next(
            (path for path in self._rest if is_archive(path) and self._part(self._rest[path][0]) in boot.values()), None
        )
        if place is not None:
            host = with_archive(host, self._in(place), self._part(self._rest[place][0]))
        examined = set(host.parts())
        read = {name.lower() for name in database.read} if shout else database.read
        self._take(
            path
            for path, (file, _) in self._rest.items()
            if self._part(file) in examined
            or (path.startswith(above) and (path[len(above) :].lower() if shout else path[len(above) :]) in read)
            or (path == place and not host.again)
        )
        yield from host.found()

    def _beside(self, folder: str) -> Iterator[tuple[str, FilePart]]:
        """The files of a folder, with their paths."""
        return (
            (path, self._part(file))
            for path, (file, _) in self._rest.items()
            if posixpath.dirname(path).casefold() == folder.casefold()
        )

    def _host(self, path: str) -> Iterator[Found]:
        """The host whose boot bank a folder of the image is."""
        _, source = self._rest.pop(path)
        beside, odd = by_name(self._beside(posixpath.dirname(path)))
        try:
            database = esxi_database.in_archive(source)
        except FormatError as error:
            yield Unreadable(self._in(path), error.failure)
            return
        host = Host(
            self._in(path), f"{self._in(path)}{SEPARATOR}{esxi_database.PLACE}/", database, beside, odd=tuple(odd)
        )
        examined = set(host.parts())
        self._take(other for other, (file, _) in self._rest.items() if self._part(file) in examined)
        yield from host.found()

    def _other(self, path: str, file: IsoFile, source: Source) -> Iterator[Found]:
        if path.lower().endswith(SUFFIXES):
            yield PartTarget(self._in(path), self._part(file))
            return
        try:
            head = _some(source, 0, LONGEST)
            zipped = (starts_like_zip(head) or path.lower().endswith(".zip")) and is_depot_archive(source, path)
            hides = hiding_place(lambda at, length: _some(source, at, length), source.size)
        except FormatError as error:  # the image ends before the file does
            yield Unreadable(self._in(path), error.failure)
            return
        if head.startswith(STARTS):
            yield PartTarget(self._in(path), self._part(file))
        elif zipped:
            yield from self._depot(path)
        else:
            yield LeftOut.file(self._in(path), hides)


def _name_within(file: IsoFile, above: str) -> str:
    """What a file is called within the folder that it is in."""
    return file.path.removeprefix(above)


def _some(source: Source, at: int, length: int) -> bytes:
    """So many bytes, or fewer at the end."""
    return source.read(at, max(0, min(length, source.size - at)))
