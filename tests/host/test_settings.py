"""The acceptance level and the policy of a host, and the log of what was done to it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from builders import hosts
from builders.hosts import Host, tree
from builders.pki import NOW
from modseal.errors import RefusedError, UndecidedError
from modseal.format.level import Level
from modseal.host import change, documents, event_log
from modseal.trust.examination import Verdict


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return hosts.host(tmp_path)


def log_of(host: Host) -> Path:
    return host.root / "var/lib/modseal/log.jsonl"


def broken(host: Host) -> int:
    """The line at which the log is found to be broken; `verify` finds it, too."""
    with host.store() as store, pytest.raises(RefusedError) as error:
        list(event_log.events(store))
    assert error.value.failure.code == "log-broken"
    assert "log-broken" in host.codes()
    return int(error.value.failure.evidence["line"] or 0)


def test_the_level_is_the_minimum_of_the_policy_until_it_is_set(host: Host) -> None:
    with host.store() as store:
        assert store.state.level is Level.PARTNER
    assert host.set_level(Level.ACCEPTED) is Level.PARTNER
    with host.store() as store:
        assert store.state.level is Level.ACCEPTED


def test_the_level_is_not_raised_above_what_is_installed(host: Host) -> None:
    host.installed(host.bundle("low"), host.bundle("lower"), host.bundle("high", level=Level.CERTIFIED))
    before = tree(host.root)
    with pytest.raises(RefusedError, match=r"low 1\.0 \(partner\), lower 1\.0 \(partner\)") as error:
        host.set_level(Level.ACCEPTED)
    assert error.value.failure.code == "level-in-use"
    assert tree(host.root) == before
    host.remove("low", "lower")
    host.set_level(Level.CERTIFIED)
    host.set_level(Level.COMMUNITY)


def test_a_module_that_waits_counts_for_the_level(host: Host) -> None:
    host.installed(host.bundle("driver", kind="vib"))
    with pytest.raises(RefusedError, match="driver"):
        host.set_level(Level.CERTIFIED)


def test_a_policy_that_withdraws_a_module_is_set_and_verify_finds_the_module(host: Host) -> None:
    host.installed(host.bundle("bad"), host.bundle("good"))
    assert host.codes() == []
    assert host.set_policy(more='[deny]\nnames = ["bad"]\n') == ("bad",)
    found = host.verify()
    assert [(one.module, one.failure.code) for one in found.findings] == [("bad", "denied")]
    assert found.verdict is Verdict.REJECTED
    assert [failure.code for failure in host.install(host.bundle("more")).failures] == ["denied"]
    assert host.remove("bad").verdict is Verdict.ACCEPTED
    assert host.codes() == []


def test_the_policy_is_kept_with_the_files_that_it_names(host: Host) -> None:
    for name in ("policy.toml", "root.pem"):
        (host.root.parent / name).unlink()
    host.installed(host.bundle())
    assert host.codes() == []


def test_every_change_is_an_event(host: Host) -> None:
    host.installed(host.bundle())
    host.set_level(Level.COMMUNITY)
    host.set_policy(more='[deny]\nnames = ["x"]\n')
    host.rollback()
    lines = [json.loads(line) for line in log_of(host).read_bytes().splitlines()]
    assert [line["event"] for line in lines] == ["init", "install", "acceptance", "policy", "rollback"]
    assert [line["number"] for line in lines] == list(range(5))
    assert all(line["by"]["uid"] and line["time"] == "2026-01-01T00:00:00Z" for line in lines)
    assert {**lines[2]["facts"], "state": ""} == {"from": "partner", "to": "community", "state": ""}
    assert lines[3]["facts"]["from"] != lines[3]["facts"]["to"]
    with host.store() as store:
        assert len(list(event_log.events(store))) == 5


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_changed_line_of_the_log_is_found(host: Host, number: int) -> None:
    host.installed(host.bundle("one"))
    host.installed(host.bundle("two"))
    lines = log_of(host).read_bytes().splitlines(keepends=True)
    lines[number] = lines[number].replace(b"2026-01-01", b"2025-01-01")
    log_of(host).write_bytes(b"".join(lines))
    assert broken(host) == min(number + 2, 4 if number == 2 else 3)


@pytest.mark.parametrize(
    "change_lines",
    [
        lambda lines: lines[1:],
        lambda lines: [lines[0], *lines[2:]],
        lambda lines: lines[:1],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [*lines[:-1], lines[-1][:-9]],
        lambda lines: [*lines[:2], b"{}\n", *lines[2:]],
    ],
    ids=["first", "middle", "end", "twice", "order", "cut", "stranger"],
)
def test_a_log_that_is_not_whole_is_found(host: Host, change_lines) -> None:
    for name in ("one", "two", "three"):
        host.installed(host.bundle(name))
    lines = log_of(host).read_bytes().splitlines(keepends=True)
    log_of(host).write_bytes(b"".join(change_lines(lines)))
    if change_lines(lines)[:-1] == lines[:-1] and len(change_lines(lines)) == len(lines):
        assert host.codes() == []  # what a killed run leaves: the newest event is in the state, too
        host.set_level(Level.COMMUNITY)
        assert log_of(host).read_bytes().startswith(b"".join(lines))
        assert host.codes() == []
    else:
        broken(host)
        host.set_level(Level.COMMUNITY)  # it keeps nobody from changing the host
        broken(host)


def test_a_state_that_no_event_tells_of_is_found(host: Host) -> None:
    """Who can write to the store could go back to an old generation, and be seen by nobody."""
    host.installed(host.bundle(version="1.0"))
    host.installed(host.bundle(version="2.0"))
    with host.store() as store:
        path = store.path / store.state_name / "state.json"
        old = store.state.kept[1]
        path.chmod(0o600)
        path.write_bytes(documents.encode(replace(store.state, generation=old)))
    assert host.modules() == {"acme-agent": "1.0"}
    assert host.codes() == ["installed-link", "log-broken"]  # the state's own link still leads to the newer image


def test_a_clock_that_was_set_back_decides_nothing(host: Host) -> None:
    host.installed(host.bundle())
    with pytest.raises(UndecidedError) as error:
        change.install(host.root, [host.bundle("other")], NOW - timedelta(seconds=1))
    assert error.value.failure.code == "clock-set-back"
