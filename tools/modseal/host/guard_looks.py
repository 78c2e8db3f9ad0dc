"""What is found out of a file and of who opens it, by threads that may wait for a disk or for somebody else."""

from __future__ import annotations

import os
import signal
import stat
import threading
from typing import NamedTuple

from modseal.errors import Failure
from modseal.host.admission import ELF
from modseal.host.fanotify import OpenEvent
from modseal.host.guard_content import FoundContent, GuardedContents, unreadable
from modseal.host.guard_generation import Loaded
from modseal.host.stacks import NotWaitingYet
from modseal.host.starts import Start, Starts

_AT_A_TIME = 2
"""Threads that read another process's memory at a time. Whoever owns it can make that last for ever, and may not stop
what hashes."""
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

    def __init__(self, starts: Starts, contents: GuardedContents, *, audit: bool, libraries: bool) -> None:
        self._starts, self._contents, self._audit, self._libraries = starts, contents, audit, libraries
        self._memory = threading.Semaphore(_AT_A_TIME)

    def examine(self, found: Examined) -> Examined:
        """The same open with all that is needed to judge it. Raises `NotWaitingYet`: it is to be asked again."""
        try:
            event = found.event
            if not event.execute and not self._is_held(event):
                return found._replace(judged=False)
            start = self._starts.expected(event.thread) if event.execute else None
            if start and self._starts.is_for(start, event.thread, event.descriptor):
                if start.scripts and self._has_unsafe_name(event.thread):
                    return found._replace(content=FoundContent(0, trouble=UNSAFE_NAME))
                found = found._replace(start=start)
            if found.content:
                return found
            return found._replace(content=self._contents.read(event.descriptor, event.thread))
        except NotWaitingYet:
            raise
        except Exception as error:  # noqa: BLE001 - an unread file is an unproved file
            return found._replace(content=FoundContent(0, trouble=unreadable(error)))

    def _is_held(self, event: OpenEvent) -> bool:
        """Whether an open is judged: of ELF files with `libraries`, of others by who has still to open a script.

        A script cannot be read from a folder, but from a pipe or a device.
        """
        mode = os.fstat(event.descriptor).st_mode
        if stat.S_ISREG(mode) and os.pread(event.descriptor, len(ELF), 0) == ELF:
            return self._libraries
        return not stat.S_ISDIR(mode) and self._starts.awaits(event.thread)

    def _has_unsafe_name(self, thread: int) -> bool:
        if not self._memory.acquire(blocking=False):
            raise NotWaitingYet
        try:
            return self._starts.has_unsafe_name(thread)
        finally:
            self._memory.release()

    def end_if_unsafe(self, process: int) -> bool | None:
        """Kill an interpreter that has just begun to run and takes its script's name for an option. None: ask again.

        Nothing stops it before it has read that name, so this comes some milliseconds later.
        """
        if not self._memory.acquire(blocking=False):
            return None
        try:
            held = os.pidfd_open(process)
            try:
                unsafe = self._starts.is_unsafe(process)
                if unsafe and not self._audit:
                    signal.pidfd_send_signal(held, signal.SIGKILL)
                return unsafe
            finally:
                os.close(held)
        except OSError:  # it has ended
            return False
        finally:
            self._memory.release()
