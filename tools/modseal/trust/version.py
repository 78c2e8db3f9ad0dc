"""Comparing module versions: modseal's own rule, because VMware publishes none.

A version is `version[-release]`, split at the first hyphen. Each part is cut into runs of digits and
runs of letters; everything else separates. Runs are compared in order: numbers by value, letters
as ASCII text, a number above letters, and a longer version above its own beginning. `~` sorts
before everything, even the end, so that `2.0~rc1` is older than `2.0`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import lru_cache

from modseal.values import regex

_RUN = regex(r"[0-9]+|[A-Za-z]+|~")
_END = (1, 0, "")


Key = tuple[tuple[tuple[int, int, str], ...], ...]
"""What sorts as versions do."""


@lru_cache(maxsize=4096)  # a solver compares the same few versions hundreds of thousands of times
def version_key(version: str) -> Key:
    """A key that sorts versions; equal keys are equal versions (`1.0` and `1.00`)."""
    head, _, release = version.partition("-")
    return _part_key(head), _part_key(release)


def holds(one: Key, relation: str, other: Key) -> bool:
    """Whether a version stands in one of the relations `<<`, `<=`, `=`, `>=`, `>>` to another; both as keys."""
    return _HOLDS[relation](one, other)


_HOLDS: dict[str, Callable[[Key, Key], bool]] = {
    "<<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">>": operator.gt,
}


def _part_key(part: str) -> tuple[tuple[int, int, str], ...]:
    return (*map(_run_key, _RUN.findall(part)), _END)


def _run_key(run: str) -> tuple[int, int, str]:
    if run == "~":
        return (0, 0, "")
    return (3, int(run), "") if run.isdigit() else (2, 0, run)
