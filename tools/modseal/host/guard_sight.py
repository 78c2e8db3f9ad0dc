"""What is to be seen of other processes, for a moment: some let nobody see it for as long as they like.

While execve closes files, Linux shows neither the stack nor the program of a thread, and who asks waits. The server of
a file of FUSE never has to say that it is closed. So no thread asks that others wait for.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import NamedTuple, TypeVar

from modseal.host.guard_looks import AT_A_TIME
from modseal.host.starts import Awaited, Starts, user_of

_A_MOMENT = 0.5
"""Seconds for which is waited for what is to be seen."""
_JOBS, _JOBS_OF_A_USER = 16, 2
"""Threads that look which interpreters run, at a time: of all users, and of one."""
_MORE = 4
"""Threads for whatever else is asked."""

_Found = TypeVar("_Found")


class _Job(NamedTuple):
    """A thread looks at processes of a user."""

    user: int
    processes: frozenset[int]
    future: Future[None]


class Sight:
    """Threads that look at processes. None of them waits for the guard: that waits for them."""

    def __init__(self, starts: Starts) -> None:
        self._starts = starts
        self._jobs: list[_Job] = []
        self._pool = threads(_JOBS + AT_A_TIME + _MORE)

    def close(self) -> None:
        """Wait for the threads, and end them."""
        self._pool.shutdown()

    def soon(self, look: Callable[[], _Found]) -> _Found | None:
        """What a look finds; None where it lasts."""
        with suppress(TimeoutError):
            return self._pool.submit(look).result(_A_MOMENT)
        return None

    def begun(self, processes: Sequence[int]) -> list[tuple[int, Awaited]]:
        """The processes whose interpreters run by now, and what is awaited of them.

        Where it lasts for two threads of a user, nothing is known of others of that user. For one thread at a time.
        """
        self._jobs = [job for job in self._jobs if not job.future.done()]
        lasting = Counter(job.user for job in self._jobs)
        left = {process for job in self._jobs for process in job.processes}
        asked: dict[int, list[int]] = {}
        for process in processes:
            with suppress(OSError):
                if process not in left and lasting[user := user_of(process)] < _JOBS_OF_A_USER:
                    asked.setdefault(user, []).append(process)
        found: list[tuple[int, Awaited]] = []
        for user, some in list(asked.items())[: _JOBS - lasting.total()]:
            self._jobs.append(_Job(user, frozenset(some), self._pool.submit(self._look, some, found)))
        wait([job.future for job in self._jobs[lasting.total() :]], timeout=_A_MOMENT)
        return found.copy()

    def _look(self, processes: Sequence[int], found: list[tuple[int, Awaited]]) -> None:
        for process in processes:
            if awaited := self._starts.has_started(process):
                found.append((process, awaited))  # noqa: PERF401 - what is found counts although the next one lasts


def threads(number: int) -> ThreadPoolExecutor:
    """A pool that has its threads already: where somebody starts as many as the system can have, it would get none."""
    pool, all_of_them = ThreadPoolExecutor(number), threading.Barrier(number)
    list(pool.map(lambda _: all_of_them.wait(), range(number)))
    return pool
