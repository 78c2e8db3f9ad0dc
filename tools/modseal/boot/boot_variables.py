"""The firmware's variables that say what it starts: UEFI 2.10, chapter 3; in efivarfs, as the kernel shows them.

Each write is one system call. The firmware does a write whole or not at all, a power cut in its midst included: that is
what a switch from one slot to the other rests on (ADR 46).
"""

from __future__ import annotations

import fcntl
import os
import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modseal.errors import UndecidedError

FOLDER = "/sys/firmware/efi/efivars"
_GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
_SHIM = "605dab50-e046-4300-abb6-3dd810dd8b23"
_LOADER = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
_KEPT, _VOLATILE = 0x7, 0x6
"""Attributes of a variable that is seen at boot and at runtime, kept or gone after a restart."""
_SET_FLAGS = 0x40086602
"""FS_IOC_SETFLAGS (linux/fs.h)."""
_ACTIVE = 1
NUMBERS = {"a": 0x4D41, "b": 0x4D42}
"""Of the two slots' boot options, Boot####: far from those that a firmware gives by itself."""
_PATH = "\\EFI\\BOOT\\BOOTX64.EFI"


@dataclass(frozen=True, slots=True)
class BootPartition:
    """Where the firmware finds a slot's program: the partition's number, place and size in blocks, and identifier."""

    number: int
    start: int
    size: int
    identifier: uuid.UUID


def started(partitions: Mapping[str, BootPartition], folder: str = FOLDER) -> str:
    """The slot that the firmware has started, as the stub of the program noted it. Raises `UndecidedError`."""
    attributes, data = _read(folder, f"LoaderDevicePartUUID-{_LOADER}")
    text = data.decode("utf-16-le", "replace").rstrip("\0").lower()
    found = [name for name, one in partitions.items() if str(one.identifier) == text]
    if attributes != _VOLATILE or not found:  # one that is kept, somebody else has written
        raise UndecidedError("host-invalid", "the firmware does not say which slot it has started")
    return found[0]


def order(folder: str = FOLDER) -> list[int]:
    """The numbers of the boot options, in the order in which the firmware tries them."""
    _, data = _read(folder, f"BootOrder-{_GLOBAL}")
    return [one for (one,) in struct.iter_unpack("<H", data[: len(data) & ~1])]


def prefer(slot: str, partitions: Mapping[str, BootPartition], folder: str = FOLDER) -> None:
    """Have the firmware start this slot from here on, and the other one where this one cannot be started."""
    for name, one in partitions.items():
        _write(folder, f"Boot{NUMBERS[name]:04X}-{_GLOBAL}", _option(f"modseal {name}", one))
    own = [NUMBERS[slot], *(number for name, number in NUMBERS.items() if name != slot)]
    numbers = [*own, *(one for one in order(folder) if one not in own)]
    _write(folder, f"BootOrder-{_GLOBAL}", struct.pack(f"<{len(numbers)}H", *numbers))


def try_once(slot: str, folder: str = FOLDER) -> None:
    """Have the firmware start this slot once: it forgets that before it starts it."""
    _write(folder, f"BootNext-{_GLOBAL}", struct.pack("<H", NUMBERS[slot]))


def remove_shims(folder: str = FOLDER) -> list[str]:
    """Delete the variables of shim, which no program of this host writes; gives their names.

    The kernel takes keys from them (MokListRT) that it trusts like the firmware's own, and anybody may write them who
    can write variables. It has taken them by now: where there were any, the machine must restart. Raises `OSError`.
    """
    found = sorted(Path(folder).glob(f"*-{_SHIM}"))
    for path in found:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("l", 0))  # efivarfs has made it immutable
        finally:
            os.close(descriptor)
        path.unlink()
    return [path.name.removesuffix(f"-{_SHIM}") for path in found]


def _option(name: str, one: BootPartition) -> bytes:
    """EFI_LOAD_OPTION with the path of a file on a partition that is known by its identifier."""
    disk = struct.pack("<BBHIQQ16sBB", 4, 1, 42, one.number, one.start, one.size, one.identifier.bytes_le, 2, 2)
    file = _PATH.encode("utf-16-le") + b"\0\0"
    path = disk + struct.pack("<BBH", 4, 4, 4 + len(file)) + file + b"\x7f\xff\4\0"
    return struct.pack("<IH", _ACTIVE, len(path)) + name.encode("utf-16-le") + b"\0\0" + path


def _read(folder: str, name: str) -> tuple[int, bytes]:
    try:
        data = Path(folder, name).read_bytes()
    except FileNotFoundError:
        return 0, b""
    return int.from_bytes(data[:4], "little"), data[4:]


def _write(folder: str, name: str, data: bytes) -> None:
    """Write a variable, if it does not have this value already: the store of variables is small, and wears out."""
    if _read(folder, name) == (_KEPT, data):
        return
    descriptor = os.open(Path(folder, name), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, struct.pack("<I", _KEPT) + data)
    finally:
        os.close(descriptor)
