"""What the kernel is about to open for a program that was let run: its interpreter, then the script that it runs.

The kernel starts an interpreter itself, but gives it the script's name only: the interpreter opens that name once more.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from typing import NamedTuple

from modseal import limits

_PYTHON_OPENS = 2
"""Python opens its script to see whether it is a zip archive, and once more to run it."""

FileId = tuple[int, int]
"""Device and inode."""


def file_of(descriptor: int) -> FileId:
    """Which file a descriptor has open."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def is_regular(descriptor: int) -> bool:
    """Whether it is a file with content: Linux before 6.14 asks for pipes and devices as well."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


class Start(NamedTuple):
    """The file that the kernel will start for one that was let run, until when that holds, and for which script."""

    until: float
    file: FileId
    script: FileId | None


class _Awaited(NamedTuple):
    """The script that an interpreter was started for and has still to open, and how often."""

    script: FileId
    opens: int


class Starts:
    """The starts of all threads, each forgotten after `limits.GUARD_DEADLINE`, and the scripts to be opened.

    Those are awaited as long as the process lives: it can be stopped for as long as somebody likes.
    """

    def __init__(self) -> None:
        self._starts: dict[int, Start] = {}
        self._awaited: dict[int, _Awaited] = {}

    def expect(self, thread: int, interpreter: str, script: FileId | None) -> None:
        """The next file that the kernel opens for this thread is this interpreter, within the same execve."""
        if not interpreter.startswith("/"):
            return
        with contextlib.suppress(OSError):
            status = os.stat(f"/proc/{thread}/root{interpreter}")
            now = time.monotonic()
            if len(self._starts) >= limits.GUARD_STARTS:
                self._starts = {one: start for one, start in self._starts.items() if start.until > now}
            self._starts[thread] = Start(now + limits.GUARD_DEADLINE, (status.st_dev, status.st_ino), script)

    def take(self, thread: int, file: FileId) -> Start | None:
        """The start that the kernel makes this open for, if it does. It is told once."""
        start = self._starts.pop(thread, None)
        return start if start and start.until > time.monotonic() and start.file == file else None

    def await_script(self, thread: int, name: str, script: FileId) -> None:
        """An interpreter of this name starts, and will open the script."""
        opens = _PYTHON_OPENS if name.startswith("python") else 1
        self._awaited[_process(thread)] = _Awaited(script, opens)  # execve makes the thread its process's first

    def forget_script(self, thread: int) -> None:
        """The thread starts another program: its interpreter, if it was one, opens nothing more."""
        self._awaited.pop(thread, None)

    def awaits(self, thread: int) -> bool:
        """Whether the thread is an interpreter that has still to open its script."""
        return thread in self._awaited

    def opened(self, thread: int, file: FileId) -> None:
        """The thread has opened an installed file, which may be the one."""
        awaited = self._awaited.get(thread)
        if not awaited or awaited.script != file:
            return
        if awaited.opens > 1:
            self._awaited[thread] = awaited._replace(opens=awaited.opens - 1)
        else:
            del self._awaited[thread]

    def any_awaited(self) -> bool:
        """Whether any interpreter that is alive has still to open its script."""
        if self._awaited:
            alive = {one: awaited for one, awaited in self._awaited.items() if os.path.exists(f"/proc/{one}")}
            self._awaited = alive
        return bool(self._awaited)


def _process(thread: int) -> int:
    """The process of a thread."""
    with contextlib.suppress(OSError), open(f"/proc/{thread}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("Tgid:"):
                return int(line.split()[1])
    return thread
