"""What is found out of a file and of who opens it, by threads that may wait for a disk or for somebody else."""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from modseal.errors import Failure
from modseal.format import elf
from modseal.host.fanotify import OpenEvent
from modseal.host.guard_content import FoundContent, GuardedContents, unreadable
from modseal.host.guard_generation import Loaded
from modseal.host.guard_log import link
from modseal.host.guard_mounts import GuardedMounts
from modseal.host.stacks import ENDED, NotWaitingYet, is_starting
from modseal.host.starts import Awaited, Start, Starts, user_of

AT_A_TIME = 16
"""Threads that look at others at a time. Whoever owns those can make that last for ever, and may not stop what hashes:
their memory can be a file whose server does not answer, and no stack is shown while execve closes such a file."""
_OF_A_USER = 2
"""Threads of one user that are looked at at a time: whoever makes it last for ever may not stop others."""
UNSAFE_NAME = Failure(
    "interpreter-direct", "its interpreter takes the name that the script is called by for an option: it begins so"
)


class Examined(NamedTuple):
    """What is known of an open. `proved` is a state that held after it arrived; `content` is None until it is found.

    `start`: the kernel makes it for that start. `judged`: whether it is judged at all.
    """

    event: OpenEvent
    content: FoundContent | None
    proved: Loaded | None = None
    start: Start | None = None
    judged: bool = True


class Looks:
    """Looks at files and threads. Its functions may wait, and are called without any lock."""

    def __init__(
        self, starts: Starts, contents: GuardedContents, mounts: GuardedMounts, *, audit: bool, libraries: bool
    ) -> None:
        self._starts, self._contents, self._mounts = starts, contents, mounts
        self._audit, self._libraries = audit, libraries
        self._lock = threading.Lock()
        self._looking: Counter[int] = Counter()

    @contextmanager
    def _look(self, thread: int) -> Iterator[None]:
        """Look at a thread, which may last. Raises `NotWaitingYet` where too many do; `OSError` where it has ended."""
        user = user_of(thread)
        with self._lock:
            if self._looking[user] >= _OF_A_USER or self._looking.total() >= AT_A_TIME:
                raise NotWaitingYet
            self._looking[user] += 1
        try:
            yield
        finally:
            with self._lock:
                self._looking[user] -= 1
                self._looking += Counter()  # without those of whom nobody is looked at

    def examine(self, found: Examined) -> Examined:
        """The same open with all that is needed to judge it. Raises `NotWaitingYet`: it is to be asked again."""
        try:
            event = found.event
            if not event.execute and not self._is_held(event):
                return found._replace(judged=False)
            start = self._starts.expected(event.thread) if event.execute else None
            if start:
                with self._look(event.thread):
                    is_for = self._starts.is_for(start, event.thread, event.descriptor)
                    if is_for and start.scripts and self._starts.has_unsafe_name(event.thread):
                        return found._replace(content=FoundContent(0, trouble=UNSAFE_NAME))
                found = found._replace(start=start if is_for else None)
            if found.content:
                return found
            return found._replace(content=self._contents.read(event.descriptor, event.thread, self._mounts.lately))
        except NotWaitingYet:
            raise
        except Exception as error:  # noqa: BLE001 - an unread file is an unproved file
            return found._replace(content=FoundContent(0, trouble=unreadable(error)))

    def _is_held(self, event: OpenEvent) -> bool:
        """Whether an open is judged: of ELF files with `libraries`, and of all by who has still to open a script.

        A script cannot be read from a folder, but from a pipe, a device, or what begins like an ELF file.
        """
        mode = os.fstat(event.descriptor).st_mode
        if self._libraries and stat.S_ISREG(mode) and os.pread(event.descriptor, len(elf.MAGIC), 0) == elf.MAGIC:
            return True
        if stat.S_ISDIR(mode) or not self._starts.may_await(event.thread):
            return False
        with self._look(event.thread):
            return self._starts.awaits(event.thread)

    def starting(self, threads: Sequence[int]) -> list[int]:
        """Those of the threads that may be within execve still."""
        found = []
        for thread in threads:
            try:
                with self._look(thread):
                    starting = is_starting(thread)
            except ENDED:
                starting = False
            except (NotWaitingYet, OSError):
                starting = True
            if starting:
                found.append(thread)
        return found

    def program(self, thread: int) -> str | None:
        """The name of the program that a thread runs, if that can be seen."""
        try:
            with self._look(thread):
                return link(f"/proc/{thread}/exe")
        except (NotWaitingYet, OSError):
            return None

    def failed(self, process: int) -> Awaited | None:
        """What is awaited of a process for nothing, as far as that can be seen now."""
        try:
            with self._look(process):
                return self._starts.failed(process)
        except (NotWaitingYet, OSError):
            return None

    def end_if_unsafe(self, process: int) -> bool | None:
        """Kill an interpreter that has just begun to run and takes its script's name for an option. None: ask again.

        Nothing stops it before it has read that name, so this comes some milliseconds later.
        """
        try:
            with self._look(process):
                held = os.pidfd_open(process)
                try:
                    unsafe = self._starts.is_unsafe(process)
                    if unsafe and not self._audit:
                        signal.pidfd_send_signal(held, signal.SIGKILL)
                    return unsafe
                finally:
                    os.close(held)
        except ENDED:
            return False
        except (NotWaitingYet, OSError):
            return None
