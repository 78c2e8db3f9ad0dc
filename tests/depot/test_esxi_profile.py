"""VMware's form of an image profile: written and read back, and made of one of ours."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from builders import bundles, depots, esxi_hosts
from builders import image_profiles as profiles
from modseal.depot import esxi_profile
from modseal.depot.esxi_profile import Profile
from modseal.depot.offline_profile import boot_files, vmware_profile
from modseal.errors import FormatError
from modseal.format.level import Level

ONE, TWO = bundles.make("vib"), bundles.make("vib", name="acme-net", files={"opt/acme/net": b"net"})
TEXT = st.text("aZ0.-_<&>\"'é漢", min_size=1, max_size=8)
KEYS = ("creator", "profileID", "creationtime", "modifiedtime", "serialno", "description", "readonly")


@st.composite
def documents(draw: st.DrawFn) -> Profile:
    level = draw(st.sampled_from(Level))
    vibs = draw(st.dictionaries(TEXT, st.dictionaries(TEXT, TEXT, max_size=3), max_size=3))
    return Profile(draw(TEXT), level, str(level), vibs, draw(st.dictionaries(st.sampled_from(KEYS), TEXT)))


@given(documents())
def test_what_is_written_is_read_back(profile: Profile) -> None:
    assert esxi_profile.decode(esxi_profile.encode(profile)) == profile


@given(st.binary(max_size=200))
def test_any_bytes_are_a_profile_or_refused(data: bytes) -> None:
    try:
        found = esxi_profile.decode(data)
    except FormatError as error:
        assert error.failure.code in ("bad-metadata", "limit-exceeded")  # noqa: PT017 - either of two, or a value
    else:
        assert found.name


def test_a_genuine_form_is_written_as_it_is_read() -> None:
    found = esxi_profile.decode(esxi_hosts.profile({ONE.manifest: 0, TWO.manifest: 1}))
    assert esxi_profile.decode(esxi_profile.encode(found)) == found


def test_one_of_ours_says_the_same_in_the_form_of_vmware() -> None:
    made = profiles.make(ONE, TWO, description="For <b>labs</b> & more.")
    found = vmware_profile(made, [ONE.manifest, TWO.manifest], "2026-01-31T12:00:00.000000+00:00")
    assert esxi_profile.decode(esxi_profile.encode(found)) == found
    assert (found.name, found.level, tuple(found.vibs)) == (
        made.name,
        made.level,
        tuple(one.id for one in made.modules),
    )
    assert (found.texts["creator"], found.texts["serialno"]) == ("Acme", "1")
    assert found.texts["description"] == made.description


def test_each_payload_boots_under_a_name_of_its_own() -> None:
    one = ONE.manifest.payloads[0]
    many = [
        replace(ONE.manifest, name=f"m{number}", payloads=(replace(one, name="net-e1000"),)) for number in range(205)
    ]
    names = [name for files in boot_files(many).values() for name in files.values()]
    assert names[:2] == ["net_e100.v00", "net_e100.v01"]
    assert names[100] == "net_e101.v00"
    assert len({*names}) == 205
    assert max(map(len, names)) == len("12345678.v00")


def refused(document: bytes, *held: bundles.Bundle) -> list[str]:
    made = depots.make(*held).with_file("metadata.zip/profiles/Test-1.0", document)
    return [failure.code for failure in depots.failures(made)]


def test_a_profile_of_a_depot_names_bundles_that_it_has_and_claims_no_more_than_they_do() -> None:
    both = esxi_hosts.profile({ONE.manifest: 0, TWO.manifest: 1})
    assert refused(both, ONE, TWO) == []
    assert refused(both, ONE) == ["metadata-mismatch"]
    raised = esxi_hosts.profile({ONE.manifest: 0}, level="certified")
    assert refused(raised, ONE, TWO) == ["metadata-mismatch"]
