"""Who examines: this process, processes beside it, or a cluster. All give the same records in the same order.

An engine takes targets as they are found and keeps a bounded number of them under way, so that memory does not grow
with the audit. Targets go out in batches: small bundles together, because handing one over costs as much as
examining it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime
from typing import Any, Protocol, TypeVar

from modseal.auditing import rules
from modseal.auditing.cache import Cache
from modseal.auditing.look import look
from modseal.auditing.record import Record, unreadable
from modseal.auditing.target import DEADLINE, Target
from modseal.errors import Failure
from modseal.policy import sources as policy_sources
from modseal.trust.policy import Policy, PolicyBytes

BATCH_COUNT = 32
BATCH_SIZE = 4 * 1024 * 1024
"""A batch is as many bundles as this, or as many bytes: some 30 ms of work for one core, so that all end together."""

WINDOW = 4
"""Batches that are under way for each worker: enough that none waits, few enough that memory stays flat."""

T = TypeVar("T")


class Engine(Protocol):
    """Examines targets. None among them is a pause: what is under way is to come out before more is taken in."""

    def records(self, targets: Iterable[Target | None]) -> Iterator[Record]:
        """A record for each target, in their order."""


class Serial:
    """Examines in this process, one after another."""

    def __init__(self, policy: Policy, at: datetime, cache: Cache | None = None) -> None:
        self._policy, self._at, self._cache = policy, at, cache

    def records(self, targets: Iterable[Target | None]) -> Iterator[Record]:
        """See `Engine.records`."""
        for target in filter(None, targets):
            yield look(target, self._policy, rules.BUNDLE_RULES, self._at, self._cache)


class Processes:
    """Examines in `jobs` processes. One that is killed costs its bundle the verdict, and no other bundle anything.

    So does one that takes longer than `deadline` seconds (0: as long as it likes): it is ended by the kernel, also in
    the middle of a library's work. A bundle that was under way then gets its time once more, with nothing else beside
    it, before it is undecided.
    """

    def __init__(
        self, policy: Policy, at: datetime, jobs: int, cache: Cache | None = None, deadline: float = DEADLINE
    ) -> None:
        if policy.origin is None:
            raise ValueError("only a policy that was read from bytes can be read in another process")
        kept = (cache.path, cache.context, cache.since) if cache else None
        self._start = (policy.origin, policy.source, at, kept, deadline)
        self._at = at
        self._deadline = deadline
        self._jobs = jobs

    def records(self, targets: Iterable[Target | None]) -> Iterator[Record]:
        """See `Engine.records`."""
        waiting = batches(targets)
        lost: list[Target] | None = []
        while lost is not None:
            yield from (record for target in lost for record in self._alone(target))
            lost = yield from self._until_broken(waiting)

    def _until_broken(self, waiting: Iterator[list[Target]]) -> Generator[Record, None, list[Target] | None]:
        """Records of one pool; returns what was under way when a worker died, None where all is done.

        Every batch under way is lost with the pool, and whose fault it was is found one by one.
        """
        pool = self._pool(self._jobs)
        try:
            done = in_order(waiting, lambda batch: pool.submit(_examine, batch), self._jobs * WINDOW)
            for batch, answer in done:
                try:
                    yield from answer()
                except BrokenProcessPool:
                    return [*batch, *(target for late in done.abandon() for target in late)]
            pool.shutdown()
            return None
        finally:
            _kill(pool)

    def _alone(self, target: Target) -> Iterator[Record]:
        pool = self._pool(1)
        answer = pool.submit(_examine, [target])
        [process] = _processes(pool)
        try:
            yield from answer.result()
        except BrokenProcessPool:
            pool.shutdown()  # whose own thread reaps the process as well, and then the exit code is known
            yield unreadable(target.name, self._why(target, process.exitcode), self._at, target.size)
        finally:
            _kill(pool)

    def _why(self, target: Target, exit_code: int | None) -> Failure:
        """Why the process that examined nothing but this target ended without an answer."""
        if exit_code == -signal.SIGALRM:
            detail = f"{target.name}: examining it took longer than {self._deadline:g} s"
            return Failure("deadline-exceeded", detail, {"deadline": f"{self._deadline:g} s"})
        return Failure("worker-lost", f"{target.name}: the process that examined it ended without an answer")

    def _pool(self, jobs: int) -> ProcessPoolExecutor:
        # A fork has all modules already; where there is none, the modules are imported again.
        context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)
        return ProcessPoolExecutor(jobs, context, prepare, self._start)


def local(
    policy: Policy, at: datetime, jobs: int | None, cache: Cache | None = None, deadline: float = DEADLINE
) -> Engine:
    """The engine of so many processes on this machine, by default as many as there are cores.

    One alone is a process of its own as well where there is a deadline: only a process can be ended.
    """
    count = jobs or len(os.sched_getaffinity(0))
    if count == 1 and not deadline:
        return Serial(policy, at, cache)
    return Processes(policy, at, count, cache, deadline)


def _processes(pool: ProcessPoolExecutor) -> list[Any]:
    """The processes of a pool that has been given work, which it shows nowhere else."""
    return list((getattr(pool, "_processes", None) or {}).values())


def _kill(pool: ProcessPoolExecutor) -> None:
    """End a pool without waiting for work that nobody wants any more.

    SIGTERM is not enough: a worker that has just been forked still has our handler for it, and one that ends while
    it holds the lock of the queue leaves the others waiting for that for ever. One that is killed half-way through an
    answer leaves the pool's own thread waiting for the rest, which ends when nobody can write it any more.
    """
    processes = _processes(pool)
    for process in processes:
        process.kill()
    for process in processes:
        process.join()
    writer = getattr(getattr(pool, "_result_queue", None), "_writer", None)
    if writer is not None:
        writer.close()
    pool.shutdown(wait=False, cancel_futures=True)


class in_order(Iterator[tuple[list[Target], Callable[[], list[Record]]]]):  # noqa: N801 - used as a function
    """Each batch with what waits for its records, in order, with at most `window` of them under way."""

    def __init__(self, waiting: Iterator[list[Target]], submit: Callable[[list[Target]], Any], window: int) -> None:
        self._waiting, self._submit, self._window = waiting, submit, window
        self._running: deque[tuple[list[Target], Any]] = deque()
        self._paused = False

    def __next__(self) -> tuple[list[Target], Callable[[], list[Record]]]:
        self._paused = self._paused and bool(self._running)
        while not self._paused and len(self._running) < self._window:
            batch = next(self._waiting, None)
            if batch is None:
                break
            if not batch:
                self._paused = bool(self._running)
                continue
            try:
                future = self._submit(batch)
            except BrokenProcessPool as error:  # noticed while handing out the next batch, which must not be lost
                future = Future()
                future.set_exception(error)
            self._running.append((batch, future))
        if not self._running:
            raise StopIteration
        batch, future = self._running.popleft()
        return batch, future.result

    def abandon(self) -> list[list[Target]]:
        """The batches that are under way, and no longer waited for."""
        running = [batch for batch, _ in self._running]
        self._running.clear()
        return running


def batches(targets: Iterable[Target | None]) -> Iterator[list[Target]]:
    """Targets in lists of a bounded number and size; a pause ends a list, and is an empty one itself."""
    batch: list[Target] = []
    size = 0
    for target in targets:
        if target is None:
            yield from ([batch] if batch else [])
            yield []
            batch, size = [], 0
            continue
        batch.append(target)
        size += target.size
        if len(batch) >= BATCH_COUNT or size >= BATCH_SIZE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


_PREPARED: dict[str, tuple[Policy, datetime, Cache | None, float]] = {}
"""What this process examines with; set once, when it starts."""


def prepare(
    origin: PolicyBytes, source: str, at: datetime, cache: tuple[str, str, int] | None, deadline: float
) -> None:
    """Start a worker: read the policy once. The main process hears Ctrl-C, and ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # The kernel's own action: a handler in Python waits for the library that does not come to an end.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGALRM,))
    kept = Cache.reading(cache[0], cache[1], at, cache[2]) if cache else None
    _PREPARED["now"] = (policy_sources.from_bytes(origin, source), at, kept, deadline)


def _examine(batch: Sequence[Target]) -> list[Record]:
    policy, at, kept, deadline = _PREPARED["now"]
    records = []
    for target in batch:
        signal.setitimer(signal.ITIMER_REAL, deadline)  # 0 sets none
        records.append(look(target, policy, rules.BUNDLE_RULES, at, kept))
    signal.setitimer(signal.ITIMER_REAL, 0)
    return records
