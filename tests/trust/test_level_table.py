"""All 64 cells of claim, grant and minimum: the rule, the whole verification, and the page in the docs."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from level_table import Cell, markdown, table

from builders.bundles import Bundle, codes, judge, make
from builders.pki import root
from builders.policies import anchor, trusting
from modseal.format.level import Level
from modseal.trust.examination import Verdict

PAGE = Path(__file__).parents[2] / "docs" / "levels.md"
CELLS = table()


@functools.cache
def claiming(level: Level) -> Bundle:
    return make("seal", claimed_level=level)


def expected(claimed: int, granted: int, minimum: int) -> tuple[int | None, str | None]:
    """The rule once more, on plain numbers, so that the table is not its own witness."""
    if claimed > granted:
        return None, "level-not-granted"
    return claimed, "level-below-minimum" if claimed < minimum else None


def test_there_are_64_cells_and_each_combination_is_there_once() -> None:
    assert len({(cell.claimed, cell.granted, cell.minimum) for cell in CELLS}) == len(CELLS) == 64


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell.claimed}-{cell.granted}-{cell.minimum}")
def test_every_cell_is_what_the_whole_verification_says(cell: Cell) -> None:
    assert (cell.proven, cell.code) == expected(cell.claimed, cell.granted, cell.minimum)
    policy = trusting(anchor(root(), grants=cell.granted), minimum=cell.minimum)
    examination = judge(claiming(cell.claimed), policy)
    assert examination.verdict is (Verdict.REJECTED if cell.code else Verdict.ACCEPTED)
    assert codes(examination) == ([cell.code] if cell.code else [])
    assert examination.proven_level == cell.proven


def test_the_page_in_the_docs_is_the_table() -> None:
    assert PAGE.read_text("utf-8") == markdown(), "write it again: docs/generate.py"
    assert markdown().count("**accepted**") == sum(cell.code is None for cell in CELLS) == 20
