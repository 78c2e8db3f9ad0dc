"""How long a set takes to find, or to be ruled out, among thousands of modules: `python bench/solve.py`.

No bundle is opened. Figures and what they were compared with are in docs/adr/0035-solver-against-peers.md.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from time import perf_counter

from modseal.errors import UndecidedError
from modseal.format.manifest import Constraint, Relationships
from modseal.profile.candidates import Candidate
from modseal.profile.installed import TargetModules
from modseal.profile.solve import solve

NAMES, VERSIONS = 1000, 5

Case = tuple[str, Sequence[Candidate], Sequence[Constraint]]


def module(name: str, version: object = 1, **related: Sequence[Constraint]) -> Candidate:
    """A module in a depot."""
    said = Relationships(**{key: tuple(value) for key, value in related.items()})
    return Candidate(name, str(version), "V", said, (), "D", f"{name}-{version}.vib")


def universe() -> list[Candidate]:
    """1,000 names of 5 versions each; each needs up to three of the names before it, and some refuse one."""
    chance = random.Random(7)
    found = []
    for number in range(NAMES):
        for version in range(1, VERSIONS + 1):
            before = [f"m{chance.randrange(number)}" for _ in range(min(number, 3))]
            depends = [Constraint(name, ">=", str(chance.randint(1, version))) for name in before]
            conflicts = [Constraint(f"m{chance.randrange(NAMES)}", "<<", "2")] if number % 10 == 0 else []
            found.append(module(f"m{number}", version, depends=depends, conflicts=conflicts))
    return found


def crowded() -> list[Candidate]:
    """The same, and every module refuses the older half of two others."""
    chance = random.Random(11)
    found = []
    for one in universe():
        refused = [Constraint(f"m{chance.randrange(NAMES)}", "<<", "3") for _ in range(2)]
        found.append(module(one.name, one.version, depends=one.relationships.depends, conflicts=refused))
    return found


def chain() -> list[Candidate]:
    """5,000 names in one line, of which each version needs the same or a newer one of the next."""
    return [
        module(
            f"c{number}", version, depends=[Constraint(f"c{number + 1}", ">=", str(version))] if number < 2499 else []
        )
        for number in range(2500)
        for version in (1, 2)
    ]


def pigeons(holes: int) -> list[Candidate]:
    """One pigeon more than there are holes: each needs a hole, and no two go into one."""
    found = []
    for number in range(holes + 1):
        found.append(module(f"pigeon{number}", depends=[Constraint(f"place{number}")]))
        for hole in range(holes):
            offered = [Constraint(f"place{number}"), Constraint(f"in{hole}")]
            found.append(module(f"hole{hole}-{number}", provides=offered, conflicts=offered[1:]))
    return found


def cases() -> Iterator[Case]:
    """What is measured: its name, the modules, and what is asked for."""
    among = universe()
    for count in (10, 50, 300):
        yield f"{count} of 1,000 names", among, [Constraint(f"m{number}") for number in range(NAMES - count, NAMES)]
    yield "impossible", among, [*(Constraint(f"m{n}") for n in range(700, NAMES)), Constraint("m1", ">=", "9")]
    yield "many refusals", crowded(), [Constraint(f"m{number}") for number in range(900, NAMES)]
    yield "a chain of 2,500", chain(), [Constraint("c0")]
    yield (
        "its end missing",
        [one for one in chain() if (one.name, one.version) != ("c2499", "2")],
        [Constraint("c0", "=", "2")],
    )
    for holes in (5, 6, 7):
        yield f"{holes + 1} pigeons", pigeons(holes), [Constraint(f"pigeon{number}") for number in range(holes + 1)]


def main() -> None:
    """Print the time of each case, and what it came to."""
    for label, among, asked in cases():
        start = perf_counter()
        try:
            found = solve(asked, among, TargetModules(), lambda _: None)
            came_to = f"{len(found.modules)} chosen" if found.modules else f"impossible, {len(found.reasons)} reasons"
        except UndecidedError as error:
            came_to = error.failure.detail
        print(f"{label}: {len(among)} modules, {came_to}, {perf_counter() - start:.2f} s", flush=True)


if __name__ == "__main__":
    main()
