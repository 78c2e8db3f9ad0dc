"""Results as SARIF 2.1.0, for code-scanning services: one rule a code, one result a failed check."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from modseal import __version__
from modseal.bundle.verify import Result
from modseal.codes import CODES
from modseal.trust.examination import Status

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def render(results: Sequence[Result]) -> str:
    """All results as one SARIF log with one run."""
    found = [entry for result in results for entry in _results(result)]
    used = sorted({entry["ruleId"] for entry in found})
    driver = {"name": "modseal", "version": __version__, "rules": [_rule(code) for code in used]}
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": found}]}
    return json.dumps(log, indent=2)


def _rule(code: str) -> dict[str, Any]:
    row = CODES[code]
    return {"id": code, "shortDescription": {"text": row.meaning}, "help": {"text": row.next_step}}


def _results(result: Result) -> Iterator[dict[str, Any]]:
    if result.failure:
        yield _entry(result, result.failure.code, "warning", result.failure.detail)
    for check in result.examination.checks if result.examination else ():
        if check.code and check.status in (Status.FAILED, Status.INCONCLUSIVE):
            level = "error" if check.status is Status.FAILED else "warning"
            yield _entry(result, check.code, level, f"step {check.step}: {check.detail}")


def _entry(result: Result, code: str, level: str, text: str) -> dict[str, Any]:
    location = {"physicalLocation": {"artifactLocation": {"uri": _uri(result.bundle)}}}
    return {"ruleId": code, "level": level, "message": {"text": text}, "locations": [location]}


def _uri(bundle: str) -> str:
    path = PurePath(bundle)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
