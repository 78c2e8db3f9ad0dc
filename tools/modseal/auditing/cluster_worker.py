"""What runs on the workers of a Dask cluster: each reads the policy once for each audit, and examines batches.

Audits that use one cluster at the same time have keys of their own, so that none is examined under another's policy.
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from distributed import WorkerPlugin

from modseal import __version__
from modseal.auditing import depots, rules
from modseal.auditing.look import look
from modseal.auditing.record import Record
from modseal.auditing.target import Target
from modseal.policy import sources as policy_sources
from modseal.trust.policy import Policy, PolicyBytes

_PREPARED: dict[str, tuple[Policy, datetime]] = {}
"""What this worker examines with, by the key of the audit."""

_ONE = threading.Lock()
"""A worker may have several threads, but a process has one depot open (`depots`): the others wait."""


class Versions(NamedTuple):
    """What must be the same everywhere, because objects of modseal are sent to and fro, and verdicts depend on it."""

    modseal: str
    python: str

    @classmethod
    def here(cls) -> Versions:
        """Those of this process."""
        return cls(__version__, ".".join(platform.python_version_tuple()[:2]))

    def __str__(self) -> str:
        return f"modseal {self.modseal} on Python {self.python}"


class WorkerPreparation(WorkerPlugin):
    """Reads the policy on each worker of a cluster, those that join later included."""

    def __init__(self, key: str, origin: PolicyBytes, source: str, at: datetime) -> None:
        self.name = f"modseal-{key}"
        self._key, self._start = key, (origin, source, at)
        self._versions = tuple(Versions.here())

    def setup(self, worker: Any) -> None:  # noqa: ARG002 - as distributed calls it
        """Run by each worker, when it joins or the audit begins."""
        if self._versions == Versions.here():
            origin, source, at = self._start
            _PREPARED[self._key] = (policy_sources.from_bytes(origin, source), at)

    def teardown(self, worker: Any) -> None:  # noqa: ARG002 - as distributed calls it
        """Run by each worker when the audit ends."""
        _PREPARED.pop(self._key, None)
        if _ONE.acquire(blocking=False):
            depots.close()
            _ONE.release()


def examine(key: str, batch: Sequence[Target]) -> list[Record]:
    """A record for each target. Raises `RuntimeError` where this worker was not prepared for the audit."""
    if key not in _PREPARED:
        raise RuntimeError(f"a worker joined that has {Versions.here()}, or could not read the policy")
    policy, at = _PREPARED[key]
    with _ONE:
        return [look(target, policy, rules.BUNDLE_RULES, at) for target in batch]
