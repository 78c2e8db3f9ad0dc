"""The solver: it finds a set if and only if there is one, and says in plain words why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modseal.depot import relations
from modseal.errors import Failure, RefusedError, UsageError
from modseal.format.manifest import Constraint, Relationships
from modseal.profile.candidates import Candidate, Refused, require_one_content
from modseal.profile.installed import TargetModules
from modseal.profile.solve import Solution, parse_asked, solve


def module(name: str, version: str = "1.0", **related: tuple[Constraint, ...]) -> Candidate:
    return Candidate(name, version, "Acme", Relationships(**related), (), "D", f"{name}-{version}.vib")


def solved(*asked: str, among: list[Candidate], installed: TargetModules | None = None) -> Solution:
    return solve([parse_asked(one) for one in asked], among, installed or TargetModules(), lambda _: None)


def names(solution: Solution) -> list[str]:
    return [f"{one.name} {one.version}" for one in solution.modules]


def needs(*texts: str) -> tuple[Constraint, ...]:
    return tuple(map(parse_asked, texts))


def test_the_newest_that_fits_is_taken() -> None:
    among = [module("a"), module("a", "2.0", depends=needs("b << 2")), module("b"), module("b", "2.0")]
    assert names(solved("a", among=among)) == ["a 2.0", "b 1.0"]


def test_an_older_one_is_taken_where_the_newest_cannot_be() -> None:
    among = [module("a"), module("a", "2.0", depends=needs("b >= 2")), module("b", "1.4")]
    assert names(solved("a", among=among)) == ["a 1.0"]


def test_why_nothing_fits_is_told_of_the_newest() -> None:
    among = [module("agent", "2.0", depends=needs("foo >= 2")), module("foo", "1.4")]
    assert solved("agent", among=among).reasons == ("agent 2.0 needs foo >= 2, and the newest foo in D is 1.4",)


def test_what_no_depot_has_is_named() -> None:
    found = solved("nothing", among=[])
    assert found.reasons == ("asked for: nothing, and nothing that can be used offers it",)
    assert not found.uncertain


def test_what_is_provided_meets_a_need() -> None:
    among = [module("a", depends=needs("api >= 2")), module("b", provides=needs("api = 3"))]
    assert names(solved("a", among=among)) == ["a 1.0", "b 1.0"]


def test_what_conflicts_is_never_together() -> None:
    among = [module("a", conflicts=needs("b")), module("b")]
    found = solved("a", "b", among=among)
    assert not found.modules
    assert "a 1.0 conflicts b" in found.reasons


def test_what_is_installed_stays_or_gets_newer() -> None:
    there = TargetModules((Candidate("foo", "2.0"),))
    among = [module("a", depends=needs("foo << 2")), module("foo", "1.0")]
    assert not solved("a", among=among, installed=there).modules
    among = [module("a", depends=needs("foo >= 3")), module("foo", "3.0")]
    assert names(solved("a", among=among, installed=there)) == ["a 1.0", "foo 3.0"]


def test_what_is_installed_is_not_touched_without_need() -> None:
    there = TargetModules((Candidate("foo", "2.0"),))
    among = [module("a", depends=needs("foo")), module("foo", "3.0")]
    assert names(solved("a", among=among, installed=there)) == ["a 1.0", "foo 2.0"]


def test_what_is_replaced_goes() -> None:
    there = TargetModules((Candidate("foo", "2.0"),))
    found = solved("a", among=[module("a", replaces=needs("foo"))], installed=there)
    assert names(found) == ["a 1.0"]
    assert [one.name for one in found.removed] == ["foo"]


def test_what_is_in_a_list_offers_its_own_name_and_version_only() -> None:
    there = TargetModules((Candidate("base", "8.0"),), is_list=True)
    assert names(solved("a", among=[module("a", depends=needs("base >= 8"))], installed=there)) == ["a 1.0", "base 8.0"]
    found = solved("a", among=[module("a", depends=needs("vmkapi"))], installed=there)
    assert not found.modules
    assert not found.uncertain
    assert any("names and versions" in note for note in found.notes)


def test_only_a_proved_bundle_counts() -> None:
    among = [module("a"), module("a", "2.0")]
    refusal = Refused("a 2.0", Failure("unsigned", "it is not signed", {}))
    found = solve(needs("a"), among, TargetModules(), lambda one: refusal if one.version == "2.0" else None)
    assert names(found) == ["a 1.0"]
    assert found.refused == (refusal,)


def test_one_id_with_two_contents_is_an_error_that_names_both() -> None:
    one, other = (Candidate("a", "1", "V", depot="D", path=f"{n}.vib", digest=n * 64) for n in "ab")
    with pytest.raises(RefusedError, match=f"{'a' * 64}.*{'b' * 64}") as refused:
        require_one_content([one, other])
    assert refused.value.failure.code == "content-differs"


@pytest.mark.parametrize("text", ["", "a >", "a >= 1 2", ">= 1", "a => 1"])
def test_what_is_no_constraint_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_asked(text)


_NAMES, _VERSIONS = ("a", "b", "c"), ("1", "2")
_constraint = st.builds(
    lambda name, relation: Constraint(name, *relation),
    st.sampled_from((*_NAMES, "x")),
    st.sampled_from([(None, None), (">=", "2"), ("<<", "2"), ("=", "1")]),
)
_some = st.lists(_constraint, max_size=2).map(tuple)
_provided = st.lists(st.builds(lambda name: Constraint(name, "=", "1"), st.sampled_from((*_NAMES, "x"))), max_size=1)
_related = st.builds(
    Relationships, depends=_some, conflicts=_some, replaces=_some, provides=_provided.map(tuple), compatible_with=_some
)


@st.composite
def _universe(draw: st.DrawFn) -> list[Candidate]:
    pairs = draw(st.sets(st.sampled_from(list(product(_NAMES, _VERSIONS)))))
    return [Candidate(*pair, "Acme", draw(_related), (), "D", "-".join(pair)) for pair in sorted(pairs)]


def _sets(among: list[Candidate]) -> Iterator[list[Candidate]]:
    """All sets with at most one version of each name."""
    by_name = [[None, *(one for one in among if one.name == name)] for name in _NAMES]
    for chosen in product(*by_name):
        yield [one for one in chosen if one]


def _is_good(chosen: list[Candidate], asked: tuple[Constraint, ...]) -> bool:
    return (
        all(any(relations.meets(one, each) for one in chosen) for each in asked)
        and not list(relations.unmet(chosen))
        and not list(relations.clashes(chosen))
        and not any(relations.replaces(one, other) for one in chosen for other in chosen)
    )


@settings(max_examples=1500, deadline=None)
@given(_universe(), st.lists(_constraint, min_size=1, max_size=2).map(tuple))
def test_a_set_is_found_if_and_only_if_there_is_one(among: list[Candidate], asked: tuple[Constraint, ...]) -> None:
    found = solve(asked, among, TargetModules(), lambda _: None)
    possible = any(_is_good(chosen, asked) for chosen in _sets(among))
    assert bool(found.modules) == possible
    assert bool(found.reasons) != possible
    if possible:
        assert _is_good(list(found.modules), asked)
