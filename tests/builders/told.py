"""What the reports of an audit tell, read back from each form: whether a finding is all there, for its reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from html.parser import HTMLParser
from typing import Any

from modseal.auditing.finding import Finding
from modseal.auditing.run import Audit
from modseal.report import audit_html, audit_json, audit_sarif, audit_text
from modseal.report.text import safe

SHOWN_IN_TEXT = 20
"""Findings of one rule that the text report shows in full."""

Told = Callable[[Finding], bool]


def text_tells(audit: Audit) -> Told:
    """The text has the rule, the next step, the bundle, the detail and each value of the evidence."""
    told = _flat(b"".join(audit_text.render(audit)).decode())
    return lambda finding: all(_flat(part) in told for part in _parts(finding))


def json_tells(audit: Audit) -> Told:
    """The JSON has exactly the finding."""
    findings = json.loads(b"".join(audit_json.render(audit)))["findings"]
    return lambda finding: finding.plain() in findings


def sarif_tells(audit: Audit) -> Told:
    """A result of its rule has all of it in its message, which is what services show, and as values."""
    results = json.loads(b"".join(audit_sarif.render(audit)))["runs"][0]["results"]

    def tells(finding: Finding) -> bool:
        evidence = {name: safe(value) if isinstance(value, str) else value for name, value in finding.evidence.items()}
        for result in results:
            shown = result["message"]["text"].replace("{{", "{").replace("}}", "}").replace("] (", "](")
            wanted = [part.replace("] (", "](") for part in _parts(finding)[2:]]
            if result["ruleId"] == finding.rule and all(part in shown for part in wanted):
                return bool(result["properties"]["evidence"] == evidence and result["locations"])
        return False

    return tells


def html_tells(audit: Audit) -> Told:
    """The page has the rule, the next step, the bundle, the detail and each value of the evidence."""
    page = _Page()
    page.feed(b"".join(audit_html.render(audit)).decode())
    page.close()
    told = _bare(" ".join(page.texts))
    return lambda finding: all(_bare(part) in told for part in _parts(finding))


FORMS: dict[str, Callable[[Audit], Told]] = {
    "text": text_tells,
    "json": json_tells,
    "sarif": sarif_tells,
    "html": html_tells,
}


def require_told(audit: Audit, rules: Iterable[str], forms: Iterable[str] = tuple(FORMS)) -> None:
    """Assert that each of these rules and codes is a finding or follows from one, and that every form tells all."""
    findings = list(audit.findings())
    assert {one for finding in findings for one in (finding.rule, *finding.consequences)} >= set(rules)
    for form in forms:
        tells = FORMS[form](audit)
        for finding in _first_of_each(findings):
            assert tells(finding), f"{form} does not tell: {finding}"


def _first_of_each(findings: Iterable[Finding]) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for finding in findings:
        seen[finding.rule] = seen.get(finding.rule, 0) + 1
        if seen[finding.rule] <= SHOWN_IN_TEXT:
            yield finding


def _parts(finding: Finding) -> list[str]:
    values = ["none" if value is None else safe(value) for value in finding.evidence.values()]
    return [
        finding.rule,
        safe(finding.bundle),
        safe(finding.detail),
        safe(finding.next_step),
        *finding.consequences,
        *values,
    ]


def _flat(text: str) -> str:
    """A text without regard to where its lines end."""
    return " ".join(text.split())


def _bare(text: str) -> str:
    """A text without blanks and backticks: what stands in backticks is an element of its own."""
    return "".join(text.split()).replace("`", "")


class _Page(HTMLParser):
    """The texts of a page, and those in the data of its script; not its style and code."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._reads = "text"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style"):
            self._reads = "json" if ("type", "application/json") in attrs else "code"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._reads = "text"

    def handle_data(self, data: str) -> None:
        if self._reads == "text":
            self.texts.append(data)
        elif self._reads == "json":
            self.texts.extend(_strings(json.loads(data)))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _strings(one)
    elif value is not None:
        yield safe(value)
