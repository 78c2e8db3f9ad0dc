"""The level rule as a page: docs/levels.md is what this writes, and a test keeps it so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from modseal.codes import CodeName
from modseal.format.level import Level
from modseal.trust.levels import level_failure, prove

_INTRODUCTION = """\
# Levels: what a claim, a grant and a minimum give

A manifest *claims* a level, the signer's anchor *grants* one, and the policy has a *minimum*. A claim that the grant
covers is *proven*; a higher grant does not raise it. The module is accepted where the proven level reaches the minimum.

These are all 64 cells, for a signed module whose signer is trusted. The page is written from the rule itself
(`modseal.trust.levels`), and the tests put each cell to the whole verification. What stands for a refusal is its code.
"""


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


def markdown() -> str:
    """The whole page, with a final newline."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _INTRODUCTION.rstrip()
    levels = sorted(Level, reverse=True)
    cells = {(cell.claimed, cell.granted, cell.minimum): cell for cell in table()}
    for minimum in levels:
        yield f"\n## Minimum {minimum}\n"
        yield "| claims | " + " | ".join(f"granted {granted}" for granted in levels) + " |"
        yield "|---|" + "---|" * len(levels)
        for claimed in levels:
            row = [cells[claimed, granted, minimum] for granted in levels]
            yield (
                f"| {claimed} | " + " | ".join(f"`{cell.code}`" if cell.code else "**accepted**" for cell in row) + " |"
            )
