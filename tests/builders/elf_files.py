"""Small programs in the Executable and Linkable Format: a header, and the table of what is to be in memory."""

from __future__ import annotations

import struct
from collections.abc import Sequence

CODE = (1, 5, 4096, 4096)
DATA = (1, 6, 512, 8192)
STACK = (0x6474E551, 6, 0, 0)
GOOD = (CODE, DATA, STACK)
"""What linkers make: type, flags, bytes in the file, bytes in memory."""
IDENTITY = b"\x7fELF\2\1\1" + bytes(9)


def program(
    rows: Sequence[tuple[int, int, int, int]] = GOOD,
    *,
    type_: int = 3,
    machine: int = 62,
    identity: bytes = IDENTITY,
    table: int = 64,
    row_size: int = 56,
    number: int | None = None,
) -> bytes:
    """A program for x86-64 with this program header table, or with a header that says something else of it."""
    count = len(rows) if number is None else number
    head = struct.pack("<HHIQQQIHHHHHH", type_, machine, 1, 0x1000, table, 0, 0, 64, row_size, count, 0, 0, 0)
    written = b"".join(struct.pack("<IIQQQQQQ", *one[:2], 0, 0, 0, *one[2:], 4096) for one in rows)
    return (identity + head).ljust(table, b"\0") + written + b"code"
