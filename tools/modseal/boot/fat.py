"""The file system that the firmware starts a program from: FAT16 (Microsoft, "FAT: General Overview", 2000).

It is written here because the same program has to give the same bytes, on the machine that builds an image as on the
host that takes an update.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from modseal.errors import RefusedError

SECTOR = 512
_CLUSTER = 2048
_RESERVED, _ROOT_ENTRIES = 4, 512
_SMALLEST, _LARGEST = 4085, 65524
"""Numbers of clusters between which a file system is FAT16 (Microsoft, "FAT: General Overview", 2000)."""
_END = 0xFFFF
_FOLDER = 0x10
_PROGRAM_ENTRY = 64
"""Where the program's entry is in its folder, behind those of the folder itself and of the one above."""


def boot_partition(program: bytes, size: int) -> list[tuple[int, bytes]]:
    """A FAT16 file system of `size` bytes that has `program` as EFI/BOOT/BOOTX64.EFI: pieces, and where each lies.

    What is between the pieces is free space, whatever it has. Raises `RefusedError` (limit-exceeded) where the program
    does not fit.
    """
    sectors, per_cluster = size // SECTOR, _CLUSTER // SECTOR
    fat_sectors = -(-(sectors // per_cluster + 2) * 2 // SECTOR)
    data_at = _RESERVED + 2 * fat_sectors + _ROOT_ENTRIES * 32 // SECTOR
    clusters = (sectors - data_at) // per_cluster
    needed = 2 + -(-len(program) // _CLUSTER)
    if not _SMALLEST <= clusters <= _LARGEST or needed > clusters:
        detail = f"{len(program)} bytes do not fit into a boot partition of {size} bytes"
        raise RefusedError("limit-exceeded", detail, size=len(program), limit=size)
    head = struct.pack(
        "<3s8sHBHBHHBHHHIIBBBI11s8s", b"\xeb\x3c\x90", b"MODSEAL ", SECTOR, per_cluster, _RESERVED, 2, _ROOT_ENTRIES,
        0, 0xF8, fat_sectors, 32, 2, 0, sectors, 0x80, 0, 0x29, 0x6D6F6473, b"NO NAME    ", b"FAT16   ",
    )  # fmt: skip
    chain = [0xFFF8, _END, _END, _END, *range(5, 3 + needed - 1), _END]
    table = struct.pack(f"<{len(chain)}H", *chain).ljust(fat_sectors * SECTOR, b"\0")
    root = _directory_entry(b"EFI        ", _FOLDER, 2, 0).ljust(_ROOT_ENTRIES * 32, b"\0")
    efi = _dots(2, 0) + _directory_entry(b"BOOT       ", _FOLDER, 3, 0)
    boot = _dots(3, 2) + _directory_entry(b"BOOTX64 EFI", 0x20, 4, len(program))
    pieces = (
        (0, head.ljust(510, b"\0") + b"\x55\xaa"),
        (_RESERVED, table + table + root + efi.ljust(_CLUSTER, b"\0") + boot.ljust(_CLUSTER, b"\0")),
        (data_at + 2 * per_cluster, program),
    )
    return [(at * SECTOR, data) for at, data in pieces]


def read_program(file: BinaryIO, size: int) -> bytes:
    """The program of a boot partition of `size` bytes, as `boot_partition` writes it; of another one, some bytes."""
    (_, _), (tables_at, tables), (program_at, _) = boot_partition(b"", size)
    file.seek(tables_at + len(tables) - _CLUSTER + _PROGRAM_ENTRY)
    (length,) = struct.unpack_from("<28xI", file.read(32).ljust(32, b"\0"))
    file.seek(program_at)
    return file.read(min(length, size - program_at))


def _dots(own: int, above: int) -> bytes:
    return _directory_entry(b".          ", _FOLDER, own, 0) + _directory_entry(b"..         ", _FOLDER, above, 0)


def _directory_entry(name: bytes, attributes: int, cluster: int, size: int) -> bytes:
    first_day = 0x21  # 1 January 1980, the first that FAT knows
    return struct.pack(
        "<11sBBBHHHHHHHI", name, attributes, 0, 0, 0, first_day, first_day, 0, 0, first_day, cluster, size
    )
