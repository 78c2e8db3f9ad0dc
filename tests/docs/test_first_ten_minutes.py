"""Two people's first ten minutes, with nothing but the README and `--help`.

A command may only be used once it was read: in the README, in the help of a command, in a page of `modseal help`, or
as the next step that a command printed. `Person` holds them to that.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from builders.transcript import Transcript, run
from docs.console import ROOT
from modseal.cli.main import cli

README = (ROOT / "README.md").read_text("utf-8")


class Person:
    """Somebody at a terminal who knows what they have read, and no more."""

    def __init__(self, desk: Path) -> None:
        self.desk = desk
        self.read = README
        self.helped: dict[str, str] = {}

    def does(self, command: str, code: int = 0) -> Transcript:
        """Run a command whose words this person has read; its output has been read, then."""
        words = shlex.split(command)
        assert words[0] == "modseal"
        name = self._require_read(words[1:])
        for option in re.findall(r"(?<= )(--?[a-zA-Z][a-z-]*)", command):
            assert self._has_read(option, name), f"nobody said that {name} has {option}"
        done = run(*words[1:], cwd=self.desk, prefixed=True)
        assert done.code == code, f"$ {command}\n{done.out}{done.err}"
        self.read += f"\n{done.out}\n{done.err}"
        return done

    def asks(self, *words: str) -> str:
        """`--help` of a command, which anybody knows how to ask for."""
        done = run(*words, "--help", cwd=self.desk)
        assert done.code == 0
        self.helped[" ".join(words)] = done.out
        self.read += f"\n{done.out}"
        return done.out

    def _require_read(self, words: list[str]) -> str:
        name = words[0]
        group = cli.get_command(cli.make_context("modseal", ["--help"], resilient_parsing=True), name)
        if len(words) > 1 and words[1] in getattr(group, "commands", {}):
            name = f"{name} {words[1]}"
        last = name.rpartition(" ")[2]
        known = f"modseal {name}" in self.read or re.search(rf"^  {last}  ", self.read, re.MULTILINE)
        assert known, f"nobody said that there is modseal {name}"
        return name

    def _has_read(self, option: str, name: str) -> bool:
        if name in self.helped and re.search(rf"(?<![a-z-]){option}(?![a-z-])", self.helped[name]):
            return True
        lines = (line for line in self.read.splitlines() if f"modseal {name} " in line)
        return any(re.search(rf" {option}(?![a-z-])", line) for line in lines)

    def next_step(self, done: Transcript) -> str:
        """The command that an output says to run next."""
        (found,) = re.findall(r"^  next: (modseal .+)$", done.out, re.MULTILINE)
        return str(found)


@pytest.mark.parametrize("command", ["modseal sbom x.seal --show provenance", "modseal policy explain x.seal"])
def test_nobody_here_uses_what_they_have_not_read(tmp_path: Path, command: str) -> None:
    with pytest.raises(AssertionError, match="nobody said"):
        Person(tmp_path).does(command)


@pytest.fixture
def engineer(tmp_path: Path) -> Person:
    """A release engineer, with a folder that has a script, its settings and what should not be shipped."""
    folder = tmp_path / "nightly-backup"
    folder.mkdir()
    (folder / "backup.sh").write_text("#!/bin/sh\nexec tar -czf /var/backup.tgz /etc\n")
    (folder / "backup.conf").write_text("keep = 7\n")
    (folder / ".env").write_text("PASSWORD=secret\n")
    return Person(tmp_path)


def test_a_release_engineer_packs_signs_and_verifies_an_own_script(engineer: Person) -> None:
    # The README's own way, with the own folder in the place of its example.
    made = engineer.does("modseal init nightly-backup --vendor Initech --version 2.0 --level partner")
    assert "leaves out .env" in made.out
    packed = engineer.does(engineer.next_step(made))
    bundle = packed.out.partition(":")[0]
    assert (engineer.desk / bundle).exists()
    engineer.does("modseal keys example keys")
    signer = "--key keys/partner/signer.key --cert keys/partner/signer.pem --policy keys/policy.toml"
    engineer.does(f"modseal sign {bundle} {signer}")
    verified = engineer.does(f"modseal verify {bundle} --policy keys/policy.toml")
    assert verified.out.startswith(f"{bundle}: accepted\n")
    assert "Initech nightly-backup 2.0" in verified.out
    # What customers get is the script, executable, and not the password.
    engineer.does(f"modseal extract {bundle} -C unpacked --policy keys/policy.toml")
    unpacked = engineer.desk / "unpacked/opt/nightly-backup"
    assert {path.name for path in unpacked.iterdir()} == {"backup.sh", "backup.conf"}
    assert (unpacked / "backup.sh").stat().st_mode & 0o111


def test_the_engineer_learns_from_mistakes_what_to_do(engineer: Person) -> None:
    # Not signed yet; a policy that does not exist; a folder without a spec. Each says what is next.
    refused = engineer.does("modseal pack nightly-backup -o x.seal", code=1)
    assert "modseal init" in refused.err
    made = engineer.does("modseal init nightly-backup --vendor Initech --version 2.0 --level partner")
    bundle = engineer.does(engineer.next_step(made)).out.partition(":")[0]
    engineer.does("modseal keys example keys")
    unsigned = engineer.does(f"modseal verify {bundle} --policy keys/policy.toml", code=1)
    assert re.search(r"^  next: .*sign", unsigned.out, re.MULTILINE)
    missing = engineer.does(f"modseal verify {bundle} --policy keys/polcy.toml", code=3)
    assert "next:" in missing.err


@pytest.fixture
def administrator(tmp_path: Path) -> Person:
    """An ESXi administrator, who was sent a VIB, a depot zip, another one that was tampered with, and a root CA.

    What the vendor did before is not the administrator's to know.
    """
    vendor = tmp_path / "vendor"
    (vendor / "driver/files/opt/initech").mkdir(parents=True)
    (vendor / "driver/files/opt/initech/driver.conf").write_text("on\n")
    signer = ("--key", "keys/partner/signer.key", "--cert", "keys/partner/signer.pem")
    for arguments in (
        ("init", "driver", "--vendor", "Initech", "--version", "1.0", "--level", "partner"),
        ("pack", "driver", "-o", "driver.vib", "--format", "vib"),
        ("keys", "example", "keys"),
        ("sign", "driver.vib", *signer, "--policy", "keys/policy.toml"),
        ("depot", "build", "driver.vib", "-o", "depot.zip"),
    ):
        done = run(*arguments, cwd=vendor)
        assert done.code == 0, done.err
    desk = tmp_path / "desk"
    desk.mkdir()
    data = (vendor / "driver.vib").read_bytes()
    (desk / "driver.vib").write_bytes(data)
    (desk / "depot.zip").write_bytes((vendor / "depot.zip").read_bytes())
    (desk / "initech-root.pem").write_bytes((vendor / "keys/partner/root.pem").read_bytes())
    (desk / "mirror").mkdir()
    (desk / "mirror/driver.vib").write_bytes(data.replace(b"<version>1.0<", b"<version>1.1<"))
    return Person(desk)


def test_an_administrator_judges_a_downloaded_vib_and_a_depot(administrator: Person) -> None:
    # What is there to do? And what does the file say it is?
    assert "Prove bundles under a policy." in administrator.asks()
    shown = administrator.does("modseal inspect driver.vib")
    assert "UNPROVED" in shown.out
    assert "vendor         Initech" in shown.out
    # It is not VMware's own, which is said, with what to do about it.
    stranger = administrator.does("modseal verify driver.vib --policy vmware", code=1)
    assert "next:" in stranger.out
    # So the vendor's root, which came by another way, becomes a policy.
    assert "--anchor" in administrator.asks("init")
    (administrator.desk / "site").mkdir()
    made = administrator.does("modseal init site --policy --anchor initech-root.pem --vendor Initech --level partner")
    checked = administrator.does(administrator.next_step(made))
    assert "a partner module (any module, vendor Initech)" in checked.out
    accepted = administrator.does("modseal verify driver.vib --policy site/policy.toml")
    assert accepted.out.startswith("driver.vib: accepted\n")
    # The depot, as a whole.
    administrator.asks("audit")
    audited = administrator.does("modseal audit depot.zip --policy site/policy.toml")
    assert "the one bundle is accepted" in audited.out
    # A mirror that changed something is found out, by file and by folder.
    forged = administrator.does("modseal verify mirror/driver.vib --policy site/policy.toml", code=1)
    assert "compare its SHA-256 with the published one" in forged.out
    rejected = administrator.does("modseal audit depot.zip mirror --policy site/policy.toml", code=1)
    assert re.search(r"^rejected .*mirror/driver\.vib", rejected.out, re.MULTILINE)
    # What differs between the two downloads, and what a code means.
    assert "--policy" in administrator.asks("diff")
    compare = "modseal diff driver.vib mirror/driver.vib --policy site/policy.toml"
    different = administrator.does(compare, code=1)
    assert "field       version: 1.0 -> 1.1" in different.out
    (code,) = re.findall(r"failed +([a-z-]+):", forged.out)[:1]
    assert code in administrator.does(f"modseal help {code}").out
