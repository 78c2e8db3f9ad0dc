"""The kernel's permission events on a file system (fanotify(7)): every program that is to run waits for an answer.

What fanotify does not say is kept out of here: nothing is decided. Needs Linux and CAP_SYS_ADMIN.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
from typing import NamedTuple

from modseal.errors import UndecidedError, UsageError

# include/uapi/linux/fanotify.h
_CLOEXEC, _NONBLOCK, _CLASS_CONTENT, _UNLIMITED_QUEUE, _REPORT_TID = 0x1, 0x2, 0x4, 0x10, 0x100
_MARK_ADD, _MARK_REMOVE, _MARK_FILESYSTEM = 0x1, 0x2, 0x100
_OPEN_PERM, _OPEN_EXEC_PERM = 0x10000, 0x40000
_FILES = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_LARGEFILE | os.O_NOATIME
"""How the kernel opens files for us: without waiting, or one that opens a pipe would stop us."""
_VERSION = 3
_EVENT = struct.Struct("=IBBHQii")
"""`struct fanotify_event_metadata`: length, version, reserved, its own length, mask, descriptor, thread."""
_ANSWER = struct.Struct("=iI")
_ALLOW, _DENY = 1, 2
_AT_FDCWD = -100
_READ_SIZE = 16 * 1024
"""Bytes of one read: room for 682 events. Each is a thread that waits, so more are rare."""


class OpenEvent(NamedTuple):
    """A thread waits for the answer to one open. `descriptor` is the file, open for reading; `execute`: to run it."""

    descriptor: int
    thread: int
    execute: bool


class Fanotify:
    """A group of permission events. While it is open, what it marks waits for `answer`; closing it allows all.

    The whole file system is marked and not one mount of it: a process with a mount namespace of its own has mounts of
    its own, on which no other mark stands.
    """

    def __init__(self) -> None:
        """Raises `UndecidedError` (guard-impossible) where the kernel does not let us."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        flags = _CLOEXEC | _NONBLOCK | _CLASS_CONTENT | _UNLIMITED_QUEUE | _REPORT_TID
        self.descriptor: int = self._libc.fanotify_init(flags, _FILES)
        if self.descriptor < 0:
            raise _impossible("fanotify_init", ctypes.get_errno())

    def mark(self, path: str, *, opens: bool) -> None:
        """Ask before any file of the file system at `path` runs, with `opens` before any is opened at all.

        Raises `UndecidedError` (guard-impossible), `UsageError` where there is no such path.
        """
        self._mark(_MARK_ADD, _OPEN_EXEC_PERM | (_OPEN_PERM if opens else 0), path)

    def unmark_opens(self, path: str) -> None:
        """Ask no longer before a file of the file system at `path` is opened. Raises as `mark`."""
        self._mark(_MARK_REMOVE, _OPEN_PERM, path)

    def _mark(self, flags: int, mask: int, path: str) -> None:
        target = os.fsencode(path)
        flags |= _MARK_FILESYSTEM
        if self._libc.fanotify_mark(self.descriptor, flags, ctypes.c_uint64(mask), _AT_FDCWD, target):
            number = ctypes.get_errno()
            if number in (errno.ENOENT, errno.ENOTDIR):
                raise UsageError(f"{path}: {os.strerror(number)}")
            raise _impossible(f"fanotify_mark of {path}", number)

    def read(self) -> list[OpenEvent]:
        """The events that are there, without waiting. Their descriptors are the caller's to close.

        Raises `OSError` where a file cannot be opened for us, as when too many are open: the kernel has denied that
        event by then. Raises `UndecidedError` (guard-impossible) where the kernel speaks another version.
        """
        try:
            data = os.read(self.descriptor, _READ_SIZE)
        except BlockingIOError:
            return []
        found: list[OpenEvent] = []
        offset = 0
        while offset < len(data):
            length, version, _, _, mask, descriptor, thread = _EVENT.unpack_from(data, offset)
            if version != _VERSION:
                detail = f"the kernel's fanotify events have version {version}, and this guard reads {_VERSION}"
                raise UndecidedError("guard-impossible", detail)
            offset += length
            if descriptor >= 0:
                found.append(OpenEvent(descriptor, thread, bool(mask & _OPEN_EXEC_PERM)))
        return found

    def answer(self, descriptor: int, *, allow: bool) -> None:
        """Let the thread that waits for this descriptor go on, or fail with EPERM, if it waits still."""
        with contextlib.suppress(FileNotFoundError):
            os.write(self.descriptor, _ANSWER.pack(descriptor, _ALLOW if allow else _DENY))

    def close(self) -> None:
        """End it. The kernel allows what still waits."""
        os.close(self.descriptor)


def _impossible(call: str, number: int) -> UndecidedError:
    why = "it takes root (CAP_SYS_ADMIN)" if number == errno.EPERM else os.strerror(number)
    return UndecidedError("guard-impossible", f"{call}: {why}", error=errno.errorcode.get(number, str(number)))
