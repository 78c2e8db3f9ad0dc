"""A host image in QEMU that is updated: what runs well is kept, what does not is left again, and the way back.

What does not run well is a service that ends, a program or root that was damaged after it was written, and a machine
that hangs.

MODSEAL_IMAGE is a folder as for test_image.py: `make vm-image`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from examples.reference_host import guest, prepare

from builders.transcript import run_process
from modseal import limits
from modseal.boot import attestation
from modseal.image import build
from modseal.image import spec as reading
from modseal.image.ask import ask, send
from modseal.image.expect import expect
from modseal.signing import keys
from modseal.signing.signer import Signer
from vm.image_folder import image_folder

ENDING = "int main(void) { return 1; }\n"
HANGING = """

def _stay(*_: object) -> None:
    say("machine", "process 1 hangs")
    while True:
        time.sleep(60)
"""
"""The end of a process 1 that starts everything, and then does nothing any more."""
KEPT_OR_NOT = "is kept|is given up|does not start"
MIB = 1 << 20
BOOT_B = MIB + build._BOOT_SIZE
ROOT_B = MIB + 2 * build._BOOT_SIZE + build._ROOT_SIZE

HANGS = limits.BOOT_WATCHDOG + 300
"""Seconds in which the watchdog must have restarted a guest that shares this machine with others."""


def owner(lab: Path) -> Signer:
    return keys.open(str(lab / "db.key"), lab / "db.pem")


def agent(lab: Path, version: str, source: Path, service: Path) -> Path:
    files: dict[str, Path | str] = {
        "usr/bin/site-agent": prepare.compiled(source, lab),
        "usr/lib/modseal/services/site-agent.toml": service,
    }
    return prepare.module(lab, "site-agent", version, "partner", "Sitewatch", files)


def hanging_wheel(lab: Path) -> Path:
    """A release of modseal whose process 1 hangs."""
    [genuine] = (lab / "wheels").glob("modseal-*.whl")
    (lab / "hanging").mkdir(exist_ok=True)
    made = lab / "hanging" / genuine.name
    with zipfile.ZipFile(genuine) as old, zipfile.ZipFile(made, "w") as new:
        for one in old.infolist():
            more = HANGING.encode() if one.filename == "modseal/boot/machine.py" else b""
            new.writestr(one, old.read(one) + more)
    return made


@pytest.fixture(scope="module")
def lab() -> Path:
    """A folder with four builds: the first, one whose agent ends, and two new roots: one hangs, and one is fine."""
    made = image_folder("mkfs.erofs")
    prepare.prepare(made)
    (made / "ending.c").write_text(ENDING)
    ending = agent(made, "1.0.1-1", made / "ending.c", prepare.HERE / "site-agent/site-agent.toml")
    [nginx], good = made.glob("nginx-*.seal"), made / "site-agent-1.0.0-1.seal"
    wheels = sorted((made / "wheels").glob("*.whl"))
    hanging = [*(one for one in wheels if not one.name.startswith("modseal-")), hanging_wheel(made)]
    for name, module, version, generation, parts in (
        ("one", good, 1, 1, wheels), ("ending", ending, 1, 2, wheels),
        ("hanging", good, 2, 2, hanging), ("two", good, 2, 3, wheels),
    ):  # fmt: skip
        spec, out = made / f"{name}.toml", made / f"update-{name}"
        text = prepare.spec([nginx, module], parts, made / "debs", version=version, generation=generation)
        spec.write_text(text)
        shutil.rmtree(out, ignore_errors=True)
        build.build(reading.read(spec), owner(made), out, datetime.now(UTC))
    return made


@pytest.fixture
def machine(lab: Path, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """The disk and the variables of a machine that was built with the first image."""
    found = copied((lab / "update-one/disk.img", lab / "update-one/firmware.fd"), tmp_path)
    yield found
    found[0].unlink()


@pytest.fixture(scope="module")
def taken(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """The same, once it has written the second image to slot b, and ended where it would start that."""
    found = copied((lab / "update-one/disk.img", lab / "update-one/firmware.fd"), tmp_path_factory.mktemp("taken"))
    with guest.Guest(*found, keep=True) as one:
        assert one.wait(guest.UP), one.lines
        assert send(f"http://127.0.0.1:{one.management}", lab / "update-two/update").outcome == "accepted"
        assert one.wait("it never says this", 60) is None, "it ends where it would restart"
    yield found
    found[0].unlink()


def copied(files: tuple[Path, Path], folder: Path) -> tuple[Path, Path]:
    found = folder / "disk.img", folder / "vars.fd"
    subprocess.run(["cp", "--sparse=always", files[0], found[0]], check=True)
    shutil.copy(files[1], found[1])
    return found


def state(one: guest.Guest) -> tuple[object, ...]:
    found = one.status()
    return found["slot"], found["host"]["version"], found["generation"], found["trial"], found["failed"]


def unexpected(address: str, image: Path) -> list[str]:
    """What the TPM proves of a host that is not what the build of an image lets expect."""
    nonce = os.urandom(16)
    said = attestation.decode(ask(address, nonce), "x")
    return [one.detail for one in attestation.verify(said, expect(image), nonce, said.key).differences]


def test_what_does_not_run_well_is_left_and_what_does_is_kept_until_it_is_led_back(
    lab: Path, machine: tuple[Path, Path], tmp_path: Path
) -> None:
    with guest.Guest(*machine, keep=True, restarts=True, tpm=tmp_path / "tpm") as one:
        address = f"http://127.0.0.1:{one.management}"
        assert one.wait(guest.UP), one.lines
        assert send(address, lab / "update-one/update").code == "version-downgraded"
        said = send(address, lab / "update-ending/modules.update")
        assert said.outcome == "accepted", said
        assert "site-agent does not run" in (one.wait(KEPT_OR_NOT) or ""), one.lines[-30:]
        assert one.wait(guest.UP), one.lines[-30:]
        assert state(one) == ("a", 1, 1, False, {"version": 1, "generation": 2})
        register, failed = unexpected(address, lab / "update-one")
        assert register.startswith("register 13 is ")
        assert failed == "it was measured, and is not expected: failed: generation 2, version 1"
        assert send(address, lab / "update-two/update").outcome == "accepted"
        assert "is kept" in (one.wait(KEPT_OR_NOT) or ""), one.lines[-30:]
        assert state(one) == ("b", 2, 3, False, None)
        assert unexpected(address, lab / "update-two") == []
        words = ("--running", 2, 3, "--to", 1, 1, "-o", "back")
        signed = run_process("image", "rollback", lab / "two.toml", *words, cwd=tmp_path)
        assert signed.code == 0, signed.err
        sent = run_process("image", "send", "back", address, cwd=tmp_path)
        assert sent.code == 0, sent.out + sent.err
        assert "is kept" in (one.wait(KEPT_OR_NOT) or ""), one.lines[-30:]
        assert state(one) == ("a", 1, 1, False, None)
        assert unexpected(address, lab / "update-one") == []
        assert send(address, lab / "update-two/update").code == "version-downgraded"


@pytest.mark.parametrize(
    ("at", "said"),
    [(BOOT_B + 4 * MIB, "failed to load .*modseal b.*Access Denied"), (ROOT_B + 1100, "root-b is not the root")],
    ids=["program", "root"],
)
def test_what_is_damaged_in_slot_b_after_it_was_written_is_not_started_and_slot_a_says_so(
    taken: tuple[Path, Path], tmp_path: Path, at: int, said: str
) -> None:
    disk, variables = copied(taken, tmp_path)
    with disk.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))
    with guest.Guest(disk, variables, keep=True, restarts=True) as one:
        assert one.wait(said), one.lines
        assert one.wait("update-failed: version 2, generation 3"), one.lines
        assert one.wait(guest.UP), one.lines
        assert state(one) == ("a", 1, 1, False, {"version": 2, "generation": 3})
    disk.unlink()


@pytest.mark.parametrize("hardware", [True, False], ids=["i6300esb", "softdog"])
def test_a_machine_that_hangs_is_restarted_by_its_watchdog_into_what_ran_before(
    lab: Path, machine: tuple[Path, Path], hardware: bool
) -> None:
    with guest.Guest(*machine, keep=True, restarts=True, watchdog=hardware) as one:
        assert one.wait(guest.UP), one.lines
        said = send(f"http://127.0.0.1:{one.management}", lab / "update-hanging/update")
        assert said.outcome == "accepted", said
        assert one.wait("process 1 hangs"), one.lines[-30:]
        hung = len(one.lines)
        assert one.wait("update-failed: version 2, generation 2", HANGS), one.lines[-30:]
        assert not [line for line in one.lines[hung:] if "is given up" in line or "does not start" in line]
        assert one.wait(guest.UP), one.lines[-30:]
        assert state(one) == ("a", 1, 1, False, {"version": 2, "generation": 2})
