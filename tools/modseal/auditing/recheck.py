"""An old report checked: what it says of each bundle is compared with what an audit of the same paths finds now.

The report is a claim. Nothing in it is believed: the bundles are found again, read again and (where the policy is
there) examined again at the report's time, and every word of it that this does not give again is a deviation.
Details and next steps, which are wording, are not compared.
"""

from __future__ import annotations

import enum
import hashlib
import json
import os
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import field, replace
from typing import Any, NamedTuple, TypeVar

from modseal.auditing import rules
from modseal.auditing.choice import choose
from modseal.auditing.finding import VOLATILE, Finding
from modseal.auditing.report_file import ReportFile
from modseal.auditing.run import Audit, Summary
from modseal.trust.policy import Policy
from modseal.values import dataclass


class What(enum.StrEnum):
    """How a report deviates from what is there."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    """No deviation by itself: it could not be checked."""
    NOT_REPORTED = "not-reported"
    CONTENT = "other-content"
    JUDGEMENT = "other-judgement"
    FINDING_NOT_FOUND = "finding-not-found"
    FINDING_NOT_REPORTED = "finding-not-reported"
    FINDING = "other-finding"
    POLICY = "other-policy"
    RULES = "unknown-rule"
    SUMMARY = "wrong-summary"


@dataclass(frozen=True, slots=True)
class Deviation:
    """One thing that the report says and that is not so; `bundle` where it is about one."""

    what: What
    detail: str
    bundle: str | None = None


@dataclass(slots=True)
class Recheck:
    """What became of a check. `unjudged` says why verdicts and findings were not compared, where they were not."""

    report: ReportFile
    bundles: int
    unjudged: str | None = None
    deviations: list[Deviation] = field(default_factory=list)
    unreadable: list[Deviation] = field(default_factory=list)
    several: bool = True
    """Whether findings that come from comparing bundles were compared: not where bundles are not the same."""

    @property
    def reproduced(self) -> bool:
        """Whether all was checked, and all is so."""
        return not (self.deviations or self.unreadable or self.unjudged)


def prepare(report: ReportFile, policy: Policy, known: Iterable[str] = ()) -> Audit:
    """The audit that the report says it is of, to be run: its paths and rules, at its time.

    `known` are the fingerprints of the baseline, which no report has in it. Raises `PolicyError`, `UsageError`.
    """
    choice = choose(policy, report.at, known=frozenset(known))
    ids = frozenset(report.head["rules"]) & rules.BY_ID.keys()
    return Audit(policy, report.at, tuple(report.head["paths"]), replace(choice, ids=ids))


def compare(report: ReportFile, audit: Audit, unjudged: str | None = None) -> Recheck:
    """The report against a finished audit. Raises `InputError` where the report changes meanwhile."""
    found = Recheck(report, audit.summary.bundles, unjudged)
    off: set[str] = set()
    for said, now in _pairs(map(_claim, report.results()), map(_claim, audit.results()), lambda one: one.bundle):
        _result(found, said, now, off)
    if unjudged is None:
        found.deviations += _policy(report, audit.policy)
        for claim, fact in _pairs(report.findings(), audit.findings(), _identity):
            if not (off and _of_several(claim or fact)):
                found.deviations += (one for one in _finding(claim, fact) if one.bundle not in off)
    found.several = not off
    found.deviations += _summary(report)
    return found


def _of_several(finding: Finding | None) -> bool:
    """Whether a finding comes from comparing bundles: where they are not all the same, it differs by itself."""
    return finding is not None and any(rule.id == finding.rule for rule in rules.SET_RULES)


T = TypeVar("T")


def _pairs(
    said: Iterable[T], found: Iterable[T], key: Callable[[T], Hashable]
) -> Iterator[tuple[T, T | None] | tuple[None, T]]:
    """What belongs together by its key. Where both come in the same order, nothing is kept in memory."""
    waiting: tuple[dict[Hashable, list[T]], dict[Hashable, list[T]]] = ({}, {})
    sides = (iter(said), iter(found))
    more = [True, True]
    while any(more):
        for side, other in ((0, 1), (1, 0)):
            try:
                one = next(sides[side])
            except StopIteration:
                more[side] = False
                continue
            partners = waiting[other].get(key(one))
            if not partners:
                waiting[side].setdefault(key(one), []).append(one)
                continue
            partner = partners.pop(0)
            if not partners:
                del waiting[other][key(one)]
            yield (one, partner) if side == 0 else (partner, one)
    yield from ((one, None) for several in waiting[0].values() for one in several)
    yield from ((None, one) for several in waiting[1].values() for one in several)


def _identity(finding: Finding) -> tuple[str, str]:
    return finding.bundle, finding.fingerprint


class _Claim(NamedTuple):
    """What a result says, in few words: of long values, their digests."""

    bundle: str
    sha256: str | None
    size: int
    error: str | None
    verdict: str
    claimed_level: str | None
    proven_level: str | None
    format: str | None
    module: bytes
    signers: bytes
    checks: bytes


def _claim(result: dict[str, Any]) -> _Claim:
    error = result.get("error")
    return _Claim(
        result["bundle"],
        result["sha256"],
        result["size"],
        str(error.get("detail")) if isinstance(error, dict) else None,
        result["verdict"],
        result.get("claimed_level"),
        result["proven_level"],
        result.get("format"),
        _digest(result["module"]),
        _digest(result["signers"]),
        _digest([_enduring(check) for check in result["checks"]]),
    )


_CHECK = ("step", "id", "status", "code")


def _enduring(check: dict[str, Any]) -> list[Any]:
    """A check without its wording, and without when somebody looked: what is kept in a cache was found earlier."""
    evidence = check.get("evidence")
    found = {key: evidence[key] for key in evidence.keys() - VOLATILE} if isinstance(evidence, dict) else evidence
    return [*map(check.get, _CHECK), found]


def _digest(value: Any) -> bytes:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("ascii")).digest()


def _result(check: Recheck, said: _Claim | None, now: _Claim | None, off: set[str]) -> None:
    """One bundle; what is not the same bundle any more is `off`, and its findings are not compared."""
    if found := _difference(check.report, said, now):
        off.add(found.bundle or "")
        (check.unreadable if found.what is What.UNREADABLE else check.deviations).append(found)
    elif said and now and check.unjudged is None:
        check.deviations += (Deviation(What.JUDGEMENT, detail, now.bundle) for detail in _judgement(said, now))


def _difference(report: ReportFile, said: _Claim | None, now: _Claim | None) -> Deviation | None:
    """Whether this is not the bundle that the report is of."""
    if said is None:
        return _more(now) if now else None
    if now is None or _gone(report, now):
        return Deviation(What.MISSING, "there is no such bundle", said.bundle)
    if now.error and now.error != said.error:
        return Deviation(What.UNREADABLE, now.error, said.bundle)
    if (said.sha256, said.size) != (now.sha256, now.size):
        detail = f"the report says sha256 {_shown(said.sha256)}, it is {_shown(now.sha256)}"
        return Deviation(What.CONTENT, detail, said.bundle)
    return None


def _more(now: _Claim) -> Deviation:
    """What the report does not have: a bundle, or a place that could not be looked into."""
    if now.error:
        return Deviation(What.UNREADABLE, now.error, now.bundle)
    return Deviation(What.NOT_REPORTED, f"it is {now.verdict}", now.bundle)


def _gone(report: ReportFile, now: _Claim) -> bool:
    """Whether a file that the audit was called with is no longer there (one in a folder is just not found)."""
    return now.error is not None and now.bundle in report.head["paths"] and not os.path.lexists(now.bundle)


def _judgement(said: _Claim, now: _Claim) -> Iterator[str]:
    for key in ("verdict", "claimed_level", "proven_level", "format"):
        claim, fact = getattr(said, key), getattr(now, key)
        if claim != fact:
            yield f"the report says {key.replace('_', ' ')} {_shown(claim)}, it is {_shown(fact)}"
    for key, words in (("module", "another module"), ("signers", "other signers"), ("checks", "other checks")):
        if getattr(said, key) != getattr(now, key):
            yield f"the report has {words}"


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


def _policy(report: ReportFile, policy: Policy) -> Iterator[Deviation]:
    digest = policy.origin.digest if policy.origin else None
    said = report.policy["sha256"]
    if said != digest:
        yield Deviation(What.POLICY, f"the report is of a policy with sha256 {_shown(said)}, this is {_shown(digest)}")
    if report.policy["minimum_level"] != str(policy.minimum_level):
        yield Deviation(What.POLICY, f"the report says minimum level {report.policy['minimum_level']}")
    for name in report.head["rules"]:
        if name not in rules.BY_ID:
            yield Deviation(What.RULES, f"the report was made with the rule {name}, which this version does not have")


def _finding(said: Finding | None, now: Finding | None) -> Iterator[Deviation]:
    if said is None or now is None:
        one = said or now
        if one:
            what = What.FINDING_NOT_FOUND if said else What.FINDING_NOT_REPORTED
            yield Deviation(what, f"{one.severity} {one.rule}: {one.detail}", one.bundle or None)
        return
    for key in ("kind", "severity", "undecided", "state", "related", "consequences"):
        before, after = getattr(said, key), getattr(now, key)
        if before != after:
            detail = f"{now.rule}: the report says {key} {before}, it is {after}"
            yield Deviation(What.FINDING, detail, now.bundle or None)


def _summary(report: ReportFile) -> Iterator[Deviation]:
    """Whether the report's numbers are those of its own results and findings."""
    counted = Summary()
    for result in report.results():
        counted.add_result(result["size"], result["verdict"], result["proven_level"])
    for finding in report.findings():
        counted.add_finding(str(finding.severity), finding.state)
    for key, value in counted.plain().items():
        if key not in _NOT_LISTED and report.head["summary"].get(key) != value:
            yield Deviation(What.SUMMARY, f"its summary does not fit what it lists: {key.replace('_', ' ')}")


_NOT_LISTED = ("depots", "left_out")
"""Numbers of what has no row of its own in a report."""
