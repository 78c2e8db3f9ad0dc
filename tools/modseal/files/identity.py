"""What a file is recognised by without reading it, and whether every later change of it would show."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from functools import lru_cache
from typing import NamedTuple

from modseal.files.mounts import mount_number, mount_of

_SETTLED = 2_000_000_000
"""Nanoseconds: FAT counts time in steps of 2 s, and no file system in longer ones."""

_COUNT_MAPPED_WRITES = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs"})
"""File systems that are told of the first write to each page of a mapping (`page_mkwrite`), and set the times then."""
_NEVER_WRITTEN = frozenset({"squashfs", "erofs", "iso9660", "cramfs", "romfs"})
"""File systems whose drivers cannot write at all."""


class Identity(NamedTuple):
    """What a file is recognised by without reading it. `part` names the entry where the file is an archive.

    Times are nanoseconds. A process can set a file's mtime, but its ctime only by changing the clock.
    """

    device: int
    inode: int
    size: int
    mtime: int
    ctime: int
    part: str = ""


def identity_of(status: os.stat_result, part: str = "") -> Identity:
    """The identity of a file with this status."""
    return Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, part)


def settled_identity(descriptor: int, kind: str | None = None) -> Identity | None:
    """The identity of an open file where whoever opens or maps it later to change it will show in it; else None.

    Its times must lie back further than the steps that file systems count time in, and the file system must count what
    is written through a mapping. And nobody may have it open, or mapped, for writing. `kind` is the type of the file
    system, if it is known; an overlay counts only where that is not given.

    What does not show: writes of root to pages that the kernel keeps for a call that began before (fixed buffers of
    io_uring, process_vm_writev(2) that waits), and writes to the folders below an overlay past the overlay, which Linux
    says must not be.
    """
    status = os.fstat(descriptor)
    if kind in _NEVER_WRITTEN:
        return identity_of(status)
    settled = max(status.st_mtime_ns, status.st_ctime_ns) <= time.time_ns() - _SETTLED
    counts = kind in _COUNT_MAPPED_WRITES if kind else _counts_mapped_writes(descriptor)
    if not settled or not counts or not has_no_writer(descriptor):
        return None
    return identity_of(status)


def has_no_writer(descriptor: int, *, keep: bool = False) -> bool:
    """Whether nobody has an open file open, or mapped, for writing. With `keep` that stays so until it is closed.

    A read lease, which the kernel gives for a file without writers alone, proves that; it takes the file's owner, or
    root. While it is held, whoever opens the file for writing waits (fcntl(2), F_SETLEASE).
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # who opens it now sends a signal that nobody hears
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        if not keep:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    return True


def _counts_mapped_writes(descriptor: int) -> bool:
    """Whether a write through a shared mapping shows in a file's times. On tmpfs it does not, once the page was read.

    Only file systems of which that is known count. An overlay has the times of its upper folder's file system; where
    that cannot be seen, as in a container, nothing is known of it.
    """
    try:
        return _mount_counts_mapped_writes(mount_number(descriptor))
    except (OSError, StopIteration):
        return False


@lru_cache(maxsize=64)
def _mount_counts_mapped_writes(mount: str) -> bool:
    found = mount_of(mount)
    if found is None or found.kind != "overlay":
        return found is not None and found.kind in _COUNT_MAPPED_WRITES
    options = found.file_system_options
    upper = next((one.removeprefix("upperdir=") for one in options if one.startswith("upperdir=")), None)
    if upper is None:
        return False
    try:
        folder = os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return _counts_mapped_writes(folder)
    finally:
        os.close(folder)


def is_still(descriptor: int, settled: Identity | None) -> bool:
    """Whether an open file is as it was when it had settled."""
    return settled is not None and identity_of(os.fstat(descriptor)) == settled
