"""Two bundles compared, as text or JSON. What no policy has proved is marked so first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from modseal.bundle.diff import BundleChange, ComparedBundle, Comparison
from modseal.bundle.diff_shape import SCHEMA
from modseal.files.names import dumped, portable
from modseal.report.colour import paint, plain
from modseal.report.text import safe, safe_name

NOTICE = "UNPROVED: what is compared is what the files say of themselves"
_SHOWN = 40
"""Differences of one part that the text shows; JSON has them all."""
_DIGEST = re.compile(r"\b([0-9a-f]{16})[0-9a-f]{48}\b")


def render_json(found: Comparison) -> str:
    """The comparison as one JSON document."""
    document = {
        "schema": SCHEMA,
        "proved": found.is_proved,
        "complete": found.is_complete,
        "equal": not found.changes,
        "left": _side(found.left),
        "right": _side(found.right),
        "changes": [change._asdict() for change in found.changes],
    }
    return dumped(document, indent=2)


def _side(side: ComparedBundle) -> dict[str, Any]:
    examination = side.result.examination if side.result else None
    return {
        "bundle": portable(side.inspection.bundle),
        "sha256": side.inspection.sha256,
        "verdict": str(side.verdict) if side.verdict else None,
        "proven_level": str(examination.proven_level) if examination and examination.proven_level else None,
        "problems": [{"code": problem.code, "detail": problem.detail} for problem in side.problems],
    }


def render_text(found: Comparison, *, in_colour: bool = False) -> str:
    """The comparison as lines, without a final newline."""
    return "\n".join(_lines(found, in_colour=in_colour))


def _lines(found: Comparison, *, in_colour: bool) -> Iterator[str]:
    left, right = found.left.inspection, found.right.inspection
    what = "differ" if found.changes else f"are the same, byte for byte: sha256 {left.sha256}"
    yield f"{safe_name(left.bundle)} and {safe_name(right.bundle)} {what}"
    mark = paint if in_colour else plain
    for side in (found.left, found.right):
        if side.verdict:
            primary = side.result.examination.primary if side.result and side.result.examination else None
            why = f": {safe(primary.detail)}" if primary else ""
            yield f"  {safe_name(side.inspection.bundle)}: {mark(side.verdict, str(side.verdict))}{why}"
        for problem in side.problems:
            yield f"  {safe_name(side.inspection.bundle)}: not read in full: {problem.code}: {safe(problem.detail)}"
    if not found.is_proved:
        yield f"  {NOTICE}" + ("; --policy proves them" if found.verdict is None else "")
    for part, changes in groupby(found.changes, lambda change: change.part):
        listed = list(changes)
        yield from (_line(part, change) for change in listed[:_SHOWN])
        if len(listed) > _SHOWN:
            yield f"  ... and {len(listed) - _SHOWN} more of part {part}; --format json has them all"


def _line(part: str, change: BundleChange) -> str:
    words = " ".join(word for word in (change.name, change.what) if word)
    head = f"  {part:<11} {safe(words)}"
    if change.after is None:
        return f"{head}: only in the first{_value(change.before)}"
    if change.before is None:
        return f"{head}: only in the second{_value(change.after)}"
    return f"{head}: {_short(change.before)} -> {_short(change.after)}"


def _value(text: str | None) -> str:
    return f": {_short(text)}" if text else ""


def _short(text: str) -> str:
    """A value in a line: of a digest its beginning."""
    return safe(_DIGEST.sub(r"\1...", text)) or "(empty)"
