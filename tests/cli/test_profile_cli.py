"""`modseal profile solve` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builders.transcript import Transcript, run
from cli.conftest import key_options

LIST = """\
Name      Version              Vendor  Acceptance Level  Install Date
--------  -------------------  ------  ----------------  ------------
esx-base  8.0.2-0.0.22380479   VMware  VMwareCertified   2024-01-01
"""


@pytest.fixture
def shelf(signed: Path) -> Path:
    assert run("depot", "build", "a.vib", "-o", "d.zip", cwd=signed).code == 0
    (signed / "list.txt").write_text(LIST)
    return signed


def solve(folder: Path, *arguments: str) -> Transcript:
    return run("profile", "solve", *arguments, "--policy", "keys/policy.toml", cwd=folder)


def test_a_module_goes_onto_a_host(shelf: Path) -> None:
    found = solve(shelf, "acme-agent >= 1.0", "--depot", "d.zip", "--installed", "list.txt")
    assert found.code == 0, found.out + found.err
    assert found.out.splitlines()[0] == "solved: 2 modules, 1 of them new"
    assert "esx-base 8.0.2-0.0.22380479  installed (as listed, unproved)" in found.out


def test_a_version_that_is_not_there_is_impossible(shelf: Path) -> None:
    found = solve(shelf, "acme-agent >= 9", "--depot", "d.zip")
    assert found.code == 1
    assert "asked for: acme-agent >= 9, and the newest acme-agent in d.zip is 1.2.3-4" in found.out


def test_a_bundle_that_the_policy_refuses_does_not_count(desk: Path) -> None:
    assert run("depot", "build", "a.vib", "-o", "d.zip", cwd=desk).code == 0
    found = solve(desk, "acme-agent", "--depot", "d.zip", "--format", "json")
    assert found.code == 1
    document = json.loads(found.out)
    assert document["verdict"] == "impossible"
    assert [one["code"] for one in document["refused"]] == ["unsigned"]


def test_a_level_that_the_module_has_not_is_not_met(shelf: Path) -> None:
    found = solve(shelf, "acme-agent", "--depot", "d.zip", "--level", "certified")
    assert found.code == 1
    assert "refused: acme-agent 1.2.3-4: level-" in found.out


@pytest.mark.parametrize("form", ["csv", "json", "host"])
def test_other_lists_are_read(shelf: Path, form: str) -> None:
    rows = [{"Name": "acme-agent", "Version": "1.0", "Vendor": "Acme"}]
    text = {
        "csv": "AcceptanceLevel,Name,Vendor,Version,\nX,acme-agent,Acme,1.0,\n",
        "json": json.dumps(rows),
        "host": json.dumps({"schema": "modseal/host-list@1", "modules": [{k.lower(): v for k, v in rows[0].items()}]}),
    }[form]
    (shelf / "have").write_text(text)
    found = solve(shelf, "acme-agent", "--depot", "d.zip", "--installed", "have")
    assert found.code == 0, found.err
    assert "acme-agent 1.2.3-4" in found.out


def test_what_is_no_list_is_refused(shelf: Path) -> None:
    (shelf / "have").write_text("nothing of use\n")
    found = solve(shelf, "acme-agent", "--depot", "d.zip", "--installed", "have")
    assert found.code == 3
    assert "have: this is no list of installed modules" in found.err
    assert "next: Write it on the target with" in found.err


def test_a_host_of_ours_says_what_it_has_by_its_root_and_by_its_list(shelf: Path) -> None:
    (shelf / "root").mkdir()
    for arguments in (["init", "--policy", "keys/policy.toml"], ["install", "a.seal"]):
        done = run("host", *arguments, "--root", "root", cwd=shelf)
        assert done.code == 0, done.err
    (shelf / "list.json").write_text(run("host", "list", "--format", "json", "--root", "root", cwd=shelf).out)
    for have in ("root", "list.json"):
        found = solve(shelf, "acme-agent", "--depot", "d.zip", "--installed", have)
        assert found.code == 0, found.err
        assert found.out.splitlines()[0] == "solved: 1 module, 0 of them new"


def test_which_esxi_the_target_runs_has_to_be_known(signed: Path) -> None:
    for_esxi(signed, "8.0")
    found = solve(signed, "acme-agent", "--depot", "d.zip")
    assert found.code == 0
    assert "note: acme-agent 1.2.3-4 is for ESXi 8.0, and nothing says which one the target runs" in found.out
    assert "note:" not in solve(signed, "acme-agent", "--depot", "d.zip", "--platform", "8.0.2").out
    assert solve(signed, "acme-agent", "--depot", "d.zip", "--platform", "7.0.3").code == 1


def test_the_base_depot_says_what_the_target_has(shelf: Path) -> None:
    found = solve(shelf, "acme-agent", "--depot", "d.zip", "--installed", "d.zip")
    assert found.code == 0, found.err


def test_a_name_that_is_none_is_a_usage_error(shelf: Path) -> None:
    assert solve(shelf, "acme-agent >=", "--depot", "d.zip").code == 2


def for_esxi(folder: Path, version: str) -> None:
    """Pack and sign the module again, for this version of ESXi, and build its depot."""
    spec = folder / "module" / "module.toml"
    spec.write_text(
        spec.read_text().replace("[[payload]]", f'[vib]\nplatforms = [{{ version = "{version}" }}]\n\n[[payload]]')
    )
    (folder / "module/files/opt/acme/current").unlink()  # a .vib cannot have links
    assert run("pack", "module", "-o", "b.vib", "--format", "vib", cwd=folder).code == 0
    assert run("sign", "b.vib", *key_options("partner"), cwd=folder).code == 0
    assert run("depot", "build", "b.vib", "-o", "d.zip", cwd=folder).code == 0


def test_a_bundle_for_other_hosts_does_not_count(signed: Path) -> None:
    for_esxi(signed, "7.*")
    found = solve(signed, "acme-agent", "--depot", "d.zip", "--platform", "8.0.2")
    assert found.code == 1
    assert "platform-mismatch" in [line.split(": ")[2] for line in found.out.splitlines() if "refused" in line]


@pytest.mark.parametrize(("suffix", "begin"), [("json", "{"), ("html", "<!DOCTYPE html>"), ("txt", "2 modules: ")])
def test_a_footprint_has_the_form_that_its_file_is_called_by(signed: Path, suffix: str, begin: str) -> None:
    done = run("profile", "footprint", "a.seal", "a.vib", "-o", f"f.{suffix}", cwd=signed)
    assert (done.code, done.out) == (0, ""), done.err
    assert (signed / f"f.{suffix}").read_text().startswith(begin)


def test_a_footprint_in_json_is_in_bytes(signed: Path) -> None:
    found = json.loads(run("profile", "footprint", "a.seal", "a.vib", "--format", "json", cwd=signed).out)
    assert found["schema"] == "modseal/footprint@1"
    assert found["packed"] == sum((signed / name).stat().st_size for name in ("a.seal", "a.vib"))
    assert (
        found["installed"]
        == sum(one["installed"] for one in found["modules"])
        == sum(one["installed"] for one in found["vendors"])
    )
