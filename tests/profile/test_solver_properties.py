"""The solver against brute force, with and without installed modules: it finds a set if and only if there is one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from builders.set_judge import good_sets, is_offered, what_is_wrong
from modseal.format.manifest import Constraint, Relationships
from modseal.profile.candidates import Candidate
from modseal.profile.installed import TargetModules
from modseal.profile.solve import solve

NAMES, VERSIONS = ("a", "b", "c"), ("0", "1", "2")
OFFERED = (*NAMES, "x")

_ranges = [(None, None), *product(("<<", "<=", "=", ">=", ">>"), VERSIONS)]
_constraint = st.builds(
    lambda name, range_: Constraint(name, *range_), st.sampled_from(OFFERED), st.sampled_from(_ranges)
)
_provided = st.builds(Constraint, st.sampled_from(OFFERED), st.just("="), st.sampled_from(VERSIONS)) | st.builds(
    Constraint, st.sampled_from(OFFERED)
)
_few = st.lists(_constraint, max_size=2).map(tuple)
_one = st.lists(_constraint, max_size=1).map(tuple)
_related = st.builds(
    Relationships,
    depends=_few,
    conflicts=_one,
    replaces=_one,
    provides=st.lists(_provided, max_size=2).map(tuple),
    compatible_with=_one,
)
_pairs = st.sets(st.sampled_from(list(product(NAMES, VERSIONS))), max_size=6)


@st.composite
def universes(draw: st.DrawFn) -> tuple[list[Candidate], list[Candidate]]:
    """What depots offer, and what is installed: one of each name, some of it in the depots too."""
    among = [
        Candidate(*pair, "Acme", draw(_related), (), "D", "-".join(pair), "".join(pair))
        for pair in sorted(draw(_pairs))
    ]
    there = draw(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VERSIONS), max_size=3))
    installed = []
    for name, version in sorted(there.items()):
        same = next((one for one in among if (one.name, one.version) == (name, version)), None)
        related = same.relationships if same and draw(st.booleans()) else draw(st.just(Relationships()) | _related)
        installed.append(Candidate(name, version, "Acme", related, digest=same.digest if same else "installed"))
    return among, installed


_asked = st.lists(_constraint, min_size=1, max_size=2).map(tuple)


def require_right(among: list[Candidate], asked: Sequence[Constraint], installed: list[Candidate]) -> bool:
    """Hold what the solver finds against all sets there are. Returns whether one may be."""
    found = solve(asked, among, TargetModules(tuple(installed)), lambda _: None)
    possible = next(good_sets(among, asked, installed), None) is not None
    if possible:
        assert list(what_is_wrong(found.modules, asked, installed)) == []
    assert bool(found.modules) == possible
    assert bool(found.reasons) != possible
    return possible


@settings(max_examples=500)
@given(universes(), _asked)
def test_a_set_is_found_if_and_only_if_there_is_one(
    universe: tuple[list[Candidate], list[Candidate]], asked: tuple[Constraint, ...]
) -> None:
    among, installed = universe
    require_right(among, asked, installed)


def test_so_it_is_in_crowded_universes() -> None:
    """Each module says something of others: 2,500 universes, of which a third has a set."""
    right = [require_right(*crowded(Random(seed))) for seed in range(2500)]
    assert 500 < sum(right) < 2000


def crowded(chance: Random) -> tuple[list[Candidate], list[Constraint], list[Candidate]]:
    """Modules with many rules, what is asked for, and what is installed of them or of others with their names."""

    def constraint() -> Constraint:
        return Constraint(chance.choice(OFFERED), *chance.choice(_ranges))

    def some(share: float, most: int = 1) -> tuple[Constraint, ...]:
        return tuple(constraint() for _ in range(chance.randint(1, most))) if chance.random() < share else ()

    def related() -> Relationships:
        provided = [chance.choice([("=", version) for version in VERSIONS] + [(None, None)]) for _ in range(2)]
        return Relationships(
            depends=some(0.5, 2),
            conflicts=some(0.3),
            replaces=some(0.3),
            provides=tuple(Constraint(chance.choice(OFFERED), *one) for one in provided if chance.random() < 0.4),
            compatible_with=some(0.2),
        )

    among = [
        Candidate(*pair, "Acme", related(), (), "D", "-".join(pair), "".join(pair))
        for pair in product(NAMES, VERSIONS)
        if chance.random() < 0.6
    ]
    installed = []
    for name in chance.sample(NAMES, chance.randint(0, 3)):
        version = chance.choice(VERSIONS)
        same = [one.relationships for one in among if (one.name, one.version) == (name, version)]
        said = chance.choice([Relationships(), related(), *same])
        installed.append(Candidate(name, version, "Acme", said, digest="installed"))
    return among, [constraint() for _ in range(chance.randint(1, 2))], installed


@settings(max_examples=300)
@given(universes(), _asked)
def test_nothing_comes_that_nobody_needs(
    universe: tuple[list[Candidate], list[Candidate]], asked: tuple[Constraint, ...]
) -> None:
    among, installed = universe
    found = solve(asked, among, TargetModules(tuple(installed)), lambda _: None)
    needs = (*asked, *(each for one in found.modules for each in one.relationships.depends))
    kept = {one.name for one in installed}
    for one in found.modules:
        takes_a_place = one.name in kept or kept.intersection(each.name for each in one.relationships.replaces)
        assert takes_a_place or any(is_offered(one, each) for each in needs)
