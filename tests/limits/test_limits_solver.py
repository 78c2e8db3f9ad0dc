"""The limits of the solver: a set that takes so much is found, and with one less nothing is decided."""

from __future__ import annotations

import pytest

from limits.cover import bounds
from modseal import limits
from modseal.errors import UndecidedError
from modseal.format.manifest import Constraint, Relationships
from modseal.profile.candidates import Candidate
from modseal.profile.installed import TargetModules
from modseal.profile.solve import parse_asked, solve

NEED = Relationships(depends=(Constraint("b"),))
AMONG = [
    Candidate("a", "1.0", "Acme", NEED, (), "D", "a.vib"),
    Candidate("b", "1.0", "Acme", Relationships(), (), "D", "b1.vib"),
    Candidate("b", "2.0", "Acme", Relationships(), (), "D", "b2.vib"),
]


def find() -> int:
    return len(solve([parse_asked("a")], AMONG, TargetModules(), lambda _: None).modules)


@bounds("SOLVER_STEPS")
def test_a_set_is_found_in_so_many_steps_or_it_is_not_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SOLVER_STEPS", 29)
    assert find() == 2
    monkeypatch.setattr(limits, "SOLVER_STEPS", 28)
    with pytest.raises(UndecidedError, match="limit of steps"):
        find()


@bounds("SOLVER_RULES")
def test_so_many_mentions_in_rules_are_taken_in_or_nothing_is_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SOLVER_RULES", 9)  # a; a needs either b; and of the two b there is one
    assert find() == 2
    monkeypatch.setattr(limits, "SOLVER_RULES", 8)
    with pytest.raises(UndecidedError, match="more rules"):
        find()
