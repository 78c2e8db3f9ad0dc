"""How process 1 starts services, reads them and starts them again, whatever they do."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modseal import limits
from modseal.boot import services, supervisor
from modseal.boot.services import Service
from modseal.boot.supervisor import Supervisor

pytestmark = pytest.mark.usefixtures("as_child")


def service(*command: str, restart: bool = True) -> Service:
    return Service("x", "m", command, os.getuid(), frozenset(), {"PATH": "/usr/bin:/bin"}, (), restart)


def run(*all_services: Service, until: int) -> tuple[Supervisor, list[str]]:
    """Steps of a supervisor until so many lines were told, or half a minute has gone."""
    told: list[str] = []
    made = Supervisor(all_services, lambda _, text: told.append(text))
    end = time.monotonic() + 30
    while len(told) < until and time.monotonic() < end:
        made.step()
    return made, told


@pytest.fixture
def as_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """What only process 1 of a host can do to itself: a test must stay what it is. And it has less time."""
    monkeypatch.setattr(services, "limit_to", lambda user, capabilities: None)
    monkeypatch.setattr(supervisor, "_POLL", 0.02)
    monkeypatch.setattr(supervisor, "_PAUSES", (0.01, 0.02))


def test_what_a_service_says_is_told_line_by_line() -> None:
    _, told = run(service("/bin/echo", "-e", "one\\ntwo", restart=False), until=4)
    assert told[0].startswith("started as process")
    assert told[1:3] == ["one", "two"]
    assert told[3] == "ended (0), not started again"


def test_a_service_that_ends_is_started_again_later_each_time() -> None:
    made, told = run(service("/bin/false"), until=5)
    assert [one for one in told if "again" in one][:2] == ["ended (1), again in 0.01 s", "ended (1), again in 0.02 s"]
    assert made.states()[0]["ends"] >= 2


def test_a_service_whose_program_is_not_there_says_so() -> None:
    _, told = run(service("/nowhere/x", restart=False), until=3)
    assert told[1].startswith("cannot start /nowhere/x")
    assert told[2] == "ended (127), not started again"


def test_services_end_before_a_restart_and_are_not_started_again() -> None:
    told: list[str] = []
    made = Supervisor([service("/bin/sleep", "60")], lambda _, text: told.append(text))
    while not made.states()[0]["running"]:
        made.step()
    time.sleep(0.2)  # it becomes its program
    made.stop()
    assert told[-1] == "ended (-15), not started again"
    assert not made.states()[0]["running"]


def print_line(text: bytes) -> None:
    os.write(1, text + b"\n")


def own(run: Callable[[], None]) -> Service:
    return Service("own", "root", (), os.getuid(), frozenset(), {}, (), restart=False, run=run)


def test_a_service_of_the_root_is_a_fork_that_says_and_ends_as_every_other() -> None:
    _, told = run(own(lambda: print_line(b"here")), until=3)
    assert told[1:] == ["here", "ended (0), not started again"]


def test_a_service_of_the_root_that_fails_says_why_and_goes_on_nowhere() -> None:
    def fail() -> None:
        raise ValueError("no way")

    _, told = run(own(fail), until=3)
    assert told[1:] == ["ValueError: no way", "ended (1), not started again"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts are root's")
def test_a_command_sees_what_is_laid_over_and_a_service_of_the_root_never_does(tmp_path: Path) -> None:
    """What the root's own service imports must not be a file of a module."""
    (tmp_path / "name").write_text("the root's\n")
    code = f"""
import os, sys
sys.path[:0] = {sys.path!r}
from modseal.boot import services, supervisor, syscalls
services.limit_to = lambda user, capabilities: None
syscalls.copy_mounts()
syscalls._LIBC.mount(b"none", b"/", None, syscalls.ctypes.c_ulong(0x44000), None)  # private
outside = syscalls.mounts()
syscalls.copy_mounts()
syscalls.mount("none", {str(tmp_path)!r}, "tmpfs")
open({str(tmp_path / "name")!r}, "w").write("a module's\\n")
inside = syscalls.mounts()
syscalls.enter_mounts(outside)
said, name = [], {str(tmp_path / "name")!r}
made = supervisor.Supervisor([
    services.Service("a", "m", ("/bin/cat", {str(tmp_path / "name")!r}), 0, frozenset(), {{}}, (), False),
    services.Service("b", "root", (), 0, frozenset(), {{}}, (), False, run=lambda: print(open(name).read())),
], lambda name, text: said.append((name, text)), inside)
while not all(one["ends"] for one in made.states()):
    made.step()
print(sorted(one for one in said if "the" in one[1] or "module" in one[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == str([("a", "a module's"), ("b", "the root's")]), done.stdout + done.stderr


def test_a_service_that_ends_is_trouble_and_one_that_is_done_is_not() -> None:
    made = Supervisor([service("/bin/true", restart=False), service("/bin/false")], lambda *_: None)
    while not all(one["ends"] for one in made.states()):
        made.step()
    assert made.troubled() == ["x"]


def until(made: Supervisor, done: Callable[[], bool]) -> None:
    """Steps until something is so, or half a minute has gone."""
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        made.step()


def descriptors() -> int:
    gc.collect()  # what other tests have left open
    return len(os.listdir("/proc/self/fd"))


def test_what_a_service_leaves_behind_in_its_group_ends_with_it() -> None:
    """A worker that goes on would keep the service's port, and what is started again could not have it."""
    told: list[str] = []
    shell = service("/bin/sh", "-c", "sleep 60 & echo $!; exit 0", restart=False)
    made = Supervisor([shell], lambda _, text: told.append(text))
    until(made, lambda: bool(made.states()[0]["ends"]))
    status = Path(f"/proc/{told[1]}/status")
    until(made, lambda: not status.exists() or "State:\tZ" in status.read_text())


def test_a_child_that_keeps_the_output_of_its_service_costs_nothing() -> None:
    """It has a session of its own, and so is not of the service's group."""
    made = Supervisor([service("/bin/sh", "-c", "setsid sleep 5 & sleep 0.1")], lambda *_: None)
    before = descriptors()
    until(made, lambda: made.states()[0]["ends"] > 2 and made.states()[0]["running"])
    assert descriptors() == before + 1
    assert len(made._outputs.get_map()) == 1


def test_a_service_that_closes_its_output_goes_on() -> None:
    told: list[str] = []
    made = Supervisor(
        [service("/bin/sh", "-c", "echo x; exec >&- 2>&-; exec sleep 60")], lambda _, text: told.append(text)
    )
    until(made, lambda: not made._outputs.get_map() and "x" in told)
    assert made.states()[0]["running"]
    made.stop()
    assert told[-1] == "ended (-15), not started again"


def test_the_last_words_are_told_though_no_line_ends() -> None:
    _, told = run(service("/bin/sh", "-c", "head -c 9000 /dev/zero | tr '\\0' x; printf why", restart=False), until=5)
    assert "".join(told[1:-1]) == "x" * 9000 + "why"
    assert told[-1] == "ended (0), not started again"


def test_a_service_that_says_too_much_leaves_room_for_the_others() -> None:
    told: list[str] = []
    made = Supervisor([service("/bin/sh", "-c", "seq 3000; exit 1", restart=False)], lambda _, text: told.append(text))
    until(made, lambda: bool(made.states()[0]["ends"]))
    left = 3000 - limits.SERVICE_LINES
    assert told[1 : limits.SERVICE_LINES + 1] == [str(one + 1) for one in range(limits.SERVICE_LINES)]
    assert told[-2:] == [f"said too much: {left} lines are left out", "ended (1), not started again"]


def test_a_service_that_writes_without_end_does_not_keep_others_waiting() -> None:
    told: list[tuple[str, str]] = []
    loud = service("/bin/sh", "-c", "exec yes")
    made = Supervisor([loud, service("/bin/echo", "here", restart=False)], lambda *one: told.append(one))
    until(made, lambda: ("x", "here") in told)
    made.stop()
    assert not made.states()[0]["running"]


def test_what_cannot_be_started_now_is_started_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with all of the processes, or of the memory, keeps process 1 from starting one."""
    told: list[str] = []
    made = Supervisor([service("/bin/sleep", "60")], lambda _, text: told.append(text))
    before = descriptors()
    with monkeypatch.context() as without:
        without.setattr(supervisor.os, "fork", lambda: os.open("/nowhere", os.O_RDONLY))
        made.step()
        assert made.troubled() == ["x"]
    assert told[0].startswith("cannot be started: ")
    assert told[0].endswith(", again in 0.01 s")
    assert (descriptors(), [*made._outputs.get_map()]) == (before, [])
    until(made, lambda: bool(made.states()[0]["running"]))
    made.stop()


def test_ends_of_what_nobody_knows_are_noted_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orphans come to process 1. Whoever makes them without end must not keep it from all else."""
    monkeypatch.setattr(supervisor, "_REAPED", 3)
    made = Supervisor([], lambda *_: None)
    children = [subprocess.Popen(["/bin/true"]) for _ in range(4)]
    for one in children:
        os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)
    assert not made.step()
    assert sum(Path(f"/proc/{one.pid}").exists() for one in children) == 1
    monkeypatch.setattr(supervisor, "_POLL", 60)
    made.step()  # at once: there are more
    assert not any(Path(f"/proc/{one.pid}").exists() for one in children)
    for one in children:
        one.returncode = 0


def test_a_program_has_the_signals_that_it_expects() -> None:
    """Python ignores some, and process 1 one more; a program inherits what is ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _, told = run(service("/bin/grep", "SigIgn", "/proc/self/status", restart=False), until=3)
    finally:
        signal.signal(signal.SIGINT, before)
    ignored = int(told[1].split()[1], 16)
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        assert not ignored >> (number - 1) & 1
