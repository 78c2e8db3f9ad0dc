"""A strict reader of zip archives, as depots are packed in them: one meaning for every reader.

Zip says everything twice, and its readers disagree where the two differ. Here the central directory and the local
headers must say the same, the entries must fill the file from its first byte to the directory without a gap or
an overlap, and nothing may stand before, between or after (attack ZIP-01). Names follow the rules for paths in
`rules`, are ASCII or marked as UTF-8, and no two are equal where case is ignored. There are only files and
directories, stored or deflated.

`read` reads headers alone; `blocks` unpacks one entry and checks its size and CRC.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from stat import S_IFDIR, S_IFMT, S_IFREG

from modseal import limits
from modseal.errors import FormatError
from modseal.format import rules, source, zip_records
from modseal.format.inflate import RAW, inflate
from modseal.format.manifest import Entry as PathEntry
from modseal.format.manifest import FileType
from modseal.format.shape import quote
from modseal.format.source import Source, Span
from modseal.format.zip_records import (
    DEFLATED,
    HAS_DESCRIPTOR,
    LOCAL_MAGIC,
    STORED,
    UTF8_NAME,
    Central,
    Header,
    malformed,
)
from modseal.values import dataclass

_DOS_DIRECTORY = 0x10
_DOS_REFUSED = 0x08 | 0x40 | 0x400
"""Volume label, device, reparse point (a link of Windows)."""
_EMPTY_DEFLATED = b"\x03\x00"


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One entry: its path without a slash at the end, and where its packed bytes are."""

    path: str
    type: FileType
    size: int
    packed_size: int
    crc: int
    offset: int
    deflated: bool

    def packed(self, source: Source) -> Span:
        """The packed bytes; those of the file itself where it is stored."""
        return Span(source, self.offset, self.packed_size)


def starts_like_zip(head: bytes) -> bool:
    """Whether a file that starts with these bytes (at least 4) may be a zip archive with an entry."""
    return head.startswith(LOCAL_MAGIC)


def read(source: Source) -> tuple[ZipEntry, ...]:
    """All entries of an archive, in order.

    Raises `FormatError`: malformed-archive, truncated, trailing-bytes, duplicate-member, unsafe-path,
    unsafe-type, limit-exceeded.
    """
    end = zip_records.read_end(source)
    entries: list[ZipEntry] = []
    offset = unpacked = 0
    for central in zip_records.read_directory(source, end):
        entry, offset = _entry(source, central, offset, end.start)
        unpacked += entry.size
        if unpacked > limits.ZIP_UNPACKED:
            raise FormatError("limit-exceeded", f"the zip archive unpacks to more than {limits.ZIP_UNPACKED} bytes")
        entries.append(entry)
    if offset != end.start:
        raise malformed("bytes stand between the last entry and the central directory", offset=offset)
    _require_distinct(entries)
    return tuple(entries)


def blocks(source: Source, entry: ZipEntry) -> Iterator[bytes]:
    """The unpacked bytes of a file, in blocks of at most `source.BLOCK`; never more than its size.

    Raises `FormatError` (bad-payload, trailing-bytes) where they are not what the headers say, at the latest
    after the last block: only after the last byte is it known that the file is whole.
    """
    crc = size = 0
    for block in _unpacked(source, entry):
        size += len(block)
        if size > entry.size:
            raise _bad(entry, f"unpacks to more than {entry.size} bytes")
        crc = zlib.crc32(block, crc)
        yield block
    if size != entry.size:
        raise _bad(entry, f"unpacks to {size} bytes, not {entry.size}")
    if crc != entry.crc:
        raise _bad(entry, "does not have the CRC that the archive declares")


def _unpacked(file: Source, entry: ZipEntry) -> Iterator[bytes]:
    packed = source.blocks(entry.packed(file))
    if not entry.deflated:
        return packed
    return inflate(packed, RAW, f"the entry {entry.path!r}", "trailing-bytes", entry=rules.shown(entry.path))


def _bad(entry: ZipEntry, what: str) -> FormatError:
    return FormatError("bad-payload", f"the entry {entry.path!r} {what}", entry=rules.shown(entry.path))


def _entry(source: Source, central: Central, offset: int, limit: int) -> tuple[ZipEntry, int]:
    """An entry whose local header stands at an offset, and where the next one's must."""
    header = central.header
    path, is_directory = _path(header)
    evidence = {"entry": rules.shown(path)}
    if central.offset != offset:
        raise malformed(
            f"the entry {path!r} is said to be at offset {central.offset}, not right after the one before",
            **evidence,
            offset=offset,
        )
    local = zip_records.read_local(source, offset)
    if not _agree(local.header, header):
        raise malformed(f"the two headers of {path!r} disagree", **evidence)
    end = local.end + header.packed
    after = zip_records.descriptor(header, wide=local.wide) if header.flags & HAS_DESCRIPTOR else b""
    if end + len(after) > limit:
        raise malformed(f"the entry {path!r} reaches into the central directory", **evidence)
    if source.read(end, len(after)) != after:
        raise malformed(f"the data descriptor of {path!r} is not what the directory says", **evidence)
    _require_size(path, header)
    _require_type(path, central.attributes, is_directory=is_directory)
    found = ZipEntry(
        path,
        FileType.DIRECTORY if is_directory else FileType.FILE,
        header.size,
        header.packed,
        header.crc,
        local.end,
        header.method == DEFLATED,
    )
    if is_directory:
        _require_empty(source, found)
    return found, end + len(after)


def _agree(local: Header, central: Header) -> bool:
    """Whether both headers say the same. With a data descriptor the local one need not know CRC and sizes yet."""
    if local[:4] != central[:4]:
        return False
    late = bool(central.flags & HAS_DESCRIPTOR)
    return all(one == other or (late and one == 0) for one, other in zip(local[4:], central[4:], strict=True))


def _path(header: Header) -> tuple[str, bool]:
    """An entry's path and whether it is a directory's. Names that are not ASCII must be marked as UTF-8."""
    try:
        name = header.name.decode("utf-8" if header.flags & UTF8_NAME else "ascii")
    except UnicodeDecodeError:
        shown = ascii(header.name.decode("latin-1"))[1:-1][: limits.PATH_LENGTH]
        raise FormatError(
            "unsafe-path", f"the name {quote(shown)} is neither ASCII nor marked as UTF-8", path=shown
        ) from None
    path = name.removesuffix("/")
    rules.require(rules.check_path(path))
    return path, path != name


def _require_size(path: str, header: Header) -> None:
    if header.method == STORED and header.packed != header.size:
        raise malformed(f"the stored entry {path!r} has two sizes", entry=rules.shown(path))
    if header.size > max(limits.UNPACK_FLOOR, limits.ZIP_RATIO * header.packed):
        raise FormatError(
            "limit-exceeded",
            f"the entry {path!r} unpacks to more than {limits.ZIP_RATIO} times its packed size",
            entry=rules.shown(path),
            packed=header.packed,
            unpacked=header.size,
        )


def _require_type(path: str, attributes: int, *, is_directory: bool) -> None:
    """The attributes, Unix mode above those of MS-DOS, say what the name says: a file or a directory."""
    kind = S_IFMT(attributes >> 16)
    if kind not in (0, S_IFDIR if is_directory else S_IFREG) or attributes & _DOS_REFUSED:
        raise FormatError("unsafe-type", f"the entry {path!r} is not a plain file or directory", path=rules.shown(path))
    if attributes & _DOS_DIRECTORY and not is_directory:
        raise FormatError("unsafe-type", f"the file {path!r} has a directory's attribute", path=rules.shown(path))


def _require_empty(source: Source, entry: ZipEntry) -> None:
    """A directory has no bytes, or the two of an empty deflate stream, as Python writes them."""
    allowed = (b"", _EMPTY_DEFLATED) if entry.deflated else (b"",)
    if (
        entry.size
        or entry.crc
        or entry.packed_size > 2
        or entry.packed(source).read(0, entry.packed_size) not in allowed
    ):
        raise malformed(f"the directory {entry.path!r} has content", entry=rules.shown(entry.path))


def _require_distinct(entries: list[ZipEntry]) -> None:
    names: set[str] = set()
    for entry in entries:
        if entry.path in names:
            raise FormatError("duplicate-member", f"the zip archive has two entries {entry.path!r}", member=entry.path)
        names.add(entry.path)
    rules.require(next(rules.check_tree(PathEntry(entry.path, entry.type) for entry in entries), None))
