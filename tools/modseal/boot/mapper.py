"""Opens images by their dm-verity root hash: device-mapper and loop devices, by the kernel's own ioctls.

Whatever is read from such a device is compared with the root hash by the kernel: a block that was changed is an
input/output error. The initramfs has this module, so nothing but the standard library is imported.
"""

from __future__ import annotations

import fcntl
import os
import struct

BLOCK = 4096
_SECTOR = 512
_CONTROL = "/dev/mapper/control"
_VERSION = (4, 0, 0)
_HEAD = struct.Struct("=3I3IiIIIQ128s129s7s")
"""`struct dm_ioctl` (linux/dm-ioctl.h); the device is its field number `_DEVICE`."""
_DEVICE = 10
_READ_WRITE, _DEVICE_MAPPER = 3 << 30, 0xFD
_CREATE, _REMOVE, _SUSPEND, _LOAD = 3, 4, 6, 9
_READ_ONLY_FLAG = 1
_TARGET = struct.Struct("=QQiI16s")
"""`struct dm_target_spec`."""

_LOOP_CONFIGURE, _LOOP_FREE = 0x4C0A, 0x4C82
_LOOP_READ_ONLY, _LOOP_AUTOCLEAR = 1, 4


def _ioctl(control: int, command: int, name: str, flags: int = 0, table: bytes = b"") -> int:
    """One request to device-mapper; gives the number of the device."""
    size = 312 + len(table)
    head = _HEAD.pack(*_VERSION, size, _HEAD.size, bool(table), 0, flags, 0, 0, 0, name.encode(), b"", b"")
    buffer = bytearray(head + table)
    fcntl.ioctl(control, _READ_WRITE | _HEAD.size << 16 | _DEVICE_MAPPER << 8 | command, buffer)
    return int(_HEAD.unpack_from(buffer)[_DEVICE])


def open_verity(device: str, name: str, root: str, blocks: int) -> str:
    """The device that shows `blocks` blocks of another one, whose hash tree comes after a header right behind them.

    `root` is the root hash, in hex. The tree is read when something is: a wrong root hash shows then. Raises `OSError`.
    """
    table = f"1 {device} {device} {BLOCK} {BLOCK} {blocks} {blocks + 1} sha256 {root} -".encode() + b"\0"
    table += bytes(-len(table) % 8)
    target = _TARGET.pack(0, blocks * BLOCK // _SECTOR, 0, _TARGET.size + len(table), b"verity")
    control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        number = _ioctl(control, _CREATE, name)
        try:
            _ioctl(control, _LOAD, name, _READ_ONLY_FLAG, target + table)
            _ioctl(control, _SUSPEND, name)  # without the flag for suspending it resumes: the table becomes live
        except OSError:
            _ioctl(control, _REMOVE, name)
            raise
    finally:
        os.close(control)
    return f"/dev/dm-{os.minor(number)}"


def close(name: str) -> None:
    """Remove a device again. Raises `OSError`."""
    control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        _ioctl(control, _REMOVE, name)
    finally:
        os.close(control)


def attach(file: int) -> tuple[str, int]:
    """A loop device for an open file, read-only, and its descriptor: it is free again when nobody has it open.

    Raises `OSError`.
    """
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        device = f"/dev/loop{fcntl.ioctl(control, _LOOP_FREE)}"
    finally:
        os.close(control)
    descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    info = bytearray(232)  # struct loop_info64 (linux/loop.h), in which lo_flags is the only one that we set
    struct.pack_into("=I", info, 52, _LOOP_READ_ONLY | _LOOP_AUTOCLEAR)
    try:
        fcntl.ioctl(descriptor, _LOOP_CONFIGURE, struct.pack("=II", file, BLOCK) + bytes(info) + bytes(64))
    except OSError:
        os.close(descriptor)
        raise
    return device, descriptor
