"""What modules need of one another: one meaning of each relation, for hosts and for solvers."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modseal.depot import relations
from modseal.depot.relations import Clash, Unmet
from modseal.format.manifest import Constraint, Relationships
from modseal.trust.version import version_key


@dataclass(frozen=True)
class Module:
    name: str
    version: str = "1.0"
    relationships: Relationships = field(default_factory=Relationships)


def module(name: str, version: str = "1.0", **related: tuple[Constraint, ...]) -> Module:
    return Module(name, version, Relationships(**related))


@pytest.mark.parametrize(
    ("relation", "version", "met"),
    [
        ("<<", "2.0", True),
        ("<<", "1.0", False),
        ("<=", "1.00", True),
        ("=", "1.00", True),
        ("=", "1.0-1", False),
        (">=", "0.9", True),
        (">>", "1.0", False),
        (">>", "1.0~rc1", True),
        (None, None, True),
    ],
)
def test_a_constraint_is_met_by_the_one_order_of_versions(relation, version, met):
    assert relations.meets(module("a", "1.0"), Constraint("a", relation, version)) is met
    needs = module("b", depends=(Constraint("a", relation, version),))
    assert list(relations.unmet([needs, module("a", "1.0")])) == (
        [] if met else [Unmet(needs, needs.relationships.depends[0])]
    )


def test_what_is_provided_without_a_version_meets_only_what_asks_for_none():
    plain, versioned = Constraint("virtual"), Constraint("virtual", ">=", "1")
    assert relations.meets(module("a", provides=(plain,)), plain)
    assert not relations.meets(module("a", provides=(plain,)), versioned)
    assert relations.meets(module("a", provides=(Constraint("virtual", "=", "1.5"),)), versioned)


def test_a_module_may_meet_its_own_need():
    assert not list(relations.unmet([module("a", provides=(Constraint("x"),), depends=(Constraint("x"),))]))


def test_a_module_conflicts_with_others_that_offer_the_name_and_never_with_itself():
    mail = Constraint("mail")
    one = module("one", provides=(mail,), conflicts=(mail,))
    two = module("two", provides=(mail,))
    assert list(relations.clashes([one])) == []
    assert list(relations.clashes([one, two])) == [Clash(one, two, "conflicts", mail)]


def test_a_conflict_counts_whichever_of_the_two_says_it():
    old = Constraint("library", "<<", "2")
    program = module("program", conflicts=(old,))
    for order in permutations([program, module("library", "1.9")]):
        assert len(list(relations.clashes(order))) == 1
    assert not list(relations.clashes([program, module("library", "2.0")]))


def test_compatible_with_binds_who_offers_the_name():
    wanted = Constraint("base", ">=", "7")
    driver = module("driver", compatible_with=(wanted,))
    base = module("base", "6.7")
    assert list(relations.clashes([driver, base])) == [Clash(driver, base, "compatibleWith", wanted)]
    assert not list(relations.clashes([driver, module("base", "7.0")]))
    assert not list(relations.clashes([driver]))


def test_replaces_looks_at_names_and_not_at_what_is_provided():
    new = module("new", replaces=(Constraint("old", "<<", "2"),))
    assert relations.replaces(new, module("old", "1.9"))
    assert not relations.replaces(new, module("old", "2.0"))
    assert not relations.replaces(new, module("other", "1.9", provides=(Constraint("old", "=", "1.0"),)))
    assert not relations.replaces(module("a", "2", replaces=(Constraint("a"),)), module("a", "1"))


def test_the_newest_of_equal_versions_does_not_depend_on_their_order():
    for order in permutations([module("a", "1.0"), module("a", "1.00"), module("a", "0.9")]):
        assert relations.newest(order).version == "1.00"


def test_a_constraint_is_written_as_people_write_it():
    assert relations.constraint_text(Constraint("a")) == "a"
    assert relations.constraint_text(Constraint("a", ">=", "1.0")) == "a >= 1.0"


VERSIONS = st.from_regex(r"[0-9a-c][0-9a-c.~-]{0,6}", fullmatch=True)


@given(VERSIONS, VERSIONS)
def test_of_two_versions_exactly_one_relation_holds(one, other):
    found = [relation for relation in ("<<", "=", ">>") if relations.holds(Constraint("a", relation, other), one)]
    assert len(found) == 1
    assert relations.is_newer(one, other) == (found == [">>"])
    assert relations.is_same_version(one, other) == (version_key(one) == version_key(other))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), max_size=4), st.sampled_from("abc"))
def test_a_module_that_joins_only_meets_needs(pairs, name):
    modules = [module(each, depends=(Constraint(needed),)) for each, needed in pairs]
    after = list(relations.unmet([*modules, module(name)]))
    assert after == [one for one in relations.unmet(modules) if one.constraint.name != name]


@pytest.mark.parametrize(
    ("platforms", "target", "fits"),
    [
        ([], "8.0.2", True),
        ([""], "8.0.2", True),
        (["8.0"], "8.0.2", True),  # as genuine bundles name a release and all its updates
        (["8.0"], "8.0", True),
        (["8.*"], "8.0.2", True),
        (["7.0", "8.0"], "8.0.2", True),
        (["8.0.2"], "8.0.2", True),
        (["8.0.2"], "8.0.1", False),
        (["8.0.2"], "8.0", False),
        (["8.0"], "8.01.2", False),
        (["7.*"], "8.0.2", False),
        (["[8"], "8.0.2", False),
    ],
)
def test_a_bundle_is_for_the_versions_of_esxi_that_it_names(platforms: list[str], target: str, *, fits: bool) -> None:
    assert relations.is_for(platforms, target) == fits
