"""Results of `verify` as SARIF 2.1.0, for code-scanning services: one rule a code, one result a failed check."""

from __future__ import annotations

import json
from collections.abc import Sequence

from modseal.auditing.record import findings_of
from modseal.bundle.verify import Result
from modseal.report import sarif_log
from modseal.report.audit_words import words


def render(results: Sequence[Result]) -> str:
    """All results as one SARIF log with one run."""
    found = [finding for result in results for finding in findings_of(result)]
    used = {finding.rule: words(finding) for finding in found}
    index = {id_: number for number, id_ in enumerate(sorted(used))}
    run = {
        "tool": {"driver": sarif_log.driver(used[id_] for id_ in index)},
        "originalUriBaseIds": sarif_log.BASES,
        "results": [sarif_log.result(finding, index[finding.rule]) for finding in found],
    }
    return json.dumps({"$schema": sarif_log.SCHEMA, "version": sarif_log.VERSION, "runs": [run]}, indent=2)
