"""What an audit keeps of one bundle, whether it was examined now or comes from a cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Literal

from modseal import limits
from modseal.auditing.as_of import AsOf
from modseal.auditing.causes import by_cause
from modseal.auditing.finding import Finding, FindingText, Kind, Severity, failure_finding
from modseal.auditing.rule import Row
from modseal.bundle.values import result_values
from modseal.bundle.verify import Result
from modseal.codes import CODES, CodeName, next_step
from modseal.errors import Failure
from modseal.files.identity import Identity
from modseal.format.times import time_text
from modseal.trust.examination import Check, Status
from modseal.values import dataclass

Kept = Literal["", "file", "content"]


@dataclass(frozen=True, slots=True)
class Record:
    """One bundle's part of an audit.

    `values` is a JSON object as bytes: what schemas/audit.schema.json calls a result, but for the name.
    `texts` are its findings, as a report has them. Both have marks for the time of verification, which is `at`.
    `holds` are the moments between which a verification gives the same; None where it must not be kept.
    `identity` is the file's, where it did not change while it was read. `kept` is what a cache knew it by.
    `salt` is what the findings depend on besides the bytes and the policy.
    """

    row: Row
    values: bytes
    at: datetime
    texts: tuple[FindingText, ...] = ()
    holds: tuple[datetime, datetime] | None = None
    identity: Identity | None = None
    kept: Kept = ""
    salt: str = ""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Its findings, read from their texts."""
        as_of = AsOf(self.at)
        return tuple(text.finding(self.row.bundle, as_of) for text in self.texts)


def unreadable(name: str, failure: Failure, at: datetime, size: int = 0) -> Record:
    """The record of what could not be examined: undecided, with the reason as its one finding."""
    result = Result(name, None, None, failure)
    row = Row(bundle=name, sha256=None, size=size, verdict=result.verdict)
    as_of = AsOf(at)
    return Record(row, values_of(result, size, None, as_of), at, (failure_finding(name, failure).text(as_of),))


def values_of(result: Result, size: int, kind: str | None, as_of: AsOf) -> bytes:
    """The `values` of a record: the result as `verify` reports it, and what an auditor wants to know besides."""
    values = result_values(result)
    del values["bundle"]  # the same bytes may have another name elsewhere
    values |= {"size": size, "format": kind, "examined_at": as_of.mark}
    values["checks"] = list(map(as_of.marked, values["checks"]))
    if result.examination:
        for signer, plain in zip(result.examination.signers, values["signers"], strict=True):
            plain["not_before"] = time_text(signer.certificate.not_before)
            plain["not_after"] = time_text(signer.certificate.not_after)
            plain["timestamps"] = len(signer.timestamps)
    return as_of.written(values).encode("ascii")


_COUNTING = (Status.FAILED, Status.INCONCLUSIVE)


def findings_of(result: Result, found: Iterable[Finding] = ()) -> Iterator[Finding]:
    """The findings of one bundle, one for each cause: checks that did not pass, then those that rules `found`.

    After the first `limits.FINDINGS` checks, one finding stands for all that remain.
    """
    causes = list(by_cause((*_check_findings(result), *found)))
    checks = [one for one in causes if one.kind is Kind.CHECK]
    yield from checks[: limits.FINDINGS]
    if len(checks) > limits.FINDINGS:
        more = f"and {len(checks) - limits.FINDINGS} more checks of this bundle that did not pass; its result has each"
        yield replace(checks[limits.FINDINGS], detail=more)
    yield from (one for one in causes if one.kind is Kind.RULE)


def _check_findings(result: Result) -> Iterator[Finding]:
    """A finding for each check that did not pass, or for the failure that prevented an examination."""
    if result.failure:
        yield failure_finding(result.bundle, result.failure)
    for check in result.examination.checks if result.examination else ():
        if check.code and check.status in _COUNTING:
            yield _check_finding(result, check.code, check)


def _check_finding(result: Result, code: CodeName, check: Check) -> Finding:
    return Finding(
        rule=code,
        kind=Kind.CHECK,
        severity=Severity(CODES[code].severity),
        detail=check.detail,
        next_step=next_step(code, check.evidence),
        bundle=result.bundle,
        sha256=result.sha256,
        step=check.step,
        undecided=check.status is Status.INCONCLUSIVE,
        evidence=check.evidence,
    )
