"""Depots on web servers and in object stores: read by the paths that their indexes name, each file fetched when needed.

A server says nothing reliable about what else it has, so nothing that is not listed is looked for. Addresses may hold
secrets: only their names (`files.address`) come into messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import Any

from modseal import limits
from modseal.depot import index as depot_index
from modseal.depot import metadata
from modseal.depot.files import DepotFiles, in_zip
from modseal.depot.index import INDEX, DepotIndex, rotation_path, signature_path
from modseal.depot.metadata import INDEX as OFFLINE_INDEX
from modseal.depot.metadata import Metadata
from modseal.errors import FormatError
from modseal.files import fetch
from modseal.files.address import Address, read
from modseal.format import rules
from modseal.format.shape import quote
from modseal.format.source import BytesSource, Source


@contextmanager
def open_remote(text: str) -> Iterator[DepotFiles]:
    """The depot at an address: a zip file, an `.xml` index of offline bundles, or else a folder with a signed depot.

    Raises `UsageError` for an address that cannot be used, `InputError`, `FormatError`.
    """
    address = read(text)
    path, _, query = address.url.partition("?")
    if path.lower().endswith(".zip"):
        with fetch.fetched(address) as source:
            yield in_zip(source, address.name)
        return
    above, _, last = path.rpartition("/")
    if last.endswith(".xml"):
        yield RemoteTree(address, _joined(f"{above}/", query))
        return
    folder = _joined(f"{above}/" if last == INDEX else path, query)
    yield _signed(folder)


def _joined(path: str, query: str) -> Address:
    """An address anew, which was judged before."""
    return read(f"{path}?{query}" if query else path)


def _signed(folder: Address) -> DepotFiles:
    """A signed depot: its index and signatures are fetched now, bundles when they are opened."""
    small: dict[str, bytes] = {INDEX: _small(folder.below(INDEX), limits.DEPOT_INDEX_SIZE)}
    sizes: dict[str, int] = {}
    try:
        index = depot_index.decode(small[INDEX])
    except FormatError:
        pass  # whoever reads the index is told
    else:
        small |= dict(_beside(folder, index))
        sizes = {one.path: one.size for one in index.bundles}
        sizes |= {one.path: one.size for one in (*index.recalls, *index.profiles)}
    sizes |= {path: len(data) for path, data in small.items()}

    def opener(path: str) -> AbstractContextManager[Source]:
        return nullcontext(BytesSource(small[path])) if path in small else _listed(folder, path, sizes[path])

    return DepotFiles(folder.name, sizes, opener, lambda _: b"", layout="server")


@contextmanager
def _listed(folder: Address, path: str, size: int) -> Iterator[Source]:
    """A file of this size, says an index; a server that sends more is not heard out, or it could fill the disk."""
    with fetch.fetched(folder.below(path), size) as source:
        if source.size > size:
            detail = f"the index says that {quote(path, limits.PATH_LENGTH)} has {size} bytes; the server sends more"
            raise FormatError("bundle-digest-mismatch", detail, path=rules.shown(path), size=size)
        yield source


def _beside(folder: Address, index: DepotIndex) -> Iterator[tuple[str, bytes]]:
    for version, sha256 in (*index.rotations, (0, index.sha256)):
        if version:
            path = rotation_path(version)
            yield path, _small(folder.below(path), limits.DEPOT_INDEX_SIZE)
        path = signature_path(sha256)
        yield path, _small(folder.below(path), limits.SIGNATURE_MEMBER_SIZE)


def _small(address: Address, limit: int) -> bytes:
    """The whole of a small file. One byte over its limit comes too, so that its reader refuses it."""
    return fetch.head(address, limit + 1)


class _Anything(Mapping[str, int]):
    """What a server has before the `index.xml` was read: it may be anything but a signed depot."""

    def __contains__(self, path: object) -> bool:
        return path != INDEX

    def __getitem__(self, path: str) -> int:
        raise KeyError(path)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class RemoteTree(DepotFiles):
    """The files of an offline bundle on a server, from its `index.xml` on, whatever that is called there."""

    def __init__(self, index: Address, folder: Address) -> None:
        super().__init__(index.name, _Anything(), self._fetched, lambda _: b"", layout="server")
        self._index, self._folder = index, folder

    def _fetched(self, path: str) -> AbstractContextManager[Source]:
        return fetch.fetched(self._index if path == OFFLINE_INDEX else self._folder.below(path))

    @property
    def paths(self) -> Any:
        """What the metadata names, once it is read."""
        return tuple(sorted(self.sizes)) or self.sizes

    @cached_property
    def metadata(self) -> Metadata:
        """See `DepotFiles.metadata`."""
        found = metadata.read(self)
        self.sizes = dict.fromkeys((*found.places(), *found.documents), 0)
        return found

    @cached_property
    def bundles(self) -> tuple[str, ...]:
        """See `DepotFiles.bundles`."""
        return tuple(sorted(self.metadata.places()))
