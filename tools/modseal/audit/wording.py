"""Words that several rules need."""

from __future__ import annotations

from collections.abc import Sequence

_NAMED = 5
"""Names in one sentence; the result of the bundle has all of them."""


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
