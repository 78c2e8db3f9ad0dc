"""What must be in a JSON report for it to be used again: each value's kind, with the place in every message.

More may be there: a later version's report is read as far as this one knows it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from modseal.auditing.finding import Kind, Severity, State
from modseal.auditing.run import LEVELS, SCHEMA
from modseal.format.shape import kind, quote
from modseal.trust.examination import Verdict

TIME = "%Y-%m-%dT%H:%M:%SZ"
_SHA256 = re.compile(r"[0-9a-f]{64}")

Test = Callable[[Any], str | None]
"""What is wrong with a value, None where nothing is: `must be text`."""


class Misshapen(ValueError):  # noqa: N818 - what a report is
    """Not a report; the text says what is wrong, and where."""


def time_of(text: str) -> datetime:
    """The time that a report's text says. Raises `ValueError`."""
    return datetime.strptime(text, TIME).replace(tzinfo=UTC)


def head(values: Any) -> dict[str, Any]:
    """A report's values but for its lists, once they are looked at. Raises `Misshapen`."""
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise Misshapen(f"its schema is not {SCHEMA}")
    found: dict[str, Any] = _look(values, _HEAD, "")
    _look(found["policy"], _POLICY, "policy")
    return found


def result(values: Any, place: str) -> dict[str, Any]:
    """A bundle's result, once it is looked at. Raises `Misshapen`."""
    found: dict[str, Any] = _look(values, _RESULT, place)
    for index, check in enumerate(found["checks"]):
        if not isinstance(check, dict):
            raise Misshapen(f"{place}.checks[{index}] must be a table, not {kind(check)}")
    return found


def finding(values: Any, place: str) -> dict[str, Any]:
    """A finding's values, once they are looked at. Raises `Misshapen`."""
    found: dict[str, Any] = _look(values, _FINDING, place)
    return found


ROWS: Mapping[str, Callable[[Any, str], dict[str, Any]]] = {"results": result, "findings": finding}


def _look(values: Any, fields: Mapping[str, Test], place: str) -> Any:
    if not isinstance(values, dict):
        raise Misshapen(f"{place} must be a table, not {kind(values)}")
    for name, test in fields.items():
        if name not in values:
            raise Misshapen(f"{_at(place, name)} is missing")
        if wrong := test(values[name]):
            raise Misshapen(f"{_at(place, name)} {wrong}")
    return values


def _at(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _is(what: str, *types: type) -> Test:
    """One of these types exactly: a boolean is no number."""
    return lambda value: None if type(value) in types else f"must be {what}, not {kind(value)}"


def _one_of(*names: str) -> Test:
    return lambda value: None if value in names else f"is {_shown(value)}, and must be one of {', '.join(names)}"


def _optional(test: Test) -> Test:
    return lambda value: None if value is None else test(value)


def _shown(value: Any) -> str:
    return quote(value) if isinstance(value, str) else kind(value)


def _digest(value: Any) -> str | None:
    good = isinstance(value, str) and _SHA256.fullmatch(value)
    return None if good else f"is {_shown(value)}, and must be 64 lower-case hex digits"


def _time(value: Any) -> str | None:
    try:
        time_of(value)
    except (ValueError, TypeError):
        return f"is {_shown(value)}, and must be a time like 2026-01-31T12:00:00Z"
    return None


def _texts(value: Any) -> str | None:
    good = isinstance(value, list) and all(type(one) is str for one in value)
    return None if good else "must be an array of texts"


def _evidence(value: Any) -> str | None:
    good = isinstance(value, dict) and all(type(one) in (str, int, bool, type(None)) for one in value.values())
    return None if good else "must be a table of texts, integers, booleans and nulls"


_TEXT = _is("text", str)
_NUMBER = _is("an integer", int)
_FLAG = _is("a boolean", bool)
_TABLE = _is("a table", dict)
_LIST = _is("an array", list)

_HEAD: Mapping[str, Test] = {
    "policy": _TABLE,
    "at": _time,
    "complete": _FLAG,
    "paths": _texts,
    "rules": _texts,
    "summary": _TABLE,
}
_POLICY: Mapping[str, Test] = {"source": _TEXT, "sha256": _optional(_digest), "minimum_level": _TEXT}
_RESULT: Mapping[str, Test] = {
    "bundle": _TEXT,
    "sha256": _optional(_digest),
    "size": _NUMBER,
    "verdict": _one_of(*map(str, Verdict)),
    "proven_level": _optional(_one_of(*LEVELS[:-1])),
    "module": _optional(_TABLE),
    "signers": _LIST,
    "checks": _LIST,
}
_FINDING: Mapping[str, Test] = {
    "rule": _TEXT,
    "kind": _one_of(*map(str, Kind)),
    "severity": _one_of(*map(str, Severity)),
    "bundle": _TEXT,
    "sha256": _optional(_digest),
    "step": _optional(_NUMBER),
    "undecided": _FLAG,
    "detail": _TEXT,
    "evidence": _evidence,
    "next_step": _TEXT,
    "related": _texts,
    "state": _one_of(*map(str, State)),
    "reason": _optional(_TEXT),
}
