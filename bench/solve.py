"""How long a set takes to find among 5,000 modules: `python bench/solve.py`. No bundle is opened."""

from __future__ import annotations

import random
from time import perf_counter

from modseal.format.manifest import Constraint, Relationships
from modseal.profile.candidates import Candidate
from modseal.profile.installed import TargetModules
from modseal.profile.solve import solve

NAMES, VERSIONS = 1000, 5


def universe() -> list[Candidate]:
    """1,000 names of 5 versions each; each needs up to three of the names before it, and some refuse one."""
    chance = random.Random(7)
    found = []
    for number in range(NAMES):
        for version in range(1, VERSIONS + 1):
            before = [f"m{chance.randrange(number)}" for _ in range(min(number, 3))]
            depends = tuple(Constraint(name, ">=", str(chance.randint(1, version))) for name in before)
            conflicts = (Constraint(f"m{chance.randrange(NAMES)}", "<<", "2"),) if number % 10 == 0 else ()
            related = Relationships(depends=depends, conflicts=conflicts)
            found.append(Candidate(f"m{number}", str(version), "V", related, (), "D", f"{number}-{version}.vib"))
    return found


def main() -> None:
    """Print the times of a set that is found and of one that is impossible."""
    among = universe()
    asked = [Constraint(f"m{number}") for number in range(NAMES - 300, NAMES)]
    for label, wanted in (("found", asked), ("impossible", [*asked, Constraint("m1", ">=", "9")])):
        start = perf_counter()
        solution = solve(wanted, among, TargetModules(), lambda _: None)
        seconds = perf_counter() - start
        print(f"{label}: {len(among)} modules, {len(solution.modules)} chosen, {seconds:.2f} s")


if __name__ == "__main__":
    main()
