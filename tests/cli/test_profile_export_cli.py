"""`modseal profile export` as a user types it: what is written reads back as what was exported."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from builders.bundles import snapshot
from builders.transcript import Transcript, run
from cli.conftest import key_options

POLICY = ("--policy", "keys/policy.toml")
SIGNED = ("--name", "lab", "--expires", "2099-01-01", *key_options("certified"))


def ok(found: Transcript) -> Transcript:
    assert found.code == 0, found.out + found.err
    return found


def profile(folder: Path, *arguments: str) -> Transcript:
    return run("profile", *arguments, cwd=folder)


@pytest.fixture
def lab(signed: Path) -> Path:
    """The vendor's folder with an offline bundle, and a signed profile of the module in it."""
    ok(run("depot", "build", "a.vib", "-o", "d.zip", cwd=signed))
    ok(
        profile(
            signed, "create", "acme-agent", "--depot", "d.zip", *POLICY, "-o", "p.profile", *key_options("certified")
        )
    )
    return signed


def test_an_offline_bundle_has_the_profile_in_it(lab: Path) -> None:
    found = ok(profile(lab, "export", "p.profile", "--depot", "d.zip", *POLICY, "-o", "out.zip"))
    assert "with the image profile p" in found.out
    assert "no place for the profile's signature" in found.err
    ok(run("depot", "check", "out.zip", *POLICY, cwd=lab))
    document = json.loads(ok(profile(lab, "compare", "p.profile", "out.zip", "--format", "json")).out)
    assert document["equal"] is True
    ok(profile(lab, "validate", "out.zip", *POLICY))
    assert "unsigned" in profile(lab, "validate", "out.zip", *POLICY, "--signed").out


def test_the_same_profile_gives_the_same_offline_bundle(lab: Path) -> None:
    for name in ("one.zip", "two.zip"):
        ok(profile(lab, "export", "p.profile", "--depot", "d.zip", *POLICY, "-o", name))
    assert (lab / "one.zip").read_bytes() == (lab / "two.zip").read_bytes()


@pytest.mark.parametrize("destination", ["out", "out-signed.zip"])
def test_a_signed_depot_has_the_profile_as_it_was_signed(lab: Path, destination: str) -> None:
    ok(profile(lab, "export", "p.profile", "--depot", "d.zip", *POLICY, "-o", destination, *SIGNED))
    assert "profile        p, version 1" in ok(run("depot", "check", destination, *POLICY, cwd=lab)).out
    found = ok(profile(lab, "validate", destination, *POLICY, "--signed")).out
    assert "trusted: Example certified root" in found
    again = json.loads(ok(profile(lab, "show", destination, "--format", "json")).out)["profiles"][0]
    first = json.loads(ok(profile(lab, "show", "p.profile", "--format", "json")).out)["profiles"][0]
    assert again["sha256"] == first["sha256"]


def test_a_profile_that_nobody_signed_is_signed_with_its_depot(lab: Path) -> None:
    ok(profile(lab, "create", "acme-agent", "--depot", "d.zip", *POLICY, "-o", "u.profile"))
    ok(profile(lab, "export", "u.profile", "--depot", "d.zip", *POLICY, "-o", "out", *SIGNED))
    ok(profile(lab, "validate", "out", *POLICY, "--signed"))


def test_a_mirror_has_the_profile_and_so_has_what_is_merged_or_added_to(lab: Path) -> None:
    ok(profile(lab, "export", "p.profile", "--depot", "d.zip", *POLICY, "-o", "out", *SIGNED))
    ok(run("depot", "mirror", "out", "-o", "copy", "--oci", *POLICY, cwd=lab))
    ok(run("depot", "merge", "out", "-o", "merged", *SIGNED, cwd=lab))
    ok(run("depot", "add", "out", "a.seal", *SIGNED[2:], cwd=lab))
    for place in ("copy", "merged", "out"):
        assert "profile        p, version 1" in ok(run("depot", "check", place, *POLICY, cwd=lab)).out


def test_a_module_that_is_taken_out_of_a_depot_takes_the_profile_with_it(lab: Path) -> None:
    ok(profile(lab, "export", "p.profile", "--depot", "d.zip", *POLICY, "-o", "out", *SIGNED))
    ok(run("depot", "add", "out", "a.seal", *SIGNED[2:], cwd=lab))
    found = ok(run("depot", "remove", "out", "acme-agent", *SIGNED[2:], cwd=lab))
    assert "the image profile p, version 1, goes too" in found.err
    assert "profile " not in ok(run("depot", "check", "out", *POLICY, cwd=lab)).out
    assert not list((lab / "out/profiles").glob("*"))


def refused(folder: Path, code: int, *arguments: str) -> str:
    before = snapshot(folder)
    found = profile(folder, "export", *arguments)
    assert found.code == code, found.out + found.err
    assert snapshot(folder) == before
    return found.out + found.err


def test_what_does_not_validate_is_not_exported(lab: Path) -> None:
    data = (lab / "p.profile").read_bytes()
    (lab / "p.profile").write_bytes(data.replace(b'"version":1}', b'"version":2}'))
    for more in (("-o", "out.zip"), ("-o", "out", *SIGNED)):
        assert "content-digest-mismatch" in refused(lab, 1, "p.profile", "--depot", "d.zip", *POLICY, *more)


def test_a_broken_signature_is_seen_without_a_policy(lab: Path) -> None:
    data = (lab / "p.profile").read_bytes()
    (lab / "p.profile").write_bytes(data.replace(b'"version":1}', b'"version":2}'))
    for more in (("-o", "out.zip"), ("-o", "out", *SIGNED)):
        said = refused(lab, 1, "p.profile", "--depot", "d.zip", *more)
        assert "the signature of the profile: block 1: the signature was made for other bytes" in said


def test_without_a_policy_it_is_said_that_nothing_was_proved(lab: Path) -> None:
    found = ok(profile(lab, "export", "p.profile", "--depot", "d.zip", "-o", "out.zip"))
    assert "nothing was proved" in found.err


def test_a_bundle_that_is_not_the_one_meant_is_not_exported(lab: Path) -> None:
    (lab / "module/files/opt/acme/conf").write_text("level = 2\n")
    (lab / "module/files/opt/acme/current").unlink()
    ok(run("pack", "module", "-o", "other.vib", "--format", "vib", cwd=lab))
    ok(run("depot", "build", "other.vib", "-o", "other.zip", cwd=lab))
    assert "no depot has acme-agent" in refused(lab, 1, "p.profile", "--depot", "other.zip", "-o", "out.zip")


@pytest.mark.parametrize("at", [-20, -1], ids=["payload", "container"])
def test_a_depot_with_a_damaged_bundle_is_not_exported(lab: Path, at: int) -> None:
    name = "vib20/acme-agent/Acme_bootbank_acme-agent_1.2.3-4.vib"
    with zipfile.ZipFile(lab / "d.zip") as archive:
        files = {each: archive.read(each) for each in archive.namelist()}
    files[name] = files[name][:at] + bytes([files[name][at] ^ 1]) + (files[name][at + 1 :] if at < -1 else b"")
    with zipfile.ZipFile(lab / "swapped.zip", "w") as archive:
        for each, data in files.items():
            archive.writestr(each, data)
    said = refused(lab, 1, "p.profile", "--depot", "swapped.zip", "-o", "out.zip")
    assert name in said


def test_a_profile_of_an_offline_bundle_is_where_another_one_begins(lab: Path) -> None:
    ok(profile(lab, "export", "p.profile", "--depot", "d.zip", *POLICY, "-o", "base.zip"))
    found = ok(profile(lab, "create", "--from", "base.zip", "--depot", "base.zip", *POLICY, "-o", "mine.profile"))
    assert "image profile mine, version 1, level partner, 1 module" in found.out
    assert json.loads(ok(profile(lab, "compare", "p.profile", "mine.profile", "--format", "json")).out)["equal"] is True
    found = profile(lab, "create", "--depot", "d.zip", *POLICY, "-o", "mine.profile")
    assert found.code == 2
    assert "with --from" in found.err


def test_a_seal_goes_into_a_signed_depot_alone(lab: Path) -> None:
    ok(run("depot", "build", "a.seal", "-o", "site", *SIGNED, cwd=lab))
    ok(profile(lab, "create", "acme-agent", "--depot", "site", *POLICY, "-o", "s.profile"))
    said = refused(lab, 2, "s.profile", "--depot", "site", *POLICY, "-o", "out.zip")
    assert "which no offline bundle holds" in said
    ok(profile(lab, "export", "s.profile", "--depot", "site", *POLICY, "-o", "out", *SIGNED))


def test_a_folder_needs_who_signs(lab: Path) -> None:
    assert "a signed depot needs --name" in refused(lab, 2, "p.profile", "--depot", "d.zip", "-o", "out")


def test_the_recalls_of_its_depots_come_along_and_count_for_all_of_them(lab: Path) -> None:
    for out, withdrawn in (("far.recall", "elsewhere"), ("near.recall", "acme-agent")):
        made = ("depot", "recall", withdrawn, "--vendor", "Acme", "--reason", "it burns", "--expires", "2099-01-01")
        ok(run(*made, "--name", withdrawn, "-o", out, *key_options("certified"), cwd=lab))
        ok(run("depot", "build", "a.seal", "-o", withdrawn, "--recall", out, *SIGNED, cwd=lab))
    for places in (("d.zip", "elsewhere"), ("elsewhere", "d.zip")):
        depots = [part for place in places for part in ("--depot", place)]
        out = f"out-{places[0]}"
        ok(profile(lab, "export", "p.profile", *depots, *POLICY, "-o", out, *SIGNED))
        assert "recall         elsewhere" in ok(run("depot", "check", out, *POLICY, cwd=lab)).out
    for places in (("d.zip", "acme-agent"), ("acme-agent", "d.zip")):
        depots = [part for place in places for part in ("--depot", place)]
        assert "recalled" in refused(lab, 1, "p.profile", *depots, *POLICY, "-o", "bad", *SIGNED)
        for command in (
            ("validate", "p.profile"),
            ("solve", "acme-agent"),
            ("create", "acme-agent", "-o", "n.profile"),
        ):
            found = profile(lab, *command, *depots, *POLICY)
            assert (found.code, "recalled" in found.out) == (1, True), found.out + found.err
