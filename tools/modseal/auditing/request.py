"""An audit from what was asked for to its result: the one function that the command line, the API and a service call.

It reads the baseline, finds the cache and the interrupted audit to go on with, chooses rules and an engine, and runs.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from modseal.auditing.cache import Cache, context_of
from modseal.auditing.choice import choose
from modseal.auditing.depots import SEPARATOR
from modseal.auditing.discover import Found, discover
from modseal.auditing.run import Audit, Progress, run
from modseal.auditing.target import DEADLINE, End, LeftOut, Unreadable
from modseal.auditing.whole import keep, replay
from modseal.auditing.whole import key_of as whole_key
from modseal.errors import UsageError
from modseal.files.address import name_of
from modseal.trust.policy import Policy
from modseal.values import dataclass

if TYPE_CHECKING:
    from modseal.auditing.engine import Engine


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be audited, and how. `at` is the time of verification, aware and in UTC."""

    paths: tuple[str, ...]
    policy: Policy
    at: datetime
    by_default: bool = False
    """Whether the policy is one that nobody named; reports say so first."""
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    """Ids of rules, or shell-style patterns of them: those to run (none: all), and those to leave out."""
    baseline: Path | None = None
    strict_coverage: bool = False
    jobs: int | None = None
    """Processes; None: one for each core."""
    deadline: float = DEADLINE
    """Seconds for each bundle; 0: as long as it takes."""
    dask: str | None = None
    """The address of a Dask cluster, which then examines."""
    cached: bool = True
    """Whether results of earlier audits count. Those of this one are kept in any case."""
    cache: Path | None = None
    """The folder of the cache; None: neither read nor kept."""
    resume: bool = False
    """Go on with the audit of these paths that was interrupted, as of its time."""
    outputs: tuple[Path, ...] = ()
    """Files that are going to be written, so none of them may be one of the bundles."""


def perform(
    request: Request,
    warn: Callable[[str], None] = lambda _text: None,
    progress: Progress = lambda _summary: None,
) -> Audit:
    """The audit that was asked for; after Ctrl-C what was examined until then, which is not `complete`.

    `warn` is told what is amiss with the cache, `progress` the numbers after each bundle. Raises `UsageError` (a rule
    that does not exist, nothing to go on with, an output that is a bundle), `PolicyError` (an allowance of no rule),
    `InputError` (the baseline), `UndecidedError` (the cluster).
    """
    known = known_to(request.baseline)
    with _cache(request, warn) as (cache, key):
        interrupted = cache.unfinished(key) if cache and request.resume else None
        if request.resume and interrupted is None:
            raise UsageError("--resume: no audit of these paths under this policy was interrupted")
        at = interrupted[1] if interrupted else request.at
        choice = choose(request.policy, at, select=request.select, ignore=request.ignore, known=known)

        def new() -> Audit:
            return Audit(
                policy=request.policy,
                at=at,
                paths=tuple(map(name_of, request.paths)),
                choice=choice,
                strict_coverage=request.strict_coverage,
                by_default=request.by_default,
            )

        audit = new()
        if cache and interrupted:
            cache.run = interrupted[0]
            cache.at_time(at)
        elif cache:
            cache.begin(key)
        if cache and not request.cached:
            cache.since = cache.run
        whole = whole_key(key, choice, strict_coverage=request.strict_coverage)

        def found() -> Iterator[Found]:
            return _without_outputs(request.outputs, discover(request.paths))

        try:
            asked = cache if request.cached and request.dask is None else None
            replayed = replay(asked, whole, found, new()) if asked else None
            if replayed:
                audit = replayed  # all of it, or nothing where it was interrupted before
                for _ in range(audit.summary.bundles):
                    progress(audit.summary)
            else:
                run(found(), _engine(request, at, cache), audit, cache, progress)
                if cache:
                    keep(cache, whole, audit)
            if cache:
                cache.complete()
        except KeyboardInterrupt:
            audit.complete = False
    return audit


def count(paths: Iterable[str]) -> int:
    """How many results an audit of these paths will have, found out without opening a bundle."""
    return sum(
        not isinstance(one, LeftOut | End) and not (isinstance(one, Unreadable) and one.malformed)
        for one in discover(paths)
    )


def known_to(baseline: Path | None) -> frozenset[str]:
    """The fingerprints of all findings that a baseline has, none without one. Raises `InputError`."""
    if baseline is None:
        return frozenset()
    # Imported here: most audits have no baseline.
    from modseal.auditing.report_file import load

    return frozenset(finding.fingerprint for finding in load(baseline).findings())


def _engine(request: Request, at: datetime, cache: Cache | None) -> Engine:
    if request.dask is None:
        # Imported here: what is replayed needs no other process.
        from modseal.auditing.engine import local

        return local(request.policy, at, request.jobs, cache, request.deadline)
    from modseal.auditing.cluster import Cluster, require_absolute

    require_absolute(tuple(map(name_of, request.paths)))
    return Cluster(request.policy, at, request.dask)


@contextmanager
def _cache(request: Request, warn: Callable[[str], None]) -> Iterator[tuple[Cache | None, str]]:
    """The cache, None where there is none, and what an audit of these paths is known by in it."""
    if request.policy.origin is None or request.cache is None:
        yield None, ""
        return
    context = context_of(request.policy.origin, request.policy.source)
    paths = map(name_of, request.paths)
    key = hashlib.sha256(json.dumps([os.getcwd(), *paths, context]).encode()).hexdigest()
    with Cache.opened(request.cache, context, request.at, warn) as cache:
        yield cache, key


def _without_outputs(files: Collection[Path], found: Iterable[Found]) -> Iterator[Found]:
    """What was found; raises `UsageError` where it is one of these files, which the reports would take the place of."""
    if not files:
        yield from found
        return
    places = {os.path.realpath(path): path for path in files}
    names = {os.path.basename(place) for place in places}
    for one in found:
        # An older report in a folder of bundles is left out.
        passed_over = isinstance(one, LeftOut) or (isinstance(one, Unreadable) and not one.malformed)
        if not passed_over:
            depot, _, path = one.name.partition(SEPARATOR)
            for name in (depot, os.path.join(depot, path)):
                if os.path.basename(name) in names and os.path.realpath(name) in places:
                    raise UsageError(f"{places[os.path.realpath(name)]} is one of the bundles; name another file")
        yield one
