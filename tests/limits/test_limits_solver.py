"""The limit of the solver: a set that takes so many steps is found, and one less decides nothing."""

from __future__ import annotations

import pytest

from limits.cover import bounds
from modseal import limits
from modseal.errors import UndecidedError
from modseal.format.manifest import Constraint, Relationships
from modseal.profile.candidates import Candidate
from modseal.profile.installed import TargetModules
from modseal.profile.solve import parse_asked, solve


@bounds("SOLVER_ROUNDS")
def test_a_set_is_found_in_so_many_steps_or_it_is_not_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    need = Relationships(depends=(Constraint("b"),))
    among = [
        Candidate("a", "1.0", "Acme", need, (), "D", "a.vib"),
        Candidate("b", "1.0", "Acme", Relationships(), (), "D", "b1.vib"),
        Candidate("b", "2.0", "Acme", Relationships(), (), "D", "b2.vib"),
    ]

    def find(steps: int) -> int:
        monkeypatch.setattr(limits, "SOLVER_ROUNDS", steps)
        return len(solve([parse_asked("a")], among, TargetModules(), lambda _: None).modules)

    assert find(2) == 2  # which b to take, and that nothing is open then
    with pytest.raises(UndecidedError, match="limit of steps"):
        find(1)
