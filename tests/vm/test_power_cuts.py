"""Power cuts while a host takes an update: whatever was written by then, it starts the old state or the new one.

Every write of one update is recorded, to the disk and to the firmware's variables, up to the moment at which the new
state is kept. Disk and variables are then made as a cut at a random moment leaves them: of what was not flushed, a part
has arrived. From each the machine is started, and compared with a prediction that is read from disk and variables.

QEMU is also killed for real while a machine takes the update, over and over.

MODSEAL_IMAGE is a folder as for test_image.py, MODSEAL_CUTS the number of cuts, MODSEAL_KILLS that of kills:
`make power-cuts`.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from examples.reference_host import guest, prepare

from builders.nbd import Journal, Server
from modseal.boot import authenticode, boot_variables, fat, partitions, portable_executable, slots
from modseal.errors import FormatError, ModsealError
from modseal.image import build, firmware
from modseal.image import spec as reading
from modseal.image.ask import send
from modseal.signing import keys

MIB = 1 << 20
BLOCK = 512
CUTS = int(os.environ.get("MODSEAL_CUTS", "50"))
SEED = int(os.environ.get("MODSEAL_SEED") or time.time())
KILLS = int(os.environ.get("MODSEAL_KILLS", "10"))
OLD, NEW = (1, "a", 1), (2, "b", 2)
"""Version, slot and generation before the update, and after it."""
_IN_FORCE, _LEAVING = 0x3F, 0x3E
"""States of a variable: written, and written but about to be replaced."""


@dataclass(frozen=True)
class Outcome:
    """What a start has led to."""

    version: int
    slot: str
    generation: int
    trial: bool


@dataclass
class Recorded:
    """The writes of an update; the first of them, and the first after the request was answered."""

    journal: Journal
    first: int
    answered: int
    owner: x509.Certificate
    folder: Path


def tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@pytest.fixture(scope="module")
def lab() -> Path:
    folder = os.environ.get("MODSEAL_IMAGE")
    if not folder:
        pytest.skip("MODSEAL_IMAGE does not name a folder; make power-cuts does")
    missing = guest.missing() or (None if shutil.which("mkfs.erofs") else "mkfs.erofs is not installed")
    if missing:
        pytest.skip(missing)
    made = Path(folder).absolute()
    prepare.prepare(made)
    modules = [*made.glob("nginx-*.seal"), made / "site-agent-1.0.0-1.seal"]
    for version in (1, 2):
        spec, out = made / f"cut{version}.toml", made / f"cut{version}"
        wheels = sorted((made / "wheels").glob("*.whl"))
        text = prepare.spec(modules, wheels, made / "debs", version=version, generation=version)
        spec.write_text(text)
        shutil.rmtree(out, ignore_errors=True)
        signer = keys.open(str(made / "db.key"), made / "db.pem")
        build.build(reading.read(spec), signer, out, datetime.now(UTC))
    return made


@pytest.fixture(scope="module")
def recorded(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("nbd")
    contents = {
        "disk": (lab / "cut1/disk.img").read_bytes(),
        "flash": (lab / "cut1/firmware.fd").read_bytes(),
    }
    journal = Journal(contents, frozenset({"flash"}))
    server = Server(journal, folder)
    drives = [Path(f"nbd:unix:{folder}/{name}") for name in ("disk", "flash")]
    with guest.Guest(drives[0], drives[1], keep=True, restarts=True) as one:
        assert one.wait(guest.UP), one.lines
        first = len(journal.writes)
        said = send(f"http://127.0.0.1:{one.management}", lab / "cut2/update")
        assert said.outcome == "accepted", said
        answered = len(journal.writes)
        assert one.wait("is kept"), one.lines
        time.sleep(2)
    server.close()
    owner = x509.load_pem_x509_certificate((lab / "db.pem").read_bytes())
    tell(f"{len(journal.writes) - first} writes, {answered - first} of them before the answer; seed {SEED}")
    return Recorded(journal, first, answered, owner, folder)


def variables(store: bytes) -> dict[str, bytes]:
    """The firmware's variables as it takes them after a cut: one that is about to be replaced, if no newer one is."""
    found: dict[str, bytes] = {}
    for state in (_LEAVING, _IN_FORCE):
        patched = bytearray(store)
        for match in re.finditer(rb"\xaa\x55[\x3e\x3f]\0", store):
            if store[match.start() + 2] == state:
                patched[match.start() + 2] = _IN_FORCE
            else:
                patched[match.start() + 2] = 0
        found |= {one.name: one.data for one in firmware.read_variables(bytes(patched))}
    return found


def predicted(disk: bytes, store: bytes, owner: x509.Certificate, folder: Path) -> Outcome:
    """What a machine with this disk and these variables starts."""
    (folder / "disk").write_bytes(disk[: 2 * MIB])
    starts = sorted(partitions.identifiers(str(folder / "disk"), BLOCK))
    found = variables(store)
    numbers = [int.from_bytes(found.get("BootNext", b""), "little")]
    order = found.get("BootOrder", b"")
    numbers += [int.from_bytes(order[at : at + 2], "little") for at in range(0, len(order), 2)]
    names = {number: name for name, number in boot_variables.NUMBERS.items()}
    tries = [names[one] for one in numbers if one in names and f"Boot{one:04X}" in found]
    for slot in (*tries, "a"):
        at = starts["ab".index(slot)] * BLOCK
        (folder / "boot").write_bytes(disk[at : at + build._BOOT_SIZE])
        with (folder / "boot").open("rb") as file:
            program = fat.read_program(file, build._BOOT_SIZE)
        try:
            authenticode.verify(program, owner)
            break
        except FormatError:
            continue
    release = portable_executable.section(program, ".osrel") or b""
    version = int(re.search(rb"VERSION_ID=(\d+)", release)[1])  # type: ignore[index]
    (folder / "data").write_bytes(disk[starts[4] * BLOCK :])
    checked = subprocess.run(["e2fsck", "-fy", folder / "data"], capture_output=True, text=True)
    assert checked.returncode in (0, 1), checked.stdout
    text = subprocess.run(
        ["debugfs", "-R", f"cat /{slots.FILE}", folder / "data"], capture_output=True, check=True
    ).stdout
    start = slots.start(slots.decode(text), slot)
    return Outcome(version, slot, start.generation, start.trial)


def started(disk: bytes, store: bytes, folder: Path) -> tuple[Outcome, dict[str, Any]]:
    """What a machine with this disk and these variables really starts."""
    (folder / "disk.img").write_bytes(disk)
    (folder / "vars.fd").write_bytes(store)
    with guest.Guest(folder / "disk.img", folder / "vars.fd", keep=True) as one:
        assert one.wait(guest.UP), one.lines
        status = one.status()
    return Outcome(status["host"]["version"], status["slot"], status["generation"], status["trial"]), status


def moments(recorded: Recorded) -> list[int]:
    """Half of them until the request is answered; the others around the switch, and from there until all is kept.

    The firmware writes its variables in many small pieces, so that most writes of all are its own.
    """
    chance = random.Random(SEED)
    first, answered, end = recorded.first, recorded.answered, len(recorded.journal.writes) + 1
    spans = ((first, answered), (answered - 60, answered + 60), (first, answered), (answered, end))
    return [chance.randrange(*spans[one % len(spans)]) for one in range(CUTS)]


@pytest.fixture(scope="module")
def outcomes(recorded: Recorded, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, Outcome, Outcome]]:
    found = []
    for number, at in enumerate(moments(recorded)):
        folder = tmp_path_factory.mktemp("cut")
        left = recorded.journal.cut(at, random.Random(SEED + at))
        disk, store = bytes(left["disk"]), bytes(left["flash"])
        before = predicted(disk, store, recorded.owner, folder)
        after, status = started(disk, store, folder)
        found.append((at, before, after))
        failed = status["failed"]
        tell(f"cut {number + 1} before write {at - recorded.first}: {after}, failed {failed}")
        shutil.rmtree(folder)
        record_cuts(found)
    return found


def record_cuts(found: list[tuple[int, Outcome, Outcome]]) -> None:
    counts = {"cuts": len(found)}
    for name, wanted in (("old", (1, False)), ("trial", (2, True)), ("new", (2, False))):
        counts[name] = sum((after.version, after.trial) == wanted for _, _, after in found)
    counts["predicted"] = sum(before == after for _, before, after in found)
    record({"seed": SEED, "date": time.strftime("%Y-%m-%d"), **counts})


def record(values: dict[str, Any]) -> None:
    """Keep what came of it for docs/reference-host.md, if that is asked for."""
    if name := os.environ.get("MODSEAL_CUTS_TABLE"):
        table = Path(name)
        kept = json.loads(table.read_text("utf-8")) if table.exists() else {}
        table.write_text(json.dumps(kept | values, indent=1) + "\n", "utf-8")


def test_after_every_cut_the_old_or_the_new_state_runs(outcomes: list[tuple[int, Outcome, Outcome]]) -> None:
    assert {(after.version, after.slot, after.generation) for _, _, after in outcomes} <= {OLD, NEW}


def test_every_start_was_predicted(outcomes: list[tuple[int, Outcome, Outcome]]) -> None:
    assert [(at, before) for at, before, _ in outcomes] == [(at, after) for at, _, after in outcomes]


def test_a_machine_that_is_killed_while_it_takes_an_update_comes_up_again(lab: Path, tmp_path: Path) -> None:
    """QEMU is killed for real: what it has written by then is in the files, and the next kill meets what is left."""
    chance = random.Random(SEED)
    disk, store = tmp_path / "disk.img", tmp_path / "vars.fd"
    found: list[tuple[int, str, int]] = []
    killed = False
    while len(found) < KILLS:
        if not killed:
            subprocess.run(["cp", "--sparse=always", lab / "cut1/disk.img", disk], check=True)
            shutil.copy(lab / "cut1/firmware.fd", store)
        with guest.Guest(disk, store, keep=True, restarts=True) as one:
            assert one.wait(guest.UP), one.lines
            status = one.status()
            state = status["host"]["version"], status["slot"], status["generation"]
            if killed:
                found.append(state)
                tell(f"kill {len(found)}: {state}, on trial {status['trial']}, failed {status['failed']}")
                counts = {"killed-old": found.count(OLD), "killed-new": found.count(NEW)}
                record({"kills": len(found), **counts})
            killed = state == OLD
            if killed and len(found) < KILLS:
                address = f"http://127.0.0.1:{one.management}"
                sender = threading.Thread(target=attempt, args=(address, lab / "cut2/update"))
                sender.start()
                time.sleep(chance.uniform(0, 60))
        if killed:
            sender.join()
    assert set(found) <= {OLD, NEW}


def attempt(address: str, path: Path) -> None:
    """Send an update to a machine that may end meanwhile."""
    with suppress(ModsealError):
        send(address, path)
