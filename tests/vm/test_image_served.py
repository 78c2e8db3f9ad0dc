"""A host image in QEMU that is managed from a desk: what it shows, what it refuses, and what its owner has it do.

MODSEAL_IMAGE is a folder as for test_image.py: `make vm-image`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from examples.reference_host import guest, prepare

from builders.transcript import run_process
from modseal.boot.requests import RollbackRequest, Running
from modseal.image import build, update
from modseal.image import spec as reading
from modseal.signing import keys
from vm.image_folder import image_folder

SHADOW = 'raise SystemExit("a module speaks for the root")\n'


@dataclass
class Desk:
    """A machine that runs, and the files of the desk that manages it."""

    lab: Path
    one: guest.Guest

    def ask(self, *words: object, who: str = "operator") -> tuple[int, dict[str, Any]]:
        """The exit code, and the host's own document, or the problem in its place."""
        site = self.lab / "site"
        files = ("--ca", site / "ca.pem", "--cert", site / f"{who}.pem", "--key", site / f"{who}.key")
        address = f"127.0.0.1:{self.one.serve}"
        done = run_process("remote", *files, "--format", "json", address, *words, cwd=site)
        (found,) = json.loads(done.out)["hosts"]
        return done.code, found["result"] or found["problem"]

    def restarted(self) -> None:
        """Wait until the machine has restarted into what it was told to try, keeps it, and is managed again."""
        before = len(self.one.lines)
        for _ in range(2):
            assert self.one.wait("is kept|serving https|is given up|does not start"), self.one.lines[-30:]
        said = "\n".join(self.one.lines[before:])
        assert "is kept" in said, said
        assert "serving https" in said, said


@pytest.fixture(scope="module")
def lab() -> Path:
    """A folder with two builds: the one that runs first, and the generation after it."""
    made = image_folder("mkfs.erofs")
    prepare.prepare(made, serve=True)
    (made / "shadow.py").write_text(SHADOW)
    shadow = prepare.module(made, "shadow", "1.0-1", "partner", "Sitewatch", {
        "usr/lib/modseal/aiohttp/__init__.py": made / "shadow.py",
        "usr/lib/modseal/modseal/serve/broker.py": made / "shadow.py",
        "usr/lib/python3.11/asyncio/__init__.py": made / "shadow.py",
    })  # fmt: skip
    signer = keys.open(str(made / "db.key"), made / "db.pem")
    for name in ("served", "next"):
        spec = made / f"{name}.toml"
        spec.write_text(f'{spec.read_text()}\n[[module]]\nfile = "{shadow}"\n')
        shutil.rmtree(made / name, ignore_errors=True)
        build.build(reading.read(spec), signer, made / name, datetime.now(UTC))
    back = RollbackRequest("edge", Running(1, 2), Running(1, 1))
    (made / "back").write_bytes(update.signed(back, signer))
    return made


@pytest.fixture(scope="module")
def desk(lab: Path) -> Iterator[Desk]:
    with guest.Guest(lab / "served/disk.img", lab / "served/firmware.fd", restarts=True) as one:
        assert one.wait("serving https"), one.lines
        yield Desk(lab, one)


def versions(document: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {one["name"]: (one["version"], one["proven_level"]) for one in document["modules"]}


def test_no_image_for_others_has_the_private_key(lab: Path) -> None:
    secret = (lab / "site/edge.key").read_bytes()
    assert secret in (lab / "served/data.img").read_bytes()
    for name in ("root.img", "boot.efi", "update", "modules.update", "sbom.cdx.json", "image.json"):
        assert secret not in (lab / "served" / name).read_bytes(), name


def test_it_shows_what_runs_and_proves_it_again(desk: Desk) -> None:
    code, found = desk.ask("list", who="reader")
    assert code == 0
    assert versions(found)["nginx"][1] == "certified"
    assert versions(found)["site-agent"] == ("1.0.0-1", "partner")
    code, found = desk.ask("verify")
    assert (code, found["findings"], found["generation"]) == (0, [], 1)
    code, found = desk.ask("log", "--verify", who="reader")
    assert code == 0
    assert [one["event"] for one in found["events"]] == ["init"]
    assert found["head"]
    status = desk.one.status()
    assert {one["name"]: one["running"] for one in status["services"]}["serve"]


def test_what_is_not_proved_is_refused_as_verify_refuses_it(desk: Desk) -> None:
    lab = desk.lab
    good = lab / "site-agent-1.0.1-1.seal"
    data = bytearray(good.read_bytes())
    data[-300] ^= 1
    (lab / "tampered.seal").write_bytes(data)
    code, found = desk.ask("install", lab / "tampered.seal")
    assert (code, found["results"][0]["verdict"], found["generation"]) == (1, "rejected", None)
    unsigned = lab / "unsigned.seal"
    unsigned.unlink(missing_ok=True)
    prepare.run(*prepare.MODSEAL, "pack", lab / "modules/site-agent-1.0.1-1", "-o", unsigned)
    code, found = desk.ask("install", unsigned)
    assert code == 1
    assert "unsigned" in json.dumps(found["results"])
    code, found = desk.ask("install", good)
    assert (code, [one["code"] for one in found["problems"]]) == (1, ["owner-decides"])
    (lab / "changed.update").write_bytes((lab / "next/modules.update").read_bytes()[:-1] + b"\0")
    code, found = desk.ask("install", lab / "changed.update")
    assert (code, [one["code"] for one in found["problems"]]) == (1, ["update-invalid"])
    assert desk.ask("rollback")[1]["code"] == "owner-decides"
    assert desk.ask("install", good, who="reader")[0] == 1


def test_a_strict_host_follows_its_owner_by_a_controller_s_hand_alone(desk: Desk) -> None:
    lab = desk.lab
    words = (
        "lockdown",
        "set",
        "strict",
        "--controller",
        lab / "site/admin.pem",
        "--break-glass",
        lab / "site/reader.pem",
        "--threshold",
        "1",
    )
    assert desk.ask(*words, who="operator")[0] == 1, "an operator does not lock a host down"
    assert desk.ask(*words, who="admin")[0] == 0
    code, found = desk.ask("install", desk.lab / "next/modules.update")
    assert (code, found["code"]) == (1, "host-locked-down")
    assert desk.ask("lockdown", "set", "normal", who="admin")[0] == 0


def test_what_the_owner_has_signed_runs_after_a_restart_and_the_way_back_too(desk: Desk) -> None:
    code, found = desk.ask("install", desk.lab / "next/modules.update")
    assert (code, found["generation"], found["waits"]) == (0, 2, True), found
    assert [(one["name"], one["version"]) for one in found["updated"]] == [("site-agent", "1.0.1-1")]
    desk.restarted()
    assert versions(desk.ask("list")[1])["site-agent"] == ("1.0.1-1", "partner")
    history = desk.ask("history")[1]["generations"]
    assert [(one["number"], one["state"]) for one in history] == [(1, "kept"), (2, "active")]
    last = desk.ask("log", "--verify")[1]["events"][-1]
    assert (last["event"], last["facts"]["generation"], "Olga" in last["by"]["name"]) == ("install", "2", True)
    code, found = desk.ask("install", desk.lab / "back")
    assert (code, found["generation"]) == (0, 1), found
    desk.restarted()
    assert versions(desk.ask("list")[1])["site-agent"] == ("1.0.0-1", "partner")
    assert not [line for line in desk.one.lines if "speaks for the root" in line]
