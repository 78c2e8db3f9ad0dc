"""The parts of a SARIF 2.1.0 log that reports of modseal share (OASIS, "SARIF Version 2.1.0", section numbers below).

Nothing from a file can become a link, a placeholder or a control character of a log; what code-scanning services show
of a finding (rule, help, severity, location, fingerprint) is all there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from modseal import __version__
from modseal.auditing.finding import Finding, Severity
from modseal.report.audit_words import Words, evidence
from modseal.report.text import safe
from modseal.trust.examination import STEPS

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
VERSION = "2.1.0"
BASE = "%SRCROOT%"
"""What names are relative to. Services take it for the root of the repository."""
BASES = {BASE: {"description": {"text": "The folder in which modseal ran."}}}

_LEVEL = {Severity.HIGH: "error", Severity.MEDIUM: "warning", Severity.LOW: "note", Severity.INFO: "note"}
_SCORE = {Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "3.0"}
"""`security-severity`, as services rank alerts: high from 7.0, medium from 4.0, low below. There is none for `info`."""
_REMOTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)


def driver(used: Iterable[Words]) -> dict[str, Any]:
    """The tool (3.19), with the rules that results refer to by index."""
    return {"name": "modseal", "version": __version__, "rules": list(map(_rule, used))}


def _rule(words: Words) -> dict[str, Any]:
    """A rule or a check's code (3.49). Its words are modseal's own."""
    tags = ["security", "supply-chain"] + ([f"step/{STEPS[words.step]}"] if words.step is not None else [])
    properties: dict[str, Any] = {"tags": tags, "precision": "very-high"}
    if words.severity in _SCORE:
        properties["security-severity"] = _SCORE[words.severity]
    why = f"\n\n{words.why}" if words.why else ""
    parts = words.id.split("-")  # a name of one part would say no more than the id
    name = {"name": "".join(map(str.capitalize, parts))} if len(parts) > 1 else {}
    return {
        "id": words.id,
        **name,
        "shortDescription": {"text": literal(words.title)},
        "fullDescription": {"text": literal(words.what)},
        "defaultConfiguration": {"level": _LEVEL[words.severity]},
        "help": {
            "text": literal(f"{words.what}{why}\n\nNext step: {words.next_step}"),
            "markdown": literal(f"{words.what}{why}\n\n**Next step:** {words.next_step}"),
        },
        "properties": properties,
    }


def result(finding: Finding, index: int) -> dict[str, Any]:
    """A finding (3.27) of the rule with this index."""
    values: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": "warning" if finding.undecided else _LEVEL[finding.severity],
        "message": {"text": _message(finding)},
        "locations": [{"physicalLocation": _place(finding.bundle)}] if finding.bundle else [],
        "partialFingerprints": {
            "modseal/v1": finding.fingerprint,
            "primaryLocationLineHash": f"{occurrence(finding)[:16]}:1",  # the one that GitHub compares
        },
        "properties": _properties(finding),
    }
    if finding.related:
        values["relatedLocations"] = [
            {"id": number, "physicalLocation": _place(name), "message": {"text": "belongs to this finding"}}
            for number, name in enumerate(finding.related, 1)
        ]
    return values


def _message(finding: Finding) -> str:
    """Detail, evidence, what follows from it, and next step: services show little else."""
    step = f"step {finding.step}: " if finding.step is not None else ""
    lines = [f"{step}{safe(finding.detail)}", *(f"{name}: {value}" for name, value in evidence(finding))]
    if finding.consequences:
        lines.append(f"From this follows: {', '.join(map(safe, finding.consequences))}")
    return literal("\n".join([*lines, f"Next step: {safe(finding.next_step)}"]))


def _properties(finding: Finding) -> dict[str, Any]:
    return {
        "kind": str(finding.kind),
        "severity": str(finding.severity),
        "step": finding.step,
        "undecided": finding.undecided,
        "sha256": finding.sha256,
        "evidence": printable(finding.evidence),
        "nextStep": safe(finding.next_step),
        "consequences": [safe(one) for one in finding.consequences],
    }


def _place(name: str) -> dict[str, Any]:
    """A whole file (3.29). It has no lines, but services show only what lies in one."""
    return {"artifactLocation": location(name), "region": {"startLine": 1}}


def location(name: str) -> dict[str, str]:
    """A bundle's name as a URI (3.4, 3.10): relative to `BASE`, or absolute and then without a base."""
    if remote := _REMOTE.fullmatch(name):
        return {"uri": f"{remote[1]}://{_quoted(remote[2])}"}
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:  # a URI cannot say what a path with `..` means where there are links (3.10.2)
        name = _resolved(name)
        parts = [part for part in name.split("/") if part]
    path = _quoted("/".join(parts))
    return {"uri": f"file:///{path}"} if name.startswith("/") else {"uri": path, "uriBaseId": BASE}


def _resolved(name: str) -> str:
    try:
        return os.path.realpath(name)
    except (OSError, ValueError):
        return name


def _quoted(path: str) -> str:
    """Percent-encoded bytes of a path; what is not text in a file's name is the byte that it was."""
    try:
        return quote(path.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return quote(path.encode("utf-8", "surrogatepass"))


def printable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values with every text in them as it is safe to print."""
    return {safe(name): safe(value) if isinstance(value, str) else value for name, value in values.items()}


def literal(text: str) -> str:
    """A text that means itself in a message: no placeholder (3.11.5), no embedded link (3.11.6)."""
    return text.replace("{", "{{").replace("}", "}}").replace("](", "] (")


def occurrence(finding: Finding) -> str:
    """What tells this finding from all others of a report (hex): also from the same in a copy of the bundle."""
    values = [finding.fingerprint, finding.bundle, finding.detail, list(finding.related)]
    return hashlib.sha256(json.dumps(values, ensure_ascii=True).encode("ascii")).hexdigest()
