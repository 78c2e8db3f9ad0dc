"""`modseal init`: the spec that it writes packs as it is, its policy can be used, and nothing is replaced."""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from builders.bundles import snapshot
from builders.transcript import Transcript, run
from modseal.packing import spec as module_spec
from modseal.policy import file as policy_file

NEXT = re.compile(r"^  next: modseal (.+)$", re.MULTILINE)


def module(tmp_path: Path, name: str = "agent", **files: str) -> Path:
    """A folder with these files; `__` in a name is a slash."""
    folder = tmp_path / name
    folder.mkdir()
    for path, text in files.items():
        target = folder / path.replace("__", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return folder


def packed(tmp_path: Path, folder: str = "agent") -> list[str]:
    """The files that the written spec packs."""
    done = run("pack", folder, "-o", "packed.seal", cwd=tmp_path)
    assert done.code == 0, done.err
    shown = run("inspect", "packed.seal", cwd=tmp_path).out
    return sorted(re.findall(r"^  entry +-\S+ +\d+ (\S+)$", shown, re.MULTILINE))


def uncommented(text: str) -> str:
    """A file with what it shows in comments taken as said; prose has a blank behind its mark."""
    return re.sub(r"^#(?! )", "", text, flags=re.MULTILINE)


def test_a_folder_with_files_is_packed_as_the_tree_that_it_is(tmp_path: Path) -> None:
    module(tmp_path, files__opt__agent__run="#!/bin/sh\n", README="not shipped")
    done = run("init", "agent", "--vendor", "Acme", "--version", "1.0", cwd=tmp_path)
    assert done == Transcript(
        0,
        "agent/module.toml: Acme agent 1.0, claims community\n  packs the tree files\n  next: modseal pack agent\n",
        "",
    )
    assert packed(tmp_path) == ["opt/agent/run"]


def test_a_folder_with_a_script_alone_is_packed_below_its_name(tmp_path: Path) -> None:
    folder = module(tmp_path, "Back Up", **{"backup.sh": "#!/bin/sh\n"})
    done = run("init", cwd=folder)
    assert "packs backup.sh as opt/back-up/backup.sh" in done.out
    assert NEXT.findall(done.out) == ["pack ."]
    assert packed(tmp_path, "Back Up") == ["opt/back-up/backup.sh"]
    assert "-rwxr-xr-x" in run("inspect", "packed.seal", cwd=tmp_path).out


def test_the_next_command_that_is_printed_works_where_it_is_printed(tmp_path: Path) -> None:
    folder = module(tmp_path, "it's", run="x")
    done = run("init", cwd=folder)
    assert run(*NEXT.findall(done.out)[0].split(), cwd=folder).code == 0
    assert NEXT.findall(run("init", "it's", "--policy", cwd=tmp_path).out) == [
        """policy check 'it'"'"'s/policy.toml'"""
    ]


def test_folders_of_the_host_stay_where_they_are_and_others_go_below_the_name(tmp_path: Path) -> None:
    module(tmp_path, "host", etc__agent="a", opt__agent__bin="b", sbin__tool="c")
    module(tmp_path, "own", bin__tool="a", data__x__y="b", note="c")
    for folder in ("host", "own"):
        assert run("init", folder, cwd=tmp_path).code == 0
    assert packed(tmp_path, "host") == ["etc/agent", "opt/agent/bin", "sbin/tool"]
    assert packed(tmp_path, "own") == ["opt/own/bin/tool", "opt/own/data/x/y", "opt/own/note"]


@pytest.mark.parametrize("tree", ["files__", "opt__", ""])
def test_what_nobody_means_to_ship_is_left_out_and_named(tmp_path: Path, tree: str) -> None:
    unwanted = {f"{tree}{name}": "x" for name in (".env", "signer.key", "id_ed25519", "a.orig")}
    folder = module(tmp_path, **{f"{tree}run": "x", f"{tree}.git__config": "x", **unwanted})
    done = run("init", "agent", cwd=tmp_path)
    assert "  leaves out .env, .git, a.orig, id_ed25519, signer.key\n" in done.out
    assert [Path(path).name for path in packed(tmp_path)] == ["run"]
    for name in (".env", ".git", "a.orig", "id_ed25519", "signer.key"):
        assert f'"{name}"' in (folder / "module.toml").read_text()


def test_a_private_key_is_known_by_its_content_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    folder = module(tmp_path, **{"files__run": "x", "files__release.pem": key})
    os.mkfifo(folder / "files/pipe")
    assert "  leaves out release.pem\n" in run("init", "agent", cwd=tmp_path).out
    assert "'pipe' is a FIFO" in run("pack", "agent", cwd=tmp_path).err


def test_a_name_that_is_a_pattern_leaves_out_itself_alone(tmp_path: Path) -> None:
    module(tmp_path, **{"files__[ab]*.key": "x", "files__a.keys": "x"})
    run("init", "agent", cwd=tmp_path)
    assert packed(tmp_path) == ["a.keys"]


def test_name_and_version_are_guessed_from_the_folder_and_from_a_file(tmp_path: Path) -> None:
    module(tmp_path, "Agent-2.1.0", run="x")
    module(tmp_path, "agent", run="x", VERSION="3.0-rc1\n")
    assert "Example agent 2.1.0, claims community" in run("init", "Agent-2.1.0", cwd=tmp_path).out
    assert "Example agent 3.0-rc1, claims community" in run("init", "agent", cwd=tmp_path).out


def test_what_is_guessed_is_said_with_its_line(tmp_path: Path) -> None:
    folder = module(tmp_path, run="x")
    done = run("init", "agent", cwd=tmp_path)
    lines = (folder / "module.toml").read_text().splitlines()
    told = dict(re.findall(r"correct the (\w+), which is a guess: line (\d+)", done.out))
    assert {key: lines[int(line) - 1].partition(" ")[0] for key, line in told.items()} == {
        "vendor": "vendor",
        "version": "version",
    }


def test_every_key_that_the_files_show_in_a_comment_is_one(tmp_path: Path) -> None:
    folder = module(tmp_path, run="x")
    run("init", "agent", "--policy", cwd=tmp_path)
    spec = module_spec.parse(uncommented((folder / "module.toml").read_text()).encode(), "module.toml")
    assert (spec.relationships.depends[0].name, spec.files[-1].mode) == ("other-module", 0o640)
    shutil.copy(Path(__file__).parents[2] / "keys-example/partner/root.pem", folder / "acme-root.pem")
    shutil.copy(folder / "acme-root.pem", folder / "tsa-root.pem")
    text = uncommented((folder / "policy.toml").read_text()).replace('crls = ["root.crl"]', "crls = []")
    assert policy_file.parse(text.encode(), "policy.toml", lambda name: (folder / name).read_bytes()).timestamp_required


@pytest.mark.parametrize("vendor", ['A "quoted" vendor', "Ümläut GmbH", "a\x7f"])
def test_a_vendor_stands_in_the_file_as_it_is_or_is_refused(tmp_path: Path, vendor: str) -> None:
    folder = module(tmp_path, run="x")
    done = run("init", "agent", "--vendor", vendor, cwd=tmp_path)
    if vendor.isprintable():
        assert tomllib.loads((folder / "module.toml").read_text())["vendor"] == vendor
    else:
        assert done.code == 2
        assert "--vendor" in done.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--name", "no spaces"), "--name is 'no spaces', and must be"),
        (("--version", ""), None),
        (("--version", "1 0"), "--version is '1 0', and must be"),
        (("--vendor", "a/b"), "--vendor the vendor 'a/b' has a slash"),
        (("--level", "gold"), "'gold'"),
        (("--anchor", "x.pem"), "--anchor has no effect without --policy"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(tmp_path: Path, options: tuple[str, ...], said: str | None) -> None:
    module(tmp_path, run="x")
    done = run("init", "agent", *options, cwd=tmp_path)
    assert done.code == (2 if said else 0)
    assert (said or "") in done.err


def test_nothing_is_replaced_and_nothing_half_written(tmp_path: Path) -> None:
    folder = module(tmp_path, run="x")
    assert run("init", "agent", "--policy", cwd=tmp_path).code == 0
    before = snapshot(tmp_path)
    again = run("init", "agent", cwd=tmp_path)
    assert (again.code, "nothing is replaced" in again.err) == (2, True)
    assert run("init", "agent", "--policy", cwd=tmp_path).code == 2
    assert snapshot(tmp_path) == before
    os.unlink(folder / "module.toml")
    assert run("init", "agent", "--policy", cwd=tmp_path).code == 2  # the policy is there, so no spec is written


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    folder = module(tmp_path, run="x")
    (folder / "module.toml").symlink_to(tmp_path / "elsewhere")
    assert run("init", "agent", cwd=tmp_path).code == 2
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "has nothing to pack; put what is shipped below agent/files"),
        ({".env": "x", "signer.key": "x"}, "has nothing to pack"),
        ({"descriptor.xml": "<vib/>"}, "is a stage folder already"),
        ({f"f{number}": "x" for number in range(101)}, "0 folders and 101 files"),
    ],
)
def test_a_folder_that_cannot_be_packed_so_says_what_to_do(tmp_path: Path, files: dict[str, str], said: str) -> None:
    module(tmp_path, **files)
    done = run("init", "agent", cwd=tmp_path)
    assert (done.code, said in done.err) == (2, True), done.err


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run("init", "none", cwd=tmp_path)
    assert (done.code, "none: there is no such folder" in done.err) == (3, True)


def test_a_name_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    folder = module(tmp_path)
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9")).write_text("x")
    done = run("init", "agent", cwd=tmp_path)
    assert (done.code, "is not UTF-8" in done.err) == (2, True)


# The policy.


def test_a_policy_without_anchors_names_what_is_missing_when_it_is_checked(tmp_path: Path) -> None:
    module(tmp_path, run="x")
    done = run("init", "agent", "--policy", cwd=tmp_path)
    assert done.out.endswith(
        "agent/policy.toml: accepts nothing yet: write an [[anchor]] as the file shows\n"
        "  next: modseal policy check agent/policy.toml\n"
    )
    checked = run("policy", "check", "agent/policy.toml", cwd=tmp_path)
    assert (checked.code, "needs at least one [[anchor]]" in checked.err) == (3, True)


def test_a_policy_with_an_anchor_is_accepted_as_it_is_and_accepts_what_it_is_for(desk: Path) -> None:
    shutil.move(desk / "module/module.toml", desk / "old.toml")
    options = ("--vendor", "Acme", "--level", "partner", "--policy", "--anchor", "keys/partner/root.pem")
    assert run("init", "module", *options, cwd=desk).code == 0
    checked = run("policy", "check", "module/policy.toml", cwd=desk)
    assert (checked.code, "a partner module (any module, vendor Acme)" in checked.out) == (0, True)
    assert run("pack", "module", "-o", "own.seal", cwd=desk).code == 0
    signer = ("--key", "keys/partner/signer.key", "--cert", "keys/partner/signer.pem")
    assert run("sign", "own.seal", *signer, cwd=desk).code == 0
    assert run("verify", "own.seal", "--policy", "module/policy.toml", cwd=desk).code == 0


def test_a_signer_becomes_a_pin_and_two_anchors_have_two_names(desk: Path) -> None:
    (desk / "site").mkdir()
    for name in ("a.pem", "b.pem"):
        shutil.copy(desk / "keys/partner/signer.pem", desk / name)
    anchors = ("--anchor", "a.pem", "--anchor", "b.pem", "--anchor", "keys/partner/root.pem")
    done = run("init", "site", "--policy", *anchors, cwd=desk)
    assert done.out.startswith("site/policy.toml: read it before you use it\n")  # an empty folder has no module
    assert run("policy", "check", "site/policy.toml", cwd=desk).code == 0
    tables = tomllib.loads((desk / "site/policy.toml").read_text())["anchor"]
    assert [("fingerprint" in table, table.get("certificate")) for table in tables] == [
        (True, None),
        (True, None),
        (False, "../keys/partner/root.pem"),
    ]
    assert len({table["name"] for table in tables}) == 3


@pytest.mark.parametrize(
    "content", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_an_anchor_that_is_no_certificate_is_refused_and_leaves_nothing(desk: Path, content: str) -> None:
    (desk / "x.pem").write_text(content)
    (desk / "module/module.toml").unlink()
    done = run("init", "module", "--policy", "--anchor", "x.pem", cwd=desk)
    assert (done.code, "x.pem" in done.err) == (3, True)


def test_a_missing_schema_key_says_what_to_write(tmp_path: Path) -> None:
    folder = module(tmp_path, run="x")
    run("init", "agent", "--policy", cwd=tmp_path)
    for name, command, value in (
        ("module.toml", ("pack", "agent"), "modseal/module@1"),
        ("policy.toml", ("policy", "check", "agent/policy.toml"), "modseal/policy@1"),
    ):
        text = (folder / name).read_text()
        (folder / name).write_text(re.sub("^schema.*\n", "", text, flags=re.MULTILINE))
        assert f'write schema = "{value}"' in run(*command, cwd=tmp_path).err
