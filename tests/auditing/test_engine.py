"""Engines: the same records in the same order, whoever examines; and what becomes of a worker that dies."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from builders import policies
from builders.audits import folder_of
from builders.deadlines import hurry
from builders.pki import NOW
from modseal.auditing import engine
from modseal.auditing.engine import Processes, Serial, batches
from modseal.auditing.target import FileTarget, Opened
from modseal.errors import FormatError
from modseal.files.identity import Identity
from modseal.policy.sources import load
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return load(str(policies.write(tmp_path)))


def targets(paths: list[Path]) -> list[FileTarget]:
    return [FileTarget(str(path), path.stat().st_size) for path in paths]


@dataclass(frozen=True)
class Deadly:
    """A target that kills the process that opens it."""

    name: str = "deadly"
    size: int = 0
    salt: str = ""

    @contextmanager
    def open(self) -> Iterator[Opened]:
        os.kill(os.getpid(), signal.SIGKILL)
        yield Opened(None, lambda: None)  # type: ignore[arg-type]

    def identity(self) -> Identity | None:
        return None


DEADLINE = 60.0
"""Seconds: far more than an ordinary bundle takes on a busy machine. What takes too long hurries."""


@dataclass(frozen=True)
class Endless:
    """A target that never comes to an end, in code of a library that hears no signal and keeps the interpreter."""

    name: str = "endless"
    size: int = 0

    @contextmanager
    def open(self) -> Iterator[Opened]:
        hurry()
        re.fullmatch("(a*)*b", "a" * 60)
        yield Opened(None, lambda: None)  # type: ignore[arg-type]

    def identity(self) -> Identity | None:
        return None


class InTime(FileTarget):
    """A bundle that is read when next to nothing is left of the deadline."""

    @contextmanager
    def open(self, *, recognised: bool = True) -> Iterator[Opened]:
        with super().open(recognised=recognised) as opened:
            yield opened
        hurry()


@dataclass(frozen=True)
class Slow:
    """A target that takes most of what is left of the deadline, and is not a bundle."""

    name: str
    size: int = 0

    @contextmanager
    def open(self) -> Iterator[Opened]:
        hurry(signal.getitimer(signal.ITIMER_REAL)[0] / 4)
        time.sleep(0.02)
        raise FormatError("not-a-bundle", self.name)
        yield

    def identity(self) -> Identity | None:
        return None


def test_processes_give_the_records_of_one_process_in_the_same_order(tmp_path, policy):
    paths = folder_of(tmp_path / "depot", 7)
    (tmp_path / "depot" / "008.seal").write_bytes(b"broken")
    wanted = targets([*paths, tmp_path / "depot" / "008.seal"])
    serial = list(Serial(policy, NOW).records(wanted))
    assert [record.row.verdict for record in serial] == [Verdict.ACCEPTED] * 7 + [Verdict.REJECTED]
    parallel = list(Processes(policy, NOW, 2).records(wanted))
    plain = [(record.row, record.values, record.findings, record.holds) for record in parallel]
    assert plain == [(record.row, record.values, record.findings, record.holds) for record in serial]


def test_a_worker_that_is_killed_costs_its_own_bundle_the_verdict_and_no_other(tmp_path, policy, monkeypatch):
    monkeypatch.setattr(engine, "BATCH_COUNT", 2)
    paths = folder_of(tmp_path / "depot", 6)
    wanted = [*targets(paths[:3]), Deadly(), *targets(paths[3:])]
    records = list(Processes(policy, NOW, 2).records(wanted))
    assert [record.row.bundle for record in records] == [target.name for target in wanted]
    assert [record.row.verdict for record in records].count(Verdict.ACCEPTED) == 6
    assert [finding.rule for finding in records[3].findings] == ["worker-lost"]


class TestDeadline:
    """Real processes, and a bundle that keeps the library's own code busy: no handler in Python would be heard."""

    def test_ERR_03_a_bundle_that_takes_too_long_is_undecided_and_the_others_go_on(self, tmp_path, policy, monkeypatch):
        monkeypatch.setattr(engine, "BATCH_COUNT", 2)
        paths = folder_of(tmp_path / "depot", 4)
        wanted = [*targets(paths[:2]), Endless(), *targets(paths[2:]), Endless("second")]
        for jobs in (1, 2):
            records = list(Processes(policy, NOW, jobs, deadline=DEADLINE).records(wanted))
            assert [record.row.bundle for record in records] == [target.name for target in wanted]
            assert [record.row.verdict for record in records].count(Verdict.ACCEPTED) == 4
            for record in (records[2], records[5]):
                assert record.row.verdict is Verdict.UNDECIDED
                assert [(found.rule, found.undecided) for found in record.findings] == [("deadline-exceeded", True)]
                assert record.holds is None, "what took too long today may not tomorrow"

    @pytest.fixture
    def none_is_ended(self, monkeypatch):
        """What was under way when a process is ended would be examined once more, and nobody would see it."""
        monkeypatch.setattr(Processes, "_alone", lambda _engine, target: pytest.fail(f"ended: {target.name}"))

    @pytest.mark.usefixtures("none_is_ended")
    def test_each_bundle_has_the_whole_deadline_for_itself(self, policy):
        wanted = [Slow(str(number)) for number in range(8)]
        records = list(Processes(policy, NOW, 1, deadline=DEADLINE).records(wanted))
        assert {found.rule for record in records for found in record.findings} == {"not-a-bundle"}

    @pytest.mark.usefixtures("none_is_ended")
    def test_a_worker_whose_work_is_done_is_not_ended_while_it_waits_for_more(self, tmp_path, policy, monkeypatch):
        monkeypatch.setattr(engine, "BATCH_COUNT", 1)
        paths = folder_of(tmp_path / "depot", 3)

        def finding() -> Iterator[FileTarget | None]:
            for path in paths:
                yield InTime(str(path), path.stat().st_size)
                yield None
                time.sleep(0.4)

        records = Processes(policy, NOW, 1, deadline=DEADLINE).records(finding())
        assert [record.row.verdict for record in records] == [Verdict.ACCEPTED] * 3

    def test_one_job_is_a_process_of_its_own_where_there_is_a_deadline(self, policy):
        assert isinstance(engine.local(policy, NOW, 1), Processes)
        assert isinstance(engine.local(policy, NOW, 1, deadline=0), Serial)

    def test_a_worker_that_was_started_deaf_to_the_alarm_hears_it(self, policy):
        """An ignored or blocked signal is passed on to processes."""
        before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGALRM,))
        try:
            [record] = Processes(policy, NOW, 1, deadline=DEADLINE).records([Endless()])
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGALRM,))
            signal.signal(signal.SIGALRM, before)
        assert [found.rule for found in record.findings] == ["deadline-exceeded"]


def test_several_deadly_bundles_in_a_row_do_not_stop_the_audit(tmp_path, policy, monkeypatch):
    monkeypatch.setattr(engine, "BATCH_COUNT", 1)
    paths = folder_of(tmp_path / "depot", 2)
    wanted = [Deadly(), Deadly("second"), *targets(paths), Deadly("third")]
    records = list(Processes(policy, NOW, 2).records(wanted))
    assert [record.row.verdict for record in records] == [
        Verdict.UNDECIDED,
        Verdict.UNDECIDED,
        Verdict.ACCEPTED,
        Verdict.ACCEPTED,
        Verdict.UNDECIDED,
    ]


def test_records_come_while_targets_are_still_being_found(tmp_path, policy, monkeypatch):
    monkeypatch.setattr(engine, "BATCH_COUNT", 1)
    taken: list[str] = []

    def finding() -> Iterator[FileTarget]:
        for target in targets(folder_of(tmp_path / "depot", 30)):
            taken.append(target.name)
            yield target

    records = Processes(policy, NOW, 2).records(finding())
    next(records)
    assert len(taken) <= 2 * engine.WINDOW + 1
    assert len(list(records)) == 29


def test_a_pause_lets_out_what_is_under_way(tmp_path, policy):
    paths = targets(folder_of(tmp_path / "depot", 2))
    asked: list[int] = []

    def finding() -> Iterator[FileTarget | None]:
        yield paths[0]
        for number in range(1000):
            asked.append(number)
            yield None
        yield paths[1]

    records = Processes(policy, NOW, 2).records(finding())
    next(records)
    assert len(asked) <= 2, "it waited for the next bundle before it gave out the first"
    assert len(list(records)) == 1


def test_batches_are_bounded_in_number_and_size_and_none_is_lost():
    many = [FileTarget(str(number), 1) for number in range(70)]
    large = [FileTarget("large", engine.BATCH_SIZE), FileTarget("after", 1)]
    assert [len(batch) for batch in batches([*many, *large])] == [32, 32, 7, 1]
    assert [target for batch in batches([*many, *large]) for target in batch] == [*many, *large]


def test_an_abandoned_audit_leaves_no_process_behind(tmp_path, policy):
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    if not children.exists():
        pytest.skip("this kernel does not list children")
    others = children.read_text().split()  # of tests before, in the same process
    records = Processes(policy, NOW, 2).records(targets(folder_of(tmp_path / "depot", 3)))
    next(records)
    assert len(children.read_text().split()) > len(others)
    records.close()  # type: ignore[attr-defined]
    assert set(children.read_text().split()) <= set(others)


def test_a_policy_that_was_not_read_from_bytes_stays_in_its_process():
    with pytest.raises(ValueError, match="read from bytes"):
        Processes(policies.trusting(), NOW, 2)


def test_a_worker_that_does_not_hear_sigterm_is_ended_all_the_same(tmp_path, policy, monkeypatch):
    """A worker that has just been forked has a handler of its parent's."""
    real = engine.prepare

    def deaf(*arguments):
        real(*arguments)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    monkeypatch.setattr(engine, "prepare", deaf)
    records = Processes(policy, NOW, 2).records(targets(folder_of(tmp_path / "depot", 9)))
    next(records)
    records.close()  # type: ignore[attr-defined]


def test_a_worker_that_is_killed_half_way_through_its_answer_holds_nothing_up(tmp_path, policy, monkeypatch):
    """What Ctrl-C did once in a hundred audits: the pool's thread waited for the rest of the answer."""
    wanted = targets(folder_of(tmp_path / "depot", 4))
    before = threading.active_count()
    records = Processes(policy, NOW, 1).records(wanted)
    pools: list[Any] = []
    real = engine._kill

    def half(pool):
        """A length of a megabyte, and then nothing: what the killed worker leaves in the pipe."""
        pools.append(pool)
        if pool._result_queue is not None:
            os.write(pool._result_queue._writer.fileno(), (1 << 20).to_bytes(4, "big") + b"begun")
            time.sleep(0.2)  # so that the thread has begun to read it
        real(pool)

    monkeypatch.setattr(engine, "_kill", half)
    next(records)
    records.close()  # type: ignore[attr-defined]
    assert pools
    for _ in range(100):
        if threading.active_count() <= before:
            break
        time.sleep(0.05)
    assert threading.active_count() <= before
