"""An audit as SARIF 2.1.0 with one run: every bundle an artifact, every finding a result.

Findings that do not count are there too, each with a suppression that says why. It is written piece by piece, one
line for each artifact and result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from modseal.auditing.finding import Finding, State
from modseal.auditing.run import Audit
from modseal.report import sarif_log
from modseal.report.audit_json import compact, separated
from modseal.report.audit_words import Words, words
from modseal.report.sarif_log import literal, printable
from modseal.report.text import safe

_GITHUB_RESULTS = 25_000
"""Results of one run that GitHub takes; it refuses a log with more, or of more than 10 MB gzipped."""


def render(audit: Audit) -> Iterator[bytes]:
    """The log in pieces. Reads the findings twice: the rules come before what refers to them."""
    used: dict[str, Words] = {}
    for finding in audit.findings():
        used.setdefault(finding.rule, words(finding))
    index = {id_: number for number, id_ in enumerate(sorted(used))}
    yield f'{{"$schema": "{sarif_log.SCHEMA}", "version": "{sarif_log.VERSION}", "runs": [{{\n'.encode("ascii")
    for name, value in _run(audit, [used[id_] for id_ in index]).items():
        yield b'"%s": %s,\n' % (name.encode("ascii"), compact(value))
    yield from _listed("artifacts", map(_artifact, audit.results()))
    yield b",\n"
    yield from _listed("results", (_result(finding, index, audit) for finding in audit.findings()))
    yield b"\n}]}\n"


def _listed(name: str, values: Iterable[object]) -> Iterator[bytes]:
    yield f'"{name}": ['.encode("ascii")
    yield from separated(map(compact, values))
    yield b"]"


def _run(audit: Audit, used: Iterable[Words]) -> dict[str, Any]:
    """The run (3.14), but for what is as long as the audit."""
    head = audit.head()
    return {
        "tool": {"driver": sarif_log.driver(used)},
        "originalUriBaseIds": sarif_log.BASES,
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(audit, head)],
        "properties": {
            "policy": printable(head["policy"]),
            "rules": head["rules"],
            "summary": head["summary"],
        },
    }


def _invocation(audit: Audit, head: Mapping[str, Any]) -> dict[str, Any]:
    """What the audit did (3.20): whether it came to its end, and what a reader must know of this log."""
    return {
        "executionSuccessful": audit.complete,
        "endTimeUtc": head["at"],
        "toolExecutionNotifications": [
            {"level": level, "message": {"text": literal(text)}} for level, text in _notes(audit)
        ],
    }


def _notes(audit: Audit) -> Iterator[tuple[str, str]]:
    if not audit.complete:
        yield "error", "The audit ended early: bundles that it had not come to are missing from this log."
    number = audit.summary.findings.total() + audit.summary.set_aside.total()
    if number > _GITHUB_RESULTS:
        more = f"This log has {number} results; GitHub takes {_GITHUB_RESULTS}. Audit fewer bundles at once to upload."
        yield "warning", more


def _artifact(result: Mapping[str, Any]) -> dict[str, Any]:
    """A bundle (3.24), with what an audit says of it. Its module is unproved unless `proved`."""
    module = result["module"]
    values: dict[str, Any] = {
        "location": sarif_log.location(result["bundle"]),
        "length": result["size"],
        "roles": ["analysisTarget"],
        "properties": {
            "verdict": result["verdict"],
            "provenLevel": result["proven_level"],
            "module": module and printable(module),
        },
    }
    if result["sha256"]:
        values["hashes"] = {"sha-256": result["sha256"]}
    return values


def _result(finding: Finding, index: Mapping[str, int], audit: Audit) -> dict[str, Any]:
    values = sarif_log.result(finding, index[finding.rule])
    if finding.state is not State.NEW:
        reason = safe(finding.reason or finding.state)
        values["suppressions"] = [{"kind": "external", "status": "accepted", "justification": reason}]
    if audit.choice.known:
        values["baselineState"] = "unchanged" if finding.fingerprint in audit.choice.known else "new"
    return values
