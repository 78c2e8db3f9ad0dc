"""What the kernel opens for a program that was let run: its interpreter, then the script that it runs.

The kernel opens an interpreter itself, in the same execve(2), and gives it the script's name only: the interpreter
opens that name once more. An execve can fail in between, and the thread can start the interpreter by itself then.
Whoever waits for the guard is the same thread, with the same file; what differs is where in the kernel it waits.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import NamedTuple

from modseal import limits
from modseal.host.kernel import open_below
from modseal.host.stacks import (
    ENDED,
    NO_MORE,
    OPTIONS,
    NotWaitingYet,
    has_unsafe_name,
    is_opened_for_another,
    is_starting,
    text_of,
)

_PYTHON_OPENS = 2
"""Python opens its script to see whether it is a zip archive, and once more to run it."""
_AT_ONCE = 128
"""Of how many starts is looked at once how far they are: the newest, and as many others in turn. Somebody can have
thousands that go on no more."""

FileId = tuple[int, int]
"""Device and inode."""


def file_of(descriptor: int) -> FileId:
    """Which file a descriptor has open. Of a file system that is not guarded it may wait for ever."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


class MountedInode(NamedTuple):
    """Through which mount something is open, and which inode: what the kernel says without asking a file system."""

    mount: str
    inode: str


def place_of(descriptor: int) -> MountedInode:
    """The place of what a descriptor has open (proc_pid_fdinfo(5)). Raises `OSError`."""
    facts = dict(line.split(":", 1) for line in text_of(f"/proc/self/fdinfo/{descriptor}").splitlines())
    inode = facts.get("ino") or str(os.fstat(descriptor).st_ino)  # not before Linux 5.14
    return MountedInode(facts["mnt_id"].strip(), inode.strip())


class Start(NamedTuple):
    """The file that the kernel will start for one that was let run, and the scripts that it is started for.

    Those are several where a script's interpreter is a script itself. `until` is when it is forgotten. `arguments` is
    how many the interpreter is given before the script's name.
    """

    until: float
    interpreter: str
    scripts: tuple[FileId, ...]
    arguments: int


class Awaited(NamedTuple):
    """An interpreter, and the scripts that it was started for and has still to open, each as often as it does.

    `thread` is the one that started it, and `at` when (monotonic seconds). What came to the guard before `since` is not
    of the interpreter. `seen`: the name that it was given for its script was looked at.
    """

    interpreter: MountedInode
    scripts: tuple[FileId, ...]
    thread: int
    arguments: int
    at: float
    since: float = float("inf")
    seen: bool = False


class Starts:
    """The starts of all threads, and the scripts to be opened by the interpreters of processes.

    Those are awaited as long as the process lives: it can be stopped for as long as somebody likes.
    """

    def __init__(self, *, stacks: bool = True) -> None:
        """Without `stacks`, any open that fits is taken for the kernel's own: enough for a report, and for no more."""
        self._stacks = stacks
        self._starts: dict[int, Start] = {}
        self._awaited: dict[int, Awaited] = {}
        self._turn = 0

    def expect(self, thread: int, interpreter: str, scripts: tuple[FileId, ...], arguments: int = 0) -> None:
        """The next file that the kernel opens for this thread is this interpreter, within the same execve."""
        if not interpreter.startswith("/"):
            return
        now = time.monotonic()
        if len(self._starts) >= limits.GUARD_STARTS:
            self._starts = {one: start for one, start in self._starts.items() if start.until > now}
        self._starts[thread] = Start(now + limits.GUARD_DEADLINE, interpreter, scripts, arguments)

    def expected(self, thread: int) -> Start | None:
        """The start that the next file may belong to that this thread has the kernel open."""
        start = self._starts.get(thread)
        return start if start and start.until > time.monotonic() else None

    def is_for(self, start: Start, thread: int, descriptor: int) -> bool:
        """Whether the kernel makes this open, which the thread waits for, for this start.

        For threads that may wait: nothing is changed. Raises `NotWaitingYet`, and tells it later; `OSError` where the
        kernel does not show it.
        """
        if self._stacks and not is_opened_for_another(thread):
            return False
        root = os.open(f"/proc/{thread}/root", os.O_PATH | os.O_CLOEXEC)
        try:
            found = open_below(root, start.interpreter)
        except BlockingIOError:  # something was renamed or mounted meanwhile
            raise NotWaitingYet from None
        except (OSError, ValueError):
            return False
        finally:
            os.close(root)
        try:
            return place_of(found) == place_of(descriptor)
        finally:
            os.close(found)

    def has_unsafe_name(self, thread: int) -> bool:
        """As the function of that name; never where the kernel shows no stacks."""
        return self._stacks and has_unsafe_name(thread)

    def take(self, thread: int) -> Start | None:
        """The start that was expected. It is told once: another one follows, or none."""
        return self._starts.pop(thread, None)

    def await_scripts(self, thread: int, name: str, interpreter: int, start: Start) -> None:
        """An interpreter of this name, open as a descriptor, starts, and will open the scripts."""
        opens = _PYTHON_OPENS if name.startswith("python") else 1
        scripts = start.scripts[:1] * opens + start.scripts[1:]
        process = process_of(thread)
        self._awaited.pop(process, None)  # it is one of the newest again
        self._awaited[process] = Awaited(place_of(interpreter), scripts, thread, start.arguments, time.monotonic())

    def starting(self) -> list[int]:
        """The processes whose interpreter may have started, and was not looked at since."""
        starting = [one for one, found in self._awaited.items() if found.since == float("inf") or not found.seen]
        if len(starting) > 2 * _AT_ONCE:
            others = starting[:-_AT_ONCE]
            self._turn = (self._turn + _AT_ONCE) % len(others)
            starting = (others[self._turn :] + others[: self._turn])[:_AT_ONCE] + starting[-_AT_ONCE:]
        return starting

    def has_started(self, process: int) -> Awaited | None:
        """What is awaited of a process whose interpreter runs, if that was not known. For threads that may wait."""
        awaited = self._awaited.get(process)
        return awaited if awaited and awaited.since == float("inf") and _has_started(process, awaited) else None

    def see_start(self, process: int, awaited: Awaited) -> None:
        """Its interpreter runs. To be called before events are read: those are then of none before."""
        if self._awaited.get(process) is awaited:
            self._awaited[process] = awaited._replace(since=time.monotonic())

    def is_seen(self, process: int) -> bool:
        """Whether it need not be looked at again."""
        return process not in self._awaited or self._awaited[process].seen

    def any_new(self) -> bool:
        """Whether an interpreter starts just now that was not looked at."""
        newest = time.monotonic() - limits.GUARD_DEADLINE
        return any(found.at > newest and not found.seen for found in self._awaited.values())

    def is_unsafe(self, process: int) -> bool | None:
        """Whether an interpreter that runs was given a name for its script that it takes for options. None: not yet.

        The kernel has written that name where no other process can have changed it since, but one that traces it. For
        threads that may wait. Raises `OSError`.
        """
        awaited = self._awaited.get(process)
        if awaited is None:
            return False
        if not _has_started(process, awaited):
            return None
        given = text_of(f"/proc/{process}/cmdline").split("\0")
        if given == [""]:  # the kernel has exchanged the program, and not yet written what it is given
            return None
        if not _has_started(process, awaited):
            return None  # another program has replaced it since, whose arguments these are
        unsafe = given[1 + awaited.arguments : 2 + awaited.arguments]
        return any(name[:1].encode() in OPTIONS for name in unsafe)

    def failed(self, process: int) -> Awaited | None:
        """What is awaited of a process whose interpreter did not start: the thread has left execve without it.

        Or it has ended, and nobody has asked yet what became of it. For threads that may wait.

        execve gives the thread the number of the process before it exchanges the program.
        Raises `OSError`.
        """
        awaited = self._awaited.get(process)
        if awaited is None:
            return None
        if _has_ended(process):
            return awaited
        if not self._stacks or is_starting(awaited.thread) or is_starting(process):
            return None
        return None if _program(process) in (awaited.interpreter, None) else awaited

    def await_no_more(self, process: int, awaited: Awaited) -> None:
        """Forget what has failed, if nothing has changed since."""
        if self._awaited.get(process) is awaited:
            del self._awaited[process]

    def was_seen(self, process: int) -> None:
        """It need not be looked at again."""
        if process in self._awaited:
            self._awaited[process] = self._awaited[process]._replace(seen=True)

    def may_await(self, thread: int) -> bool:
        """Whether the thread's process has started as an interpreter that has still to open its script."""
        return bool(self._awaited) and process_of(thread) in self._awaited

    def awaits(self, thread: int) -> bool:
        """Whether it is that interpreter still, and no other program has replaced it. For threads that may wait."""
        process = process_of(thread)
        awaited = self._awaited.get(process)
        return awaited is not None and _program(process) in (awaited.interpreter, None)

    def opened(self, thread: int, file: FileId, arrived: float) -> None:
        """The thread, which is awaited, has opened an installed file, which may be one of its scripts.

        `arrived` is when the guard was asked. Other threads of a process can ask while one of them is in execve.
        """
        process = process_of(thread)
        awaited = self._awaited.get(process)
        if awaited and file in awaited.scripts and arrived >= awaited.since:
            left = list(awaited.scripts)
            left.remove(file)
            if left:
                self._awaited[process] = awaited._replace(scripts=tuple(left))
            else:
                del self._awaited[process]

    def any_awaited(self) -> bool:
        """Whether any script has still to be opened, as far as is known."""
        return bool(self._awaited)

    def forget_the_dead(self) -> None:
        """What has ended opens nothing more."""
        self._awaited = {one: awaited for one, awaited in self._awaited.items() if os.path.exists(f"/proc/{one}")}


def _has_started(process: int, awaited: Awaited) -> bool:
    """Whether the interpreter runs. Its thread has the number of the process by then, and the others are gone."""
    if awaited.thread != process and os.path.exists(f"/proc/{process}/task/{awaited.thread}"):
        return False
    return _program(process) == awaited.interpreter


def _program(process: int) -> MountedInode | None:
    """The program that a process runs; None where that cannot be seen. For threads that may wait."""
    try:
        descriptor = os.open(f"/proc/{process}/exe", os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return place_of(descriptor)
    finally:
        os.close(descriptor)


def process_of(thread: int) -> int:
    """The process of a thread. Raises `OSError` where that cannot be seen, unless it has ended."""
    with contextlib.suppress(*ENDED):
        return int(_status(thread, "Tgid:"))
    return thread


def user_of(thread: int) -> int:
    """The user who has started it: the real user id, which a set-user-id program does not change. Raises `OSError`."""
    return int(_status(thread, "Uid:"))


def _has_ended(process: int) -> bool:
    """Whether all threads of a process have ended. The first one stays until its parent asks. Raises `OSError`."""
    return _status(process, "State:") in NO_MORE and _status(process, "Threads:") == "1"


def _status(thread: int, label: str) -> str:
    for line in text_of(f"/proc/{thread}/status").splitlines():
        if line.startswith(label):
            return line.split()[1]
    raise ProcessLookupError(thread)
