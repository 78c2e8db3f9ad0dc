"""A comparison of two audits as text for people, or as JSON (`modseal/audit-diff@1`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from modseal.auditing.diff import Difference, Pair, Side
from modseal.auditing.finding import Finding
from modseal.auditing.report_file import ReportFile
from modseal.files.names import portable
from modseal.report.audit_json import compact, document
from modseal.report.text import safe, safe_name

SCHEMA = "modseal/audit-diff@1"
_CLAIM = "Both reports are claims: neither proves what it says (`modseal audit verify-report` checks one)."


def render_text(difference: Difference) -> Iterator[bytes]:
    """The comparison as lines of text."""
    for line in _lines(difference):
        yield f"{line}\n".encode("utf-8", "backslashreplace")


def _lines(difference: Difference) -> Iterator[str]:
    bundles = difference.bundles
    yield f"{_name(difference.old)} -> {_name(difference.new)}"
    yield from _policy(difference)
    for report in (difference.old, difference.new):
        if not report.complete:
            yield f"{safe_name(report.name)} is of an audit that was interrupted: bundles may be missing from it"
    yield (
        f"bundles: {len(bundles.added)} added, {len(bundles.removed)} removed, {len(bundles.changed)} with other "
        f"content, {len(bundles.moved)} moved, {len(bundles.rejudged)} judged otherwise, {bundles.same} the same"
    )
    yield from (f"  added      {safe_name(side.name)}: {_judged(side)}" for side in bundles.added)
    yield from (f"  removed    {safe_name(side.name)}: {_judged(side)}" for side in bundles.removed)
    yield from (f"  content    {safe_name(pair.new.name)}: {_change(pair)}" for pair in bundles.changed)
    yield from (
        f"  moved      {safe_name(pair.old.name)} -> {safe_name(pair.new.name)}: {_change(pair)}"
        for pair in bundles.moved
    )
    yield from (f"  judged     {safe_name(pair.new.name)}: {_change(pair)}" for pair in bundles.rejudged)
    yield from _findings(difference)
    yield _CLAIM
    yield _conclusion(difference)


def _findings(difference: Difference) -> Iterator[str]:
    yield f"findings: {difference.still_there} still there"
    for finding in difference.new_findings():
        again = ", which was set aside" if difference.was_set_aside(finding) else ""
        yield f"  new        {_finding(finding)}{again}"
    yield from (f"  gone       {_finding(finding)}" for finding in difference.gone_findings())
    yield from (
        f"  set aside  {_finding(finding)} ({safe(finding.reason or finding.state)})"
        for finding in difference.now_set_aside()
    )


def _name(report: ReportFile) -> str:
    return f"{safe_name(report.name)} ({report.head['at']})"


def _policy(difference: Difference) -> Iterator[str]:
    if not difference.policy_changed:
        yield f"policy: the same, {safe(difference.new.policy['source'])}"
        return
    before, after = (report.policy for report in (difference.old, difference.new))
    yield f"policy: other, {_source(before)} -> {_source(after)}"


def _source(policy: dict[str, Any]) -> str:
    digest = f"sha256 {policy['sha256'][:16]}..." if policy["sha256"] else "content unknown"
    return f"{safe(policy['source'])} ({digest})"


def _judged(side: Side) -> str:
    return f"{side.verdict}, {side.level}"


def _change(pair: Pair) -> str:
    if pair.new.judged_as(pair.old):
        return _judged(pair.new)
    return f"{_judged(pair.old)} -> {_judged(pair.new)}{', worse' if pair.worse else ''}"


def _finding(finding: Finding) -> str:
    about = f"{safe_name(finding.bundle)}: " if finding.bundle else ""
    return f"{finding.severity} {safe(finding.rule)} {about}{safe(finding.detail)}"


def _conclusion(difference: Difference) -> str:
    if difference.worse:
        return "worse"
    return "not worse" if difference.complete else "undecided: an audit was interrupted"


def render_json(difference: Difference) -> Iterator[bytes]:
    """The comparison as a JSON document, in pieces."""
    bundles = difference.bundles
    head = {
        "schema": SCHEMA,
        "old": _report(difference.old),
        "new": _report(difference.new),
        "policy_changed": difference.policy_changed,
        "fail_on": str(difference.fail_on),
        "worse": difference.worse,
        "same": bundles.same,
        "still_there": difference.still_there,
    }
    lists: dict[str, Iterable[dict[str, Any]]] = {
        "added": map(_side, bundles.added),
        "removed": map(_side, bundles.removed),
        "changed": map(_pair, bundles.changed),
        "moved": map(_pair, bundles.moved),
        "rejudged": map(_pair, bundles.rejudged),
        "new_findings": (finding.plain() for finding in difference.new_findings()),
        "gone_findings": (finding.plain() for finding in difference.gone_findings()),
        "now_set_aside": (finding.plain() for finding in difference.now_set_aside()),
    }
    return document(head, {name: map(compact, values) for name, values in lists.items()})


def _report(report: ReportFile) -> dict[str, Any]:
    return {
        "report": report.name,
        "sha256": report.sha256,
        "at": report.head["at"],
        "complete": report.complete,
        "policy": report.policy,
    }


def _side(side: Side) -> dict[str, Any]:
    level = None if side.level == "none" else side.level
    return {"bundle": portable(side.name), "sha256": side.sha256, "verdict": str(side.verdict), "proven_level": level}


def _pair(pair: Pair) -> dict[str, Any]:
    return {"old": _side(pair.old), "new": _side(pair.new), "worse": pair.worse}
