"""What an audit keeps of one bundle: its row, its values for the report, its findings, and how long they hold.

`look` makes it, in whichever process: it opens a target, examines it and asks the bundle rules. It never raises for
what the file is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from modseal import limits
from modseal.auditing.depots import DepotTarget, bounded, finding_of
from modseal.auditing.finding import Brief, Finding, Kind, Severity, failure_finding
from modseal.auditing.rule import HEAD, Row, Rule, Subject
from modseal.auditing.target import Opened, Target
from modseal.auditing.trusted import kinds_of_keys
from modseal.auditing.watch import WatchedBundle
from modseal.bundle.fence import fenced
from modseal.bundle.open import OpenBundle
from modseal.bundle.values import result_values
from modseal.bundle.verify import Result
from modseal.codes import CODES, CodeName, next_step
from modseal.errors import Failure, FormatError, InputError, InternalError
from modseal.files.identity import Identity
from modseal.format import together
from modseal.format.source import Source, sha256
from modseal.trust import moments
from modseal.trust.examination import Check, Examination, Status
from modseal.trust.examine import examine
from modseal.trust.policy import Policy


@dataclass(frozen=True, slots=True)
class Record:
    """One bundle's part of an audit.

    `values` is a JSON object as bytes: what schemas/audit.schema.json calls a result, but for the name.
    `holds` are the moments between which a verification gives the same; None where it must not be kept.
    `identity` is the file's, where it did not change while it was read. `kept` says that it comes from a cache, with
    `briefs` in the place of `findings`.
    `salt` is what the findings depend on besides the bytes and the policy.
    """

    row: Row
    values: bytes
    findings: tuple[Finding, ...]
    holds: tuple[datetime, datetime] | None = None
    identity: Identity | None = None
    kept: bool = False
    briefs: tuple[Brief, ...] = ()
    salt: str = ""


class Kept(Protocol):
    """Results of earlier audits, as the process that examines asks for them."""

    def may_have(self, size: int) -> bool:
        """Whether there is one of a bundle of this size."""

    def by_content(self, sha256: str, salt: str, name: str) -> Record | None:
        """That of these bytes, for a file of this name."""


def look(target: Target, policy: Policy, rules: Iterable[Rule], at: datetime, earlier: Kept | None = None) -> Record:
    """Examine one target under a policy at a time, and ask the bundle rules; or find what was found before."""
    try:
        with fenced(target.name), target.open() as opened:
            if record := earlier and _kept(target, opened.source, earlier):
                return replace(record, identity=opened.identity())
            return _look(target, opened, policy, rules, at)
    except (InputError, InternalError, FormatError) as error:
        return unreadable(target.name, error.failure, at, target.size)


def _kept(target: Target, source: Source, earlier: Kept) -> Record | None:
    """What was found before in the same bytes, which are not hashed where there was nothing of their size."""
    if not earlier.may_have(source.size):
        return None
    return earlier.by_content(sha256(source).hex(), salt_of(target), target.name)


def unreadable(name: str, failure: Failure, at: datetime, size: int = 0) -> Record:
    """The record of what could not be examined: undecided, with the reason as its one finding."""
    result = Result(name, None, None, failure)
    row = Row(name, None, size, result.verdict, None, None, None, None, False, None, None, None)
    return Record(row, _values(result, size, None, at), tuple(check_findings(result)))


def _look(target: Target, opened: Opened, policy: Policy, rules: Iterable[Rule], at: datetime) -> Record:
    bundle = WatchedBundle(opened.source, target.name, with_digest=True)
    examination = examine(bundle, policy, at)
    heads = dict(_heads(bundle))
    result = Result(target.name, bundle.sha256(), examination)
    members = bundle.container if isinstance(bundle.container, tuple) else ()
    subject = Subject(examination, policy, members, heads, at, bundle.special())
    findings = (
        *check_findings(result),
        *rule_findings(subject, rules, target.name, result.sha256),
        *_depot_findings(target, opened.source.size, result, examination),
    )
    times = moments.of_policy(policy) | moments.of_signers(examination.signers)
    for rule in rules:
        times |= set(rule.moments(subject)) if rule.moments else set()
    return Record(
        row=_row(result, examination, bundle, opened.source.size),
        values=_values(result, opened.source.size, bundle.kind if heads else None, at),
        findings=findings,
        holds=moments.between(times, at),
        identity=opened.identity(),
        salt=salt_of(target),
    )


def salt_of(target: Target) -> str:
    """What the findings of a target depend on besides its bytes and the policy."""
    return target.salt if isinstance(target, DepotTarget) else ""


def _depot_findings(target: Target, size: int, result: Result, examination: Examination) -> Iterator[Finding]:
    """Where the depot that a bundle is in says something else of it."""
    if isinstance(target, DepotTarget) and result.sha256:
        proved = bool(examination.trusted)
        said = target.said(size, result.sha256, examination.manifest, proved=proved)
        found = (finding_of(failure, target.name, result.sha256) for failure in said)
        yield from bounded(found, target.name, result.sha256)


def _heads(bundle: OpenBundle) -> Iterator[tuple[str, bytes]]:
    for member in bundle.container if isinstance(bundle.container, tuple) else ():
        yield member.name, bundle.source.read(member.offset, min(member.size, HEAD))


def _row(result: Result, examination: Examination, bundle: WatchedBundle, size: int) -> Row:
    manifest = examination.manifest
    declared = manifest.files if manifest else ()  # what was found tells more: a `.vib` declares no types
    return Row(
        bundle=result.bundle,
        sha256=result.sha256,
        size=size,
        verdict=result.verdict,
        id=manifest.id if manifest else None,
        vendor=manifest.vendor if manifest else None,
        name=manifest.name if manifest else None,
        version=manifest.version if manifest else None,
        proved=bool(examination.trusted),
        claimed=manifest.claimed_level if manifest else None,
        proven=examination.proven_level,
        manifest_sha256=hashlib.sha256(bundle.manifest).hexdigest() if bundle.manifest else None,
        keys=kinds_of_keys(examination),
        footprint=together.footprint({entry.path: entry for entry in (*declared, *bundle.entries)}.values()),
    )


def _values(result: Result, size: int, kind: str | None, at: datetime) -> bytes:
    """The result as the report has it, and what an auditor wants to know besides."""
    values = result_values(result)
    del values["bundle"]  # its name is the row's business
    values |= {"size": size, "format": kind, "examined_at": f"{at:%Y-%m-%dT%H:%M:%SZ}"}
    if result.examination:
        for signer, plain in zip(result.examination.signers, values["signers"], strict=True):
            plain.update(_certificate(signer.certificate.not_before, signer.certificate.not_after))
            plain["timestamps"] = len(signer.timestamps)
    return json.dumps(values, ensure_ascii=True).encode("ascii")


def _certificate(not_before: datetime, not_after: datetime) -> dict[str, Any]:
    return {"not_before": f"{not_before:%Y-%m-%dT%H:%M:%SZ}", "not_after": f"{not_after:%Y-%m-%dT%H:%M:%SZ}"}


def rule_findings(subject: Subject, rules: Iterable[Rule], name: str, sha256: str | None) -> Iterator[Finding]:
    """What the bundle rules find."""
    for rule in rules:
        for hit in rule.check(subject) if rule.check else ():
            yield rule.finding(hit, name, sha256)


_COUNTING = (Status.FAILED, Status.INCONCLUSIVE)


def check_findings(result: Result) -> Iterator[Finding]:
    """A finding for what kept a file from being examined, or for each check that did not pass."""
    if result.failure:
        yield failure_finding(result.bundle, result.failure)
    examined = result.examination.checks if result.examination else ()
    checks = [(check.code, check) for check in examined if check.code and check.status in _COUNTING]
    for code, check in checks[: limits.FINDINGS]:
        yield _check_finding(result, code, check, check.detail)
    if len(checks) > limits.FINDINGS:
        more = f"and {len(checks) - limits.FINDINGS} more checks of this bundle that did not pass; its result has each"
        yield _check_finding(result, *checks[limits.FINDINGS], more)


def _check_finding(result: Result, code: CodeName, check: Check, detail: str) -> Finding:
    return Finding(
        rule=code,
        kind=Kind.CHECK,
        severity=Severity(CODES[code].severity),
        detail=detail,
        next_step=next_step(code, check.evidence),
        bundle=result.bundle,
        sha256=result.sha256,
        step=check.step,
        undecided=check.status is Status.INCONCLUSIVE,
        evidence=check.evidence,
    )
