"""Modules that are installed together: none may write through what another brings.

A link of one module in the place of a directory of another takes the other's files wherever it leads, past every rule
for paths that either was judged by. So it is looked for over all of them at once: `clashes` is the rule, for an audit
of many bundles as for a host that installs a few. It needs a `Footprint` of each module, which is small.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from modseal import limits
from modseal.errors import FormatError
from modseal.format import rules
from modseal.format.manifest import Entry, FileType
from modseal.values import dataclass

T = TypeVar("T")

_DIGEST = 8
"""Bytes of a path's digest. Equal paths always have equal digests; unlike ones by chance in one of 10^19 pairs, and who
makes two on purpose has two modules reported that are sound."""


class Footprint(NamedTuple):
    """Where a module's entries lie. `links` are paths and targets, `directories` those that hold an entry or are one.

    `files` has the digests of the files' paths, 16 hexadecimal digits each.
    """

    links: tuple[tuple[str, str], ...] = ()
    directories: tuple[str, ...] = ()
    files: str = ""


def footprint(entries: Iterable[Entry]) -> Footprint:
    """The footprint of a module's entries; one whose type is not known counts as a file."""
    entries = tuple(entries)
    directories = {entry.path for entry in entries if entry.type is FileType.DIRECTORY}
    directories |= {entry.path.rpartition("/")[0] for entry in entries if "/" in entry.path}
    return Footprint(
        tuple((entry.path, entry.target or "") for entry in entries if entry.type is FileType.SYMLINK),
        tuple(sorted(directories)),
        b"".join(_key(rules.fold(entry.path)) for entry in entries if entry.type in (FileType.FILE, None)).hex(),
    )


@dataclass(frozen=True, slots=True)
class PathClash(Generic[T]):
    """Two modules that must not be installed together: where `one` has a link or file, `other` has something else.

    `path` is where, `target` the link's, None where it is a file; `directory` says that `other` has a directory there.
    """

    one: T
    other: T
    path: str
    target: str | None
    directory: bool


def clashes(modules: Iterable[tuple[str, T, Footprint]]) -> Iterator[PathClash[T]]:
    """Each link or file of a module where another module has a directory, and each link where another has a file.

    A module is its name, whatever the caller calls it by, and its footprint; they are walked twice. Two of one name
    replace each other, and are never there together. Paths are compared as `rules.check_tree` does. Of the modules
    that a link or file clashes with, one is named.
    Raises `FormatError` (limit-exceeded) where there are more than `limits.DIRECTORIES` directories.
    """
    directories, links = _Places[T](), _Places[T]()
    for name, label, found in modules:
        for leaf in found.directories:
            folded = rules.fold(leaf)
            for depth, path in enumerate((folded, *rules.parents(folded))):
                directories.add(_key(path), (name, label, leaf, depth))
        for link, target in found.links:
            links.add(_key(rules.fold(link)), (name, label, link, target))
    for name, label, found in modules:
        for link, target in found.links:
            place = directories.of_another(_key(rules.fold(link)), name)
            if place:
                yield PathClash(label, place[1], link, target, directory=True)
        data = bytes.fromhex(found.files)
        for key in (data[at : at + _DIGEST] for at in range(0, len(data), _DIGEST)):
            if place := directories.of_another(key, name):
                yield PathClash(label, place[1], place[2].rsplit("/", int(place[3]))[0], None, directory=True)
            if place := links.of_another(key, name):
                yield PathClash(place[1], label, place[2], str(place[3]), directory=False)


_Place = tuple[str, T, str, int | str]
"""The module's name and label, a path, and how many components to take off it, or the target."""


class _Places(Generic[T]):
    """Which modules have something at a path: the first two of unlike names, so that each finds another than itself."""

    def __init__(self) -> None:
        self._first: dict[bytes, _Place[T]] = {}
        self._second: dict[bytes, _Place[T]] = {}

    def add(self, key: bytes, place: _Place[T]) -> None:
        """One more; `FormatError` (limit-exceeded) where that are too many paths."""
        first = self._first.setdefault(key, place)
        if first[0] != place[0]:
            self._second.setdefault(key, place)
        if len(self._first) > limits.DIRECTORIES:
            detail = f"the modules have more than {limits.DIRECTORIES} directories or links, too many to compare"
            raise FormatError("limit-exceeded", detail)

    def of_another(self, key: bytes, name: str) -> _Place[T] | None:
        """One that a module of another name has there."""
        first = self._first.get(key)
        return first if first is None or first[0] != name else self._second.get(key)


def _key(folded: str) -> bytes:
    return hashlib.sha256(folded.encode("utf-8", "surrogatepass")).digest()[:_DIGEST]
