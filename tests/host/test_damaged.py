"""What is damaged of a store is a finding, and hides nothing of what can be checked all the same."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from builders import hosts
from builders.hosts import Host
from builders.pki import NOW
from builders.transcript import run
from modseal.errors import Failure, ModsealError
from modseal.host import index
from modseal.host.store import open_store, record_name
from modseal.host.verify import verify
from modseal.trust.examination import Verdict


@pytest.fixture
def host(tmp_path: Path) -> Host:
    found = hosts.host(tmp_path)
    found.installed(found.bundle())
    found.installed(found.bundle("other"))
    return found


def spoil(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(b"spoilt" + path.read_bytes()[6:])


def record(pick: Callable) -> Callable[[Host], Path]:
    def find(host: Host) -> Path:
        with host.store() as store:
            return store.path / record_name(pick(store))

    return find


def of_module(store) -> object:
    return store.module(next(one.record for one in store.generation(store.newest).modules if one.name == "other"))


def indexed(host: Host) -> Path:
    with open_store(host.root) as store:
        index.rebuild(store, NOW)
    return host.root / "var/lib/modseal/index.sqlite"


def named(name: str) -> Callable[[Host], Path]:
    return lambda host: host.root / "var/lib/modseal" / name


DOCUMENTS = {
    "state": named("states/2/state.json"),
    "generation": named("generations/2/generation.json"),
    "log": named("log.jsonl"),
    "index": indexed,
    "policy": record(lambda store: store.state.policy.text),
    "policy's file": record(lambda store: store.state.policy.files[0][1]),
    "module": record(lambda store: next(one.record for one in store.generation(store.newest).modules[1:])),
    "manifest": record(lambda store: of_module(store).manifest),
    "signature": record(lambda store: of_module(store).signature),
    "decision": record(lambda store: of_module(store).decision),
    "old generation": named("generations/0/generation.json"),
}


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (name, damage)
        for name in DOCUMENTS
        for damage in (spoil, Path.unlink)
        if (name, damage) != ("index", Path.unlink)
    ],
)
def test_a_damaged_document_is_a_finding_among_the_others(host: Host, name: str, damage: Callable) -> None:
    path = DOCUMENTS[name](host)
    assert host.codes() == []
    damage(path)
    alone = host.verify()
    assert alone.verdict is not Verdict.ACCEPTED
    assert alone.findings
    run_path = host.root / "var/lib/modseal/generations/2/image/opt/acme-agent/bin/run"
    run_path.write_bytes(b"acme-agent 6.6")
    found = host.verify()
    named_paths = [(one.failure.code, one.failure.evidence.get("path")) for one in found.findings]
    if name == "generation":
        assert "host-invalid" in [code for code, _ in named_paths]  # nothing says what has to be in the image
    else:
        assert ("installed-changed", "opt/acme-agent/bin/run") in named_paths
        assert found.verdict is Verdict.REJECTED
    assert len(found.findings) > 1


def test_a_generation_that_is_not_the_one_that_was_made_is_looked_at_all_the_same(host: Host) -> None:
    path = host.root / "var/lib/modseal/generations/2/generation.json"
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"2026", b"2025", 1))
    (host.image / "opt/other/bin/run").write_bytes(b"other 6.6")
    assert host.codes() == ["host-invalid", "installed-changed"]


@pytest.mark.parametrize("link", ["nowhere", "states/77", "../elsewhere"])
def test_a_pointer_that_leads_to_no_state_is_a_finding(host: Host, link: str) -> None:
    current = host.root / "var/lib/modseal/current"
    current.unlink()
    current.symlink_to(link)
    found = host.verify()
    assert found.state is None
    assert "host-invalid" in [one.failure.code for one in found.findings]
    assert found.verdict is not Verdict.ACCEPTED


def test_a_store_without_any_state_is_a_finding_too(host: Host) -> None:
    shutil.rmtree(host.root / "var/lib/modseal/states")
    found = host.verify()
    assert (found.generation, found.verdict, found.modules) == (None, Verdict.UNDECIDED, ())
    done = run("host", "verify", "--root", "root", "--at-boot", cwd=host.root.parent)
    assert (done.code, done.out.startswith("host undecided: no generation: host-invalid: ")) == (3, True)


def test_without_a_policy_no_module_is_shown_as_judged(host: Host) -> None:
    spoil(DOCUMENTS["policy"](host))
    found = host.verify()
    assert [one.failure.code for one in found.findings] == ["host-invalid"]
    assert (found.modules, found.verdict) == ((), Verdict.UNDECIDED)


def test_a_store_open_to_others_and_a_clock_that_was_set_back_hide_nothing(host: Host) -> None:
    (host.root / "var/lib/modseal").chmod(0o755)
    (host.image / "opt/other/bin/run").write_bytes(b"other 6.6")
    found = verify(host.root, NOW - timedelta(days=1))
    assert {one.failure.code for one in found.findings} >= {"host-invalid", "clock-set-back", "installed-changed"}


def test_an_index_that_says_something_else_is_a_finding(host: Host) -> None:
    connection = sqlite3.connect(indexed(host))
    with connection:
        connection.execute("UPDATE file SET module = 'another' WHERE path = 'opt/other/bin/run' AND generation = 2")
    connection.close()
    assert host.codes() == ["index-damaged"]
    indexed(host)
    assert host.codes() == []


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/etc/passwd")])
def test_what_is_no_index_is_a_finding_is_not_waited_for_and_is_made_anew(host: Host, make: Callable) -> None:
    make(host.root / "var/lib/modseal/index.sqlite")
    assert host.codes() == ["index-damaged"]
    with open_store(host.root) as store:
        assert [one.module for one in index.owners(store, "opt/other/bin/run", NOW)] == ["other"]
    assert host.codes() == []


def test_a_lost_generation_is_found_shown_and_pruned(host: Host) -> None:
    folder = host.root.parent
    shutil.rmtree(host.root / "var/lib/modseal/generations/0")
    assert host.codes() == ["generation-lost"]
    done = run("host", "history", "--root", "root", cwd=folder)
    assert (done.code, done.err) == (3, "")
    assert done.out.splitlines()[0].startswith("!    0  generation-lost: nobody can go back to generation 0: ")
    assert done.out.splitlines()[-1].startswith("*    2")
    assert host.prune(8) == ([0], [1, 2])
    assert host.codes() == []
    shutil.rmtree(host.root / "var/lib/modseal/generations/1/image")
    assert host.codes() == ["generation-lost"]


def has_flags(path: Path) -> bool:
    """Whether this file system and this user can set them."""
    done = subprocess.run(["chattr", "+a", path], capture_output=True)
    return done.returncode == 0 and subprocess.run(["chattr", "-a", path]).returncode == 0


@pytest.mark.parametrize(
    ("name", "flag", "found"),
    [
        ("generations/2/image/opt/other/bin/run", "i", True),
        ("generations/2/image/opt/other/bin", "a", True),
        ("generations/2/image", "i", True),
        ("generations", "a", True),
        ("states/2/state.json", "i", True),
        (".", "i", True),
        ("log.jsonl", "i", True),
        ("log.jsonl", "a", False),
    ],
)
def test_inode_flags_are_found(host: Host, name: str, flag: str, found: bool) -> None:
    probe = host.root / "probe"
    probe.touch()
    if not shutil.which("chattr") or not has_flags(probe):
        pytest.skip("no inode flags here")
    path = host.root / "var/lib/modseal" / name
    subprocess.run(["chattr", f"+{flag}", path], check=True)
    try:
        codes = host.codes()
    finally:
        subprocess.run(["chattr", f"-{flag}", path], check=True)
    assert codes == (["installed-flag"] if found else [])


def outcome(change: Callable) -> object:
    """A change, or why there is none."""
    try:
        return change()
    except ModsealError as error:
        return error.failure


@pytest.mark.parametrize("flag", ["i", "a"])
def test_what_chattr_has_bound_stops_a_repair_and_a_dry_run_of_it_alike(host: Host, flag: str) -> None:
    store = host.root / "var/lib/modseal"
    if not shutil.which("chattr") or not has_flags(host.image / "opt/other/bin/run"):
        pytest.skip("no inode flags here")
    kept = record(lambda store: next(one.record for one in store.generation(store.newest).modules[1:]))(host)
    bundle = host.root.parent / "other-1.0.seal"
    for where in ("file", "its folder", "its record", "image", "objects", "records", "generations", "states", "."):
        run_path = host.image / "opt/other/bin/run"
        (stored,) = (one for one in store.glob("objects/*/*") if one.samefile(run_path))
        spoil(kept if "record" in where else run_path)
        paths = {"file": run_path, "its folder": stored.parent, "its record": kept, "image": run_path.parent}
        path = paths.get(where, store / where)
        subprocess.run(["chattr", f"+{flag}", path], check=True)
        try:
            tried, done = (outcome(lambda dry_run=one: host.install(bundle, dry_run=dry_run)) for one in (True, False))
        finally:
            subprocess.run(["chattr", f"-{flag}", path], check=True)
        assert tried == done, where
        failures = [done] if isinstance(done, Failure) else done.failures
        code = "io-error" if (where, flag) == (".", "i") else "installed-flag"  # nothing can be staged at all there
        assert {one.code for one in failures} == {code}, where
        host.installed(bundle)
        assert host.codes() == []


def test_what_chattr_has_bound_and_nothing_needs_stops_no_change(host: Host) -> None:
    store = host.root / "var/lib/modseal"
    if not shutil.which("chattr") or not has_flags(store / "log.jsonl"):
        pytest.skip("no inode flags here")
    (store / "objects/00").mkdir(exist_ok=True)
    unused = store / "objects/00/unused.0644"
    unused.touch()
    (store / ".modseal-0123456789abcdef").touch()  # left by a killed run: the next change removes what nothing needs
    spoil(host.image / "opt/other/bin/run")
    subprocess.run(["chattr", "+i", unused, store / "log.jsonl"], check=True)
    bundle = host.root.parent / "other-1.0.seal"
    try:
        assert host.install(bundle, dry_run=True) == host.installed(bundle)
    finally:
        subprocess.run(["chattr", "-i", unused, store / "log.jsonl"], check=True)


def test_what_chattr_has_bound_of_a_module_that_stays_stops_a_change_and_a_dry_run_of_it_alike(host: Host) -> None:
    path = host.image / "opt/other/bin/run"
    if not shutil.which("chattr") or not has_flags(path):
        pytest.skip("no inode flags here")
    bundle = host.bundle("third")
    subprocess.run(["chattr", "+i", path], check=True)
    try:
        tried, done = host.install(bundle, dry_run=True), host.install(bundle)
    finally:
        subprocess.run(["chattr", "-i", path], check=True)
    assert tried == done
    assert [one.code for one in done.failures] == ["installed-flag"]
    host.installed(bundle)


def test_a_name_outside_of_the_store_is_found(host: Host) -> None:
    run_path, outside = host.image / "opt/other/bin/run", host.root / "outside"
    os.link(run_path, outside)
    (found,) = host.verify().findings
    assert (found.module, found.failure.code) == ("other", "installed-shared")
    outside.unlink()
    assert host.codes() == []
    os.link(host.root / "var/lib/modseal/states/2/state.json", outside)
    assert host.codes() == ["installed-shared"]


def test_names_within_the_store_are_its_own(host: Host, tmp_path: Path) -> None:
    """The same content several times in one module, in several generations, and in what a killed run left."""
    files = {f"opt/same/{number}": b"same" for number in range(5)}
    host.installed(host.bundle("same", files=files))
    host.installed(host.bundle("more", files={"opt/more/x": b"same"}))
    left = host.root / "var/lib/modseal/.modseal-0123456789abcdef"
    left.mkdir()
    os.link(host.image / "opt/same/1", left / "1")
    host.rollback()
    assert host.codes() == []
