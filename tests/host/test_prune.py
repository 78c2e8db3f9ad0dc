"""Pruning: old generations go, with what only they have, and nothing that is needed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builders import hosts
from builders.hosts import LIVE, Host, tree
from modseal import limits
from modseal.errors import RefusedError
from modseal.host import event_log


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Generations 0 to 5; all but the first have a version of one module."""
    host = hosts.host(tmp_path)
    for number in range(1, 6):
        host.installed(host.bundle(version=f"{number}.0"))
    return host


def objects(host: Host) -> set[bytes]:
    """The contents that the store has."""
    store = host.root / "var/lib/modseal/objects"
    return {path.read_bytes() for path in store.rglob("*") if path.is_file()}


def folders(host: Host) -> list[str]:
    return sorted(os.listdir(host.root / "var/lib/modseal/generations"), key=int)


def test_the_newest_stay_and_the_files_of_the_others_go(host: Host) -> None:
    assert b"acme-agent 1.0" in objects(host)
    assert host.prune(3) == ([0, 1, 2], [3, 4, 5])
    assert folders(host) == ["3", "4", "5"]
    assert {one for one in objects(host) if one.startswith(b"acme")} == {
        b"acme-agent 3.0",
        b"acme-agent 4.0",
        b"acme-agent 5.0",
    }
    assert host.codes() == []


def test_a_file_that_a_kept_generation_has_stays(tmp_path: Path) -> None:
    host = hosts.host(tmp_path)
    for version in ("1.0", "2.0", "3.0"):
        host.installed(host.bundle(version=version, files={"opt/same": b"same", "opt/own": version.encode()}))
    host.prune(1)
    assert objects(host) == {b"same", b"2.0", b"3.0", b"ID=_any\n"}
    assert host.codes() == []
    host.rollback()
    assert host.codes() == []


def test_records_that_only_old_generations_have_go(host: Host) -> None:
    records = host.root / "var/lib/modseal/records"
    before = len([path for path in records.rglob("*") if path.is_file()])
    host.prune(1)
    assert len([path for path in records.rglob("*") if path.is_file()]) < before
    host.rollback()
    assert host.codes() == []


def test_the_active_one_and_its_way_back_always_stay(host: Host) -> None:
    host.rollback(2)
    assert host.prune(1) == ([0, 3, 4], [1, 2, 5])
    host.rollback()
    assert host.modules() == {"acme-agent": "1.0"}
    assert host.codes() == []


def test_the_one_that_waits_stays_and_so_does_the_way_back_from_it(host: Host) -> None:
    host.installed(host.bundle("driver", kind="vib"))
    assert host.prune(1) == ([0, 1, 2, 3], [4, 5, 6])
    host.activate()
    host.rollback()
    assert host.modules(pending=True) == {"acme-agent": "5.0"}
    assert host.codes() == []


def test_a_pruned_generation_is_no_place_to_go_back_to(host: Host) -> None:
    host.prune(1)
    with pytest.raises(RefusedError, match="there is no generation 2"):
        host.rollback(2)


def test_a_dry_run_says_the_same_and_changes_nothing(host: Host) -> None:
    before = tree(host.root)
    said = host.prune(2, dry_run=True)
    assert tree(host.root) == before
    assert host.prune(2) == said
    assert host.prune(2) == ([], [4, 5])


def test_the_log_says_it_and_keeps_its_chain(host: Host) -> None:
    host.prune(1)
    with host.store() as store:
        newest = list(event_log.events(store))[-1]
    assert (newest.event, newest.facts["removed"]) == ("prune", "0, 1, 2, 3")
    host.prune(1)
    with host.store() as store:
        assert list(event_log.events(store))[-1] == newest


def test_a_number_is_never_given_twice(host: Host) -> None:
    host.rollback(1)
    host.prune(1)
    assert host.installed(host.bundle(version="9.0")).generation == 6


def test_every_change_keeps_no_more_than_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HOST_GENERATIONS", 3)
    host = hosts.host(tmp_path)
    for number in range(1, 6):
        host.installed(host.bundle(version=f"{number}.0", kind="vib", vib=LIVE))
    assert folders(host) == ["3", "4", "5"]
    with host.store() as store:
        assert list(event_log.events(store))[-1].facts["pruned"] == "2"
    assert host.codes() == []


def test_a_generation_that_the_state_does_not_name_counts_nowhere(host: Host) -> None:
    """Somebody puts the folder of an old generation back."""
    store = host.root / "var/lib/modseal/generations"
    os.rename(store / "1", host.root / "aside")
    host.prune(1)
    os.rename(host.root / "aside", store / "1")
    with pytest.raises(RefusedError):
        host.rollback(1)
    host.remove("acme-agent")
    assert folders(host) == ["4", "5", "6"]
