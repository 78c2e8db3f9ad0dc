"""Examines one bundle of an audit, in any process: opens it, verifies it, asks the bundle rules, makes its record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from modseal.auditing.as_of import AsOf
from modseal.auditing.cache import Cache
from modseal.auditing.depots import DepotTarget, bounded, finding_of
from modseal.auditing.finding import Finding
from modseal.auditing.installed_vib import InstalledVib
from modseal.auditing.record import Record, findings_of, unreadable, values_of
from modseal.auditing.rule import Row, Rule, Subject
from modseal.auditing.target import FileTarget, Opened, Target
from modseal.auditing.trusted import kinds_of_keys
from modseal.bundle.fence import fenced
from modseal.bundle.open import OpenBundle
from modseal.bundle.verify import Result
from modseal.errors import FormatError, InputError, InternalError
from modseal.format import together
from modseal.format.source import sha256
from modseal.trust import moments
from modseal.trust.examine import examine
from modseal.trust.policy import Policy


def look(target: Target, policy: Policy, rules: Iterable[Rule], at: datetime, cache: Cache | None = None) -> Record:
    """Examine one target under a policy at a time and ask the bundle rules; or find what was found before.

    It never raises for what the file is: that is in the record. Bytes are hashed for the cache only where it has a
    result of their number.
    """
    try:
        opening = target.open(recognised=bool(cache)) if isinstance(target, FileTarget) else target.open()
        with fenced(target.name), opening as opened:
            if cache and cache.may_have(opened.source.size):
                record = cache.by_content(sha256(opened.source).hex(), target.salt, target.name)
                if record:
                    return replace(record, identity=opened.identity())
            return _examined(target, opened, policy, rules, at)
    except (InputError, InternalError, FormatError) as error:
        return unreadable(target.name, error.failure, at, target.size)


def _examined(target: Target, opened: Opened, policy: Policy, rules: Iterable[Rule], at: datetime) -> Record:
    size = opened.source.size
    bundle = OpenBundle(opened.source, target.name, with_digest=True, partial=opened.partial)
    examination = examine(bundle, policy, at)
    subject = Subject(bundle, examination, policy, at)
    result = Result(target.name, bundle.sha256(), examination)
    found = [
        *(rule.finding(hit, target.name, result.sha256) for rule in rules if rule.check for hit in rule.check(subject)),
        *_findings_of_place(target, size, result, subject),
    ]
    times = moments.of_policy(policy) | moments.of_signers(examination.signers)
    for rule in rules:
        times |= set(rule.moments(subject)) if rule.moments else set()
    as_of = AsOf(at)
    values = values_of(result, size, bundle.kind if subject.members else None, as_of)
    texts = tuple(finding.text(as_of) for finding in findings_of(result, found))
    # Where something else says just this time, as a bundle may that was signed a moment ago, it is not for later ones.
    says = as_of.is_said_in(values.decode("ascii")) or any(as_of.is_said_in(text.body) for text in texts)
    return Record(
        row=_row(result, subject, size),
        values=values,
        at=at,
        texts=texts,
        holds=None if says else moments.between(times, at),
        identity=opened.identity(),
        salt=target.salt,
    )


def _findings_of_place(target: Target, size: int, result: Result, subject: Subject) -> Iterator[Finding]:
    """Where the depot that a bundle is in says something else of it, and what a host shows of an installed one."""
    if isinstance(target, DepotTarget) and result.sha256:
        said = target.said(size, result.sha256, subject.manifest, proved=subject.proved)
        found = (finding_of(failure, target.name, result.sha256) for failure in said)
        yield from bounded(found, target.name, result.sha256)
    elif isinstance(target, InstalledVib):
        yield from target.findings(subject, result.sha256)


def _row(result: Result, subject: Subject, size: int) -> Row:
    manifest, bundle = subject.manifest, subject.bundle
    # What was found tells more than what is declared, and comes last: a `.vib` declares no types.
    entries = {entry.path: entry for entry in (*(manifest.files if manifest else ()), *bundle.entries)}
    return Row(
        bundle=result.bundle,
        sha256=result.sha256,
        size=size,
        verdict=result.verdict,
        id=manifest.id if manifest else None,
        vendor=manifest.vendor if manifest else None,
        name=manifest.name if manifest else None,
        version=manifest.version if manifest else None,
        proved=subject.proved,
        claimed=manifest.claimed_level if manifest else None,
        proven=subject.examination.proven_level,
        manifest_sha256=hashlib.sha256(bundle.manifest).hexdigest() if bundle.manifest else None,
        keys=kinds_of_keys(subject.examination),
        footprint=together.footprint(entries.values()),
    )
