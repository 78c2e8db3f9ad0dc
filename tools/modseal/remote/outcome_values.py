"""What many hosts answered, as plain values: what `modseal remote --format json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modseal.host.values import failure_values
from modseal.remote.answers import ACCEPTED, REJECTED, UNDECIDED
from modseal.remote.fleet import HostOutcome

OUTCOMES = "modseal/remote-outcomes@1"
WORST_LAST = (ACCEPTED, UNDECIDED, REJECTED)


def worst(outcomes: Sequence[HostOutcome]) -> str:
    """The verdict that counts for all: a rejection weighs more than what could not be decided."""
    return max((one.verdict for one in outcomes), key=WORST_LAST.index)


def outcome_values(word: str, outcomes: Sequence[HostOutcome]) -> dict[str, Any]:
    """`result` is what the host itself says (schemas/host.schema.json); `problem` is why it says nothing."""
    return {
        "schema": OUTCOMES,
        "command": word,
        "verdict": worst(outcomes),
        "hosts": [
            {
                "host": one.target.shown,
                "address": f"{one.target.host}:{one.target.port}",
                "verdict": one.verdict,
                "result": one.document,
                "problem": failure_values(one.problem) if one.problem else None,
            }
            for one in outcomes
        ],
    }
