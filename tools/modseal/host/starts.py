"""What the kernel opens for a program that was let run: its interpreter, then the script that it runs.

The kernel opens an interpreter itself, in the same execve(2), and gives it the script's name only: the interpreter
opens that name once more. An execve can fail in between, and the thread can start the interpreter by itself then.
Whoever waits for the guard is the same thread, with the same file; what differs is where in the kernel it waits.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from typing import NamedTuple

from modseal import limits
from modseal.errors import UndecidedError

_PYTHON_OPENS = 2
"""Python opens its script to see whether it is a zip archive, and once more to run it."""

_HANDLERS = re.compile(r"\bload_(script|elf_binary|elf_fdpic_binary|misc_binary|flat_binary)\b")
"""The functions of Linux that open an interpreter or a loader (`load_binary` of fs/binfmt_*.c)."""
_NO_ATTACH = "3"
"""Yama's `ptrace_scope` with which nobody is shown another process's stack."""

FileId = tuple[int, int]
"""Device and inode."""


class NotWaitingYet(Exception):  # noqa: N818 - no error: it is asked again in a moment
    """The thread has asked the guard, and is still on its way to sleep."""


def file_of(descriptor: int) -> FileId:
    """Which file a descriptor has open."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def is_regular(descriptor: int) -> bool:
    """Whether it is a file with content: Linux before 6.14 asks for pipes and devices as well."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def require_stacks() -> None:
    """Raises `UndecidedError` (guard-impossible) where the kernel does not show what `is_opened_for_another` needs."""
    detail = "the kernel does not show in /proc/PID/stack why a file is opened, so nobody can tell whether it starts"
    detail += " an interpreter for a script or somebody starts it directly"
    with contextlib.suppress(OSError), open("/proc/sys/kernel/yama/ptrace_scope", encoding="ascii") as file:
        if file.read().strip() == _NO_ATTACH:
            raise UndecidedError("guard-impossible", f"kernel.yama.ptrace_scope is {_NO_ATTACH}: {detail}")
    try:
        shown = _text("/proc/thread-self/stack")
    except OSError as error:
        raise UndecidedError("guard-impossible", f"{detail}: {error.strerror}") from None
    if "proc_pid_stack" not in shown:
        raise UndecidedError("guard-impossible", f"{detail}: it has no names (CONFIG_KALLSYMS)")


def is_opened_for_another(thread: int) -> bool:
    """Whether the kernel opens what this thread waits for as the interpreter or loader of another file.

    It is read off the thread's stack in the kernel, which no process can write to. Raises `NotWaitingYet`, `OSError`.
    """
    place = f"/proc/{thread}"
    if _text(f"{place}/stat").rpartition(")")[2].split()[0] == "R":
        raise NotWaitingYet
    if _text(f"{place}/syscall").startswith("running"):  # the kernel answers once the thread has left its processor
        raise NotWaitingYet
    shown = _text(f"{place}/stack")
    if "notify" not in shown:
        raise NotWaitingYet
    return bool(_HANDLERS.search(shown))


class Start(NamedTuple):
    """The file that the kernel will start for one that was let run, and the scripts that it is started for.

    Those are several where a script's interpreter is a script itself. `until` is when it is forgotten.
    """

    until: float
    file: FileId
    scripts: tuple[FileId, ...]


class _Awaited(NamedTuple):
    """An interpreter, and the scripts that it was started for and has still to open, each as often as it does.

    What came to the guard before `since` (monotonic seconds) is not of the interpreter.
    """

    interpreter: FileId
    scripts: tuple[FileId, ...]
    since: float


class Starts:
    """The starts of all threads, and the scripts to be opened.

    Those are awaited as long as the process lives: it can be stopped for as long as somebody likes.
    """

    def __init__(self, *, stacks: bool = True) -> None:
        """Without `stacks`, any open that fits is taken for the kernel's own: enough for a report, and for no more."""
        self._stacks = stacks
        self._starts: dict[int, Start] = {}
        self._awaited: dict[int, _Awaited] = {}

    def expect(self, thread: int, interpreter: str, scripts: tuple[FileId, ...]) -> None:
        """The next file that the kernel opens for this thread is this interpreter, within the same execve."""
        if not interpreter.startswith("/"):
            return
        with contextlib.suppress(OSError):
            status = os.stat(f"/proc/{thread}/root{interpreter}")
            now = time.monotonic()
            if len(self._starts) >= limits.GUARD_STARTS:
                self._starts = {one: start for one, start in self._starts.items() if start.until > now}
            self._starts[thread] = Start(now + limits.GUARD_DEADLINE, (status.st_dev, status.st_ino), scripts)

    def take(self, thread: int, file: FileId) -> Start | None:
        """The start that the kernel makes this open for, if it does. It is told once, and forgotten by any other start.

        Raises `NotWaitingYet`, and tells it later; `OSError` where the kernel does not show it.
        """
        start = self._starts.get(thread)
        if start and start.file == file and (not self._stacks or is_opened_for_another(thread)):
            return self._starts.pop(thread)
        self._starts.pop(thread, None)
        return None

    def await_scripts(self, thread: int, name: str, interpreter: FileId, scripts: tuple[FileId, ...]) -> None:
        """An interpreter of this name starts, and will open the scripts."""
        opens = _PYTHON_OPENS if name.startswith("python") else 1
        process = _process(thread)
        # execve ends the other threads of the process, and gives this one the number of the first
        since = 0.0 if process == thread else float("inf")
        self._awaited[process] = _Awaited(interpreter, scripts[:1] * opens + scripts[1:], since)

    def see_starts(self) -> None:
        """Look which interpreters run by now. To be called before events are read: those are then of none before."""
        for process, awaited in self._awaited.items():
            if awaited.since == float("inf") and _program(process) == awaited.interpreter:
                self._awaited[process] = awaited._replace(since=time.monotonic())

    def awaits(self, thread: int) -> bool:
        """Whether the thread is an interpreter that has still to open its script."""
        awaited = self._awaited.get(thread)
        return awaited is not None and _program(thread) in (awaited.interpreter, None)

    def opened(self, thread: int, file: FileId, arrived: float) -> None:
        """The thread, which is awaited, has opened an installed file, which may be one of its scripts.

        `arrived` is when the guard was asked. The first thread of a process can ask while another one is in execve.
        """
        awaited = self._awaited.get(thread)
        if awaited and file in awaited.scripts and arrived >= awaited.since:
            left = list(awaited.scripts)
            left.remove(file)
            if left:
                self._awaited[thread] = awaited._replace(scripts=tuple(left))
            else:
                del self._awaited[thread]

    def any_awaited(self) -> bool:
        """Whether any script has still to be opened, as far as is known."""
        return bool(self._awaited)

    def forget_the_dead(self) -> None:
        """What has ended opens nothing more."""
        self._awaited = {one: awaited for one, awaited in self._awaited.items() if os.path.exists(f"/proc/{one}")}


def _program(thread: int) -> FileId | None:
    """The program that a thread runs; None where that cannot be seen."""
    try:
        status = os.stat(f"/proc/{thread}/exe")
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _process(thread: int) -> int:
    """The process of a thread."""
    with contextlib.suppress(OSError):
        for line in _text(f"/proc/{thread}/status").splitlines():
            if line.startswith("Tgid:"):
                return int(line.split()[1])
    return thread


def _text(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()
