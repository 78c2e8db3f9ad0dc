"""What process 1 takes for the time of day."""

from __future__ import annotations

import time

import pytest

from modseal.boot import machine

RELEASED = 1_769_860_800


@pytest.fixture
def set_to(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clock is set to, which is not done here."""
    found: list[float] = []
    monkeypatch.setattr(time, "clock_settime", lambda _, seconds: found.append(seconds))
    return found


def test_a_clock_before_the_root_s_release_is_set_to_that(
    set_to: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(time, "time", lambda: 978_307_200.0)
    machine._now(RELEASED)
    assert set_to == [RELEASED]
    assert "the clock is before the root's release" in capsys.readouterr().out


def test_a_later_one_is_left_alone(set_to: list[float]) -> None:
    assert machine._now(RELEASED).timestamp() <= time.time()
    assert set_to == []
