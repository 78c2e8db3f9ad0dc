"""Two profiles: the answers of `Compare-EsxImageProfile`, and each way round they say the same."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from modseal.format.image_profile import ImageProfile, ProfileModule
from modseal.format.level import Level
from modseal.profile.compare import ProfileDifference, compare
from modseal.profile.found import FoundProfile, of_own


def module(name: str, version: str = "1.0", content: str = "0") -> ProfileModule:
    return ProfileModule("Acme", name, version, "vib", Level.PARTNER, 1, content * 64, "bootbank")


def profile(*modules: ProfileModule, level: Level = Level.PARTNER) -> FoundProfile:
    return of_own(ImageProfile("p", "Acme", 1, level, modules), "p")


def sets() -> st.SearchStrategy[FoundProfile]:
    modules = st.builds(module, st.sampled_from("abcd"), st.sampled_from(["1.0", "1.00", "2.0"]), st.sampled_from("01"))
    lists = st.lists(modules, max_size=4, unique_by=lambda one: one.name)
    return st.builds(lambda found, level: profile(*found, level=level), lists, st.sampled_from(Level))


def turned(found: ProfileDifference) -> ProfileDifference:
    """The same, the other way round."""
    return ProfileDifference(
        found.comp_level,
        found.ref_level,
        found.only_in_comp,
        found.only_in_ref,
        tuple((new, old) for old, new in found.downgrade_from_ref),
        tuple((new, old) for old, new in found.upgrade_from_ref),
        tuple((new, old) for old, new in found.content_differs),
    )


def test_each_module_has_its_answer() -> None:
    old = profile(module("gone"), module("newer"), module("older", "2.0"), module("other"), module("same"))
    new = profile(module("came"), module("newer", "2.0"), module("older"), module("other", content="1"), module("same"))
    found = compare(old, new)
    assert [one.id for one in found.only_in_ref] == ["Acme_bootbank_gone_1.0"]
    assert [one.id for one in found.only_in_comp] == ["Acme_bootbank_came_1.0"]
    assert [one.id for _, one in found.upgrade_from_ref] == ["Acme_bootbank_newer_2.0"]
    assert [one.id for _, one in found.downgrade_from_ref] == ["Acme_bootbank_older_1.0"]
    assert [one.name for _, one in found.content_differs] == ["other"]
    assert not found.packages_equal


def test_equal_needs_the_same_level_too() -> None:
    found = compare(profile(module("a")), profile(module("a"), level=Level.CERTIFIED))
    assert found.packages_equal
    assert not found.equal


def test_what_is_named_and_not_there_is_equal_to_nothing() -> None:
    lacking = replace(profile(module("a")), absent=("Acme_bootbank_b_1.0",))
    assert not compare(lacking, lacking).equal


@given(sets(), sets())
def test_the_other_way_round_it_says_the_opposite(one: FoundProfile, other: FoundProfile) -> None:
    assert compare(other, one) == turned(compare(one, other))


@given(sets())
def test_a_profile_equals_itself(one: FoundProfile) -> None:
    assert compare(one, one).equal


@given(sets(), sets())
def test_every_module_has_one_answer_or_is_the_same(one: FoundProfile, other: FoundProfile) -> None:
    found = compare(one, other)
    pairs = (*found.upgrade_from_ref, *found.downgrade_from_ref, *found.content_differs)
    names = [each.name for each in (*found.only_in_ref, *found.only_in_comp, *(old for old, _ in pairs))]
    assert len(set(names)) == len(names)
    same = {each.name: each.manifest for each in one.modules}.items() & {
        each.name: each.manifest for each in other.modules
    }.items()
    assert {*names} | {name for name, _ in same} >= {each.name for each in (*one.modules, *other.modules)}
