"""What a file is recognised by without reading it, and whether every later change of it would show."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from typing import NamedTuple

_SETTLED = 2_000_000_000
"""Nanoseconds: FAT counts time in steps of 2 s, and no file system in longer ones."""


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


def settled_identity(descriptor: int) -> Identity | None:
    """The identity of an open file where every later change of its bytes will show in it; else None.

    Its times must lie back further than the steps that file systems count time in. And nobody may have it open, or
    mapped, for writing: what is written through an old mapping need not show in its times. A read lease, which the
    kernel gives for a file without writers alone, proves that; it takes the file's owner, or root.
    """
    status = os.fstat(descriptor)
    if max(status.st_mtime_ns, status.st_ctime_ns) > time.time_ns() - _SETTLED or not _has_no_writer(descriptor):
        return None
    return identity_of(status)


def _has_no_writer(descriptor: int) -> bool:
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # who opens it now sends a signal that nobody hears
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    return True


def is_still(descriptor: int, settled: Identity | None) -> bool:
    """Whether an open file is as it was when it had settled."""
    return settled is not None and identity_of(os.fstat(descriptor)) == settled
