"""The partitions of the disk by their names, as the kernel shows them in sysfs, and their identifiers.

sysfs has no identifiers up to Linux 6.12; they are read from the table itself (GPT, UEFI 2.10 section 5.3).
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from pathlib import Path

from modseal import limits
from modseal.boot.boot_variables import BootPartition
from modseal.errors import UndecidedError

_SECTOR = 512
"""Bytes of what sysfs counts in, whatever the disk's own blocks have."""
_HEADER, _TABLE = 92, 72
"""Bytes of the table's header, and where it says where the entries are."""
_ENTRY = struct.Struct("<16x16sQ")
_WANTED = ("boot-a", "root-a", "root-b", "data")
"""What every disk of this project has; `boot-b`, a second boot slot, as well."""


@dataclass(frozen=True, slots=True)
class DiskPartition:
    """A partition: its device, and how the firmware names it."""

    device: str
    place: BootPartition


def found(folder: str = "/sys/class/block", devices: str = "/dev") -> dict[str, DiskPartition]:
    """The partitions that have a name. Raises `UndecidedError` (host-invalid): one is missing, or is there twice."""
    named: dict[str, DiskPartition] = {}
    tables: dict[str, dict[int, uuid.UUID]] = {}
    for path in sorted(Path(folder).iterdir()):
        values = dict(line.split("=", 1) for line in (path / "uevent").read_text("utf-8").splitlines() if "=" in line)
        name = values.get("PARTNAME")
        if name is None:
            continue
        if name in named:
            raise UndecidedError("host-invalid", f"two partitions are called {name}")
        number, start, size = (int((path / one).read_text("ascii")) for one in ("partition", "start", "size"))
        disk = path.resolve().parent
        block = int((disk / "queue/logical_block_size").read_text("ascii"))
        if disk.name not in tables:
            tables[disk.name] = identifiers(f"{devices}/{disk.name}", block)
        first, blocks = start * _SECTOR // block, size * _SECTOR // block
        if first not in tables[disk.name]:
            raise UndecidedError("host-invalid", f"the table of {disk.name} has no partition {name}")
        place = BootPartition(number, first, blocks, tables[disk.name][first])
        named[name] = DiskPartition(f"{devices}/{path.name}", place)
    for name in _WANTED:
        if name not in named:
            raise UndecidedError("host-invalid", f"no partition is called {name}")
    return named


def identifiers(device: str, block: int) -> dict[int, uuid.UUID]:
    """The identifiers of a disk's partitions, by their first block. The kernel has checked the table."""
    with open(device, "rb") as file:
        file.seek(block)
        table, count, size = struct.unpack_from("<QII", file.read(_HEADER), _TABLE)
        if not 1 <= count <= limits.BOOT_PARTITIONS or not _ENTRY.size <= size <= block:
            raise UndecidedError("host-invalid", f"{device} has no table of partitions that can be read")
        file.seek(table * block)
        data = file.read(count * size)
    rows = (_ENTRY.unpack_from(data, at) for at in range(0, len(data) - size + 1, size))
    return {first: uuid.UUID(bytes_le=own) for own, first in rows if first}
