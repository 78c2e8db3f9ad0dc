"""Why a thread opens a file: read off where it stands in the kernel (ADR 58), which no process can write to."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re

from modseal.errors import UndecidedError

_HANDLERS = re.compile(r"\bload_(script|elf_binary|elf_fdpic_binary|misc_binary|flat_binary)\b")
"""The functions of Linux that open an interpreter or a loader (`load_binary` of fs/binfmt_*.c)."""
_EXECVE = re.compile(r"sys_execve(at)?\b")
"""The system call, by the name of its function on every processor."""
_AT_FDCWD = -100
OPTIONS = (b"-", b"+")
"""What options begin with. Shells take both: `sh +c CODE`."""
NO_MORE = ("Z", "X")
"""States of a thread that has ended."""
ENDED = (FileNotFoundError, ProcessLookupError)
"""What looking at a thread raises once it has ended. Anything else says nothing: too many files can be open."""
_NO_ATTACH = "3"
"""Yama's `ptrace_scope` with which nobody is shown another process's stack."""


class NotWaitingYet(Exception):  # noqa: N818 - no error: it is asked again in a moment
    """The thread has asked the guard, and is still on its way to sleep."""


def require_stacks() -> None:
    """Raises `UndecidedError` (guard-impossible) where the kernel does not show what `is_opened_for_another` needs."""
    detail = "the kernel does not show in /proc/PID/stack why a file is opened, so nobody can tell whether it starts"
    detail += " an interpreter for a script or somebody starts it directly"
    with contextlib.suppress(OSError), open("/proc/sys/kernel/yama/ptrace_scope", encoding="ascii") as file:
        if file.read().strip() == _NO_ATTACH:
            raise UndecidedError("guard-impossible", f"kernel.yama.ptrace_scope is {_NO_ATTACH}: {detail}")
    try:
        shown = text_of("/proc/thread-self/stack")
    except OSError as error:
        raise UndecidedError("guard-impossible", f"{detail}: {error.strerror}") from None
    if "proc_pid_stack" not in shown:
        raise UndecidedError("guard-impossible", f"{detail}: it has no names (CONFIG_KALLSYMS)")


def is_opened_for_another(thread: int) -> bool:
    """Whether the kernel opens what this thread waits for as the interpreter or loader of another file.

    It is read off the thread's stack in the kernel, which no process can write to. Raises `NotWaitingYet`, `OSError`.
    """
    place = f"/proc/{thread}"
    if _state(thread) == "R":
        raise NotWaitingYet
    if text_of(f"{place}/syscall").startswith("running"):  # the kernel answers once the thread has left its processor
        raise NotWaitingYet
    shown = text_of(f"{place}/stack")
    if "notify" not in shown:
        raise NotWaitingYet
    return bool(_HANDLERS.search(shown))


def is_starting(thread: int) -> bool:
    """Whether a thread may be within execve still. Of one that runs just now nothing is known.

    For threads that may wait: nothing is shown of it while execve closes files. Raises `OSError`.
    """
    try:
        if text_of(f"/proc/{thread}/syscall").startswith("running"):
            return True
        shown = text_of(f"/proc/{thread}/stack")
        return bool(_EXECVE.search(shown)) or (not shown and _state(thread) not in NO_MORE)
    except ENDED:
        return False


def _state(thread: int) -> str:
    """What a thread does (proc_pid_stat(5)): `R` runs, or waits for a processor alone."""
    return text_of(f"/proc/{thread}/stat").rpartition(")")[2].split()[0]


def has_unsafe_name(thread: int) -> bool:
    """Whether a thread, which waits within execve, calls its program by a name that interpreters take for options.

    The kernel gives an interpreter the name that the script was called by, and `-c` is the name of a link as well. The
    name is read in the thread's memory, which another thread can change meanwhile. Raises `OSError`, `NotWaitingYet`:
    each answer of the guard wakes all who wait, for a moment.
    """
    shown = text_of(f"/proc/{thread}/stack")
    given = [int(one, 16) for one in text_of(f"/proc/{thread}/syscall").split()[1:]]
    if "notify" not in shown or len(given) < 2:
        raise NotWaitingYet
    call = _EXECVE.search(shown)
    if call is None:
        return True
    at_folder = bool(call[1]) and ctypes.c_int32(given[0] & 0xFFFFFFFF).value != _AT_FDCWD
    if at_folder:
        return False  # the interpreter is given /dev/fd/N/NAME
    memory = os.open(f"/proc/{thread}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(memory, 1, given[1 if call[1] else 0]) in OPTIONS
    finally:
        os.close(memory)


def text_of(path: str) -> str:
    """A file of /proc. Raises `OSError`."""
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()
