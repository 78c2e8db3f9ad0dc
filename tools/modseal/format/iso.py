"""Which files an ISO 9660 image has, and where their bytes are, as `pycdlib` reads it (the extra `modseal[iso]`).

An image can have up to three trees of names beside its own (Rock Ridge, Joliet, UDF), and each system chooses one. What
any of them shows is found: under its Rock Ridge name where it has one, else its Joliet name, and so on.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO, cast

from modseal import limits
from modseal.errors import FormatError, foreign
from modseal.format.source import Source
from modseal.values import dataclass

_MAGIC, _MAGIC_AT = b"CD001", 0x8001
"""The identifier of a volume descriptor, in the first sector that can have one (ECMA-119 section 8.1.2)."""

_TREES = 4
"""Rock Ridge, Joliet, the image's own, UDF."""

Runs = tuple[tuple[int, int], ...]
"""Where a file's bytes are: offsets and sizes, in the file's order."""


@dataclass(frozen=True, slots=True)
class IsoFile:
    """A file of an image. `runs` is None for what is not read, and `why` says what it is then."""

    path: str
    runs: Runs | None
    why: str = ""
    is_hiding: bool = False
    """Whether what is not read has content all the same."""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(size for _, size in self.runs or ())


def starts_like_iso(head: bytes) -> bool:
    """Whether a file that starts with these bytes (at least 0x8006) may be an image."""
    return head[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] == _MAGIC


def is_available() -> bool:
    """Whether the library is installed."""
    try:
        import pycdlib  # noqa: F401
    except ImportError:
        return False
    return True


def read(source: Source) -> tuple[IsoFile, ...]:
    """The files of an image in the order of their paths. The same bytes under several names are there once.

    Raises `FormatError`: malformed-archive, limit-exceeded.
    """
    import pycdlib

    found: dict[str, IsoFile] = {}
    places: set[Runs] = set()
    with foreign(lambda why: FormatError("malformed-archive", f"the ISO image cannot be read: {why}")):
        image = pycdlib.PyCdlib()
        image.open_fp(cast("BinaryIO", _Bounded(source)))
        for count, one in enumerate(_of_all_trees(image)):
            known = bool(one.size) and one.runs in places
            if count // _TREES >= limits.ISO_ENTRIES or (not known and len(found) >= limits.ISO_ENTRIES):
                raise FormatError("limit-exceeded", f"the ISO image has more than {limits.ISO_ENTRIES} files")
            if known:
                continue
            places.update([one.runs] if one.runs else [])
            path = one.path
            while path in found:  # another file of the same name in another tree
                path += "'"
            found[path] = replace(one, path=path)
    return tuple(found[path] for path in sorted(found))


def _of_all_trees(image: Any) -> Iterator[IsoFile]:
    """What each tree of names shows, beginning with the one whose names say most."""
    kinds = [
        *(["rr_path"] if image.has_rock_ridge() else []),
        *(["joliet_path"] if image.has_joliet() else []),
        "iso_path",
        *(["udf_path"] if image.has_udf() else []),
    ]
    for kind in kinds:
        # What is not a file is said once: without content nobody can tell whether two trees mean the same.
        yield from (one for one in _of_tree(image, kind) if one.runs is not None or one.is_hiding or kind == kinds[0])


def _of_tree(image: Any, kind: str) -> Iterator[IsoFile]:
    for folder, _, names in image.walk(**{kind: "/"}):
        for name in names:
            path = {kind: posixpath.join(folder, name)}
            shown = path[kind].lstrip("/")
            if kind == "iso_path":  # NAME.EXT;VERSION, with a dot where there is no extension
                shown = shown.partition(";")[0].removesuffix(".")
            record = image.get_record(**path)
            if not record.is_file() or record.is_symlink():
                yield IsoFile(shown, None, "a link, or another thing that is not a file")
            elif _is_read_otherwise(record):
                yield IsoFile(shown, None, "a file that is interleaved, or has an extended attribute record", True)
            else:
                runs = tuple(run for run in image.get_file_byte_extents(**path) if run[1])
                if len(runs) > limits.ISO_RUNS:
                    yield IsoFile(shown, None, f"a file in more than {limits.ISO_RUNS} pieces", True)
                else:
                    yield IsoFile(shown, runs)


def _is_read_otherwise(record: Any) -> bool:
    """Whether a system that mounts the image reads other bytes than pycdlib does.

    Behind an extended attribute record, or with gaps between units (ECMA-119 sections 9.1.2, 9.1.7 and 9.1.8): no
    common tool writes either.
    """
    values = (getattr(record, name, 0) for name in ("xattr_len", "file_unit_size", "interleave_gap_size"))
    return any(values)


class _Bounded:
    """A file for `pycdlib`, which reads all directories at once: of their bytes it gets so many, and no more."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._at = 0
        self._left = limits.ISO_DIRECTORIES_SIZE

    def seek(self, offset: int, whence: int = 0) -> int:
        """As a file's."""
        self._at = offset + (0, self._at, self._source.size)[whence]
        return self._at

    def tell(self) -> int:
        """As a file's."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """As a file's."""
        rest = max(0, self._source.size - self._at)
        count = rest if size < 0 else min(size, rest)
        self._left -= count
        if self._left < 0:
            limit = limits.ISO_DIRECTORIES_SIZE
            raise FormatError("limit-exceeded", f"the directories of the ISO image have more than {limit} bytes")
        data = self._source.read(self._at, count)
        self._at += count
        return data
