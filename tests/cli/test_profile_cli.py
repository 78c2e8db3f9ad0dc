"""`modseal profile solve` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builders import esxi_hosts
from builders.bundles import make
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
    assert "note: acme-agent 1.2.3-4 is for ESXi 8.0, and nothing says what the target runs" in found.out
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


def made(folder: Path, name: str, *, path: str = "", version: str = "1.0", more: str = "", kind: str = "vib") -> str:
    """The depot of a signed module that brings one file."""
    source = folder / f"src-{name}"
    file = source / "root" / (path or f"opt/{name}/f")
    file.parent.mkdir(parents=True)
    file.write_text(name)
    head = f'schema = "modseal/module@1"\nvendor = "Acme"\nname = "{name}"\nversion = "{version}"\nlevel = "partner"\n'
    (source / "module.toml").write_text(f'{head}summary = "s"\n{more}\n[[payload]]\nname = "{name}"\nroot = "root"\n')
    out = f"{name}-{version}"
    signed = key_options("partner")
    depot = (f"{out}.zip",) if kind == "vib" else (out, "--name", out, "--expires", "2099-01-01", *signed)
    for arguments in (
        ("pack", source.name, "-o", f"{out}.{kind}", "--format", kind),
        ("sign", f"{out}.{kind}", *signed),
        ("depot", "build", f"{out}.{kind}", "-o", *depot),
    ):
        done = run(*arguments, cwd=folder)
        assert done.code == 0, done.out + done.err
    return depot[0]


def test_what_brings_a_file_of_another_module_does_not_go_on(desk: Path) -> None:
    one, other = made(desk, "c1", path="opt/shared/f"), made(desk, "c2", path="opt/shared/f")
    for more in (("c1", "--depot", one), ("--installed", one)):
        found = solve(desk, "c2", "--depot", other, *more)
        assert found.code == 1, found.out + found.err
        assert "brings 'opt/shared/f', which" in found.out


PLATFORM = '[vib]\nplatforms = [{{ version = "{}"{} }}]\n'


def test_the_ESXi_is_that_of_the_set_that_is_found(desk: Path) -> None:
    driver = made(desk, "drv", more=PLATFORM.format("7.0", ""))
    base = made(desk, "esx-base", version="8.0.2-1")
    (desk / "h.json").write_text(
        json.dumps([{"Name": "esx-base", "Version": "7.0.3-1", "Provides": [], "Depends": []}])
    )
    depots = ("--depot", driver, "--depot", base)
    found = solve(desk, "drv", "esx-base >= 8", *depots, "--installed", "h.json")
    assert found.code == 1
    assert "drv 1.0 is for ESXi 7.0, and does not go onto esx-base 8.0.2-1" in found.out
    assert solve(desk, "drv", "--depot", driver, "--installed", "h.json").code == 0
    made_of_both = (
        "profile",
        "create",
        "drv",
        "esx-base >= 8",
        *depots,
        "--policy",
        "keys/policy.toml",
        "-o",
        "p.profile",
    )
    assert run(*made_of_both, cwd=desk).code == 1
    for text, code in (("7.0U3", 0), ("7.0.3", 0), ("8.0.2", 1), ("7", 2), ("hello", 2)):
        assert solve(desk, "drv", "--depot", driver, "--platform", text).code == code
    found = solve(desk, "drv", "--depot", driver, "--installed", "h.json", "--platform", "8.0.2")
    assert found.code == 2
    assert "--platform says ESXi 8.0.2, and the target has esx-base 7.0.3" in found.err


def test_what_is_for_another_product_does_not_go_onto_ESXi(desk: Path) -> None:
    card = made(desk, "dpu", more=PLATFORM.format("8.0", ', product = "ESXio-arm"'))
    seal = made(desk, "s", kind="seal")
    (desk / "list.txt").write_text(LIST)
    for name, depot in (("dpu", card), ("s", seal)):
        for more in (("--platform", "8.0.2"), ("--installed", "list.txt")):
            found = solve(desk, name, "--depot", depot, *more)
            assert found.code == 1, found.out + found.err


def test_an_unsigned_twin_hides_no_signed_one(desk: Path) -> None:
    assert run("depot", "build", "a.vib", "-o", "unsigned.zip", cwd=desk).code == 0
    assert run("sign", "a.vib", *key_options("partner"), cwd=desk).code == 0
    assert run("depot", "build", "a.vib", "-o", "signed.zip", cwd=desk).code == 0
    for order in (("unsigned.zip", "signed.zip"), ("signed.zip", "unsigned.zip")):
        found = solve(desk, "acme-agent", "--depot", order[0], "--depot", order[1])
        assert found.code == 0, found.out + found.err
        assert "acme-agent 1.2.3-4  signed.zip/" in found.out


def test_a_host_takes_nothing_below_its_acceptance_level(shelf: Path) -> None:
    base = make("vib", name="esx-base", version="8.0.2-1", files={"bin/b": b"b"})
    for level, code in (("partner", 0), ("certified", 1)):
        esxi_hosts.make(base, level=level).write(shelf / level)
        found = solve(shelf, "acme-agent", "--depot", "d.zip", "--installed", level)
        assert found.code == code, found.out + found.err
        assert f"note: the target's acceptance level is {level}: nothing below it is taken" in found.out
