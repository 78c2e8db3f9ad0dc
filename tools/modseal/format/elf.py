"""The program headers of a program or library for x86-64: which memory it asks for when it is started.

Sources: System V ABI, "ELF Header" and "Program Header". Linux reads a file as one for 64 bits where its machine is
x86-64, whatever class it says it is of (fs/binfmt_elf.c of 6.12). So all that says how the rest is read must agree
here, and what is for another machine is not read at all.
"""

from __future__ import annotations

import struct

from modseal.errors import FormatError
from modseal.values import dataclass

MAGIC = b"\x7fELF"
LOAD, STACK = 1, 0x6474E551
"""Types of segments: what is mapped (PT_LOAD), and what the stack is to be (PT_GNU_STACK)."""
CODE, WRITABLE = 1, 2
"""Flags of a segment: PF_X and PF_W."""
_HEADER = struct.Struct("<4s2B10xHH12xQ14xHH6x")
"""Magic, class, data encoding; type, machine; where the table is; size and number of its rows."""
_ROW = struct.Struct("<II24xQQ8x")
"""Type, flags, size in the file, size in memory."""
_CLASS_64, _LITTLE, _X86_64 = 2, 1, 62
_STARTED = (2, 3)
"""ET_EXEC and ET_DYN: neither the kernel nor a loader takes another type."""
_NUMBER_ELSEWHERE = 0xFFFF
"""PN_XNUM: the number is in a section header."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A row of the program header table: its type, its flags, and its bytes in the file and in memory."""

    type: int
    flags: int
    in_file: int
    in_memory: int


def segments(data: bytes) -> tuple[Segment, ...]:
    """The segments of a program or library, in order. Raises `FormatError`."""
    try:
        magic, class_, encoding, type_, machine, table, size, number = _HEADER.unpack_from(data)
    except struct.error:
        raise FormatError("truncated", "its header is cut off") from None
    if magic != MAGIC:
        raise FormatError("malformed-archive", "it is no ELF file")
    if (class_, encoding, machine) != (_CLASS_64, _LITTLE, _X86_64):
        detail = f"it is for another machine than x86-64 (class {class_}, encoding {encoding}, machine {machine})"
        raise FormatError("malformed-archive", detail)
    if type_ not in _STARTED:
        raise FormatError("malformed-archive", f"it is neither a program nor a library (type {type_})")
    if size != _ROW.size or number == _NUMBER_ELSEWHERE:
        raise FormatError("malformed-archive", f"its program header table has {number} rows of {size} bytes")
    if table + number * size > len(data):
        raise FormatError("truncated", "its program header table is cut off")
    return tuple(Segment(*row) for row in _ROW.iter_unpack(data[table : table + number * size]))
