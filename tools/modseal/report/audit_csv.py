"""An audit as CSV (RFC 4180, UTF-8, with a header), for spreadsheets: a row for each bundle, and for each finding.

The first column says which of the two a row is; the columns of the other kind are empty in it, so that counting
bundles by verdict and findings by rule both work with a filter. Bundles come first.

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` (or a tab or line end before them) for a formula, and
names in a bundle are its maker's. Such a cell gets an apostrophe in front, as OWASP ("CSV Injection") recommends; and
so does one that begins with an apostrophe, so that taking one away gives the value back. Where a spreadsheet's language
has `;` between cells, each `;` begins one, whatever the quotes say: the same holds for what follows a `;`. Characters
that cannot be printed are escaped as in the text report, tabs and line ends too.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import Any

from modseal.auditing.finding import Finding
from modseal.auditing.run import Audit
from modseal.report.audit_words import evidence
from modseal.report.text import safe

BUNDLE = (
    "size",
    "format",
    "verdict",
    "vendor",
    "name",
    "version",
    "module_proved",
    "claimed_level_unproved",
    "proven_level",
    "signers",
)
FINDING = (
    "rule",
    "kind",
    "severity",
    "state",
    "undecided",
    "step",
    "detail",
    "evidence",
    "next_step",
    "related",
    "reason",
    "fingerprint",
)
HEADER = ("row", "bundle", "sha256", *BUNDLE, *FINDING)

_FORMULA = "[-=+@'\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b]"
"""Also the full-width and small forms, which some spreadsheets take alike, and the apostrophe."""
_START = re.compile(rf"^(?= *{_FORMULA})|(?<=;)(?=[ \"]*{_FORMULA})")
"""Where a cell could begin with one: the quotes of ours that stand after a `;` are its own there."""


def render(audit: Audit) -> Iterator[bytes]:
    """The table in pieces."""
    yield _row(HEADER)
    for result in audit.results():
        yield _row(("bundle", result["bundle"], result["sha256"], *_bundle(result), *[None] * len(FINDING)))
    for finding in audit.findings():
        yield _row(("finding", finding.bundle, finding.sha256, *[None] * len(BUNDLE), *_finding(finding)))


def _bundle(result: Mapping[str, Any]) -> Iterator[object]:
    module = result["module"] or {}
    yield result["size"]
    yield result["format"]
    yield result["verdict"]
    yield from (module.get(name) for name in ("vendor", "name", "version", "proved"))
    yield result["claimed_level"]
    yield result["proven_level"]
    yield "; ".join(f"{one['subject']} ({'' if one['trusted'] else 'not '}trusted)" for one in result["signers"])


def _finding(finding: Finding) -> Iterator[object]:
    yield from (finding.rule, finding.kind, finding.severity, finding.state, finding.undecided, finding.step)
    yield finding.detail
    yield "; ".join(f"{name}: {value}" for name, value in evidence(finding))
    yield finding.next_step
    yield "; ".join(finding.related)
    yield finding.reason
    yield finding.fingerprint


def _row(values: tuple[object, ...]) -> bytes:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\r\n").writerow(map(cell, values))
    return line.getvalue().encode()


def cell(value: object) -> str:
    """A value as a spreadsheet shows it and nothing else: printable, and no formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _START.sub("'", safe(value))
