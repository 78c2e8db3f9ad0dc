"""The entries of an `imgdb.tgz`, a tar in gzip, each with what other readers could see in it that this one does not.

A host's own programs unpack it, and none of them is at hand. So an entry counts as read only where every reader of tar
that there is sees the same: a plain file, under one spelling of its name, with a header that has one meaning.
"""

from __future__ import annotations

import io
import posixpath
import re
import tarfile
from collections.abc import Iterator
from typing import NamedTuple

from modseal import limits
from modseal.errors import FormatError, foreign
from modseal.format.inflate import GZIP, inflate
from modseal.format.shape import quote
from modseal.format.source import Source, blocks

_BLOCK = tarfile.BLOCKSIZE
_MAGIC = slice(257, 265)
_SIZE = slice(124, 136)
_PREFIX = slice(345, 500)
_USTAR, _VISOR = b"ustar\x0000", b"visor"
_NUMBER = re.compile(rb" *[0-7]+[ \0]*")
_NAMING = {"path", "linkpath", "size"}
"""Records of a pax header that say what an entry is called and how long it is. Busybox passes them over."""


class ArchiveEntry(NamedTuple):
    """A file of the archive. `path` has no part that means nothing (`.`, `//`, a slash at its beginning).

    `data` is None for what is not a plain file. `odd` says why another reader could see something else, empty where
    none could.
    """

    path: str
    data: bytes | None
    odd: str = ""


def entries(source: Source) -> Iterator[ArchiveEntry]:
    """All entries but folders, in their order. Raises `FormatError`."""
    data = _unpacked(source)
    with foreign(lambda why: FormatError("malformed-archive", f"it is not a tar archive that can be read: {why}")):
        folders: set[str] = set()
        files: set[str] = set()
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for count, member in enumerate(archive, 1):
                if count > limits.ZIP_ENTRIES:
                    raise FormatError("limit-exceeded", f"it has more than {limits.ZIP_ENTRIES} entries")
                header = data[member.offset_data - _BLOCK : member.offset_data]
                if header[_MAGIC].startswith(_VISOR):
                    raise FormatError("malformed-archive", "it is a visor tar, of which other readers see other files")
                path = "/".join(part for part in member.name.split("/") if part not in ("", "."))
                odd = _odd_name(member) or _odd_header(header, member)
                if member.isdir():
                    folders.add(path)
                    if odd and path:
                        yield ArchiveEntry(path, None, odd)
                    continue
                files.add(path)
                # A sparse file's content can be a terabyte of zeros that the archive does not have.
                file = archive.extractfile(member) if member.isreg() and member.sparse is None else None
                yield ArchiveEntry(path, file.read() if file else None, odd or ("" if file else _kind(member)))
            rest = archive.offset
        folders.update(parent for path in files for parent in _above(path))
        yield from (ArchiveEntry(path, None, "it is a file and a folder") for path in sorted(files & folders))
    if data[rest:].strip(b"\0"):  # which other readers could read on after
        raise FormatError("trailing-bytes", "bytes follow the end of the tar archive")


def _unpacked(source: Source) -> bytes:
    """The content of a gzip file, no more of it than a limit."""
    out = bytearray()
    for block in inflate(blocks(source), GZIP, "the archive"):
        out += block
        if len(out) > limits.DEPOT_METADATA_SIZE:
            raise FormatError("limit-exceeded", f"it unpacks to more than {limits.DEPOT_METADATA_SIZE} bytes")
    return bytes(out)


def _odd_name(member: tarfile.TarInfo) -> str:
    """What is odd about how an entry is called; `./` before a name, as `tar -C root .` writes it, is not."""
    parts = member.name.removeprefix("./").split("/")
    if ".." in parts:
        return "its name leads upwards"
    if not member.name.isprintable():
        return "its name has characters that cannot be shown"
    if member.name not in (".", "./") and ("" in parts or "." in parts):
        return f"its name has another spelling, {quote(member.name)}"
    return ""


def _odd_header(header: bytes, member: tarfile.TarInfo) -> str:
    """What is odd about an entry's header: readers differ in what they take it for."""
    if header[_MAGIC] != _USTAR and header[_PREFIX].strip(b"\0"):
        return "its header has a prefix of the name that only some readers know"
    if not _NUMBER.fullmatch(header[_SIZE]):
        return "its header has a size that only some readers understand"
    if _NAMING & member.pax_headers.keys():
        return "a pax header gives it another name or size, which only some readers know"
    return ""


def _kind(member: tarfile.TarInfo) -> str:
    """What an entry is that is not a plain file."""
    if member.issym() or member.islnk():
        return f"it is a {'symbolic' if member.issym() else 'hard'} link to {quote(member.linkname)}"
    return "it is a sparse file" if member.isreg() else "it is not a plain file"


def _above(path: str) -> Iterator[str]:
    """The folders that a path leads through."""
    while path := posixpath.dirname(path):
        yield path
