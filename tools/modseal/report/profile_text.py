"""Solved sets as text for people, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

from modseal.profile.candidates import Candidate
from modseal.profile.solve import Solution
from modseal.report.text import plural, safe

SCHEMA = "modseal/solution@1"
_SHOWN = 20
"""Reasons in the text: a long chain of needs has thousands."""


def solution_text(solution: Solution) -> str:
    """The set, or why there is none; then what was refused."""
    return "\n".join(_lines(solution))


def solution_json(solution: Solution) -> str:
    """The same for programs."""
    document = {
        "schema": SCHEMA,
        "verdict": _verdict(solution),
        "modules": [_values(one) for one in solution.modules],
        "removed": [_values(one) for one in solution.removed],
        "reasons": list(solution.reasons),
        "refused": [
            {"bundle": one.label, "code": one.failure.code, "detail": one.failure.detail} for one in solution.refused
        ],
        "notes": list(solution.notes),
    }
    return json.dumps(document, indent=2)


def _verdict(solution: Solution) -> str:
    return "solved" if solution.modules else "undecided" if solution.uncertain else "impossible"


def _values(one: Candidate) -> dict[str, str | bool | None]:
    return {
        "name": one.name,
        "version": one.version,
        "vendor": one.vendor,
        "installed": one.is_installed,
        "depot": one.depot or None,
        "path": one.path or None,
        "manifest_sha256": one.digest or None,
    }


def _lines(solution: Solution) -> Iterator[str]:
    if solution.modules:
        new = sum(not one.is_installed for one in solution.modules)
        count = len(solution.modules)
        yield f"solved: {plural(count, 'module')}, {new} of them new"
    else:
        yield f"{_verdict(solution)}: no set of modules has all that was asked for"
    for one in solution.modules:
        where = "installed (as listed, unproved)" if one.is_installed else f"{one.depot}/{one.path}"
        yield f"  {safe(one.name)} {safe(one.version)}  {safe(where)}"
    for one in solution.removed:
        yield f"  {safe(one.name)} {safe(one.version)}  is replaced"
    for reason in solution.reasons[:_SHOWN]:
        yield f"  {safe(reason)}"
    if len(solution.reasons) > _SHOWN:
        yield f"  and {len(solution.reasons) - _SHOWN} more reasons; --format json has them all"
    for refusal in solution.refused:
        yield f"  refused: {safe(refusal.label)}: {refusal.failure.code}: {safe(refusal.failure.detail)}"
    for note in solution.notes:
        yield f"  note: {safe(note)}"
