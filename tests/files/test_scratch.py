"""What is needed only while a command runs is gone afterwards, whatever ends the command."""

from __future__ import annotations

import errno
import shutil
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from modseal.files.scratch import scratch_folder


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def work(error: type[BaseException] | None) -> None:
    with scratch_folder() as place:
        assert place.stat().st_mode & 0o777 == 0o700
        (place / "closed").mkdir()
        (place / "closed/key.pem").write_text("secret")
        (place / "closed").chmod(0o555)
        if error:
            raise error


@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_of_it(temporary: Path, error: type[BaseException] | None) -> None:
    with pytest.raises(error) if error else nullcontext():
        work(error)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit(143)], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt])
def test_signals_while_it_is_removed_end_the_command_and_not_the_removal(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, stop: Any, error: type[BaseException] | None
) -> None:
    remove, signals = shutil.rmtree, [stop, KeyboardInterrupt]

    def interrupted(*given: Any, **named: Any) -> None:
        if signals:
            raise signals.pop()
        remove(*given, **named)

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        work(error)
    assert signals == []
    assert list(temporary.iterdir()) == []


def test_a_tool_that_still_writes_into_it_is_outlasted(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remove, late = shutil.rmtree, ["a", "b"]

    def raced(*given: Any, **named: Any) -> None:
        if late:
            (Path(given[0]) / late.pop()).write_text("late")
            raise OSError(errno.ENOTEMPTY, "Directory not empty")
        remove(*given, **named)

    monkeypatch.setattr(shutil, "rmtree", raced)
    with pytest.raises(SystemExit):
        work(SystemExit)
    assert late == []
    assert list(temporary.iterdir()) == []
