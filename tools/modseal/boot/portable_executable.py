"""Portable executables, as far as UEFI needs them: sections that are added, and what a signature is over.

The layout is that of the PE Format Specification (Microsoft); the digest is that of "Windows Authenticode Portable
Executable Signature Format" (2008), the one that UEFI 2.10 section 32.2.4 refers to.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from modseal.errors import FormatError

_PE_POINTER = 0x3C
_SECTION = struct.Struct("<8sIIIIIIHHI")
_PLUS_MAGIC = 0x20B
_CHECKSUM, _CERTIFICATES = 64, 144
"""Where the checksum and the entry of the certificate table are in an optional header of PE32+."""
_SYMBOLS, _COUNT = 12, 18
"""How far before the optional header the symbol table and the number of sections are."""
_PAGE = 4096
_READ_DATA = 0x40000040
"""Characteristics of a section: initialised data that can be read."""


@dataclass(frozen=True, slots=True)
class _ProgramHeader:
    sections: int
    count: int
    optional: int
    section_alignment: int
    file_alignment: int
    headers_end: int


def _header(data: bytes) -> _ProgramHeader:
    try:
        (at,) = struct.unpack_from("<I", data, _PE_POINTER)
        if data[:2] != b"MZ" or data[at : at + 4] != b"PE\0\0":
            raise FormatError("malformed-archive", "it is no portable executable")
        count, size = struct.unpack_from("<H12xH", data, at + 6)
        optional = at + 24
        magic, section_alignment, file_alignment = struct.unpack_from("<H30xII", data, optional)
        (headers_end,) = struct.unpack_from("<I", data, optional + 60)
    except struct.error:
        raise FormatError("truncated", "the portable executable is cut off") from None
    if magic != _PLUS_MAGIC or size < _CERTIFICATES + 8:
        raise FormatError("malformed-archive", "it is no portable executable for 64 bits")
    _require_whole(data, optional + size + count * _SECTION.size)
    return _ProgramHeader(optional + size, count, optional, section_alignment, file_alignment, headers_end)


def with_sections(data: bytes, added: Sequence[tuple[str, bytes]]) -> bytes:
    """An executable with more sections at its end, in this order. Raises `FormatError` where its header has no room."""
    head = _header(data)
    table_end = head.sections + (head.count + len(added)) * _SECTION.size
    if table_end > head.headers_end:
        raise FormatError("limit-exceeded", f"the executable's header has no room for {len(added)} sections")
    old = [_SECTION.unpack_from(data, head.sections + one * _SECTION.size) for one in range(head.count)]
    out = bytearray(data[: max(one[4] + one[3] for one in old)])  # what follows are symbols, which nobody loads
    struct.pack_into("<II", out, head.optional - _SYMBOLS, 0, 0)
    step = max(head.section_alignment, _PAGE)
    address = max(_up(one[2] + one[1], step) for one in old)
    for number, (name, content) in enumerate(added, head.count):
        out += bytes(-len(out) % head.file_alignment)
        size = _up(len(content), head.file_alignment)
        row = _SECTION.pack(name.encode(), len(content), address, size, len(out), 0, 0, 0, 0, _READ_DATA)
        out[head.sections + number * _SECTION.size : head.sections + (number + 1) * _SECTION.size] = row
        out += content.ljust(size, b"\0")
        address = _up(address + len(content), step)
    struct.pack_into("<H", out, head.optional - _COUNT, head.count + len(added))
    struct.pack_into("<I", out, head.optional + 56, address)  # SizeOfImage
    struct.pack_into("<I", out, head.optional + _CHECKSUM, 0)
    return bytes(out)


def section(data: bytes, name: str) -> bytes | None:
    """The content of a section, or None where there is none of this name."""
    head = _header(data)
    for number in range(head.count):
        row = _SECTION.unpack_from(data, head.sections + number * _SECTION.size)
        if row[0].rstrip(b"\0") == name.encode():
            _require_whole(data, row[4] + row[1])
            return data[row[4] : row[4] + row[1]]
    return None


def digest(data: bytes) -> bytes:
    """The SHA-256 that a signature is over: all but the checksum, the entry of the certificate table, and that table.

    Raises `FormatError` where the sections do not lie in the file one after another, to the end of the last one: then
    readers differ about it. A file whose length is no multiple of 8 counts as filled up, because it is before a
    signature is appended.
    """
    head = _header(data)
    _require_gapless(data, head)
    checksum, entry = head.optional + _CHECKSUM, head.optional + _CERTIFICATES
    start, size = struct.unpack_from("<II", data, entry)
    end = start if size else len(data)
    hashed = hashlib.sha256(data[:checksum])
    hashed.update(data[checksum + 4 : entry])
    hashed.update(memoryview(data)[entry + 8 : end])
    hashed.update(bytes(-end % 8))
    return hashed.digest()


def _require_gapless(data: bytes, head: _ProgramHeader) -> None:
    at = head.headers_end
    rows = (_SECTION.unpack_from(data, head.sections + one * _SECTION.size) for one in range(head.count))
    for row in sorted((one for one in rows if one[3]), key=lambda one: one[4]):
        if row[4] != at:
            raise FormatError("malformed-archive", f"the executable has a gap before its section {row[0]!r}")
        at += row[3]
    _require_whole(data, at)


def _require_whole(data: bytes, end: int) -> None:
    if end > len(data):
        raise FormatError("truncated", "the portable executable is cut off")


def signature(data: bytes) -> bytes:
    """The signature (PKCS #7) in the certificate table, unproved; empty where there is none. Raises `FormatError`.

    One alone, to the end of the file: programs that have more are another's.
    """
    head = _header(data)
    start, size = struct.unpack_from("<II", data, head.optional + _CERTIFICATES)
    if not size:
        return b""
    if start + size != len(data) or size < 10:
        raise FormatError("malformed-archive", "the certificate table is not the end of the executable")
    found = data[start + 8 :]
    length = _der_length(found)
    row = struct.pack("<IHH", 8 + length + -length % 8, 0x0200, 0x0002)
    if data[start : start + 8] != row or size != 8 + length + -length % 8 or any(found[length:]):
        raise FormatError("malformed-archive", "the certificate table has not exactly one signature")
    return found[:length]


def _der_length(data: bytes) -> int:
    """The length of the SEQUENCE at the start, whose length has two bytes: shorter signatures there are none."""
    if data[:2] != b"\x30\x82" or len(data) < 4:
        raise FormatError("malformed-archive", "the certificate table has no signature")
    return 4 + int.from_bytes(data[2:4])


def with_signature(data: bytes, signature: bytes) -> bytes:
    """An executable with a signature (PKCS #7) in its certificate table. Raises `FormatError` where it has one."""
    head = _header(data)
    if struct.unpack_from("<II", data, head.optional + _CERTIFICATES)[1]:
        raise FormatError("malformed-archive", "the executable is signed already")
    out = bytearray(data + bytes(-len(data) % 8))
    content = signature + bytes(-len(signature) % 8)
    row = struct.pack("<IHH", 8 + len(content), 0x0200, 0x0002)  # WIN_CERT_REVISION_2_0, PKCS_SIGNED_DATA
    struct.pack_into("<II", out, head.optional + _CERTIFICATES, len(out), len(row) + len(content))
    return bytes(out + row + content)


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
