"""Calls of Linux that Python has no function for: a mount of one's own, and a path below another root."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

# arch/*/entry/syscalls/: the same numbers wherever Python runs on Linux
_OPEN_TREE, _OPENAT2 = 428, 437
# include/uapi/linux/mount.h, fcntl.h, openat2.h
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC, _AT_EMPTY_PATH = 0x1, os.O_CLOEXEC, 0x1000
_RESOLVE_IN_ROOT = 0x10
_HOW = struct.Struct("=QQQ")
"""`struct open_how`: flags, mode, resolve."""

_LIBC = ctypes.CDLL(None, use_errno=True)


def mount_of_our_own(descriptor: int) -> int:
    """A mount of the file system of an open file that lies nowhere, open: nobody can take it away or exchange it.

    The mount that it was opened through can be unmounted all the same. The file system lives until this is closed.
    Raises `OSError`; it takes CAP_SYS_ADMIN (open_tree(2), Linux 5.2).
    """
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_EMPTY_PATH
    return _call(_OPEN_TREE, descriptor, b"", flags)


def open_below(root: int, path: str) -> int:
    """What a path leads to for somebody with this root folder, opened as `O_PATH`.

    It can wait for ever for the server of a file system. What the kernel has in its memory does not do in place of it:
    a link that was followed within the step of the clock in which it was made is not followed from there
    (RESOLVE_CACHED) until somebody follows it again. Raises `OSError`: `BlockingIOError` where something was renamed or
    mounted meanwhile; `ValueError` for a path that no file can have.
    """
    if "\0" in path:
        raise ValueError("a NUL in a path")
    how = _HOW.pack(os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
    return _call(_OPENAT2, root, os.fsencode(path), how, len(how))


def runs_from_memory() -> bool:
    """Whether programs can be run from files in memory. Those lie on a file system that nobody can mark."""
    try:
        return Path("/proc/sys/vm/memfd_noexec").read_text(encoding="ascii").strip() != "2"
    except OSError:  # Linux before 6.3 has no such switch
        return True


def _call(number: int, *given: int | bytes) -> int:
    done: int = _LIBC.syscall(
        ctypes.c_long(number), *(ctypes.c_long(one) if isinstance(one, int) else one for one in given)
    )
    if done < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return done
