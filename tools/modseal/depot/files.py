"""Offline bundles: a depot in one zip file, or the folder that such a file unpacks to.

Either way a depot is its files by path, opened once and read by position. What is in a zip archive is a span of it
where it is stored, and unpacked to memory or an unlinked temporary file where it is deflated. What is in a folder is
reached from the folder's open descriptor, one component at a time, and never through a symbolic link.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Literal

from modseal import limits
from modseal.depot import metadata, oci
from modseal.depot.folder import Folder, open_folder
from modseal.depot.index import INDEX as SIGNED_INDEX
from modseal.depot.index import SCHEMA as SIGNED_SCHEMA
from modseal.depot.metadata import INDEX, VENDOR_INDEX, Metadata
from modseal.errors import Failure, FormatError, InputError
from modseal.files.open import open_file
from modseal.format import ar, rules
from modseal.format import zip as zip_format
from modseal.format.manifest import SUFFIXES, FileType
from modseal.format.shape import quote
from modseal.format.source import BytesSource, FileSource, Source

_IN_MEMORY = 4 * limits.MIB
"""Bytes up to which a deflated file is unpacked in memory."""
_HEAD = 4096
"""Bytes of an `index.xml` by which it is told from another tool's."""

Layout = Literal["folder", "zip", "oci", "server"]
"""Where the files of a depot are."""

Opener = Callable[[str], AbstractContextManager[Source]]


class DepotFiles:
    """An open depot, of which nothing is proved: verify each bundle, and compare (`depot.compare`).

    `sizes` has its files by path; `failures` say what else lies in it and is not read.
    """

    def __init__(
        self,
        name: str,
        sizes: Mapping[str, int],
        opener: Opener,
        head: Callable[[str], bytes],
        failures: tuple[Failure, ...] = (),
        *,
        layout: Layout = "folder",
    ) -> None:
        self.name = name
        self.sizes = sizes
        self.failures = failures
        self.layout = layout
        self.complete = layout != "server"
        """Whether all files are known: a server does not say what else it has."""
        self._opener = opener
        self.head = head
        """How a file begins; raises `FormatError` where the archive has it damaged."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of all files, in the order of names."""
        return tuple(sorted(self.sizes))

    def open(self, path: str) -> AbstractContextManager[Source]:
        """One of its files, whole: out of an archive its size and CRC are checked before it is handed out.

        Raises `FormatError` where the archive has it damaged, `InputError` where it cannot be read.
        """
        if path not in self.sizes:
            raise InputError(f"{self.name}: no file {path!r} in it", path=path).because("not-in-depot")
        return self._opener(path)

    @cached_property
    def metadata(self) -> Metadata:
        """What the depot says about itself. Raises `InputError`."""
        return metadata.read(self)

    @cached_property
    def bundles(self) -> tuple[str, ...]:
        """The paths of all bundles: by their names, because the metadata lists them, or because they begin like one."""
        listed = self.metadata.places()
        return tuple(
            path
            for path in self.paths
            if path not in self.metadata.documents
            and (path in listed or _is_called_bundle(path) or self._begins_like_a_bundle(path))
        )

    def _begins_like_a_bundle(self, path: str) -> bool:
        if self.sizes[path] < len(ar.MAGIC):
            return False
        try:
            return self.head(path).startswith(ar.MAGIC)
        except FormatError:
            return True  # unknown; opening it later reports the reason


def in_zip(source: Source, name: str) -> DepotFiles:
    """The depot in a zip archive, which stays its owner's to close. Raises `FormatError` as `format.zip.read` does."""
    files = {entry.path: entry for entry in zip_format.read(source) if entry.type is FileType.FILE}
    sizes = {path: entry.size for path, entry in files.items()}

    def head(path: str) -> bytes:
        """Of a large file the first block alone: unpacking all only to see how each begins could fill a disk."""
        unpacked = zip_format.blocks(source, files[path])
        return b"".join(unpacked) if sizes[path] <= _IN_MEMORY else next(unpacked, b"")

    return DepotFiles(name, sizes, lambda path: _unpacked(source, files[path]), head, layout="zip")


def in_folder(folder: Folder) -> DepotFiles:
    """The depot in an open folder, which stays its owner's to close."""

    def head(path: str) -> bytes:
        with folder.open(path) as source:
            return source.read(0, min(source.size, len(ar.MAGIC)))

    return DepotFiles(folder.name, folder.sizes, folder.open, head, folder.failures)


def in_layout(folder: Folder) -> DepotFiles:
    """The depot in an OCI image layout, by the names of its layers; whatever else lies there is a failure.

    Raises `FormatError` (index-invalid).
    """

    def content(path: str) -> bytes:
        if folder.sizes.get(path, limits.DEPOT_INDEX_SIZE + 1) > limits.DEPOT_INDEX_SIZE:
            raise FormatError("index-invalid", f"{folder.name}: {path} of the OCI image layout is missing or too large")
        with folder.open(path) as source:
            return source.read(0, source.size)

    blobs, named = oci.read(content, folder.sizes)
    there = {path: one for path, one in blobs.items() if oci.place(one.sha256) in folder.sizes}
    sizes = {path: one.size for path, one in there.items()}

    def opener(path: str) -> AbstractContextManager[Source]:
        return folder.open(oci.place(there[path].sha256))

    # Other tools read what lies there by its own name; were it taken by the name of a layer, it would be passed over.
    beside = tuple(_beside_layout(folder.name, path) for path in sorted(folder.sizes.keys() - named))
    return DepotFiles(folder.name, sizes, opener, lambda _: b"", (*folder.failures, *beside), layout="oci")


def _beside_layout(name: str, path: str) -> Failure:
    shown = rules.shown(path)
    detail = f"{quote(path, limits.PATH_LENGTH)} lies beside the OCI image layout {name}, which does not name it"
    return Failure("bundle-unlisted", detail, {"bundle": shown, "path": shown})


def in_sources(name: str, files: Mapping[str, Source]) -> DepotFiles:
    """The depot in files of an image, which stays its owner's to close. Paths that are not safe are failures."""
    unsafe = {path: failure for path in sorted(files) if (failure := rules.check_path(path))}

    def head(path: str) -> bytes:
        return files[path].read(0, min(files[path].size, len(ar.MAGIC)))

    sizes = {path: source.size for path, source in files.items() if path not in unsafe}
    return DepotFiles(name, sizes, lambda path: nullcontext(files[path]), head, tuple(unsafe.values()))


@contextmanager
def open_depot(path: str | Path) -> Iterator[DepotFiles]:
    """Open a depot: a zip file, or a folder.

    Raises `InputError` where it cannot be read, `FormatError` where the zip file is not what `format.zip` accepts.
    Its metadata is read only when it is asked for, and what is wrong with that is among its failures.
    """
    if os.path.isdir(path):
        with open_folder(path) as folder:
            yield in_layout(folder) if oci.LAYOUT in folder.sizes else in_folder(folder)
    else:
        with open_file(path) as descriptor:
            yield in_zip(FileSource(descriptor), str(path))


def looks_like_depot(path: str | Path) -> bool:
    """Whether a path is to be read as a depot: a folder or zip archive with an index at its root.

    So is any other zip archive with a bundle in it, or what it carries would be passed over.

    A zip archive that is not well formed may be anything: it is one if it is called `.zip`, so that its refusal is
    seen. Raises `InputError`.
    """
    try:
        status = os.stat(path)
        if S_ISDIR(status.st_mode):
            return _is_depot_folder(os.fspath(path))
        return S_ISREG(status.st_mode) and _is_depot_file(os.fspath(path))
    except OSError as error:
        raise InputError.of(path, error) from None


def _is_called_bundle(path: str) -> bool:
    return path.lower().endswith(SUFFIXES)


def _is_depot_folder(path: str) -> bool:
    if _is_index_of_ours(os.path.join(path, SIGNED_INDEX)):
        return True
    index = os.path.join(path, INDEX)
    if not os.path.isfile(index):
        return False
    if os.path.isfile(os.path.join(path, VENDOR_INDEX)):
        return True
    if os.path.islink(index):
        return False  # nothing is read through it
    with open(index, "rb") as file:
        return b"<vendorList" in file.read(_HEAD)


def _is_index_of_ours(path: str) -> bool:
    """Whether a file says that it is the index of a signed depot; one that is over its limit may be one."""
    if not os.path.isfile(path) or os.path.islink(path):
        return False
    with open(path, "rb") as file:
        data = file.read(limits.DEPOT_INDEX_SIZE + 1)
    return len(data) > limits.DEPOT_INDEX_SIZE or SIGNED_SCHEMA.encode() in data


def _is_depot_file(path: str) -> bool:
    with open_file(path) as descriptor:
        return is_depot_archive(FileSource(descriptor), path)


def is_depot_archive(source: Source, name: str) -> bool:
    """As `looks_like_depot`, for a file that is open."""
    if source.size < 4 or not zip_format.starts_like_zip(source.read(0, 4)):
        return name.lower().endswith(".zip")  # other tools read one with bytes before it
    try:
        return any(
            entry.path in (INDEX, SIGNED_INDEX) or _is_called_bundle(entry.path) for entry in zip_format.read(source)
        )
    except FormatError:
        return name.lower().endswith(".zip")


@contextmanager
def _unpacked(source: Source, entry: zip_format.ZipEntry) -> Iterator[Source]:
    """A file of an archive by position, once all of it was read and its CRC was right."""
    if not entry.deflated:
        for _ in zip_format.blocks(source, entry):
            pass
        yield entry.packed(source)
    elif entry.size <= _IN_MEMORY:
        yield BytesSource(b"".join(zip_format.blocks(source, entry)))
    else:
        with _temporary(zip_format.blocks(source, entry)) as descriptor:
            yield FileSource(descriptor)


@contextmanager
def _temporary(blocks: Iterator[bytes]) -> Iterator[int]:
    """The descriptor of a file without a name that has these bytes."""
    try:
        with tempfile.TemporaryFile() as file:
            file.writelines(blocks)
            file.flush()
            yield file.fileno()
    except OSError as error:
        raise InputError.of("a temporary file", error) from error
