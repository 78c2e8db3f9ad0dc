"""Image profiles as bytes: read back, and refused in any other form."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import image_profiles
from builders.pki import signer
from builders.trust_bundles import archive
from modseal.errors import FormatError
from modseal.format import image_profile
from modseal.format.image_profile import ImageProfile, ProfileModule
from modseal.format.level import Level

GOOD = image_profiles.make(by=[signer()], description="For the lab.")

HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
WORDS = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,7}", fullmatch=True)


@st.composite
def profiles(draw: st.DrawFn) -> ImageProfile:
    names = sorted(draw(st.sets(st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True), min_size=1, max_size=4)))
    level = draw(st.sampled_from(Level))
    modules = []
    for name in names:
        kind = draw(st.sampled_from(("seal", "vib")))
        levels = st.sampled_from([one for one in Level if one >= level])
        version = draw(st.from_regex(r"[0-9]{1,3}\.[0-9]{1,3}", fullmatch=True))
        size = draw(st.integers(0, 2**34))
        type_ = "bootbank" if kind == "vib" else ""
        modules.append(ProfileModule(draw(WORDS), name, version, kind, draw(levels), size, draw(HEX), type_))
    return ImageProfile(draw(WORDS), draw(WORDS), draw(st.integers(1, 99)), level, tuple(modules), draw(WORDS))


def refused(data: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        image_profile.decode(data)
    assert caught.value.failure.code == "profile-invalid"
    return caught.value.failure.detail


def container(document: bytes, signature: bytes = b"") -> bytes:
    return archive([("profile.json", document), ("sig.pkcs7", signature)])


def test_a_profile_is_read_back() -> None:
    assert image_profile.decode(image_profile.encode(GOOD)) == GOOD


@given(profiles())
def test_what_is_written_is_read_back_and_written_alike(profile: ImageProfile) -> None:
    data = image_profile.encode(profile)
    found = image_profile.decode(data)
    assert replace(found, signed=b"") == profile
    assert image_profile.encode(found) == data


@given(st.binary(max_size=300))
def test_any_bytes_are_a_profile_or_refused(data: bytes) -> None:
    refused(data)
    refused(container(data))


@given(st.integers(0, len(GOOD.signed) - 1), st.integers(1, 255))
def test_a_changed_byte_is_another_profile_or_refused(place: int, change: int) -> None:
    data = bytearray(GOOD.signed)
    data[place] ^= change
    with suppress(FormatError):
        found = image_profile.decode(container(bytes(data)))
        assert replace(found, signed=b"") != replace(GOOD, signed=b"", signature=b"")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b'"version":1', b'"version":0', "version"),
        (b'"name":"acme-host"', b'"name":"../acme"', "name"),
        (b'"name":"acme-host"', b'"name":"a/b"', "name"),
        (b'"name":"acme-driver"', b'"name":"acme-agent"', "sorted by name"),
        (b'"name":"acme-driver"', b'"name":"Acme-agent"', "sorted by name"),
        (b'"name":"acme-agent"', b'"name":"Acme-driver"', "letter case"),
        (b'"type":"bootbank",', b"", "type: belongs to a .vib"),
        (b'"kind":"vib"', b'"kind":"rpm"', "kind"),
        (b'"level":"partner","modules"', b'"level":"certified","modules"', "claims partner, below"),
        (b'"vendor":"Acme","version":1}', b'"vendor":" Acme","version":1}', "vendor"),
        (b'{"description"', b'{ "description"', "canonical"),
        (b'"description":', b'"more":1,"description":', "more"),
    ],
)
def test_a_document_that_breaks_a_rule_is_refused(old: bytes, new: bytes, why: str) -> None:
    assert old in GOOD.signed
    assert why in refused(container(GOOD.signed.replace(old, new)))


def test_other_members_are_refused() -> None:
    refused(archive([("profile.json", GOOD.signed)]))
    refused(archive([("recall.json", GOOD.signed), ("sig.pkcs7", b"")]))
    refused(image_profile.encode(GOOD) + b"\n")
