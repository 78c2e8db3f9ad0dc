"""Whose opens are taken for those of an interpreter, and what the kernel has to show for it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from modseal.host import stacks, starts
from modseal.host.guard_content import GuardedContents
from modseal.host.guard_looks import Looks
from modseal.host.stacks import NotWaitingYet, is_opened_for_another, is_starting, require_stacks
from modseal.host.starts import FileId, Start, Starts

pytestmark = pytest.mark.skipif(not Path("/proc/self/stack").exists(), reason="this kernel has no /proc/PID/stack")

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to see a stack of the kernel")
SCRIPT: FileId = (1, 1)


def own_program() -> int:
    return os.open("/proc/self/exe", os.O_PATH)


def see(found: Starts) -> None:
    awaited = found.has_started(os.getpid())
    assert awaited
    found.see_start(os.getpid(), awaited)


def start(*scripts: FileId) -> Start:
    return Start(0.0, "/bin/sh", scripts, 0)


def another_thread() -> int:
    """The number of a thread of this process that is not its first. It has ended, and the numbers stay apart."""
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(threading.get_native_id()))
    thread.start()
    thread.join()
    while os.path.exists(f"/proc/self/task/{found[0]}"):
        time.sleep(0.001)
    return found[0]


def test_what_the_first_thread_opens_counts_for_nothing_until_the_interpreter_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """execve gives a thread the number of its process's first one, which could open the script in its place."""
    monkeypatch.setattr(starts, "process_of", lambda _: os.getpid())
    found = Starts()
    found.await_scripts(another_thread(), "sh", own_program(), start(SCRIPT))
    found.opened(os.getpid(), SCRIPT, time.monotonic())
    assert found.awaits(os.getpid())
    earlier = time.monotonic()
    see(found)
    found.opened(os.getpid(), SCRIPT, earlier)  # the guard was asked before it saw that the interpreter runs
    assert found.awaits(os.getpid())
    found.opened(os.getpid(), SCRIPT, time.monotonic())
    assert not found.any_awaited()


def test_every_thread_of_an_interpreter_is_awaited() -> None:
    found = Starts()
    found.await_scripts(os.getpid(), "sh", own_program(), start(SCRIPT))
    seen: list[bool] = []
    thread = threading.Thread(target=lambda: seen.append(found.awaits(threading.get_native_id())))
    thread.start()
    thread.join()
    assert seen == [True]


def test_a_process_that_runs_another_program_is_not_the_interpreter(tmp_path: Path) -> None:
    found = Starts()
    found.await_scripts(os.getpid(), "sh", os.open(tmp_path, os.O_PATH), start(SCRIPT))
    assert not found.awaits(os.getpid())
    assert found.any_awaited()


def test_python_opens_the_first_script_twice_and_each_further_one_once() -> None:
    found = Starts()
    found.await_scripts(os.getpid(), "python3.11", own_program(), start(SCRIPT, (2, 2)))
    see(found)
    for file in (SCRIPT, (3, 3), (2, 2)):
        found.opened(os.getpid(), file, time.monotonic())
        assert found.awaits(os.getpid())
    found.opened(os.getpid(), SCRIPT, time.monotonic())
    assert not found.any_awaited()


def test_who_has_ended_is_awaited_no_longer() -> None:
    found = Starts()
    with subprocess.Popen([shutil.which("true") or "true"]) as process:
        found.await_scripts(process.pid, "sh", own_program(), start(SCRIPT))
    found.forget_the_dead()
    assert not found.any_awaited()


@ROOT
def test_a_thread_that_waits_for_something_else_is_not_taken_for_one_that_waits_for_the_guard() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        with pytest.raises(NotWaitingYet):
            is_opened_for_another(process.pid)
        process.kill()


def test_a_guard_that_is_shown_no_stacks_does_not_start() -> None:
    code = "from modseal.host.stacks import require_stacks; require_stacks()"
    nobody = ["setpriv", "--reuid", "65534", "--bounding-set", "-all"] if os.geteuid() == 0 else []
    done = subprocess.run([*nobody, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "why a file is opened" in done.stderr
    if os.geteuid() == 0:
        require_stacks()


def test_an_interpreter_that_has_not_been_given_its_arguments_yet_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """execve exchanges the program first, and closes files before it writes the arguments, which can last."""
    found = Starts()
    found.await_scripts(os.getpid(), "sh", own_program(), start(SCRIPT))
    given, text_of = [""], starts.text_of
    monkeypatch.setattr(starts, "text_of", lambda path: given[-1] if path.endswith("/cmdline") else text_of(path))
    assert found.is_unsafe(os.getpid()) is None
    given.append("/bin/sh\0-c\0")
    assert found.is_unsafe(os.getpid())
    given.append("/bin/sh\0script\0")
    assert found.is_unsafe(os.getpid()) is False


@ROOT
def test_a_start_that_failed_is_awaited_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """execve fails after the interpreter was let start where its loader is not there. Its process can live for ever."""
    found = Starts()
    with subprocess.Popen(["sleep", "60"]) as process:
        found.await_scripts(process.pid, "sh", own_program(), start(SCRIPT))
        while not (failed := found.failed(process.pid)):
            time.sleep(0.01)
        monkeypatch.setattr(starts, "is_starting", lambda thread: thread == process.pid)
        assert not found.failed(process.pid)  # the number of a thread can have become that of its process by now
        found.await_scripts(process.pid, "sh", own_program(), start(SCRIPT))
        found.await_no_more(process.pid, failed)  # it has started another one since
        assert found.any_awaited()
        monkeypatch.undo()
        while not (failed := found.failed(process.pid)):
            time.sleep(0.01)
        found.await_no_more(process.pid, failed)
        assert not found.any_awaited()
        process.kill()


@ROOT
def test_an_interpreter_that_runs_is_awaited_wherever_it_is_by_now() -> None:
    found = Starts()
    found.await_scripts(os.getpid(), "sh", own_program(), start(SCRIPT))
    assert not found.failed(os.getpid())


def test_starts_without_an_end_are_looked_at_in_turn_and_the_newest_always(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Starts()
    monkeypatch.setattr(starts, "process_of", lambda thread: thread)
    everyone = range(1, 10 * starts._AT_ONCE)
    for process in everyone:
        found.await_scripts(process, "sh", own_program(), start(SCRIPT))
    seen = set()
    for _ in range(10):
        looked_at = set(found.starting())
        assert len(looked_at) <= 2 * starts._AT_ONCE
        assert looked_at >= set(everyone[-starts._AT_ONCE :])
        seen |= looked_at
    assert seen == set(everyone)


def test_where_too_many_files_are_open_nothing_counts_as_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody can have the guard open as many as it may: by programs that all wait at the same time."""
    found = Starts()
    found.await_scripts(os.getpid(), "sh", own_program(), start(SCRIPT))
    looks = Looks(found, GuardedContents(), Mock(), audit=True, libraries=False)
    many = Mock(side_effect=OSError(errno.EMFILE, "too many open files"))
    monkeypatch.setattr(starts, "text_of", many)
    monkeypatch.setattr(stacks, "text_of", many)
    monkeypatch.setattr(starts, "_program", lambda _: None)
    assert looks.starting([os.getpid()]) == [os.getpid()]
    assert looks.end_if_unsafe(os.getpid()) is None
    assert looks.failed(os.getpid()) is None
    for call in (starts.process_of, found.may_await, found.failed, is_starting):
        with pytest.raises(OSError, match="too many"):
            call(os.getpid())
    monkeypatch.setattr(starts, "is_starting", lambda _: False)
    monkeypatch.setattr(starts, "_has_ended", lambda _: False)
    assert found.failed(os.getpid()) is None
