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
from modseal.report.text import safe, safe_name

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
    "consequences",
)
HEADER = ("row", "bundle", "sha256", *BUNDLE, *FINDING)

_FORMULA = "[-=+@'\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b]"
"""Also the full-width and small forms, which some spreadsheets take alike, and the apostrophe."""
_START = re.compile(rf"^(?= *{_FORMULA})|(?<=;)(?=[ \"]*{_FORMULA})")
"""Where a cell could begin with one: the quotes of ours that stand after a `;` are its own there."""


def render(audit: Audit) -> Iterator[bytes]:
    """The table in pieces."""
    yield _row(dict(zip(HEADER, HEADER, strict=True)))
    for result in audit.results():
        yield _row(_bundle(result))
    for finding in audit.findings():
        yield _row(_finding(finding))


def _bundle(result: Mapping[str, Any]) -> dict[str, object]:
    module = result["module"] or {}
    signers = (f"{one['subject']} ({'' if one['trusted'] else 'not '}trusted)" for one in result["signers"])
    return {
        **{name: result[name] for name in ("sha256", "size", "format", "verdict", "proven_level")},
        **{name: module.get(name) for name in ("vendor", "name", "version")},
        "row": "bundle",
        "bundle": safe_name(result["bundle"]),
        "module_proved": module.get("proved"),
        "claimed_level_unproved": result["claimed_level"],
        "signers": "; ".join(signers),
    }


def _finding(finding: Finding) -> dict[str, object]:
    values = finding.plain()
    return {
        **{name: values[name] for name in HEADER if name in values},
        "row": "finding",
        "bundle": safe_name(finding.bundle),
        "evidence": "; ".join(f"{name}: {value}" for name, value in evidence(finding)),
        "related": "; ".join(map(safe_name, finding.related)),
        "consequences": "; ".join(finding.consequences),
    }


def _row(values: Mapping[str, object]) -> bytes:
    """A line of the columns of the header; what a row of its kind does not have is empty."""
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\r\n").writerow(cell(values.get(name)) for name in HEADER)
    return line.getvalue().encode()


def cell(value: object) -> str:
    """A value as a spreadsheet shows it and nothing else: printable, and no formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _START.sub("'", safe(value))
