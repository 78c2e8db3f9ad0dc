"""Limits of the guard, without a kernel: just under, and just over."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from unittest.mock import Mock

import pytest

from builders import hosts
from builders.pki import NOW
from limits.cover import bounds
from modseal import limits
from modseal.files.identity import identity_of
from modseal.host import guard as room
from modseal.host.fanotify import OpenEvent
from modseal.host.guard import Guard
from modseal.host.guard_content import FoundContent
from modseal.host.guard_log import GuardLog
from modseal.host.guard_looks import Examined
from modseal.host.stacks import NotWaitingYet
from modseal.host.starts import Starts

CLOCK = 1_000_000.0


class _Kernel:
    """Takes the answers."""

    def __init__(self) -> None:
        self.descriptor = -1
        self.answers: list[bool] = []

    def answer(self, descriptor: int, *, allow: bool) -> None:
        self.answers.append(allow)


@pytest.fixture
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guard]:
    monkeypatch.setattr(room, "Fanotify", _Kernel)
    host = hosts.host(tmp_path)
    host.installed(host.bundle(files={"opt/run": b"program"}))
    found = Guard(host.root, [], lambda: NOW, StringIO())
    monkeypatch.setattr(room.time, "monotonic", lambda: CLOCK)
    yield found
    found._pool.shutdown()
    found._lookers.shutdown()
    found._sight.close()


def program(folder: Path, content: bytes = b"program", number: int = 0) -> int:
    path = folder / f"program{number}"
    path.write_bytes(content)
    path.chmod(0o755)
    return os.open(path, os.O_RDONLY)


@bounds("GUARD_DEADLINE")
def test_an_answer_is_late_after_so_many_seconds(guard: Guard, tmp_path: Path) -> None:
    guard._active.loaded = None  # it is being proved
    event = OpenEvent(program(tmp_path), os.getpid(), execute=True)
    guard._take(event)
    guard._end_late(CLOCK + limits.GUARD_DEADLINE - 0.01)
    assert guard._kernel.answers == []
    guard._end_late(CLOCK + limits.GUARD_DEADLINE)
    assert guard._kernel.answers == [False]


def test_what_was_late_is_asked_about_no_more(guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread can do something else by now, for as long as it likes."""
    event = OpenEvent(program(tmp_path), os.getpid(), execute=True)
    guard._waiting[event.descriptor] = (event, CLOCK)
    monkeypatch.setattr(guard._looks, "examine", Mock(side_effect=NotWaitingYet))
    guard._examine(Examined(event, None))
    guard._end_late(CLOCK + limits.GUARD_DEADLINE)
    guard._ask_again()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(event.descriptor)


@bounds("GUARD_LEASE_TIME", "GUARD_LEASES")
def test_writers_are_kept_away_for_so_long_and_from_so_many_files(guard: Guard, tmp_path: Path) -> None:
    def run(number: int) -> int:
        descriptor = program(tmp_path, number=number)
        event = OpenEvent(descriptor, os.getpid(), execute=True)
        guard._waiting[descriptor] = (event, CLOCK)
        guard._examine(Examined(event, None))
        return descriptor

    first = run(0)
    contents = guard._contents
    assert not contents.end_leases(CLOCK + limits.GUARD_LEASE_TIME - 0.01)
    for lease in contents.end_leases(CLOCK + limits.GUARD_LEASE_TIME):
        os.fstat(first)
        guard._end_lease(lease)
    assert contents._leases == {}
    for number in range(limits.GUARD_LEASES + 1):
        run(number + 1)
    assert len(contents._leases) == limits.GUARD_LEASES
    contents.end_leases(float("inf"))
    assert guard._kernel.answers == [True] * (limits.GUARD_LEASES + 2)


@bounds("GUARD_LEASE_LONGEST", "GUARD_LEASE_STARTS")
def test_writers_are_kept_away_from_slow_starts_for_so_long_and_from_so_many(
    guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents, descriptor = guard._contents, program(tmp_path)
    content = FoundContent(0, identity=identity_of(os.fstat(descriptor)))
    monkeypatch.setattr("modseal.host.guard_looks.is_starting", lambda _: True)
    threads = [os.getpid()] * (limits.GUARD_LEASE_STARTS - 1) + [threading.get_native_id(), os.getppid()]
    for thread in threads:
        contents.keep(os.dup(descriptor), content, thread)
    os.close(descriptor)
    for now in range(limits.GUARD_LEASE_LONGEST):
        for lease in contents.end_leases(CLOCK + now):
            guard._end_lease(lease)
        (lease,) = contents._leases.values()
        assert list(lease.threads) == threads[1:]
    assert not contents.end_leases(CLOCK + limits.GUARD_LEASE_LONGEST)
    assert not contents._leases


@bounds("GUARD_STARTS")
def test_so_many_threads_are_expected_to_start_an_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_STARTS", 1)
    thread, other = os.getpid(), os.getppid()
    now = CLOCK
    monkeypatch.setattr("modseal.host.starts.time.monotonic", lambda: now)
    starts = Starts(stacks=False)  # nobody waits for a guard here
    starts.expect(other, "/", ())
    now += limits.GUARD_DEADLINE - 1
    starts.expect(thread, "/", ())  # more than the limit, but the first may still come
    assert set(starts._starts) == {thread, other}
    now += 1
    starts.expect(thread, "/", ())
    assert list(starts._starts) == [thread]  # those that did not come in time are gone
    assert starts.take(thread)
    assert not starts.take(thread)
    starts.expect(thread, "/", ())
    now += limits.GUARD_DEADLINE - 0.1
    assert starts.expected(thread)
    now += 0.1
    assert not starts.expected(thread)  # that start has failed by now


@bounds("GUARD_CONTENTS")
def test_so_many_contents_are_remembered(guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid():
        pytest.skip("nothing is remembered of what belongs to somebody else than root")
    monkeypatch.setattr(limits, "GUARD_CONTENTS", 3)
    monkeypatch.setattr("modseal.host.guard_content.is_still", lambda *_: True)  # the files are new
    counts = []
    for number in range(5):
        guard._contents.read(program(tmp_path, b"program", number), os.getpid())
        counts.append(len(guard._contents._found))
    assert counts == [1, 2, 3, 1, 2]


@bounds("GUARD_PROOF_AGE", "GUARD_RETRY", "GUARD_TICK")
def test_a_generation_is_proved_again_after_so_long(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    proofs: list[str] = []
    monkeypatch.setattr(guard._active, "_load", proofs.append)

    def after(seconds: float) -> int:
        monkeypatch.setattr(room.time, "monotonic", lambda: guard._active.loaded.began_at + seconds)
        guard._active._loading = False
        guard._follow_state()
        guard._pool.submit(int).result()
        return len(proofs)

    guard._active.loaded = guard._active.loaded._replace(began_at=CLOCK)
    assert after(limits.GUARD_PROOF_AGE) == 0
    assert after(limits.GUARD_PROOF_AGE + 1) == 1
    monkeypatch.undo()
    monkeypatch.setattr(room.time, "monotonic", lambda: CLOCK)
    monkeypatch.setattr(guard._active, "_prove", lambda: 1 / 0)
    guard._active._load("states/1")
    assert guard._active._fresh.began_at == CLOCK - limits.GUARD_PROOF_AGE + limits.GUARD_RETRY
    assert min(limits.GUARD_RETRY, limits.GUARD_DEADLINE) >= limits.GUARD_TICK


@bounds("GUARD_LOG_LINES")
def test_so_many_lines_wait_for_whoever_reads_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GuardLog, "_run", lambda _self: None)
    log = GuardLog(StringIO(), lambda: NOW)
    for _ in range(limits.GUARD_LOG_LINES):
        log.write("denied")
    assert log.lost == 0
    log.write("denied")
    assert log.lost == 1
