"""An audit from its paths to its result: discover, examine, ask the rules, decide what counts. The whole story.

`run` reads top to bottom. It keeps a row's worth of words for each bundle at most; results and findings go to spools.
"""

from __future__ import annotations

import enum
import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from datetime import datetime
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from modseal.auditing import rules
from modseal.auditing.as_of import AsOf
from modseal.auditing.cache import Cache
from modseal.auditing.choice import RuleChoice
from modseal.auditing.depots import DepotEnd, DepotTarget
from modseal.auditing.discover import Found
from modseal.auditing.esxi_end import HostEnd, HostVib
from modseal.auditing.finding import Finding, Kind, Severity, State, failure_finding
from modseal.auditing.installed_vib import InstalledVib
from modseal.auditing.record import Record, unreadable
from modseal.auditing.rule import Hit
from modseal.auditing.spool import FindingSpool, Spool
from modseal.auditing.target import End, LeftOut, Target, Unreadable
from modseal.depot.compare import BundleOrigin
from modseal.files.identity import Identity
from modseal.files.names import native, portable
from modseal.format.level import Level
from modseal.format.times import time_text
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy
from modseal.values import dataclass

if TYPE_CHECKING:
    from modseal.auditing.engine import Engine


@dataclass(slots=True)
class Summary:
    """The numbers of an audit."""

    bundles: int = 0
    bytes: int = 0
    depots: int = 0
    left_out: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    levels: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    """Those that count, by severity."""
    set_aside: Counter[str] = field(default_factory=Counter)
    """Those that do not, by state."""

    def add_result(self, size: int, verdict: str, level: str | None) -> None:
        """Count one more bundle; `level` is the proven one."""
        self.bundles += 1
        self.bytes += size
        self.verdicts[verdict] += 1
        self.levels[level or LEVELS[-1]] += 1

    def add_finding(self, severity: str, state: State) -> None:
        """Count one more finding."""
        if state is State.NEW:
            self.findings[severity] += 1
        else:
            self.set_aside[state] += 1

    def plain(self) -> dict[str, Any]:
        """As JSON has it: every key, also where its number is zero."""
        return {
            "bundles": self.bundles,
            "bytes": self.bytes,
            "depots": self.depots,
            "left_out": self.left_out,
            "verdicts": {str(verdict): self.verdicts[verdict] for verdict in Verdict},
            "proven_levels": {level: self.levels[level] for level in LEVELS},
            "findings": {str(severity): self.findings[str(severity)] for severity in reversed(Severity)},
            "set_aside": {str(state): self.set_aside[state] for state in State if state is not State.NEW},
        }


LEVELS = (*map(str, sorted(Level, reverse=True)), "none")
"""Proven levels as reports have them, from the highest to none."""


class Outcome(enum.StrEnum):
    """What an audit comes to."""

    PASSED = "passed"
    FAILED = "failed"
    """A finding that counts is severe enough."""
    UNDECIDED = "undecided"
    """Something that counts could not be decided, or there was no bundle."""
    INTERRUPTED = "interrupted"


@dataclass(slots=True)
class Audit:
    """A finished audit, or one that was interrupted (then not `complete`): what every report is made of."""

    policy: Policy
    at: datetime
    paths: tuple[str, ...]
    choice: RuleChoice
    by_default: bool = False
    """Whether the policy is one that nobody named."""
    strict_coverage: bool = False
    """Whether what was left out and could hold a bundle leaves the audit undecided."""
    complete: bool = False
    summary: Summary = field(default_factory=Summary)
    result_spool: Spool = field(default_factory=Spool)
    finding_spool: FindingSpool = field(default_factory=FindingSpool)
    """Findings of one bundle each, in the order of results."""
    late_spool: FindingSpool = field(default_factory=FindingSpool)
    """Findings of no one bundle: of depots, and of rules that see more than one."""
    hosts: list[dict[str, Any]] = field(default_factory=list)
    """Each installed host: what it claims, and what is proven."""
    worst: Severity | None = None
    """Of the findings that count and are no mere doubt."""
    doubt: bool = False
    """Whether something that counts could not be decided."""

    def __post_init__(self) -> None:
        as_of = AsOf(self.at)
        for spool in (self.result_spool, self.finding_spool, self.late_spool):
            spool.as_of = as_of

    def outcome(self, fail_on: Severity) -> Outcome:
        """What it comes to, where findings of at least this severity fail it."""
        if not self.complete:
            return Outcome.INTERRUPTED
        if self.worst and self.worst >= fail_on:
            return Outcome.FAILED
        return Outcome.UNDECIDED if self.doubt or not self.summary.bundles else Outcome.PASSED

    def head(self) -> dict[str, Any]:
        """All but the results and findings, as JSON has it."""
        return {
            "schema": SCHEMA,
            "policy": {
                "source": portable(self.policy.source),
                "sha256": self.policy.origin.digest if self.policy.origin else None,
                "minimum_level": str(self.policy.minimum_level),
            },
            "at": time_text(self.at),
            "complete": self.complete,
            "paths": list(map(portable, self.paths)),
            "rules": sorted(self.choice.ids),
            "summary": self.summary.plain(),
            "hosts": self.hosts,
        }

    def results(self) -> Iterator[dict[str, Any]]:
        """Every bundle's result, in order."""
        for values in self.result_spool.values():
            values["bundle"] = native(values["bundle"])
            yield values

    def findings(self) -> Iterator[Finding]:
        """Every finding, in the order of bundles; then those about depots, or about more than one bundle."""
        return chain(self.finding_spool.findings(), self.late_findings())

    def late_findings(self) -> Iterator[Finding]:
        """Those about depots, or about more than one bundle."""
        return self.late_spool.findings()

    def results_with_findings(self) -> Iterator[tuple[dict[str, Any], list[Finding]]]:
        """Every bundle's result with the findings of that bundle alone."""
        findings = self.finding_spool.findings()
        ahead = next(findings, None)
        for result in self.results():
            own: list[Finding] = []
            # The digest too: `a.zip!/b` is b in the depot a.zip, and also b in a folder that is called `a.zip!`.
            while ahead and (ahead.bundle, ahead.sha256) == (result["bundle"], result["sha256"]):
                own.append(ahead)
                ahead = next(findings, None)
            yield result, own


SCHEMA = "modseal/audit@1"

Progress = Callable[[Summary], None]


def run(
    found: Iterable[Found],
    engine: Engine,
    audit: Audit,
    cache: Cache | None = None,
    progress: Progress = lambda _summary: None,
) -> Audit:
    """Fill `audit` with what the engine and the cache find. Whatever ends it early leaves it usable, not `complete`."""
    set_rules = [(rule, rule.start()) for rule in rules.SET_RULES if rule.start and rule.id in audit.choice.ids]

    def take(record: Record) -> None:
        # (3) Ask the rules that see more than one bundle; those that see one were asked where it was examined.
        for _, state in set_rules:
            state.see(record.row)
        # (4) Decide what counts, and keep it.
        _keep(record, audit)
        if cache:
            cache.keep(record)
        progress(audit.summary)

    # (1) Discover what there is, and (2) examine what the cache does not have.
    flow = _Flow(found, cache, audit, take)
    for record in engine.records(flow.to_examine()):
        flow.answer(record)
    # (5) What all of them together show.
    for rule, state in set_rules:
        _keep_late(map(rule.finding, state.hits()), audit)
    audit.complete = True
    return audit


_PAUSE_AFTER = 256
"""Results from the cache that wait behind one that is being examined: bounds the memory that keeping order costs."""


_METADATA_HELD = 16 * 1024 * 1024
"""Bytes of XML of depots whose bundles are being examined: what Python makes of it takes two or three times as much."""


_Step = Callable[[], None]


class _Flow:
    """Brings results from the cache and from the engine into the order in which the bundles were found."""

    def __init__(
        self, found: Iterable[Found], cache: Cache | None, audit: Audit, take: Callable[[Record], None]
    ) -> None:
        self._found, self._cache, self._audit, self._take = found, cache, audit, take
        self._waiting: deque[_Step | Target] = deque()
        """Each bundle that is being examined, and what is to be done after it."""
        self._members: dict[str, list[Any]] = {}
        """By the name of a depot or host what is kept of each bundle until its end."""
        self._metadata = 0
        """Bytes of metadata of the depots and hosts whose end waits."""

    def to_examine(self) -> Iterator[Target | None]:
        """What the engine must examine, with pauses while much waits for it."""
        for one in self._found:
            if isinstance(one, LeftOut | Unreadable | End):
                step = self._step(one)
            elif record := self._kept(one):
                step = partial(self._take_record, record, one)
            else:
                self._waiting.append(one)
                yield one
                continue
            if not self._waiting:
                step()
                continue
            self._waiting.append(step)
            if len(self._waiting) % _PAUSE_AFTER == 0 or self._metadata > _METADATA_HELD:
                yield None

    def _step(self, one: LeftOut | Unreadable | End) -> _Step:
        """What is to be done for something that is not a bundle."""
        if isinstance(one, LeftOut):
            return partial(self._left_out, one)
        if isinstance(one, Unreadable):
            record = unreadable(one.name, one.failure, self._audit.at)
            return partial(self._malformed, one) if one.malformed else partial(self._take_record, record, None)
        self._metadata += one.held
        return partial(self._end, one)

    def _kept(self, target: Target) -> Record | None:
        identity = target.identity() if self._cache else None
        return self._cache.by_file(identity, target.salt, target.name) if self._cache and identity else None

    def _note(self, one: Found | None, identity: Identity | None = None) -> None:
        if self._cache:
            self._cache.inventory.add(one, identity)

    def _take_record(self, record: Record, target: Target | None) -> None:
        self._note(target, record.identity)
        if isinstance(target, DepotTarget):  # its name cannot say so: a path may have the separator in it
            origin = BundleOrigin(target.path, record.row.vendor, record.row.proved)
            self._members.setdefault(target.depot, []).append(origin)
        elif isinstance(target, InstalledVib):
            self._members.setdefault(target.host, []).append(HostVib.of(record))
        self._take(record)

    def _left_out(self, one: LeftOut) -> None:
        self._note(one)
        self._audit.summary.left_out += 1
        if one.hides:
            strict = self._audit.strict_coverage
            self._audit.doubt = self._audit.doubt or strict  # also where nobody wants to read the finding
            hit = Hit(f"left out: {one.why}", bundle=one.name, undecided=strict)
            _keep_late([rules.BY_ID["left-out"].finding(hit)], self._audit)

    def _malformed(self, depot: Unreadable) -> None:
        self._note(depot)
        self._audit.summary.depots += 1
        _keep_late([failure_finding(depot.name, depot.failure, undecided=False)], self._audit)

    def _end(self, end: End) -> None:
        self._note(end)
        self._metadata -= end.held
        members = self._members.pop(end.name, [])
        if isinstance(end, HostEnd):
            self._audit.hosts.append(end.summary(members))
        else:
            self._audit.summary.depots += 1
        _keep_late(end.findings(members), self._audit)
        if isinstance(end, DepotEnd):
            _keep_late(end.signed_findings(self._audit.policy, self._audit.at), self._audit)

    def answer(self, record: Record) -> None:
        """The engine's record of the first bundle that is waited for; takes it and what waited behind it."""
        target = self._waiting.popleft()
        self._take_record(record, None if callable(target) else target)
        while self._waiting and callable(step := self._waiting[0]):
            self._waiting.popleft()
            step()


def _keep(record: Record, audit: Audit) -> None:
    row, name = record.row, json.dumps(portable(record.row.bundle))
    audit.summary.add_result(row.size, row.verdict, str(row.proven) if row.proven else None)
    # The name is that which the file has here: the same bytes may lie under another name elsewhere.
    audit.result_spool.append(b'{"bundle": ' + name.encode("ascii") + b", " + record.values[1:])
    # Every verdict but `accepted` has a check that says why; if one had none, that would be no reason to pass it.
    if row.verdict is not Verdict.ACCEPTED and not any(text.kind == Kind.CHECK for text in record.texts):
        audit.doubt = True
    if not audit.choice.takes_all:
        _keep_findings(audit.choice.apply(record.findings, row), audit, audit.finding_spool)
        return
    for text in record.texts:
        audit.finding_spool.add_text(text, name)
        _count(Severity(text.severity), State.NEW, audit, undecided=text.undecided)


def _keep_late(findings: Iterable[Finding], audit: Audit) -> None:
    """Keep findings of no one bundle."""
    for finding in findings:
        _keep_findings(audit.choice.apply([finding], None), audit, audit.late_spool)


def _keep_findings(findings: Iterable[Finding], audit: Audit, spool: FindingSpool) -> None:
    for finding in findings:
        spool.add(finding)
        _count(finding.severity, finding.state, audit, undecided=finding.undecided)


def _count(severity: Severity, state: State, audit: Audit, *, undecided: bool) -> None:
    """Count one more finding, and what the audit comes to by it."""
    audit.summary.add_finding(str(severity), state)
    if state is State.NEW and undecided:
        audit.doubt = True
    elif state is State.NEW:
        audit.worst = max(severity, audit.worst or severity)
