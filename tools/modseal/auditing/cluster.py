"""Examines on the workers of a Dask cluster: the same records in the same order, whatever becomes of a worker.

Batches of targets go out and records come back. A worker that dies costs time only: Dask gives its batches to others.
Where workers die over one batch again and again, its bundles are examined one by one with nothing else under way, and
the one that no worker survives gets the record `worker-lost`. So do all that remain when no worker is left.

Dask sends Python objects, so whoever controls the scheduler controls workers and the auditor's machine alike.
"""

from __future__ import annotations

import logging
import os
import pkgutil
import platform
import time
import uuid
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from importlib.util import find_spec
from typing import Any, TypeVar

from modseal.auditing.engine import WINDOW, batches, in_order
from modseal.auditing.record import Record, unreadable
from modseal.auditing.target import Target
from modseal.errors import Failure, ModsealError, UndecidedError, UsageError
from modseal.files.address import is_address
from modseal.files.shown import shown
from modseal.trust.policy import Policy, PolicyBytes

CONNECT = 15.0
"""Seconds for the scheduler to answer."""

PATIENCE = 60.0
"""Seconds for a worker to come while there is none: a nanny starts a new one at once, a batch system later."""

_LOOK = 2.0
"""Seconds of waiting for a batch between two looks at whether there is any worker."""

_FETCHERS = 16
"""Threads that fetch records. One alone would wait some 20 ms for each batch, however many workers there are."""

_LONGEST_TEXT = 500
"""Characters of what the cluster says that an error shows."""

T = TypeVar("T")


class Cluster:
    """Examines on the workers of the cluster whose scheduler has this address (`tcp://...`, `tls://...`).

    Certificates for `tls://` are those of Dask's own configuration. The workers open the targets: they must have
    the same files under the same absolute paths, and fetch what is on servers with their own credentials.
    """

    def __init__(self, policy: Policy, at: datetime, address: str) -> None:
        if policy.origin is None:
            raise ValueError("only a policy that was read from bytes can be read in another process")
        if not address.startswith(("tcp://", "tls://")):
            raise UsageError(
                f"{shown(address)!r} is not an address of a Dask scheduler; give tcp://HOST:PORT or tls://HOST:PORT"
            )
        if find_spec("distributed") is None:
            raise UsageError("a Dask cluster needs distributed: pip install modseal[dask]")
        self._start = (policy.origin, policy.source, at, address)

    def records(self, targets: Iterable[Target | None]) -> Iterator[Record]:
        """See `Engine.records`. Raises `UndecidedError` (cluster-failed) where the cluster cannot be used."""
        waiting = batches(targets)
        lost: list[Target] | None = []
        with _Session.opened(*self._start) as session:
            while lost is not None:
                for target in lost:
                    yield from session.alone(target)
                lost = yield from session.until_lost(waiting)


def require_absolute(paths: Iterable[str]) -> None:
    """Raises `UsageError` for a path that means something else on a worker."""
    for path in paths:
        if not is_address(path) and not os.path.isabs(path):
            raise UsageError(f"{path}: with --dask, give absolute paths: a worker's current folder is another one")


class _NoWorkerError(Exception):
    """No worker is left, and none came."""


class _Session:
    """One audit's connection to a cluster."""

    def __init__(self, client: Any, key: str, at: datetime, address: str) -> None:
        self._client, self._key, self._at, self._address = client, key, at, address
        self._under_way: set[Any] = set()
        self._deserted = False
        self._fetchers = ThreadPoolExecutor(_FETCHERS, "modseal-fetch")

    @classmethod
    @contextmanager
    def opened(cls, origin: PolicyBytes, source: str, at: datetime, address: str) -> Iterator[_Session]:
        """Connect, refuse workers of other versions, and send the policy. At the end, cancel what is under way."""
        from modseal.auditing.cluster_worker import WorkerPreparation

        key = f"{origin.digest}-{uuid.uuid4().hex}"
        plugin = WorkerPreparation(key, origin, source, at)
        with _failures(address):
            client = _connect(address)
        session = cls(client, key, at, address)
        try:
            with _failures(address):
                _require_same_versions(client, address)
                client.register_plugin(plugin)
            yield session
        finally:
            with suppress(Exception):  # the scheduler may be gone
                client.cancel(list(session._under_way), force=True)
                client.unregister_worker_plugin(plugin.name)
            with suppress(Exception):
                client.close(timeout=_LOOK)
            session._fetchers.shutdown(wait=False, cancel_futures=True)

    def until_lost(self, waiting: Iterator[list[Target]]) -> Generator[Record, None, list[Target] | None]:
        """Records until workers die over a batch; returns what was under way then, None where all is done."""
        from distributed import KilledWorker

        if self._deserted:
            return next(waiting, None)
        with _failures(self._address):
            window = max(1, sum(self._client.nthreads().values())) * WINDOW
        done = in_order(waiting, self._submit, window)
        for batch, answer in done:
            try:
                yield from answer()
            except (KilledWorker, _NoWorkerError):
                self._drop()
                return [*batch, *(target for late in done.abandon() for target in late)]
        return None

    def alone(self, target: Target) -> Iterator[Record]:
        """The record of a bundle while nothing else is under way: only its own fault can kill the worker."""
        from distributed import KilledWorker

        why = "no worker of the cluster was left to examine it"
        if not self._deserted:
            try:
                yield from self._submit([target]).result()
            except KilledWorker:
                why = "every worker that examined it ended without an answer"
            except _NoWorkerError:
                pass
            else:
                return
        yield unreadable(target.name, Failure("worker-lost", f"{target.name}: {why}"), self._at, target.size)

    def _submit(self, batch: list[Target]) -> Future[list[Record]]:
        from modseal.auditing.cluster_worker import examine

        with _failures(self._address):
            future = self._client.submit(examine, self._key, batch, key=f"modseal-{uuid.uuid4().hex}", pure=False)
        self._under_way.add(future)
        return self._fetchers.submit(self._wait, future, batch)

    def _wait(self, future: Any, batch: list[Target]) -> list[Record]:
        """A batch's records. Raises `KilledWorker`, `_NoWorkerError`, or `UndecidedError`."""
        deserted_since = 0.0
        with _failures(self._address):
            while not _ended(future):
                if self._client.nthreads():
                    deserted_since = 0.0
                    continue
                deserted_since = deserted_since or time.monotonic()
                if time.monotonic() - deserted_since > PATIENCE:
                    self._deserted = True
                    raise _NoWorkerError
            self._under_way.discard(future)
            records: list[Record] = future.result()
        if [record.row.bundle for record in records] != [target.name for target in batch]:
            raise UndecidedError(
                "cluster-failed", f"{self._address}: a worker answered for other bundles than it was asked"
            )
        return [_not_to_be_kept(record) for record in records]

    def _drop(self) -> None:
        """Cancel all that is under way, so that it kills no more workers."""
        with _failures(self._address):
            self._client.cancel(list(self._under_way), force=True)
        self._under_way.clear()


def _not_to_be_kept(record: Record) -> Record:
    """A record that no cache keeps: it is a worker's word, and its device and inode are of the worker's machine."""
    return replace(record, holds=None, identity=None)


def _ended(future: Any) -> bool:
    """Whether a batch has ended, well or not, after waiting for it a while."""
    with suppress(TimeoutError):
        future.exception(timeout=_LOOK)
    return bool(future.done())


def _connect(address: str) -> Any:
    """A client that keeps to itself: it is nobody's default, and logs nothing. Raises what distributed raises."""
    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    for name in ("distributed", "distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    warnings.simplefilter("ignore", VersionMismatchWarning)  # we ask ourselves, and for what matters
    client = Client(  # type: ignore[no-untyped-call]
        address, timeout=CONNECT, set_as_default=False, name="modseal"
    )
    client.wait_for_workers(1, timeout=PATIENCE)
    return client


def _require_same_versions(client: Any, address: str) -> None:
    """The scheduler and all workers are like this process. Raises `UndecidedError` with each that is not."""
    from modseal.auditing.cluster_worker import Versions

    # Functions of the standard library, because a worker may have no modseal, or one without this module.
    asked = (partial(pkgutil.resolve_name, "modseal:__version__"), platform.python_version_tuple)
    modsealed, pythons = (
        {address: _on_scheduler(client, function), **client.run(function, on_error="return")} for function in asked
    )
    here = Versions.here()
    others = []
    for where, version in modsealed.items():
        python = pythons.get(where)
        there = Versions(_plain(version), ".".join(python[:2]) if isinstance(python, tuple) else "unknown")
        if there != here:
            others.append(f"{where} has {there}")
    if others:
        raise UndecidedError("cluster-failed", f"here is {here}, but {'; '.join(sorted(others))}")


def _on_scheduler(client: Any, function: Callable[[], T]) -> T | Exception:
    try:
        answer: T = client.run_on_scheduler(function)
    except Exception as error:  # noqa: BLE001 - whatever it raised there
        return error
    return answer


def _plain(version: object) -> str:
    return version if isinstance(version, str) else "none"


@contextmanager
def _failures(address: str) -> Iterator[None]:
    """Makes every failure of the cluster, and of our code on it, an `UndecidedError`."""
    from distributed import KilledWorker

    try:
        yield
    except (ModsealError, KilledWorker, _NoWorkerError):
        raise
    except Exception as error:  # whatever distributed raises, or passes on from a worker
        text = str(error).partition("\n")[0] or type(error).__name__
        raise UndecidedError("cluster-failed", f"{address}: {text[:_LONGEST_TEXT]}") from error
