"""The disk that a machine boots: its partition table (UEFI 2.10 chapter 5).

It is written here because the same image has to give the same bytes, whatever tools a machine has.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

SECTOR = 512
_ALIGNMENT = 1 << 20
EFI_SYSTEM = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
LINUX_ROOT = uuid.UUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709")
LINUX_DATA = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
_ENTRIES, _ENTRY = 128, 128
_TABLE_SECTORS = _ENTRIES * _ENTRY // SECTOR
_COPY = 1 << 20


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition: its name, its type, its size in bytes, and the file with the beginning of its content, if any."""

    name: str
    type: uuid.UUID
    size: int
    content: Path | None = None


def write(out: BinaryIO, partitions: Sequence[Partition], seed: bytes) -> None:
    """Write a disk with these partitions. `seed` makes its identifiers; what is empty stays a hole of the file."""
    at = _ALIGNMENT // SECTOR
    entries = bytearray()
    for one in partitions:
        sectors = -(-one.size // _ALIGNMENT) * (_ALIGNMENT // SECTOR)
        own = _identifier(seed, one.name)
        entries += one.type.bytes_le + own.bytes_le + struct.pack("<QQQ", at, at + sectors - 1, 0)
        entries += one.name.encode("utf-16-le").ljust(72, b"\0")
        if one.content:
            copy(out, at * SECTOR, one.content)
        at += sectors
    table = bytes(entries).ljust(_ENTRIES * _ENTRY, b"\0")
    last = at + _TABLE_SECTORS + 1 + (-(at + _TABLE_SECTORS + 1) % (_ALIGNMENT // SECTOR)) - 1
    disk = _identifier(seed, "disk")
    _put(out, 0, _protective(last))
    _put(out, SECTOR, _header(1, last, 2, table, disk, last))
    _put(out, 2 * SECTOR, table)
    _put(out, (last - _TABLE_SECTORS) * SECTOR, table)
    _put(out, last * SECTOR, _header(last, 1, last - _TABLE_SECTORS, table, disk, last))


def _identifier(seed: bytes, name: str) -> uuid.UUID:
    return uuid.UUID(bytes=hashlib.sha256(seed + name.encode()).digest()[:16], version=5)


def _protective(last: int) -> bytes:
    """A partition table of old for programs that know no other: one partition over all of the disk."""
    row = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, min(last, 0xFFFFFFFF))
    return bytes(446) + row + bytes(48) + b"\x55\xaa"


def _header(own: int, other: int, table_at: int, table: bytes, disk: uuid.UUID, last: int) -> bytes:
    first_usable, last_usable = 2 + _TABLE_SECTORS, last - _TABLE_SECTORS - 1

    def packed(checksum: int) -> bytes:
        return struct.pack(
            "<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, checksum, 0, own, other, first_usable, last_usable,
            disk.bytes_le, table_at, _ENTRIES, _ENTRY, zlib.crc32(table),
        )  # fmt: skip

    return packed(zlib.crc32(packed(0))).ljust(SECTOR, b"\0")


def _put(out: BinaryIO, at: int, data: bytes) -> None:
    out.seek(at)
    out.write(data)


def copy(out: BinaryIO, at: int, path: Path) -> None:
    """Write a file at a place of another one, and leave holes where it has nothing but zeros."""
    out.seek(at)
    with path.open("rb") as file:
        while piece := file.read(_COPY):
            if piece.count(0) == len(piece):
                out.seek(len(piece), 1)
            else:
                out.write(piece)
