"""What discovery finds: bundles to examine, and what is left out, malformed or cannot be looked into."""

from __future__ import annotations

from dataclasses import dataclass

from modseal.auditing.depots import DepotEnd
from modseal.auditing.hiding import STARTS
from modseal.auditing.target import Target
from modseal.errors import Failure

LONGEST = max(map(len, STARTS))
"""How many bytes it takes to see that a file begins like a bundle."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A place that could not be looked into: undecided, because bundles may be there."""

    name: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something below a folder that is no bundle, or a link that was not followed; `hides` says it could hold one."""

    name: str
    why: str
    hides: bool = False


@dataclass(frozen=True, slots=True)
class Malformed:
    """A depot that is not well formed: nothing in it is examined, and it is rejected."""

    name: str
    failure: Failure


Found = Target | DepotEnd | Unreadable | Malformed | LeftOut


def left_out(name: str, hides: str | None) -> LeftOut:
    """What is left out, by the hiding place that it is."""
    return LeftOut(name, hides or "no bundle", hides=hides is not None)
