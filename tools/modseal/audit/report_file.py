"""An audit's JSON report, read back: a baseline, one side of a comparison, or a claim to be checked.

What it says is a claim: nobody signs a report by itself. It can change what counts as new, never a verdict.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modseal import limits
from modseal.audit.finding import Finding, from_plain
from modseal.audit.run import SCHEMA
from modseal.errors import InputError


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A report as its values."""

    head: dict[str, Any]
    results: list[dict[str, Any]]

    def findings(self) -> Iterator[Finding]:
        """Every finding of the report."""
        return map(from_plain, self.head["findings"])


def load(path: Path) -> ReportFile:
    """A report from its file. Raises `InputError` where it is none."""
    try:
        with path.open("rb") as file:
            data = file.read(limits.REPORT_SIZE + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", path=str(path)) from None
    try:
        return _read(data)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: not a JSON report of `modseal audit`: {error}", path=str(path)) from None


def _read(data: bytes) -> ReportFile:
    if len(data) > limits.REPORT_SIZE:
        raise ValueError(f"over {limits.REPORT_SIZE} bytes")
    values = json.loads(data)
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise ValueError(f"its schema is not {SCHEMA}")
    report = ReportFile(values, values["results"])
    for finding in report.findings():
        finding.fingerprint  # noqa: B018 - shows that all is there
    return report
