"""Image profiles in a signed depot: listed by digest, signed by who may, with all their modules. Break one thing."""

from __future__ import annotations

from dataclasses import replace

from builders import bundles
from builders import image_profiles as profiles
from builders import signed_depots as depots
from builders.bundles import Bundle
from builders.image_profiles import AGENT, DRIVER
from builders.pki import NOW, signer
from builders.policies import trusting
from modseal.depot.check import Checked, check
from modseal.format.image_profile import ImageProfile
from modseal.trust.examination import Verdict

GOOD = profiles.make(by=[signer()])


def checked(
    profile: ImageProfile = GOOD,
    *held: Bundle,
    instead: ImageProfile | None = None,
    name: str = "",
) -> Checked:
    """A depot that lists a profile and has it, or another one in its place."""
    chosen = held or (AGENT, DRIVER)
    entry, data = depots.profile_entry(profile)
    index = depots.signed(replace(depots.index(*chosen), profiles=(replace(entry, name=name or entry.name),)), signer())
    found = depots.contents(index, chosen) | {entry.path: depots.profile_entry(instead)[1] if instead else data}
    return check(depots.files(found), trusting(), NOW)


def codes(found: Checked) -> list[str]:
    assert found.verdict is Verdict.REJECTED
    return [failure.code for failure in found.failures]


def test_a_depot_with_a_profile_is_accepted_and_names_it() -> None:
    found = checked()
    assert found.verdict is Verdict.ACCEPTED, found.failures
    assert found.profiles == ("acme-host, version 1",)


def test_a_profile_in_it_is_signed_by_who_may_speak_for_its_modules() -> None:
    assert codes(checked(profiles.make())) == ["unsigned"]
    other = profiles.make(AGENT, by=[signer()])
    assert codes(checked(replace(GOOD, signature=other.signature))) == ["content-digest-mismatch"]


def test_another_file_in_the_place_of_a_profile_is_refused() -> None:
    assert codes(checked(instead=profiles.make(AGENT, by=[signer()]))) == ["bundle-digest-mismatch"]
    assert codes(checked(instead=profiles.make(by=[]))) == ["bundle-digest-mismatch"]


def test_a_profile_is_listed_by_its_own_name() -> None:
    assert codes(checked(name="other")) == ["index-invalid"]


def test_a_depot_has_all_that_its_profiles_name() -> None:
    assert codes(checked(GOOD, AGENT)) == ["profile-module-missing"]


def test_a_depot_whose_module_has_another_content_than_its_profile_names_is_refused() -> None:
    changed = bundles.make("vib", name=DRIVER.manifest.name, summary="changed")
    assert changed.manifest.id == DRIVER.manifest.id
    assert codes(checked(GOOD, AGENT, changed)) == ["profile-module-changed"]
