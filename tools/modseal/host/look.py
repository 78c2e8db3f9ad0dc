"""What people ask of a host: its modules, one of them, its generations, and its log.

A change takes modules that can all be proved (`modules_of`). Who only looks is shown whatever can be read: what is
damaged is a finding, and nothing is shown as proved that nothing proves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, NoReturn

from modseal import limits
from modseal.errors import Failure, RefusedError, UndecidedError
from modseal.host import documents, event_log
from modseal.host.compare import HostDifference, verdict_of
from modseal.host.damaged import (
    OpenedStore,
    at_rest,
    is_changing,
    kept_policy,
    lost_generations,
    noted,
    open_damaged,
    pointer,
    prove_if_sound,
    recorded_modules,
)
from modseal.host.documents import Event, Generation, HostState, ModuleName, Reference, sha256_of
from modseal.host.installed import Installed, prove
from modseal.host.keep import hidden_failures
from modseal.host.store import LOG, Store
from modseal.trust.examination import WORST_LAST, Verdict
from modseal.values import dataclass


def modules_of(store: Store, reference: Reference, at: datetime) -> tuple[Installed, ...]:
    """The modules of a generation: who signed each, and for which level, is proved under today's policy.

    Raises `UndecidedError`, `PolicyError` where anything of it cannot be read.
    """
    modules = store.generation(reference).modules
    return tuple(prove(store, module, store.policy, at, unpack=False) for module in modules)


class ShownModule(NamedTuple):
    """A module of a generation as recorded; and examined, where its stored parts are those that were installed."""

    recorded: ModuleName
    module: Installed | None


@dataclass(frozen=True, slots=True)
class ShownModules:
    """Modules of the generation `shown`, None for `modules` where its document cannot be read.

    `judged` says that they were examined under the policy that holds: otherwise none is proved, whoever signed it.
    """

    state: HostState
    shown: Reference
    modules: tuple[ShownModule, ...] | None
    judged: bool
    findings: tuple[HostDifference, ...]

    @property
    def verdict(self) -> Verdict:
        """Whether what is shown is all that there is. Whether today's policy accepts a module is not in it."""
        return verdict_of(self.findings)


def show_modules(root: Path, at: datetime, *, pending: bool = False) -> ShownModules:
    """The modules of the active generation, or of the one that waits: who signed each, and for which level.

    Raises `UsageError` where there is no store, `UndecidedError` where no state of it can be read.
    """
    with open_damaged(root) as opened:
        return _modules(opened, at, None, pending=pending)


@dataclass(frozen=True, slots=True)
class ShownOne:
    """One module, wholly examined, and what is damaged of it or of what judges it."""

    module: ShownModule
    judged: bool
    findings: tuple[HostDifference, ...]

    @property
    def verdict(self) -> Verdict:
        """Accepted where today's policy accepts it, and nothing is damaged."""
        found = verdict_of(self.findings)
        if self.module.module is None or not self.judged:
            return found
        return max(found, self.module.module.examination.verdict, key=WORST_LAST.index)


def show_module(root: Path, name: str, at: datetime) -> ShownOne:
    """One module of the active generation.

    Raises `RefusedError` (not-installed), and what `show_modules` raises; also where nothing says what is installed.
    """
    with open_damaged(root) as opened:
        found = _modules(opened, at, name, pending=False)
    for one in found.modules or ():
        return ShownOne(one, found.judged, found.findings)
    if found.findings:
        _raise(found.findings[-1].failure)
    raise RefusedError("not-installed", f"no module {name!r} is installed", module=name)


def _modules(opened: OpenedStore, at: datetime, name: str | None, *, pending: bool) -> ShownModules:
    store, failures = _readable(opened), opened.failures
    with noted(failures):
        store.require_clock(at)
    policy = kept_policy(store, failures)
    judged = not failures  # else nothing says that this is the policy that holds, with all its recalls
    findings = [HostDifference(None, one) for one in failures]
    shown = store.newest if pending else store.state.generation
    recorded = recorded_modules(store, shown, findings)
    modules = [
        ShownModule(one, prove_if_sound(store, one, policy if judged else None, at, findings))
        for one in recorded or ()
        if name in (None, one.name)
    ]
    if name:
        proved = (one.module for one in modules if one.module)
        findings += [HostDifference(name, failure) for failure in hidden_failures(store, proved)]
    return ShownModules(store.state, shown, None if recorded is None else tuple(modules), judged, tuple(findings))


def _readable(opened: OpenedStore) -> Store:
    if opened.store is None:
        _raise(opened.failures[-1])
    return opened.store


def _raise(failure: Failure) -> NoReturn:
    raise UndecidedError(failure.code, failure.detail, **failure.evidence)


@dataclass(frozen=True, slots=True)
class ShownHistory:
    """The generations whose documents are those that were made, those to go back to that are lost, and the rest.

    `damaged` are the active one and the one that waits, where they are.
    """

    state: HostState
    generations: tuple[Generation, ...]
    lost: Mapping[Reference, Failure]
    damaged: Mapping[Reference, Failure]
    findings: tuple[HostDifference, ...]

    @property
    def verdict(self) -> Verdict:
        """Whether what is shown is all that there is."""
        return verdict_of([*self.findings, *(HostDifference(None, one) for one in self.lost.values())])


def show_history(root: Path) -> ShownHistory:
    """The generations of a host, as recorded. Raises what `show_modules` raises."""
    with open_damaged(root) as opened:
        store = _readable(opened)
        lost = lost_generations(store)
        damaged: dict[Reference, Failure] = {}
        generations = []
        for one in store.state.kept:
            if one not in lost:
                try:
                    generations.append(store.generation(one))
                except UndecidedError as error:
                    damaged[one] = error.failure
        findings = [HostDifference(None, one) for one in (*opened.failures, *damaged.values())]
        return ShownHistory(store.state, tuple(generations), lost, damaged, tuple(findings))


class LogLine(NamedTuple):
    """A line of the log, by its number from 0: its event, or why it is none.

    `proved` says that the state that holds leads to it, digest by digest from the newest line.
    """

    number: int
    event: Event | None
    failure: Failure | None
    proved: bool


@dataclass(frozen=True, slots=True)
class ShownLog:
    """The lines of the log. `head` is the SHA-256 of the newest one, where it was asked for and all is proved."""

    lines: tuple[LogLine, ...]
    head: str | None
    findings: tuple[HostDifference, ...]

    @property
    def verdict(self) -> Verdict:
        """Whether what is shown is all that was written."""
        return verdict_of(self.findings)


def show_log(root: Path, *, whole: bool) -> ShownLog:
    """Every line of the log that can be read; with the digest of the `whole`. Raises `UsageError` without a store."""
    return at_rest(lambda: _look_at_log(root, whole=whole))[0]


def _look_at_log(root: Path, *, whole: bool) -> tuple[ShownLog, bool]:
    with open_damaged(root) as opened:
        before = pointer(opened.folder)
        found = _log(opened, whole=whole)
        return found, not found.findings or not (is_changing(opened.folder) or before != pointer(opened.folder))


def _log(opened: OpenedStore, *, whole: bool) -> ShownLog:
    failures = opened.failures
    store = None if failures else opened.store  # a state that may be anybody's leads to nothing
    try:
        events = tuple(event_log.events(store) if store else event_log.chain(opened.folder))
    except (RefusedError, UndecidedError) as error:
        failures.append(error.failure)
        lines = _lines(opened, store)
        failures += [one.failure for one in lines if one.failure and one.failure not in failures]
        return ShownLog(lines, None, tuple(HostDifference(None, one) for one in failures))
    lines = tuple(LogLine(one.number, one, None, proved=store is not None) for one in events)
    head = sha256_of(documents.encode_event(events[-1])) if whole and store else None
    return ShownLog(lines, head, tuple(HostDifference(None, one) for one in failures))


def _lines(opened: OpenedStore, store: Store | None) -> tuple[LogLine, ...]:
    """The lines of a log that is broken somewhere, the newest event as the state has it among them."""
    try:
        lines = opened.folder.read(LOG, limits.HOST_LOG_SIZE).splitlines(keepends=True)
    except UndecidedError:
        lines = []
    leads_to = None
    if store and store.state.event.facts.get("state") == documents.digest_of(store.state):
        newest = documents.encode_event(store.state.event)
        if lines and newest.startswith(lines[-1]):  # a run was killed while it wrote this line
            del lines[-1]
        lines.append(newest)
        leads_to = sha256_of(newest)
    found = []
    for number, line in reversed([*enumerate(lines)]):
        proved = leads_to == sha256_of(line)
        try:
            event = event_log.event_of(line, number)
            found.append(LogLine(event.number, event, None, proved))
            leads_to = event.previous if proved else None
        except RefusedError as error:
            found.append(LogLine(number, None, error.failure, proved=False))
            leads_to = None
    return tuple(reversed(found))


def proved_log(events: Sequence[Event], head: str | None) -> ShownLog:
    """A log, or lines of it, of which every line is proved."""
    return ShownLog(tuple(LogLine(one.number, one, None, proved=True) for one in events), head, ())
