"""All metadata of a depot as one value: `index.xml`, what it leads to, and what was wrong on the way.

`index.xml` names vendors, each with an index of metadata archives; each archive has `vmware.xml`, which lists the
bundles, and the same once more in `bulletins/` and `vibs/`. Every path in it is a stranger's: it is judged by the
rules for paths before anything is looked up by it, and what it names is only ever a name within the depot.

Reading never ends early. A document that cannot be read is a failure, and the others are read all the same.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import Protocol, TypeVar

from modseal import limits
from modseal.codes import CodeName
from modseal.depot import documents, esxi_profile
from modseal.depot.documents import Bulletin, DescribedVib, ListedVib, Place, Vendor
from modseal.depot.esxi_profile import Profile
from modseal.errors import Failure, FormatError
from modseal.format import rules
from modseal.format import zip as zip_format
from modseal.format.manifest import FileType
from modseal.format.shape import quote
from modseal.format.source import Source, blocks
from modseal.values import dataclass

INDEX = "index.xml"
LISTING = "vmware.xml"
VENDOR_INDEX = "vendor-index.xml"
PROFILES = "profiles"
"""The folder of image profiles, in a metadata archive as in a host's database."""

_T = TypeVar("_T")


class Files(Protocol):
    """The files of a depot by their paths in it."""

    @property
    def paths(self) -> Collection[str]:
        """All of them."""

    def open(self, path: str) -> AbstractContextManager[Source]:
        """One of them. Raises `FormatError`, and `InputError` where it cannot be read."""


@dataclass(frozen=True)
class Catalog:
    """What one metadata archive says, and for which vendor. Documents are named as they are in the archive.

    `path` is the archive's. `unread` are the documents of kinds that modseal does not read (base images and so on).
    """

    vendor: Vendor
    path: str
    listing: tuple[tuple[Bulletin, tuple[ListedVib, ...]], ...] = ()
    bulletins: tuple[tuple[str, Bulletin], ...] = ()
    described: tuple[tuple[str, DescribedVib], ...] = ()
    profiles: tuple[tuple[str, Profile], ...] = ()
    unread: tuple[str, ...] = ()

    def listed(self) -> Iterator[ListedVib]:
        """The bundles of all bulletins, each as often as it is listed."""
        return (vib for _, vibs in self.listing for vib in vibs)

    def mentions(self) -> Iterator[tuple[str, ListedVib | DescribedVib]]:
        """Everything that names the place of a bundle, with the document that has it."""
        yield from ((LISTING, vib) for vib in self.listed())
        yield from self.described

    def locate(self, place: Place) -> str:
        """The path in the depot that a place means, safe or not."""
        return _beside(self.path, place.path)

    @cached_property
    def by_path(self) -> Mapping[str, Sequence[tuple[str, ListedVib | DescribedVib]]]:
        """What mentions a bundle, by its path in the depot; not what has no safe path."""
        found: dict[str, list[tuple[str, ListedVib | DescribedVib]]] = {}
        for document, vib in self.mentions():
            path = self.locate(vib.place)
            if not rules.check_path(path):
                found.setdefault(path, []).append((document, vib))
        return found


@dataclass(frozen=True, slots=True)
class Metadata:
    """All that a depot says about itself, unproved.

    `documents` are the paths of the files that it consists of, `size` is the number of bytes that were read of them.
    """

    vendors: tuple[Vendor, ...] = ()
    catalogs: tuple[Catalog, ...] = ()
    documents: frozenset[str] = frozenset()
    failures: tuple[Failure, ...] = ()
    size: int = 0

    def places(self) -> frozenset[str]:
        """The paths of all bundles that the metadata lists."""
        return frozenset(path for catalog in self.catalogs for path in catalog.by_path)


def read(files: Files) -> Metadata:
    """The metadata of a depot; what cannot be read of it is in `failures`. Raises `InputError`."""
    notes = _Notes(files)
    vendors = notes.parsed(INDEX, documents.read_index, notes.file(INDEX)) or ()
    catalogs: dict[str, Catalog] = {}
    for vendor in vendors:
        for path, index in _archives(vendor, notes):
            catalog = None if path in catalogs else _read_catalog(vendor, path, index, notes)
            if catalog:
                catalogs[path] = catalog
    found = (frozenset(notes.documents), tuple(notes.failures), notes.size)
    return Metadata(vendors, tuple(catalogs.values()), *found)


def _archives(vendor: Vendor, notes: _Notes) -> Iterator[tuple[str, bytes]]:
    """The metadata archives of a vendor, each with the vendor's index that names it."""
    path = notes.safe(posixpath.join(vendor.folder, vendor.file), INDEX)
    data = notes.file(path) if path else None
    for url in notes.parsed(path or "", documents.read_vendor_index, data) or ():
        archive = notes.safe(_beside(path or "", url), path or "")
        if archive:
            yield archive, data or b""


def _read_catalog(vendor: Vendor, path: str, index: bytes, notes: _Notes) -> Catalog | None:
    try:
        with notes.open(path) as source:
            return _Archive(path, source, notes).catalog(vendor, index) if source else None
    except FormatError as error:
        notes.add(path, error.failure)
        return None


class _Archive:
    """One metadata archive while it is read."""

    def __init__(self, path: str, source: Source, notes: _Notes) -> None:
        self._path, self._source, self._notes = path, source, notes
        self._files = {entry.path: entry for entry in zip_format.read(source) if entry.type is FileType.FILE}
        self._unread = set(self._files)

    def catalog(self, vendor: Vendor, index: bytes) -> Catalog:
        """Everything in it; `index` is the vendor's index outside, of which it has a copy."""
        copy = self._content(VENDOR_INDEX) if VENDOR_INDEX in self._files else index
        if copy is not None and copy != index:
            detail = f"its {VENDOR_INDEX} is not the one that the depot has"
            self._notes.add(self._path, Failure("metadata-mismatch", detail, {"field": VENDOR_INDEX}))
        if LISTING not in self._files:
            self._notes.add(self._path, Failure("missing-member", f"there is no {LISTING} in it"))
        listing = dict(self._all([LISTING] if LISTING in self._files else [], documents.read_listing))
        bulletins = tuple(self._all(self._below("bulletins"), documents.read_bulletin))
        described = tuple(self._all(self._below("vibs"), documents.read_described))
        profiles = tuple(self._all(self._below(PROFILES, ""), esxi_profile.decode))
        unread = tuple(sorted(self._unread))
        return Catalog(vendor, self._path, listing.get(LISTING, ()), bulletins, described, profiles, unread)

    def _below(self, folder: str, suffix: str = ".xml") -> list[str]:
        return [name for name in self._files if posixpath.dirname(name) == folder and name.endswith(suffix)]

    def _all(self, names: Iterable[str], read: Callable[[bytes], _T]) -> Iterator[tuple[str, _T]]:
        for name in names:
            value = self._notes.parsed(f"{self._path}/{name}", read, self._content(name))
            if value is not None:
                yield name, value

    def _content(self, name: str) -> bytes | None:
        self._unread.discard(name)
        entry = self._files[name]
        return self._notes.content(f"{self._path}/{name}", entry.size, zip_format.blocks(self._source, entry))


class _Notes:
    """What a reading has found wrong and spent so far, and the depot's files for it."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.failures: list[Failure] = []
        self.documents: set[str] = set()
        self._room, self._tags = limits.DEPOT_METADATA_SIZE, limits.DEPOT_METADATA_TAGS

    @property
    def size(self) -> int:
        """The bytes of the documents that were read, unpacked."""
        return limits.DEPOT_METADATA_SIZE - self._room

    def add(self, document: str, failure: Failure) -> None:
        """Keep a failure of a document. If it is not XML, or another kind of document, the code is `bad-metadata`."""
        code: CodeName = "bad-metadata" if failure.code == "bad-manifest" else failure.code
        evidence = {**failure.evidence, "document": rules.shown(document)}
        self.failures.append(Failure(code, f"{quote(document, limits.PATH_LENGTH)}: {failure.detail}", evidence))

    def safe(self, path: str, document: str) -> str | None:
        """A path that a document names, where it may be looked up."""
        failure = rules.check_path(path)
        if failure:
            self.add(document, failure)
        return None if failure else path

    @contextmanager
    def open(self, path: str) -> Iterator[Source | None]:
        """A file of the depot; None where there is none of this name."""
        if path not in self._files.paths:
            self.add(path, Failure("missing-member", "the depot does not have this file"))
            yield None
            return
        self.documents.add(path)
        with self._files.open(path) as source:
            yield source

    def file(self, path: str) -> bytes | None:
        """The bytes of a document that is a file of the depot."""
        try:
            with self.open(path) as source:
                return self.content(path, source.size, blocks(source)) if source else None
        except FormatError as error:
            self.add(path, error.failure)
            return None

    def content(self, name: str, size: int, pieces: Iterable[bytes]) -> bytes | None:
        """The bytes of a document, while there is room for them."""
        if size > min(limits.MANIFEST_SIZE, self._room):
            self.add(name, Failure("limit-exceeded", f"it has {size} bytes, and the metadata may be read no further"))
            return None
        self._room -= size
        try:
            return b"".join(pieces)
        except FormatError as error:
            self.add(name, error.failure)
            return None

    def parsed(self, name: str, read: Callable[[bytes], _T], data: bytes | None) -> _T | None:
        """What a reader makes of a document."""
        if data is None:
            return None
        self._tags -= data.count(b"<")
        if self._tags < 0:
            detail = f"the metadata has more than {limits.DEPOT_METADATA_TAGS} tags, and is read no further"
            self.add(name, Failure("limit-exceeded", detail))
            return None
        try:
            return read(data)
        except FormatError as error:
            self.add(name, error.failure)
            return None


def _beside(document: str, relative: str) -> str:
    """A path that is relative to the folder of a document. It is as unsafe as it was."""
    return posixpath.join(posixpath.dirname(document), relative)
