"""What `modseal inspect` prints: one file in full, or several with a line each; bundles and trust bundles alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from modseal.bundle.inspect import Inspection, Uninspected
from modseal.files.names import dumped
from modseal.report import inspection
from modseal.report.text import safe, safe_name

if TYPE_CHECKING:
    from modseal.policy.carried import Carried

SCHEMA = "modseal/inspections@1"


def render(found: Inspection | Carried, form: str) -> str:
    """One file in full, as `text` or `json`."""
    if isinstance(found, Inspection):
        return inspection.render_json(found) if form == "json" else inspection.render_text(found)
    from modseal.report import carried

    return carried.render_json(found) if form == "json" else carried.render(found)


def pieces(each: Iterable[Inspection | Carried | Uninspected], form: str) -> Iterator[str]:
    """Several files: a line for each, as soon as it is known; or one JSON document with all of them."""
    if form == "json":
        document = {"schema": SCHEMA, "unproved": True, "results": [_values(one) for one in each]}
        yield dumped(document, indent=2)
    else:
        yield from map(_line, each)


def digests(each: Iterable[Inspection | Carried | Uninspected]) -> str:
    """What a policy needs to deny the bundles, as one table of TOML; a comment for each other file."""
    lines = [f"# {inspection.NOTICE}", "[deny]", "digests = ["]
    for one in each:
        lines += inspection.digest_lines(one) if isinstance(one, Inspection) else [f"    # {_line(one)}"]
    return "\n".join([*lines, "]"])


def _values(one: Inspection | Carried | Uninspected) -> dict[str, Any]:
    if isinstance(one, Inspection):
        return inspection.values(one)
    if isinstance(one, Uninspected):
        return {"bundle": one.bundle, "error": {"code": one.failure.code, "detail": one.failure.detail}}
    from modseal.report import carried

    return carried.values(one)


def _line(one: Inspection | Carried | Uninspected) -> str:
    if isinstance(one, Inspection):
        return inspection.line(one)
    if isinstance(one, Uninspected):
        detail = one.failure.detail.removeprefix(f"{one.bundle}: ")
        return f"{safe_name(one.bundle)}: cannot be read: {one.failure.code}: {safe(detail)}"
    from modseal.report import carried

    return carried.line(one)
