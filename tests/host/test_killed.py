"""A change that is killed or that fails at any write leaves the host whole: as it was, or as it was to become."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builders import hosts, lockdowns, policies, recalls, signed_depots
from builders.bundles import make
from builders.hosts import Host, tree
from builders.pki import NOW
from builders.transcript import SOURCE
from crash import faults
from crash.faults import BROKEN, NO_SPACE, Fault
from modseal.errors import InputError, RefusedError
from modseal.format.level import Level
from modseal.format.manifest import Constraint, Relationships
from modseal.format.recall import encode
from modseal.host.break_glass import break_glass
from modseal.host.change import Change
from modseal.host.depots import install_from
from modseal.host.learned import keep_recalls
from modseal.host.settings import set_level
from modseal.host.verify import verify
from modseal.trust.examination import Verdict

CHANGES = (*faults.CHANGES, "link", "unlink", "rmdir", "ftruncate", "sync")
MANY = 1000
"""More writes than any change here makes."""
EACH = bool(os.environ.get("MODSEAL_EACH_WRITE"))
"""Whether every single write is tried (`make host-system`): it takes minutes. Else every few, others for each job."""


@pytest.fixture(autouse=True)
def every_write_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "CHANGES", CHANGES)
    monkeypatch.setattr(os, "sync", lambda: None)  # all disks of the machine, a hundred times


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A host with three generations, each with a file of its own."""
    host = hosts.host(tmp_path_factory.mktemp("original"))
    host.installed(host.bundle(version="1.0"), host.bundle("other"))
    host.installed(host.bundle(version="2.0"))
    host.bundle("new", files={"opt/new/a": b"a", "opt/new/b": b"b", "opt/new/l": "a"})
    host.bundle(version="3.0")
    host.bundle("driver", kind="vib")
    write_depots(host.root.parent)
    policies.write(host.root.parent, name="stricter.toml", more='[deny]\nnames = ["x"]\n')
    return host


def from_depot(host: Host, name: str) -> Change:
    return install_from(host.root, [Constraint("wanted")], [str(host.root.parent / name)], NOW)


def write_depots(folder: Path) -> None:
    """One from which a module and what it needs are installed; one whose module needs what is nowhere. A recall."""
    lists = [recalls.make(recalls.entry("unknown"))]
    needed = Relationships(depends=(Constraint("needed"),))
    wanted = make("seal", name="wanted", relationships=needed, files={"opt/wanted": b"w"})
    other = make("seal", name="needed", files={"opt/needed": b"n"})
    for name, held in (("depot", (wanted, other)), ("bad", (wanted,))):
        index = signed_depots.index(*held, name=name, recalls=lists)
        signed_depots.write(folder / name, signed_depots.contents(index, held, lists))
    (folder / "a.recall").write_bytes(encode(recalls.make(recalls.entry("nothing"), name="more")))


def refused(host: Host) -> None:
    """What somebody tries who is no controller."""
    with suppress(RefusedError):
        host.set_level(Level.COMMUNITY)


JOBS: dict[str, Callable[[Host], object]] = {
    "install": lambda host: host.install(host.root.parent / "new-1.0.seal"),
    "update": lambda host: host.install(host.root.parent / "acme-agent-3.0.seal", update=True),
    "remove": lambda host: host.remove("other"),
    "rollback": lambda host: host.rollback(),
    "install what waits": lambda host: host.install(host.root.parent / "driver-1.0.vib"),
    "activate": lambda host: host.activate(),
    "acceptance": lambda host: host.set_level(Level.COMMUNITY),
    "install from a depot": lambda host: from_depot(host, "depot"),
    "be refused by a depot": lambda host: from_depot(host, "bad"),
    "keep a recall": lambda host: keep_recalls(host.root, [host.root.parent / "a.recall"], NOW),
    "prune": lambda host: host.prune(1),
    "policy": lambda host: host.set_policy(host.root.parent / "stricter.toml"),
    "lock down": lockdowns.lock,
    "break the glass": lambda host: break_glass(host.root, (host.root.parent / "open.glass").read_bytes(), NOW),
    "be refused": refused,
}


def copy(original: Host, folder: Path, name: str) -> Host:
    """A host of its own, as before the job. Hard links stay what they are."""
    subprocess.run(["cp", "-a", original.root.parent, folder], check=True)
    host = Host(folder / "root")
    if name == "activate":
        host.installed(folder / "driver-1.0.vib")
    if name in ("break the glass", "be refused"):
        lockdowns.lock(host)
        (folder / "open.glass").write_bytes(lockdowns.glass(host))
    return host


def then(host: Host, level: Level) -> None:
    """The next change, by somebody who may make it in strict mode, too."""
    set_level(host.root, level, NOW, actor=lockdowns.actor())


def standing(host: Host) -> object:
    """Everything that holds."""
    with host.store() as store:
        state = store.state
    waits = state.pending and state.pending.number
    policy = state.policy.text
    kept = [one.number for one in state.kept]
    known = [one.name for one in state.depots], state.recalls
    who = state.lockdown.mode, state.event.event
    now = state.level, policy, state.generation.number, waits, kept, known, who
    return host.modules(), host.modules(pending=True), now


@pytest.mark.parametrize("name", JOBS)
def test_a_change_that_is_killed_leaves_the_old_state_or_the_new_one(tmp_path: Path, original: Host, name: str) -> None:
    done = copy(original, tmp_path / "done", name)
    old = standing(done)
    JOBS[name](done)
    new = standing(done)
    assert new != old
    seen = set()
    for number in range(1 + len(name) % 5, MANY, 1 if EACH else 9):
        host = copy(original, tmp_path / str(number), name)
        was_killed = faults.killed(Fault(number, faults.die), lambda host=host: JOBS[name](host))
        found = standing(host)
        assert found in (old, new), number
        assert host.codes() == [], number
        seen.add(found == new)
        if found == old:
            JOBS[name](host)  # what was left behind is in nobody's way
            assert standing(host) == new
        else:
            then(host, Level.COMMUNITY if name != "acceptance" else Level.PARTNER)
        assert host.codes() == []
        require_clean(host)
        shutil.rmtree(host.root.parent)
        if not was_killed:
            break
    else:
        pytest.fail("it never came to an end")
    assert seen == {False, True}
    assert number > 10


@pytest.mark.parametrize("action", [NO_SPACE, BROKEN], ids=["no space", "broken"])
@pytest.mark.parametrize("name", JOBS)
def test_a_change_that_fails_leaves_everything_as_it_was(tmp_path: Path, original: Host, name: str, action) -> None:
    failures = 0
    for number in range(1 + len(name) % 5, MANY, 1 if EACH else 13):
        host = copy(original, tmp_path / str(number), name)
        before, old = tree(host.root), standing(host)
        fault = Fault(number, action)
        try:
            with faults.injected(fault):
                done = JOBS[name](host)
            failed = isinstance(done, Change) and done.verdict is Verdict.UNDECIDED
        except InputError:
            failed = True
        assert host.codes() == []
        if failed and standing(host) == old:
            failures += 1
            assert tree(host.root) == before, number
        else:  # what failed came after the switch, or does not matter: the next change completes it
            assert standing(host) != old
            then(host, Level.CERTIFIED if host.modules(pending=True) == {} else Level.COMMUNITY)
            require_clean(host)
        shutil.rmtree(host.root.parent)
        if not fault.happened:
            break
    else:
        pytest.fail("it never came to an end")
    assert failures


def require_clean(host: Host) -> None:
    """Nothing is left of the killed run: every object has a link in an image, every record is one of something."""
    store = host.root / "var/lib/modseal"
    assert faults.leftovers(store) == []
    assert [path for path in (store / "objects").rglob("*") if path.is_file() and path.stat().st_nlink == 1] == []
    with host.store() as opened:
        assert sorted(opened.names("generations"), key=int) == [str(one.number) for one in opened.state.kept]
    assert len(list((store / "states").iterdir())) <= 2


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace on this machine")
@pytest.mark.slow
def test_the_kernel_kills_a_real_process_at_its_writes(tmp_path: Path) -> None:
    """The command itself, killed by strace at calls that write, to its end."""
    host = hosts.host(tmp_path)
    bundle = host.bundle()
    calls = (
        "rename,renameat,renameat2,mkdir,mkdirat,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,"
        "fchmod,fsync,sync,ftruncate,write"
    )
    seen = set()
    for number in range(3, MANY, 2 if EACH else 30):
        command = [
            *("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}"),
            *("-e", f"inject={calls}:signal=KILL:when={number}"),
            *(sys.executable, "-B", "-c", "from modseal.cli.main import main; main()"),
            *("host", "install", bundle, "--root", host.root),
        ]
        done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(SOURCE)}, capture_output=True, text=True)
        if "ptrace" in done.stderr:
            pytest.skip(f"strace cannot trace here: {done.stderr.strip()}")
        found = host.modules()
        assert found in ({}, {"acme-agent": "1.0"})
        seen.add(bool(found))
        assert verify(host.root, datetime.now(UTC)).findings == ()
        if found:
            break
    assert seen == {False, True}
