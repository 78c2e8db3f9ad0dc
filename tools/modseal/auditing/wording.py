"""Words that several rules need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from modseal.auditing.rule import Hit
from modseal.errors import Scalar

_NAMED = 5
"""Names in one sentence; the result of the bundle has all of them."""


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def about_files(what: str, paths: Sequence[str], **evidence: Scalar) -> Iterator[Hit]:
    """One hit for all these files of a bundle, none where there are none."""
    if paths:
        yield Hit(f"{what}: {some(paths)}", {"files": len(paths), "first": paths[0], **evidence})
