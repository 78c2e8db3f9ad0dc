"""A profile holds if all that it says of each module is proved, and all modules can be together. Break one thing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builders import image_profiles as profiles
from builders import recalls, signed_depots
from builders.bundles import Bundle, make
from builders.image_profiles import AGENT, DRIVER
from builders.pki import NOW, root, signer
from builders.policies import anchor, trusting
from modseal.format.image_profile import ImageProfile
from modseal.format.level import Level
from modseal.format.manifest import Constraint, Platform, Relationships, VibFields
from modseal.profile.candidates import Shelf
from modseal.profile.validate import Validation, validate
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy


def judged(profile: ImageProfile, *held: Bundle, policy: Policy | None = None, signed: bool = False) -> Validation:
    rules = policy or trusting()
    return validate(profile, profiles.shelf(rules, *held), rules, NOW, signed=signed)


def refused(found: Validation) -> list[str]:
    assert found.verdict is Verdict.REJECTED
    return [one.code for one in found.all_failures()]


def related(name: str, path: str = "", **lists: tuple[Constraint, ...]) -> Bundle:
    return make("seal", name=name, files={path or f"opt/{name}/f": b"x"}, relationships=Relationships(**lists))


def test_a_good_profile_is_accepted() -> None:
    found = judged(profiles.make())
    assert found.verdict is Verdict.ACCEPTED, list(found.all_failures())
    assert [one.level for one in found.proved] == [Level.PARTNER, Level.PARTNER]
    assert found.signature is None


def test_a_signed_one_names_who_signed_it() -> None:
    found = judged(profiles.make(by=[signer()]), signed=True)
    assert found.verdict is Verdict.ACCEPTED
    assert found.signers == ("Anchor 0",)


def test_another_signature_than_an_empty_one_must_hold() -> None:
    good, other = profiles.make(by=[signer()]), profiles.make(AGENT, by=[signer()])
    assert refused(judged(replace(good, signature=other.signature))) == ["content-digest-mismatch"]
    assert refused(judged(replace(good, signature=b"garbage"))) == ["malformed-signature"]


def test_a_profile_that_nobody_signed_is_not_taken_for_a_signed_one() -> None:
    found = judged(profiles.make(), signed=True)
    assert refused(found) == ["unsigned"]
    assert "Ask who publishes the profile" in found.failures[0].next_step


def test_its_signer_must_speak_for_all_its_modules() -> None:
    narrow = trusting(anchor(root(), vendors=("Acme",), names=("acme-agent",)))
    found = validate(profiles.make(by=[signer()]), profiles.shelf(trusting()), narrow, NOW)
    assert refused(found) == ["name-out-of-scope"]


def test_a_module_named_by_the_digest_of_another_is_refused() -> None:
    agent, driver = profiles.make().modules
    swapped = profiles.make(modules=(replace(agent, manifest=driver.manifest), driver))
    assert refused(judged(swapped)) == ["profile-module-changed"]


def test_all_modules_must_be_for_the_ESXi_that_is_in_it() -> None:
    base = make("vib", name="esx-base", version="8.0.2-1", files={"bin/b": b"b"})
    fields = VibFields(platforms=(Platform("7.0"),))
    old = make("vib", name="drv", files={"opt/drv": b"d"}, vib=fields)
    assert refused(judged(profiles.make(base, old), base, old)) == ["platform-mismatch"]
    seal = make("seal")
    assert refused(judged(profiles.make(base, seal), base, seal)) == ["platform-mismatch"]


def test_another_content_under_the_same_name_and_version_is_refused() -> None:
    other = make("seal", files={"opt/acme/agent": b"other"})
    found = judged(profiles.make(), other, DRIVER)
    assert refused(found) == ["profile-module-changed"]
    assert profiles.module(other).manifest in found.outcomes[0].failures[0].detail


def test_a_module_that_no_depot_has_is_missing() -> None:
    assert refused(judged(profiles.make(), AGENT)) == ["profile-module-missing"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("vendor", "Evil"), ("version", "1.2.3-5"), ("level", Level.CERTIFIED), ("size", 1)],
)
def test_what_the_profile_says_of_a_module_is_what_its_manifest_says(field: str, value: object) -> None:
    agent, driver = profiles.make().modules
    lying = profiles.make(modules=(replace(agent, **{field: value}), driver))
    assert refused(judged(lying)) == ["profile-mismatch"]


def test_a_bundle_that_the_policy_refuses_is_in_no_profile() -> None:
    unsigned = AGENT.unsigned()
    assert refused(judged(profiles.make(), unsigned, DRIVER)) == ["unsigned"]


def test_one_accepted_copy_of_a_manifest_is_enough() -> None:
    rules = trusting()
    shelf = profiles.shelf(rules, DRIVER)
    for name, bundle in (("bad", AGENT.unsigned()), ("good", AGENT)):
        files = signed_depots.files(signed_depots.contents(signed_depots.index(bundle, name=name), [bundle]))
        files.name = name
        shelf.add(files)
    assert validate(profiles.make(), shelf, rules, NOW).verdict is Verdict.ACCEPTED


def test_a_recalled_module_is_in_no_profile() -> None:
    rules = trusting(recalls=(recalls.make(),))
    assert refused(judged(profiles.make(), policy=rules)) == ["recalled"]


def test_a_module_below_the_level_is_refused_whatever_the_profile_claims_of_it() -> None:
    agent, driver = profiles.make().modules
    raised = profiles.make(
        level=Level.ACCEPTED,
        modules=(replace(agent, level=Level.ACCEPTED), replace(driver, level=Level.ACCEPTED)),
    )
    assert refused(judged(raised)) == ["profile-mismatch", "level-below-profile"] * 2


def test_what_is_needed_must_be_in_the_profile() -> None:
    needing = related("a", depends=(Constraint("b"),))
    found = judged(profiles.make(needing), needing, related("b"))
    assert refused(found) == ["dependency-missing"]
    assert "modseal profile add" in found.failures[0].next_step


@pytest.mark.parametrize("label", ["conflicts", "replaces"])
def test_what_does_not_go_together_is_refused(label: str) -> None:
    held = related("a", **{label: (Constraint("b"),)}), related("b")
    assert refused(judged(profiles.make(*held), *held)) == ["module-conflicts"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"opt/x/f": b"1"}, {"opt/x/f": b"1"}),
        ({"opt/x/f": b"1"}, {"opt/X/f": b"1"}),
        ({"opt/x": b"1"}, {"opt/x/f": b"1"}),
        ({"opt/x": "y", "opt/y": b"1"}, {"opt/x/f": b"1"}),
    ],
    ids=["file", "letter case", "below a file", "through a link"],
)
def test_no_module_brings_what_is_anothers(one: dict[str, bytes | str], other: dict[str, bytes | str]) -> None:
    held = make("seal", name="a", files=one), make("seal", name="b", files=other)
    assert "path-owned" in refused(judged(profiles.make(*held), *held))


def test_a_community_module_stays_where_hosts_take_it() -> None:
    held = make("vib", claimed_level=Level.COMMUNITY, files={"bin/tool": b"x"})
    rules = trusting()
    profile = profiles.make(held, level=Level.COMMUNITY)
    found = validate(profile, profiles.shelf(rules, held), rules, NOW, path_list="esxi-8")
    assert refused(found) == ["path-not-allowed"]
    assert judged(profile, held).verdict is Verdict.ACCEPTED


def test_a_bundle_that_cannot_be_read_may_be_the_missing_one() -> None:
    rules = trusting()
    shelf = Shelf(rules, NOW)
    files = signed_depots.files(signed_depots.contents(signed_depots.index(AGENT, DRIVER), [AGENT]))
    shelf.add(files)
    found = validate(profiles.make(), shelf, rules, NOW)
    assert found.verdict is Verdict.UNDECIDED
