"""New profiles and next versions: what is made validates, and what would break a profile is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import image_profiles as profiles
from builders.bundles import Bundle, make
from builders.pki import NOW, signer
from builders.policies import trusting
from modseal.errors import UsageError
from modseal.format.image_profile import ImageProfile
from modseal.format.level import Level
from modseal.format.manifest import Constraint, Relationships
from modseal.packing.image_profile import finish
from modseal.profile import change
from modseal.profile.change import ProfileDraft, ProfileHead
from modseal.profile.solve import parse_asked
from modseal.profile.validate import validate
from modseal.trust.examination import Verdict

RULES = trusting()
HEAD = ProfileHead("acme-host")


def module(name: str, version: str = "1.0", level: Level = Level.PARTNER, **lists: tuple[Constraint, ...]) -> Bundle:
    files: dict[str, bytes | str | None] = {f"opt/{name}/f": version.encode()}
    return make(
        "seal",
        name=name,
        version=version,
        claimed_level=level,
        files=files,
        relationships=Relationships(**lists),
    )


A, B, C = module("a", depends=(Constraint("b"),)), module("b"), module("c", level=Level.CERTIFIED)
B2 = module("b", "2.0")
HELD = (A, B, B2, C)


def created(*names: str, head: ProfileHead = HEAD, held: tuple[Bundle, ...] = HELD) -> ProfileDraft:
    return change.create([parse_asked(name) for name in names], head, profiles.shelf(RULES, *held), NOW)


def good(*names: str) -> ImageProfile:
    draft = created(*names)
    assert draft.profile
    assert draft.verdict is Verdict.ACCEPTED, draft.failures
    return finish(draft.profile, (), NOW, NOW)


def names(draft: ProfileDraft) -> list[str]:
    assert draft.verdict is Verdict.ACCEPTED, draft.failures
    assert draft.profile
    return [f"{one.name} {one.version}" for one in draft.profile.modules]


def codes(draft: ProfileDraft) -> list[str]:
    assert draft.verdict is not Verdict.ACCEPTED
    assert draft.profile is None or draft.failures
    return [one.code for one in draft.failures]


def test_a_profile_has_what_is_asked_for_and_what_that_needs() -> None:
    assert names(created("a")) == ["a 1.0", "b 2.0"]


def test_its_level_is_the_lowest_of_its_modules() -> None:
    assert good("a", "c").level is Level.PARTNER
    assert good("c").level is Level.CERTIFIED


def test_a_level_that_a_module_is_not_proved_for_is_refused() -> None:
    assert codes(created("b", head=replace(HEAD, level=Level.CERTIFIED))) == ["level-below-profile"]


def test_what_cannot_be_together_is_not_made() -> None:
    twin = make("seal", name="d", files={"opt/b/f": b"x"})
    assert (found := created("b", "d", held=(B, twin)).solution)
    assert found.reasons == ("d 1.2.3-4 brings 'opt/b/f', which b 1.0 has",)


def test_modules_of_several_vendors_need_a_vendor() -> None:
    other = make("seal", name="d", vendor="Other", files={"opt/d": b"x"})
    with pytest.raises(UsageError, match="--vendor"):
        created("b", "d", held=(B, other))


def test_what_is_added_comes_with_what_it_needs_and_the_rest_stays() -> None:
    before = good("b = 1.0")
    draft = change.add(before, [parse_asked("a")], profiles.shelf(RULES, *HELD), RULES, NOW)
    assert names(draft) == ["a 1.0", "b 1.0"]
    assert draft.profile
    assert draft.profile.version == 2


def test_adding_a_newer_one_takes_the_place_of_the_older() -> None:
    draft = change.add(good("b = 1.0"), [parse_asked("b")], profiles.shelf(RULES, *HELD), RULES, NOW)
    assert names(draft) == ["b 2.0"]


def test_what_the_modules_there_refuse_is_not_added() -> None:
    foe = module("d", conflicts=(Constraint("b"),))
    shelf = profiles.shelf(RULES, *HELD, foe)
    draft = change.add(good("b"), [parse_asked("d")], shelf, RULES, NOW)
    assert not codes(draft)
    assert draft.solution
    assert any("conflicts" in reason for reason in draft.solution.reasons)


def test_a_profile_begins_as_another_one_and_no_higher() -> None:
    shelf, base = profiles.shelf(RULES, *HELD), good("b = 1.0")
    assert names(change.clone(base, [], ProfileHead("new"), shelf, RULES, NOW)) == ["b 1.0"]
    draft = change.clone(base, [parse_asked("a")], ProfileHead("new", "Lab"), shelf, RULES, NOW)
    assert names(draft) == ["a 1.0", "b 1.0"]
    assert draft.profile
    assert (draft.profile.name, draft.profile.vendor, draft.profile.version) == ("new", "Lab", 1)
    higher = ProfileHead("new", level=Level.CERTIFIED)
    assert codes(change.clone(base, [], higher, shelf, RULES, NOW)) == ["level-below-profile"]


def test_what_is_needed_is_not_removed() -> None:
    shelf = profiles.shelf(RULES, *HELD)
    draft = change.remove(good("a"), ["b"], shelf, RULES, NOW)
    assert codes(draft) == ["module-needed"]
    assert "leave it in the profile" in draft.failures[0].next_step
    assert names(change.remove(good("a"), ["a"], shelf, RULES, NOW)) == ["b 2.0"]


def test_a_module_that_is_withdrawn_can_be_removed() -> None:
    before = good("b", "c")
    assert names(change.remove(before, ["b"], profiles.shelf(RULES, C), RULES, NOW)) == ["c 1.0"]


def test_what_is_not_there_cannot_be_removed_nor_all() -> None:
    shelf = profiles.shelf(RULES, *HELD)
    for gone, why in ((["x"], "no module 'x'"), (["b"], "no module would be left")):
        with pytest.raises(UsageError, match=why):
            change.remove(good("b"), gone, shelf, RULES, NOW)


def test_a_level_is_never_set_above_what_is_proved() -> None:
    shelf = profiles.shelf(RULES, *HELD)
    assert codes(change.set_level(good("a", "c"), Level.ACCEPTED, shelf, RULES, NOW)) == ["level-below-profile"] * 2
    lower = change.set_level(good("c"), Level.COMMUNITY, shelf, RULES, NOW)
    assert lower.profile
    assert lower.profile.level is Level.COMMUNITY


def test_a_level_that_a_profile_only_claims_is_no_start_for_a_change() -> None:
    honest = good("b")
    [one] = honest.modules
    lying = profiles.signed(replace(honest, modules=(replace(one, level=Level.CERTIFIED),), level=Level.CERTIFIED))
    shelf = profiles.shelf(RULES, *HELD)
    for draft in (
        change.add(lying, [parse_asked("c")], shelf, RULES, NOW),
        change.set_level(lying, Level.CERTIFIED, shelf, RULES, NOW),
        change.remove(replace(lying, modules=(*lying.modules, profiles.module(C))), ["c"], shelf, RULES, NOW),
    ):
        assert codes(draft) == ["profile-mismatch", "level-below-profile"]


def test_the_version_after_a_signed_one_is_not_signed_and_a_broken_signature_is_no_start() -> None:
    signed = profiles.signed(good("b = 1.0"), signer())
    shelf = profiles.shelf(RULES, *HELD)
    draft = change.add(signed, [parse_asked("c")], shelf, RULES, NOW)
    assert draft.profile
    assert not draft.profile.signature
    broken = replace(signed, signature=profiles.signed(good("c"), signer()).signature)
    assert codes(change.add(broken, [parse_asked("c")], shelf, RULES, NOW)) == ["content-digest-mismatch"]
    assert codes(change.set_level(broken, Level.COMMUNITY, shelf, RULES, NOW)) == ["content-digest-mismatch"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(["a", "b", "b = 1.0", "c"]), min_size=1, max_size=3), st.sampled_from([None, *Level]))
def test_what_is_made_validates(asked: list[str], level: Level | None) -> None:
    draft = created(*asked, head=replace(HEAD, level=level))
    if draft.profile and not draft.failures:
        made = finish(draft.profile, (), NOW, NOW)
        found = validate(made, profiles.shelf(RULES, *HELD), RULES, NOW)
        assert found.verdict is Verdict.ACCEPTED
