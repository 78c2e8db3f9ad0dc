"""A state on trial: what ends it, and what keeps it."""

from __future__ import annotations

import pytest

from modseal.boot import trial


def test_what_runs_long_enough_is_kept() -> None:
    judge = trial.TrialJudge(100.0)
    assert judge.given_up([]) is None
    assert [judge.is_good(at) for at in (100.0, 109.9, 110.0)] == [False, False, True]


def test_what_does_not_run_ends_it() -> None:
    assert trial.TrialJudge(0.0).given_up(["a-1.0.seal", "nginx"]) == "a-1.0.seal, nginx does not run"


def test_a_machine_without_a_watchdog_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_WATCHDOG", "/nowhere/watchdog")
    assert trial.watchdog() is None
    trial.feed(None)
