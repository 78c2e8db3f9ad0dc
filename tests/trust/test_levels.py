"""The level rule: what a claim, a grant and a minimum give."""

from __future__ import annotations

import pytest
from level_table import table

from modseal.format.level import Level
from modseal.trust.levels import level_failure, prove

LEVELS = tuple(Level)


@pytest.mark.parametrize("claimed", LEVELS)
@pytest.mark.parametrize("granted", LEVELS)
def test_the_proven_level_is_the_claim_once_the_grant_covers_it(claimed: Level, granted: Level) -> None:
    assert prove(claimed, granted) == (claimed if granted >= claimed else None)


@pytest.mark.parametrize("minimum", LEVELS)
@pytest.mark.parametrize("granted", LEVELS)
@pytest.mark.parametrize("claimed", LEVELS)
def test_a_failure_says_which_of_the_two_comparisons_failed(claimed: Level, granted: Level, minimum: Level) -> None:
    failure = level_failure(claimed, granted, minimum)
    if claimed > granted:
        assert failure is not None
        assert failure.code == "level-not-granted"
    elif claimed < minimum:
        assert failure is not None
        assert failure.code == "level-below-minimum"
    else:
        assert failure is None
    if failure:
        assert failure.evidence == {"claimed": str(claimed), "granted": str(granted), "minimum": str(minimum)}


def test_a_higher_grant_does_not_raise_a_claim() -> None:
    assert prove(Level.COMMUNITY, Level.CERTIFIED) is Level.COMMUNITY
    assert level_failure(Level.COMMUNITY, Level.CERTIFIED, Level.PARTNER) is not None


def test_each_cell_of_the_table_proves_what_the_rule_proves() -> None:
    for cell in table():
        proven = cell.claimed if cell.claimed <= cell.granted else None
        assert cell.proven is proven
        expected = None if proven is not None and proven >= cell.minimum else "level-below-minimum"
        assert cell.code == (expected if proven is not None else "level-not-granted")
