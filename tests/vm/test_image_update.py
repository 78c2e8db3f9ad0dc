"""A host image in QEMU that is updated: what runs well is kept, what does not is left again, and the way back.

MODSEAL_IMAGE is a folder as for test_image.py: `make vm-image`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from examples.reference_host import guest, prepare

from modseal.boot.requests import RollbackRequest, Running
from modseal.image import build, update
from modseal.image import spec as reading
from modseal.image.ask import send
from modseal.signing import keys
from modseal.signing.signer import Signer

ENDING = "int main(void) { return 1; }\n"
KEPT_OR_NOT = "is kept|is given up|does not start"


def owner(lab: Path) -> Signer:
    return keys.open(str(lab / "db.key"), lab / "db.pem")


@pytest.fixture(scope="module")
def lab() -> Path:
    """A folder with three builds: the first, one whose agent ends, and one with a new root."""
    folder = os.environ.get("MODSEAL_IMAGE")
    if not folder:
        pytest.skip("MODSEAL_IMAGE does not name a folder; make vm-image does")
    missing = guest.missing() or (None if shutil.which("mkfs.erofs") else "mkfs.erofs is not installed")
    if missing:
        pytest.skip(missing)
    made = Path(folder).absolute()
    prepare.prepare(made)
    (made / "ending.c").write_text(ENDING)
    ending = prepare.module(made, "site-agent", "1.0.1-1", "partner", "Sitewatch", {
        "usr/bin/site-agent": prepare.compiled(made / "ending.c", made),
        "usr/lib/modseal/services/site-agent.toml": prepare.HERE / "site-agent/site-agent.toml",
    })  # fmt: skip
    [nginx], good = made.glob("nginx-*.seal"), made / "site-agent-1.0.0-1.seal"
    wheels = sorted((made / "wheels").glob("*.whl"))
    for name, agent, version, generation in (("one", good, 1, 1), ("ending", ending, 1, 2), ("two", good, 2, 3)):
        spec, out = made / f"{name}.toml", made / f"update-{name}"
        text = prepare.spec([nginx, agent], wheels, made / "debs", version=version, generation=generation)
        spec.write_text(text)
        shutil.rmtree(out, ignore_errors=True)
        build.build(reading.read(spec), owner(made), out, datetime.now(UTC))
    return made


@pytest.fixture
def machine(lab: Path, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """The disk and the variables of a machine that was built with the first image."""
    found = tmp_path / "disk.img", tmp_path / "vars.fd"
    subprocess.run(["cp", "--sparse=always", lab / "update-one/disk.img", found[0]], check=True)
    shutil.copy(lab / "update-one/firmware.fd", found[1])
    yield found
    found[0].unlink()


def state(one: guest.Guest) -> tuple[object, ...]:
    found = one.status()
    return found["slot"], found["host"]["version"], found["generation"], found["trial"], found["failed"]


def test_what_does_not_run_well_is_left_and_what_does_is_kept_until_it_is_led_back(
    lab: Path, machine: tuple[Path, Path], tmp_path: Path
) -> None:
    with guest.Guest(*machine, keep=True, restarts=True) as one:
        address = f"http://127.0.0.1:{one.management}"
        assert one.wait(guest.UP), one.lines
        assert send(address, lab / "update-one/update").code == "version-downgraded"
        said = send(address, lab / "update-ending/modules.update")
        assert said.outcome == "accepted", said
        assert "site-agent does not run" in (one.wait(KEPT_OR_NOT) or ""), one.lines[-30:]
        assert one.wait(guest.UP), one.lines[-30:]
        assert state(one) == ("a", 1, 1, False, {"version": 1, "generation": 2})
        assert send(address, lab / "update-two/update").outcome == "accepted"
        assert "is kept" in (one.wait(KEPT_OR_NOT) or ""), one.lines[-30:]
        assert state(one) == ("b", 2, 3, False, None)
        back = tmp_path / "back"
        back.write_bytes(update.signed(RollbackRequest("edge", Running(2, 3), Running(1, 1)), owner(lab)))
        assert send(address, back).outcome == "accepted"
        assert "is kept" in (one.wait(KEPT_OR_NOT) or ""), one.lines[-30:]
        assert state(one) == ("a", 1, 1, False, None)
        assert send(address, lab / "update-two/update").code == "version-downgraded"


def test_a_program_that_is_damaged_after_it_was_written_is_not_started_and_the_old_slot_is(
    lab: Path, machine: tuple[Path, Path]
) -> None:
    with guest.Guest(*machine, keep=True) as one:
        assert one.wait(guest.UP), one.lines
        assert send(f"http://127.0.0.1:{one.management}", lab / "update-two/update").outcome == "accepted"
        assert one.wait("it never says this", 60) is None, "it ends where it would restart"
    with machine[0].open("r+b") as file:
        file.seek((1 << 20) + build._BOOT_SIZE + (4 << 20))
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    with guest.Guest(*machine, keep=True) as one:
        assert one.wait(guest.UP), one.lines
        assert any("modseal b" in line and "failed" in line for line in one.lines), one.lines
        assert state(one) == ("a", 1, 1, False, {"version": 2, "generation": 3})
