"""The records of a zip archive: bytes at a place to values, each in the forms that real tools write.

Sources: APPNOTE.TXT 6.3.10 (PKWARE), by its sections; and what Info-ZIP, Python, libarchive, 7-Zip and .NET write,
where that is less than the specification allows. What holds between records is checked in `zip`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from modseal import limits
from modseal.errors import FormatError, Scalar
from modseal.format.source import Source

LOCAL_MAGIC = b"PK\x03\x04"
STORED, DEFLATED = 0, 8
UTF8_NAME = 0x0800
HAS_DESCRIPTOR = 0x0008

CENTRAL_MAGIC, _DESCRIPTOR_MAGIC = b"PK\x01\x02", b"PK\x07\x08"
END_MAGIC, END64_MAGIC, LOCATOR_MAGIC = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR = struct.Struct("<4sLQL")
_LONGEST_COMMENT = 0xFFFF
WIDE = 0xFFFF_FFFF
"""In a field of 32 bits: the value is in the zip64 extra field (section 4.5.3)."""
WIDE_COUNT = 0xFFFF

ZIP64 = 0x0001
_EXTRA = {ZIP64, 0x000A, 0x5455, 0x5855, 0x7855, 0x7875}
"""Extra fields that are taken: zip64, and times and owners (NTFS, Info-ZIP), which mean nothing here. Others could
say another name, a link or encryption (0x7075, 0x756e, 0x9901)."""

_FLAGS = 0x0006 | HAS_DESCRIPTOR | UTF8_NAME
"""Flags that are taken: how hard deflate tried, a data descriptor, a name in UTF-8 (section 4.4.4)."""
_VERSION_ZIP64 = 45
"""The newest feature that is taken, by the version needed to extract (section 4.4.3). Above it, readers look for
a system that is needed."""

_SYSTEMS = {0, 3, 10, 11, 14, 19}
"""Systems that made an entry, and whose attributes are known: MS-DOS, Unix, NTFS (Info-ZIP has another number), VFAT
and macOS (section 4.4.2)."""


class EndRecord(NamedTuple):
    """What the end of an archive says of its central directory: entries, first byte, and bytes."""

    entries: int
    start: int
    size: int


class Header(NamedTuple):
    """What both headers of an entry say of it; `modified` are the two fields of MS-DOS."""

    name: bytes
    flags: int
    method: int
    modified: tuple[int, int]
    crc: int
    packed: int
    size: int


class Central(NamedTuple):
    """An entry in the central directory (section 4.3.12)."""

    header: Header
    offset: int
    attributes: int


class Local(NamedTuple):
    """An entry's local header (section 4.3.7), and where it ends."""

    header: Header
    end: int
    wide: bool


def malformed(detail: str, **evidence: Scalar) -> FormatError:
    """The refusal of an archive."""
    return FormatError("malformed-archive", detail, **evidence)


def read_end(source: Source) -> EndRecord:
    """The one end of central directory record, with its zip64 forms (sections 4.3.14 to 4.3.16).

    It is the last in the file and its comment ends with the file; none before it could be taken for it.
    """
    first = max(0, source.size - END.size - _LONGEST_COMMENT)
    tail = source.read(first, source.size - first)
    at = tail.rfind(END_MAGIC)
    if at < 0 or len(tail) - at < END.size:
        if source.read(0, min(4, source.size)) == LOCAL_MAGIC:
            raise FormatError("truncated", "the zip archive has no end of central directory")
        raise malformed("the file is not a zip archive")
    _, disk, directory_disk, here, entries, size, start, comment = END.unpack_from(tail, at)
    rest = len(tail) - at - END.size - comment
    if rest:
        detail = f"{abs(rest)} bytes {'follow' if rest > 0 else 'are missing at'} the end of the zip archive"
        raise FormatError("trailing-bytes" if rest > 0 else "truncated", detail)
    _require_one_end(tail, at)
    if disk or directory_disk or here != entries:
        raise malformed("the zip archive is one of several disks")
    return _widened(source, first + at, EndRecord(entries, start, size))


def _require_one_end(tail: bytes, last: int) -> None:
    """No earlier record whose comment would end with the file: a reader that looks from the front would take it."""
    at = tail.find(END_MAGIC)
    while at < last:
        if at + END.size + END.unpack_from(tail, at)[7] == len(tail):
            raise malformed("the zip archive has two ends of central directory")
        at = tail.find(END_MAGIC, at + 1)


def _widened(source: Source, offset: int, end: EndRecord) -> EndRecord:
    """The end with the values of its zip64 form, which stands right before it, if there is one."""
    wide = offset
    if offset >= LOCATOR.size and source.read(offset - LOCATOR.size, 4) == LOCATOR_MAGIC:
        _, disk, wide, disks = LOCATOR.unpack(source.read(offset - LOCATOR.size, LOCATOR.size))
        if disk or disks != 1 or wide != offset - LOCATOR.size - END64.size:
            raise malformed("the zip64 locator does not lead to a record right before it")
        end = _read_end64(source, wide, end)
    if end.start + end.size != wide:
        raise malformed("the central directory does not end where the end of the zip archive starts")
    return end


def _read_end64(source: Source, offset: int, narrow: EndRecord) -> EndRecord:
    magic, length, _, needed, disk, directory_disk, here, entries, size, start = END64.unpack(
        source.read(offset, END64.size)
    )
    if magic != END64_MAGIC or length != END64.size - 12 or needed > _VERSION_ZIP64:
        raise malformed("the zip64 end of central directory is not in the accepted form")
    if disk or directory_disk or here != entries:
        raise malformed("the zip archive is one of several disks")
    for said, true, sentinel in zip(narrow, (entries, start, size), (WIDE_COUNT, WIDE, WIDE), strict=True):
        if said not in (sentinel, true):
            raise malformed("the two ends of central directory disagree")
    return EndRecord(entries, start, size)


def read_directory(source: Source, end: EndRecord) -> Iterator[Central]:
    """The central directory, which its entries fill exactly."""
    if end.entries > limits.ZIP_ENTRIES or end.size > limits.ZIP_DIRECTORY_SIZE:
        raise FormatError(
            "limit-exceeded",
            f"the zip archive has {end.entries} entries in a directory of {end.size} bytes,"
            f" {limits.ZIP_ENTRIES} and {limits.ZIP_DIRECTORY_SIZE} are allowed",
        )
    data = source.read(end.start, end.size)
    at = 0
    for _ in range(end.entries):
        entry, at = _central(data, at)
        yield entry
    if at != len(data):
        raise malformed("the central directory has bytes after its entries")


def _central(data: bytes, at: int) -> tuple[Central, int]:
    if len(data) - at < CENTRAL.size or data[at : at + 4] != CENTRAL_MAGIC:
        raise malformed("the central directory is shorter than its entries")
    _, made, needed, flags, method, time, date, crc, packed, size, *rest = CENTRAL.unpack_from(data, at)
    name_size, extra_size, comment_size, disk, _, attributes, offset = rest
    name_end = at + CENTRAL.size + name_size
    end = name_end + extra_size + comment_size
    if end > len(data):
        raise malformed("an entry ends after the central directory")
    name = data[name_end - name_size : name_end]
    _require_form(name, needed, flags, method)
    if disk or made >> 8 not in _SYSTEMS:
        raise malformed(f"entry {_shown(name)} is on another disk or of a strange system", entry=_shown(name))
    extra = _extra(name, data[name_end : name_end + extra_size])
    size, packed, offset = _wide(name, (size, packed, offset), extra.get(ZIP64))
    return Central(Header(name, flags, method, (time, date), crc, packed, size), offset, attributes), end


def read_local(source: Source, offset: int) -> Local:
    """The local header at an offset."""
    fixed = source.read(offset, LOCAL.size)
    magic, needed, flags, method, time, date, crc, packed, size, name_size, extra_size = LOCAL.unpack(fixed)
    if magic != LOCAL_MAGIC:
        raise malformed(f"no local header at offset {offset}", offset=offset)
    if name_size > limits.PATH_LENGTH + 1 or extra_size > limits.ZIP_EXTRA_SIZE:
        raise FormatError("limit-exceeded", f"the local header at offset {offset} has a long name or extra field")
    rest = source.read(offset + LOCAL.size, name_size + extra_size)
    name = rest[:name_size]
    _require_form(name, needed, flags, method)
    extra = _extra(name, rest[name_size:])
    if ZIP64 in extra and (size, packed) != (WIDE, WIDE):
        raise malformed(f"the local header of {_shown(name)} has a needless zip64 field", entry=_shown(name))
    size, packed = _wide(name, (size, packed), extra.get(ZIP64))
    header = Header(name, flags, method, (time, date), crc, packed, size)
    return Local(header, offset + LOCAL.size + name_size + extra_size, ZIP64 in extra)


def descriptor(header: Header, *, wide: bool) -> bytes:
    """The data descriptor that must follow an entry's data (section 4.3.9), in the form with a magic."""
    wide = wide or max(header.packed, header.size) >= WIDE
    sizes = struct.pack("<QQ" if wide else "<LL", header.packed, header.size)
    return _DESCRIPTOR_MAGIC + struct.pack("<L", header.crc) + sizes


def _require_form(name: bytes, needed: int, flags: int, method: int) -> None:
    evidence = {"entry": _shown(name)}
    if flags & 0x2041:
        raise malformed(f"entry {_shown(name)} is encrypted", **evidence)
    if flags & ~_FLAGS or needed > _VERSION_ZIP64:
        raise malformed(f"entry {_shown(name)} needs a feature of zip that modseal does not read", **evidence)
    if method not in (STORED, DEFLATED):
        raise malformed(f"entry {_shown(name)} is packed by method {method}, not stored or deflated", **evidence)


def _extra(name: bytes, data: bytes) -> dict[int, bytes]:
    """The extra fields (section 4.5.1) by id, each once and of a kind that does not change the entry's meaning."""
    if len(data) > limits.ZIP_EXTRA_SIZE:
        raise FormatError("limit-exceeded", f"entry {_shown(name)} has {len(data)} bytes of extra fields")
    fields: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        field, length = struct.unpack_from("<HH", data, at) if len(data) - at >= 4 else (0, WIDE)
        at += 4 + length
        if at > len(data) or field in fields or field not in _EXTRA:
            raise malformed(f"entry {_shown(name)} has an extra field that modseal does not take", entry=_shown(name))
        fields[field] = data[at - length : at]
    return fields


def _wide(name: bytes, values: tuple[int, ...], field: bytes | None) -> Iterator[int]:
    """The values, those that are in the zip64 field from there (section 4.5.3), which has no others."""
    if len(field or b"") != 8 * values.count(WIDE) or (field is not None and WIDE not in values):
        raise malformed(f"the zip64 field of {_shown(name)} does not fit its header", entry=_shown(name))
    wide = iter(struct.unpack(f"<{values.count(WIDE)}Q", field or b""))
    return (next(wide) if value == WIDE else value for value in values)


def _shown(name: bytes) -> str:
    return ascii(name[: limits.PATH_LENGTH].decode("latin-1"))[1:-1]
