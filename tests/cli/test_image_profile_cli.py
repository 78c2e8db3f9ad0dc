"""`modseal profile create | show | compare | validate | add | remove | set-level` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builders.bundles import snapshot
from builders.transcript import Transcript, run
from cli.conftest import SPEC, key_options

PROOF = ("--depot", "site", "--policy", "keys/policy.toml")


@pytest.fixture
def site(signed: Path) -> Path:
    """The vendor's folder with a signed depot of two modules, the second of which needs the first."""
    folder = signed / "tool"
    (folder / "files/opt/tool").mkdir(parents=True)
    (folder / "files/opt/tool/run").write_bytes(b"tool")
    spec = SPEC.replace("acme-agent", "acme-tool") + '[[depends]]\nname = "acme-agent"\n'
    (folder / "module.toml").write_text(spec)
    ok(run("pack", "tool", "-o", "tool.seal", cwd=signed))
    ok(run("sign", "tool.seal", *key_options("partner"), cwd=signed))
    ok(build(signed, "site", "a.seal", "tool.seal"))
    return signed


def build(folder: Path, name: str, *bundles: str) -> Transcript:
    options = ("--name", name, "--expires", "2099-01-01", *key_options("certified"))
    return run("depot", "build", *bundles, "-o", name, *options, cwd=folder)


def ok(found: Transcript) -> Transcript:
    assert found.code == 0, found.out + found.err
    return found


def profile(folder: Path, *arguments: str) -> Transcript:
    return run("profile", *arguments, cwd=folder)


def create(folder: Path, *more: str) -> None:
    ok(profile(folder, "create", *PROOF, "-o", "p.profile", *more))


def refused(folder: Path, code: int, *arguments: str) -> str:
    """What a command says that must fail: nothing in the folder is other than before."""
    before = snapshot(folder)
    found = profile(folder, *arguments)
    assert found.code == code, found.out + found.err
    assert snapshot(folder) == before
    return found.out + found.err


def test_a_profile_is_made_shown_and_proved(site: Path) -> None:
    create(site, "acme-tool", "--name", "lab", "--description", "For the lab.", *key_options("certified"))
    shown = json.loads(ok(profile(site, "show", "p.profile", "--format", "json")).out)
    assert shown["proved"] is False
    [one] = shown["profiles"]
    assert (one["name"], one["vendor"], one["level"], one["version"]) == ("lab", "Acme", "partner", "1")
    assert [each["name"] for each in one["modules"]] == ["acme-agent", "acme-tool"]
    found = json.loads(ok(profile(site, "validate", "p.profile", "--signed", *PROOF, "--format", "json")).out)
    assert found["verdict"] == "accepted"
    assert found["signers"] == ["Example certified root"]
    assert [each["proven_level"] for each in found["modules"]] == ["partner", "partner"]
    text = ok(profile(site, "show", "p.profile", *PROOF)).out
    assert "claimed partner  proven partner" in text


def test_the_same_input_gives_the_same_bytes(site: Path) -> None:
    create(site, "acme-tool")
    first = (site / "p.profile").read_bytes()
    create(site, "acme-tool")
    assert (site / "p.profile").read_bytes() == first


def test_no_profile_is_made_of_what_is_not_there(site: Path) -> None:
    said = refused(site, 1, "create", "nothing", *PROOF, "-o", "new.profile")
    assert "asked for: nothing, and nothing that can be used offers it" in said
    said = refused(site, 1, "create", "acme-tool", *PROOF, "-o", "new.profile", "--level", "certified")
    assert "level-" in said


@pytest.mark.parametrize("name", ["../evil", "a/b", "a b", "x" * 81])
def test_a_name_that_is_no_name_is_refused(site: Path, name: str) -> None:
    assert "name" in refused(site, 2, "create", "acme-tool", *PROOF, "-o", "new.profile", "--name", name)


def test_a_module_comes_with_what_it_needs_and_goes_only_where_nothing_needs_it(site: Path) -> None:
    create(site, "acme-agent")
    assert "version 2, level partner, 2 modules" in ok(profile(site, "add", "p.profile", "acme-tool", *PROOF)).out
    said = refused(site, 1, "remove", "p.profile", "acme-agent", *PROOF)
    assert "module-needed: acme-tool 1.2.3-4 needs acme-agent" in said
    assert "nothing to do" in ok(profile(site, "add", "p.profile", "acme-tool", *PROOF)).out
    assert "version 3, level partner, 1 module" in ok(profile(site, "remove", "p.profile", "acme-tool", *PROOF)).out


def test_a_level_is_not_laundered(site: Path) -> None:
    create(site, "acme-agent")
    said = refused(site, 1, "set-level", "p.profile", "certified", *PROOF, *key_options("certified"))
    assert "level-below-profile: acme-agent 1.2.3-4 is proved for partner" in said
    assert "is not one of" in refused(site, 2, "set-level", "p.profile", "best", *PROOF)
    ok(profile(site, "set-level", "p.profile", "community", *PROOF))


def test_the_next_version_of_a_signed_one_says_that_it_is_not_signed(site: Path) -> None:
    create(site, "acme-agent", *key_options("certified"))
    found = ok(profile(site, "set-level", "p.profile", "community", *PROOF))
    assert "the version before was signed, this one is not" in found.err
    said = refused(site, 1, "validate", "p.profile", "--signed", *PROOF)
    assert "unsigned: the signature of the profile" in said


def test_a_profile_that_was_changed_after_it_was_signed_is_refused(site: Path) -> None:
    create(site, "acme-tool", *key_options("certified"))
    data = (site / "p.profile").read_bytes()
    (site / "p.profile").write_bytes(data.replace(b'"level":"partner","modules"', b'"level":"partnes","modules"'))
    assert "the profile cannot be used" in refused(site, 1, "validate", "p.profile", *PROOF)
    (site / "p.profile").write_bytes(data.replace(b'"version":1}', b'"version":2}'))
    for command in (
        ("validate", "p.profile"),
        ("add", "p.profile", "acme-agent"),
        ("set-level", "p.profile", "partner"),
    ):
        assert "content-digest-mismatch" in refused(site, 1, *command, *PROOF)


def test_a_depot_with_another_content_is_refused(site: Path) -> None:
    create(site, "acme-agent")
    (site / "module/files/opt/acme/conf").write_text("level = 2\n")
    ok(run("pack", "module", "-o", "other.seal", cwd=site))
    ok(run("sign", "other.seal", *key_options("partner"), cwd=site))
    ok(build(site, "elsewhere", "other.seal"))
    said = refused(site, 1, "validate", "p.profile", "--depot", "elsewhere", "--policy", "keys/policy.toml")
    assert "profile-module-changed: acme-agent 1.2.3-4 has another content in elsewhere" in said


def test_two_profiles_are_compared(site: Path) -> None:
    create(site, "acme-agent")
    (site / "old.profile").write_bytes((site / "p.profile").read_bytes())
    ok(profile(site, "add", "p.profile", "acme-tool", *PROOF))
    text = ok(profile(site, "compare", "old.profile", "p.profile")).out
    assert "different (nothing is proved)" in text
    assert "OnlyInComp           Acme_seal_acme-tool_1.2.3-4" in text
    document = json.loads(ok(profile(site, "compare", "p.profile", "old.profile", "--format", "json")).out)
    assert document["only_in_ref"] == ["Acme_seal_acme-tool_1.2.3-4"]
    assert (document["equal"], document["packages_equal"]) == (False, False)


def test_what_is_no_profile_is_said(site: Path) -> None:
    assert "a.seal: the profile cannot be used" in refused(site, 1, "show", "a.seal")
    assert "no image profile" in refused(site, 1, "show", "site")
    assert "--depot where the bundles" in refused(
        site, 2, "validate", make(site, "p.profile"), "--policy", "keys/policy.toml"
    )
    assert "under which --policy" in refused(site, 2, "show", "p.profile", "--depot", "site")


def make(folder: Path, name: str) -> str:
    ok(profile(folder, "create", "acme-agent", *PROOF, "-o", name))
    return name
