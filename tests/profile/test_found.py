"""Profiles are found in files, in depots of both kinds, and in the database of an ESXi host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from builders import bundles, depots, esxi_hosts, signed_depots
from builders import image_profiles as profiles
from builders.pki import signer
from modseal.errors import FormatError, UsageError
from modseal.format import image_profile
from modseal.format.level import Level
from modseal.profile.found import FoundProfile, read_profiles

ONE, TWO = bundles.make("vib"), bundles.make("vib", name="acme-net", files={"opt/acme/net": b"net"})


def only(place: Path, name: str | None = None) -> FoundProfile:
    return read_profiles(str(place)).only(str(place), name)


def test_a_file_of_ours(tmp_path: Path) -> None:
    made = profiles.make()
    (tmp_path / "p.profile").write_bytes(image_profile.encode(made))
    found = only(tmp_path / "p.profile")
    assert (found.name, found.level, found.own) == ("acme-host", Level.PARTNER, made)


def test_a_signed_depot(tmp_path: Path) -> None:
    made = profiles.make()
    index = signed_depots.index()
    entry, data = signed_depots.profile_entry(made)
    index = signed_depots.signed(replace(index, profiles=(entry,)), signer())
    signed_depots.write(tmp_path, signed_depots.contents(index) | {entry.path: data})
    assert only(tmp_path).own == made


def test_a_host(tmp_path: Path) -> None:
    host = esxi_hosts.make(ONE, TWO)
    for place in (host.write(tmp_path / "root"), host.write_bank(tmp_path / "bank"), tmp_path / "bank" / "imgdb.tgz"):
        found = only(place)
        assert (found.name, found.vendor, found.level) == ("Test-1.0", "Test", Level.PARTNER)
        assert found.modules == (profiles.module(ONE), profiles.module(TWO))
        assert found.absent == ()


def test_an_offline_bundle(tmp_path: Path) -> None:
    document = esxi_hosts.profile({ONE.manifest: 0, TWO.manifest: 1})
    made = depots.make(ONE, TWO).with_file("metadata.zip/profiles/Test-1.0", document)
    found = only(made.write(tmp_path / "d.zip"))
    assert found.modules == (profiles.module(ONE), profiles.module(TWO))
    assert found.as_profile().modules == found.modules


def test_what_a_profile_names_and_is_not_there_is_said(tmp_path: Path) -> None:
    document = esxi_hosts.profile({ONE.manifest: 0, TWO.manifest: 1})
    made = depots.make(ONE).with_file("metadata.zip/profiles/Test-1.0", document)
    found = only(made.write(tmp_path / "d.zip"))
    assert found.absent == (TWO.manifest.id,)
    with pytest.raises(FormatError, match="which is not there"):
        found.as_profile()


def test_two_versions_of_one_module_are_no_set(tmp_path: Path) -> None:
    newer = bundles.make("vib", version="2.0")
    with pytest.raises(FormatError, match="it names both"):
        only(esxi_hosts.make(ONE, newer).write(tmp_path))


def test_an_unknown_level_is_no_level(tmp_path: Path) -> None:
    found = only(esxi_hosts.make(ONE, level="best").write(tmp_path))
    assert found.level is None
    with pytest.raises(FormatError, match="no acceptance level"):
        found.as_profile()


def test_one_of_several_has_to_be_named(tmp_path: Path) -> None:
    host = esxi_hosts.make(ONE)
    again = host.database["profiles/Test-1.0"].replace(b"<name>Test-1.0", b"<name>Other")
    place = host.with_document("profiles/Other", again).write(tmp_path)
    with pytest.raises(UsageError, match="2 image profiles"):
        only(place)
    assert only(place, "Other").name == "Other"
    with pytest.raises(UsageError, match="it has Other, Test-"):
        only(place, "None")


def test_a_place_without_any(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no image profile"):
        only(depots.make(ONE).write(tmp_path / "d.zip"))


def test_one_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    made = depots.make(ONE).with_file("metadata.zip/profiles/a", b"<imageprofile><name>x</name></imageprofile>")
    with pytest.raises(FormatError) as caught:
        only(made.write(tmp_path / "d.zip"))
    assert caught.value.failure.code == "bad-metadata"
