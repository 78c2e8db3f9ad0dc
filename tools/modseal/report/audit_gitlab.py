"""An audit as a GitLab Code Quality report: what its merge requests show of the findings that count.

GitLab shows the description and the severity of each, and finds it again by its fingerprint, which must be the only
one of its kind. A bundle has no lines; GitLab wants one all the same.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

from modseal.auditing.finding import Finding, Kind, Severity, State
from modseal.auditing.run import Audit
from modseal.report.audit_json import compact, separated
from modseal.report.audit_words import sentence, words
from modseal.report.sarif_log import occurrence
from modseal.report.text import safe, safe_name

_SEVERITY = {
    Severity.HIGH: "critical",
    Severity.MEDIUM: "major",
    Severity.LOW: "minor",
    Severity.INFO: "info",
}


def render(audit: Audit) -> Iterator[bytes]:
    """The report in pieces, one line for each finding."""
    yield b"["
    yield from separated(compact(_entry(finding)) for finding in audit.findings() if finding.state is State.NEW)
    yield b"\n]\n"


def _entry(finding: Finding) -> dict[str, Any]:
    return {
        "description": f"{safe(words(finding).title).rstrip('.')}: {sentence(finding)}",
        "check_name": finding.rule,
        "fingerprint": occurrence(finding),
        "severity": _severity(finding),
        "location": {"path": _path(finding.bundle), "lines": {"begin": 1}},
    }


def _severity(finding: Finding) -> str:
    """A check that rejects a bundle is a `blocker`; what could not be judged is `critical`, like a rule's `high`."""
    rejects = finding.kind is Kind.CHECK and not finding.undecided
    return "blocker" if rejects else _SEVERITY[finding.severity]


def _path(name: str) -> str:
    """Relative to the repository where the audit's paths were; GitLab knows no `./`."""
    return safe_name(posixpath.normpath(name)) if name else "."
