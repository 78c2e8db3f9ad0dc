"""The level rule: what a claim, a grant and a minimum give.

`proven` is the claim once the grant covers it, else nothing: a signer who may grant more does not
raise a module above what its manifest claims, and a claim does not raise itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from modseal.codes import CodeName
from modseal.errors import Failure
from modseal.format.level import Level


def prove(claimed: Level, granted: Level) -> Level | None:
    """The proven level of a claim under a grant."""
    return claimed if claimed <= granted else None


def level_failure(claimed: Level, granted: Level, minimum: Level) -> Failure | None:
    """Why a claim under a grant does not reach a minimum, or None where it does."""
    proven = prove(claimed, granted)
    evidence = {"claimed": str(claimed), "granted": str(granted), "minimum": str(minimum)}
    if proven is None:
        return Failure(
            "level-not-granted", f"the manifest claims {claimed}, the signer's anchor grants {granted}", evidence
        )
    if proven < minimum:
        return Failure("level-below-minimum", f"the proven level {proven} is below the minimum {minimum}", evidence)
    return None


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination, the level that it proves (None: none), and the code that refuses it (None: accepted)."""

    claimed: Level
    granted: Level
    minimum: Level
    proven: Level | None
    code: CodeName | None


def table() -> tuple[Cell, ...]:
    """The rule for every claim, grant and minimum: 64 cells."""
    cells: list[Cell] = []
    for claimed, granted, minimum in product(Level, repeat=3):
        failure = level_failure(claimed, granted, minimum)
        cells.append(Cell(claimed, granted, minimum, prove(claimed, granted), failure.code if failure else None))
    return tuple(cells)
