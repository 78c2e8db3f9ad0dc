"""A failing write, a full disk or a killed process leaves the old state or the new one, at whatever moment it comes.

A killed process cannot remove its staging file or folder (`.modseal-*` beside the output). It is never
taken for output, and the same command simply works again.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from builders import policies, signed_depots, tsa
from builders import trust_bundles as trust
from builders.bundles import make, snapshot
from builders.pki import NOW, signer
from builders.policies import trusting
from builders.transcript import SOURCE
from crash import faults
from crash.faults import BROKEN, MANY, NO_SPACE, Fault
from modseal.bundle.extract import extract
from modseal.ca import example
from modseal.ca.example import make_example_pki
from modseal.depot import state as depot_state
from modseal.depot.check import check
from modseal.depot.files import open_depot
from modseal.depot.signed import read_index
from modseal.errors import InputError
from modseal.packing.pack import pack
from modseal.packing.sign import sign
from modseal.packing.signed_depot import Issue, items_of_files, items_taken_over, publish
from modseal.packing.timestamp import timestamp
from modseal.policy import store as trust_store
from modseal.policy.update import update
from modseal.trust.examination import Verdict

SPEC = """\
schema = "modseal/module@1"
vendor = "Acme"
name = "acme-agent"
version = "1"
level = "community"
summary = "An agent"
[[payload]]
name = "base"
root = "files"
"""


@dataclass(frozen=True)
class Job:
    """Something that writes: how to set it up, do it, and see what is there now."""

    prepare: Callable[[Path], None]
    run: Callable[[Path], object]
    state: Callable[[Path], object]
    step: int = 1
    """Every how many changes the process is killed, where there are many of one kind."""


def module(folder: Path) -> None:
    (folder / "files").mkdir()
    for name in ("a", "b"):
        (folder / "files" / name).write_bytes(os.urandom(3000))
    (folder / "module.toml").write_text(SPEC)
    (folder / "out.seal").write_bytes(b"!<arch>\nthe bundle before")


def bundle_in(folder: Path) -> None:
    (folder / "a.seal").write_bytes(make("seal", files={"opt": None, "opt/a": b"a" * 5000, "opt/l": "a"}).data)


def signed_in(folder: Path) -> None:
    (folder / "a.seal").write_bytes(make("seal").sealed(signer()).data)


def content(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).read_bytes()


def tree(name: str) -> Callable[[Path], object]:
    return lambda folder: snapshot(folder / name) if (folder / name).exists() else None


def add_signature(folder: Path) -> None:
    """By a second signer, with a fixed time so that ECDSA alone varies."""
    sign(folder / "a.seal", folder / "a.seal", signer("p384").signer(), NOW, NOW)


def add_timestamp(folder: Path) -> None:
    timestamp(folder / "a.seal", folder / "a.seal", tsa.token, NOW)


def unpack(folder: Path) -> None:
    assert extract(folder / "a.seal", folder / "out", trusting(), NOW).verdict is Verdict.ACCEPTED


def installed(folder: Path) -> None:
    for version in (1, 2):
        trust.write(folder, trust.make(version))
    update(folder / "store", [folder / "1.trust"], [trust.A.fingerprint], NOW)


def version(folder: Path) -> object:
    found = trust_store.read(folder / "store")
    return found.bundle.version if found else None


def checked_in(folder: Path) -> None:
    """A depot in two versions, of which the first was seen."""
    for version in (1, 2):
        made = signed_depots.index(version=version)
        signed_depots.write(folder / str(version), signed_depots.contents(made))
    check_version(folder, 1)


def check_version(folder: Path, version: int) -> None:
    with open_depot(folder / str(version)) as files:
        found = check(files, trusting(), NOW, state_file=folder / "depot.state")
    assert found.verdict is Verdict.ACCEPTED


def seen_version(folder: Path) -> object:
    found = depot_state.read(folder / "depot.state")
    return found.index.version if found else None


def depot_in(folder: Path) -> None:
    made = signed_depots.index(signed_depots.SEAL, by=[signer()])
    signed_depots.write(folder / "depot", signed_depots.contents(made, [signed_depots.SEAL]))
    (folder / "new.vib").write_bytes(signed_depots.VIB.data)


def add_to_depot(folder: Path) -> None:
    with open_depot(folder / "depot") as files:
        index = read_index(files)
        items = [*items_taken_over(files, index), *items_of_files([folder / "new.vib"])]
        issue = Issue([signer().signer()], NOW, NOW, expires=signed_depots.NOW + signed_depots.DAY)
        publish(folder / "depot", "folder", items, [], issue, (files, index))


def depot_version(folder: Path) -> object:
    """The version of the depot, all whose files are there: whoever reads it finds the old one or the new one."""
    with open_depot(folder / "depot") as files:
        found = check(files, trusting(), NOW)
        assert found.proved
        assert len(found.results) == found.index.version  # type: ignore[union-attr]
        assert {result.verdict for result in found.results} == {Verdict.ACCEPTED}
        return found.index.version  # type: ignore[union-attr]


UNLISTED = ("store", "depot/bundles/", "depot/signatures/")
"""Where a killed process may leave a file that nothing refers to yet."""

JOBS = {
    "depot-state": Job(checked_in, lambda folder: check_version(folder, 2), seen_version),
    "depot-add": Job(depot_in, add_to_depot, depot_version),
    "pack": Job(
        module, lambda folder: pack(folder / "module.toml", folder / "out.seal", None, environ={}), content("out.seal")
    ),
    "sign": Job(bundle_in, add_signature, lambda folder: len(make_signers(folder))),
    "timestamp": Job(signed_in, add_timestamp, lambda folder: [len(one.timestamps) for one in make_signers(folder)]),
    "extract": Job(bundle_in, unpack, tree("out")),
    "keys": Job(
        lambda folder: None,
        lambda folder: make_example_pki(folder / "keys", now=NOW),
        lambda folder: sorted(snapshot(folder / "keys")) if (folder / "keys").exists() else None,
        6,
    ),
    "update": Job(installed, lambda folder: update(folder / "store", [folder / "2.trust"], (), NOW), version),
    "first-update": Job(
        lambda folder: trust.write(folder, trust.make()) and None,
        lambda folder: update(folder / "store", [folder / "1.trust"], [trust.A.fingerprint], NOW),
        version,
    ),
}


def make_signers(folder: Path) -> Any:
    """The verified signers of the bundle, which must be whole."""
    from builders.bundles import accepted

    return accepted((folder / "a.seal").read_bytes(), trusting()).signers


@pytest.fixture(autouse=True)
def quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """One RSA key for all: nobody judges these."""
    monkeypatch.setattr(example, "rsa", SimpleNamespace(generate_private_key=_one_rsa_key))


@functools.cache
def _one_rsa_key(**_: object) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def prepared(job: Job, folder: Path) -> Path:
    folder.mkdir()
    job.prepare(folder)
    return folder


@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize("action", [NO_SPACE, BROKEN], ids=["no space", "broken"])
def test_a_change_that_fails_leaves_everything_as_it_was(tmp_path: Path, name: str, action: Callable[[], None]) -> None:
    job = JOBS[name]
    folder = prepared(job, tmp_path / "desk")
    before, old = snapshot(folder), job.state(folder)
    failures = 0
    for number in range(1, MANY):
        fault = Fault(number, action)
        try:
            with faults.injected(fault):
                job.run(folder)
        except InputError:
            failures += 1
            assert fault.happened
            assert snapshot(folder) == before, number
            continue
        assert job.state(folder) != old
        assert faults.leftovers(folder) == []
        if not fault.happened:
            break
        # What failed does not matter: making a rename durable, or copying in the kernel.
        shutil.rmtree(folder)
        prepared(job, folder)
        before = snapshot(folder)
    else:
        pytest.fail("it never came to an end")
    assert failures >= 5


@pytest.mark.parametrize("name", JOBS)
def test_a_process_that_is_killed_leaves_the_old_state_or_the_new_one(tmp_path: Path, name: str) -> None:
    job = JOBS[name]
    seen = set()
    for number in range(1, MANY, job.step):
        folder = prepared(job, tmp_path / f"desk{number}")
        before, old = snapshot(folder), job.state(folder)
        was_killed = faults.killed(Fault(number, faults.die), lambda folder=folder: job.run(folder))
        found = job.state(folder)
        if found == old:
            seen.add("old")
            staged = {str(path.relative_to(folder)) for path in faults.leftovers(folder)}
            made = {path for path in snapshot(folder) if not any(path.startswith(each) for each in staged)}
            assert before.keys() <= made
            assert [path for path in made - before.keys() if not path.startswith(UNLISTED)] == []
            job.run(folder)  # what was left behind is in nobody's way
            assert job.state(folder) != old
        else:
            seen.add("new")
        shutil.rmtree(folder)
        if not was_killed:
            break
    else:
        pytest.fail("it never came to an end")
    assert seen == {"old", "new"}
    assert number > 5


@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare on this machine")
@pytest.mark.parametrize("size", [64, 256, 320])
@pytest.mark.parametrize("name", ["pack", "sign", "extract"])
def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path, name: str, size: int) -> None:
    """On a file system of `size` KiB more than what is there, and less than what the command needs."""
    desk = tmp_path / "desk"
    desk.mkdir()
    noise = {f"opt/{number}": os.urandom(100_000) for number in range(4)}
    bundle = make("seal", files={"opt": None, **noise})
    (tmp_path / "signer.key").write_bytes(signer().key_pem)
    (tmp_path / "signer.key").chmod(0o600)
    (tmp_path / "signer.pem").write_bytes(signer("p256").pem)
    policies.write(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.seal").write_bytes(bundle.unsigned().data if name == "sign" else bundle.data)
    (tmp_path / "files").mkdir()
    for path, data in noise.items():
        (tmp_path / "files" / Path(path).name).write_bytes(data)
    (tmp_path / "module.toml").write_text(SPEC)
    arguments = {
        "pack": "pack ../module.toml -o new.seal",
        "sign": "sign a.seal --key ../signer.key --cert ../signer.pem",
        "extract": "extract a.seal -C out --policy ../policy.toml",
    }[name]
    kibibytes = len(bundle.data) // 1024 + 16 + size
    script = (
        f"mount -t tmpfs -o size={kibibytes}k none desk || exit 77; cp in/a.seal desk; cd desk;"
        f' "$0" -c "from modseal.cli.main import main; main()" {arguments}; echo "exit $?";'
        " cmp a.seal ../in/a.seal && ls -A"
    )
    command = ["unshare", "-m", "sh", "-c", script, sys.executable]
    environ = {**os.environ, "PYTHONPATH": str(SOURCE), "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    if done.returncode in (1, 77) and "exit" not in done.stdout:
        pytest.skip(f"no private mounts here: {done.stderr.strip()}")
    assert done.stdout.splitlines() == ["exit 3", "a.seal"], done
    assert "No space left on device" in done.stderr
