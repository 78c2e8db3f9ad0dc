"""Results as JSON: the schema `modseal/report@1` (schemas/report.schema.json), for machines and gates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from modseal.bundle.values import SCHEMA, result_values
from modseal.bundle.verify import Result
from modseal.files.names import dumped, portable
from modseal.format.times import time_text


def render(results: Sequence[Result], policy: str, at: datetime) -> str:
    """All results as one JSON document, two spaces of indent."""
    document = {
        "schema": SCHEMA,
        "policy": portable(policy),
        "at": time_text(at),
        "results": [result_values(result) | {"bundle": portable(result.bundle)} for result in results],
    }
    return dumped(document, indent=2)
