"""The process around a command: closed or narrow streams, signals, a full disk."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from builders.bundles import make
from builders.pki import NOW
from builders.policies import trusting
from builders.transcript import SOURCE
from modseal.bundle.extract import extract
from modseal.errors import InputError
from modseal.files.staging import StagingFolder

MAIN = "from modseal.cli.main import main; main()"
ENVIRON = {**os.environ, "PYTHONPATH": str(SOURCE)}


@pytest.mark.parametrize("closing", [">&-", ">&- 2>&-", "2>&-"])
def test_a_closed_stream_changes_no_exit_status(closing: str, tmp_path: Path) -> None:
    (tmp_path / "a.seal").write_bytes(make("seal").data)
    command = f"exec '{sys.executable}' -c '{MAIN}' verify a.seal --policy strict {closing}"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=ENVIRON, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr


def test_a_text_that_the_terminal_cannot_show_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "a.seal").write_bytes(make("seal", summary="漢字").data)
    command = [sys.executable, "-c", MAIN, "inspect", "a.seal"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**ENVIRON, "PYTHONIOENCODING": "latin-1"}, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\u6f22\u5b57" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_ended_by_a_signal_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "a.seal").write_bytes(make("seal", files={"f": os.urandom(1 << 20)}).data)
    slow = (
        "import time; from modseal.bundle.extract import TreeWriter; "
        "TreeWriter.end = lambda *_: (print('writing', flush=True), time.sleep(30)); "
    )
    command = [sys.executable, "-c", slow + MAIN, "extract", "a.seal", "-C", "out", "--unverified"]
    process = subprocess.Popen(command, cwd=tmp_path, env=ENVIRON, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        assert len(list(tmp_path.iterdir())) == 2  # the bundle and the staging folder
        start = time.monotonic()
        process.send_signal(number)
        process.wait(timeout=10)
    assert process.returncode == 128 + number
    assert time.monotonic() - start < 5
    assert [each.name for each in tmp_path.iterdir()] == ["a.seal"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (signal.SIGTERM, signal.SIGHUP),
        (signal.SIGHUP, signal.SIGTERM),
        (signal.SIGTERM, signal.SIGINT),
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGINT, signal.SIGTERM),
    ],
)
def test_a_command_that_is_ended_by_two_signals_leaves_nothing_behind(
    first: signal.Signals, second: signal.Signals, tmp_path: Path
) -> None:
    """As a terminal, or a service manager, sends them: the second one comes while it cleans up."""
    (tmp_path / "a.seal").write_bytes(make("seal").data)
    slow = (
        "import signal, time; from modseal.bundle.extract import TreeWriter; from modseal.files import folder; "
        "empty = folder.empty; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "say = lambda what, long: (print(what, flush=True), time.sleep(long)); "
        "TreeWriter.end = lambda *_: say('writing', 30); "
        "folder.empty = lambda one: (say('cleaning', 1), empty(one)); "
    )
    command = [sys.executable, "-c", slow + MAIN, "extract", "a.seal", "-C", "out", "--unverified"]
    with subprocess.Popen(command, cwd=tmp_path, env=ENVIRON, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for number, said in ((first, b"writing\n"), (second, b"cleaning\n")):
            assert process.stdout.readline() == said
            process.send_signal(number)
        process.wait(timeout=20)
    assert process.returncode == 128 + (second if first is signal.SIGINT else first)
    assert [each.name for each in tmp_path.iterdir()] == ["a.seal"]


def test_a_full_disk_is_said_of_the_folder_that_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.seal"
    path.write_bytes(make("seal").data)

    def full(_descriptor: int, _data: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(InputError, match=r"out: No space left on device"):
        extract(path, tmp_path / "out", trusting(), NOW)
    assert [each.name for each in tmp_path.iterdir()] == ["a.seal"]


def test_the_staging_folder_is_usable_under_any_umask(tmp_path: Path) -> None:
    path = tmp_path / "a.seal"
    path.write_bytes(make("seal").data)
    before = os.umask(0o777)
    try:
        staged = StagingFolder(tmp_path / "out")
        [folder] = tmp_path.glob(".modseal-*")
        mode = stat.S_IMODE(folder.stat().st_mode)
        staged.__exit__(None, None, None)
    finally:
        os.umask(before)
    assert mode == 0o700
    assert [each.name for each in tmp_path.iterdir()] == ["a.seal"]
