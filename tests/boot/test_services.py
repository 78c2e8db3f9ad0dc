"""Services of modules: what their files may say, and how process 1 starts them, reads them and starts them again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modseal.boot import services
from modseal.boot.services import Service, Supervisor

GOOD = 'schema = "modseal/service@1"\ncommand = ["/usr/bin/run", "-x"]\n'


def found(folder: Path, text: str) -> tuple[list[Service], list[str]]:
    place = folder / "usr/lib/modseal/services"
    place.mkdir(parents=True, exist_ok=True)
    (place / "run.toml").write_text(text)
    made, failures = services.services_of(str(folder), "acme")
    return made, [one.detail for one in failures]


def test_a_service_that_says_little_gets_little(tmp_path: Path) -> None:
    (one,), failures = found(tmp_path, GOOD)
    assert not failures
    assert (one.name, one.module, one.command) == ("run", "acme", ("/usr/bin/run", "-x"))
    assert (one.user, one.capabilities, one.environment) == (65534, frozenset(), {"PATH": "/usr/bin"})


def test_a_module_without_services_has_none(tmp_path: Path) -> None:
    assert services.services_of(str(tmp_path), "acme") == ([], [])


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ('capabilities = ["mac_admin"]', "no service has mac_admin"),
        ('capabilities = ["everything"]', "no capability"),
        ('folders = ["/run/../etc"]', "a folder of /run"),
        ('folders = ["/usr/x"]', "a folder of /run"),
        ('shell = "sh"', "unknown key"),
        ("user = -1", "0 to"),
        ("command = 5", "must be an array"),
        ("[", "run.toml:"),
    ],
)
def test_what_a_service_may_not_say_is_named(tmp_path: Path, more: str, why: str) -> None:
    text = GOOD if not more.startswith("command") else GOOD.splitlines()[0] + "\n"
    made, failures = found(tmp_path, f"{text}{more}\n")
    assert not made
    assert why in failures[0]


def test_a_program_is_named_by_its_absolute_path(tmp_path: Path) -> None:
    assert "absolute" in found(tmp_path, GOOD.replace("/usr/bin/run", "run"))[1][0]


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
    """What only process 1 of a host can do to itself: a test must stay what it is."""
    monkeypatch.setattr(services, "limit_to", lambda user, capabilities: None)


@pytest.mark.usefixtures("as_child")
def test_what_a_service_says_is_told_line_by_line() -> None:
    _, told = run(service("/bin/echo", "-e", "one\\ntwo", restart=False), until=4)
    assert told[0].startswith("started as process")
    assert told[1:3] == ["one", "two"]
    assert told[3] == "ended (0), not started again"


@pytest.mark.usefixtures("as_child")
def test_a_service_that_ends_is_started_again_later_each_time() -> None:
    made, told = run(service("/bin/false"), until=5)
    assert [one for one in told if "again" in one][:2] == ["ended (1), again in 1 s", "ended (1), again in 2 s"]
    assert made.states()[0]["ends"] >= 2


@pytest.mark.usefixtures("as_child")
def test_a_service_whose_program_is_not_there_says_so() -> None:
    _, told = run(service("/nowhere/x", restart=False), until=3)
    assert told[1].startswith("cannot start /nowhere/x")
    assert told[2] == "ended (127), not started again"


@pytest.mark.usefixtures("as_child")
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


@pytest.mark.usefixtures("as_child")
def test_a_service_of_the_root_is_a_fork_that_says_and_ends_as_every_other() -> None:
    _, told = run(own(lambda: print_line(b"here")), until=3)
    assert told[1:] == ["here", "ended (0), not started again"]


@pytest.mark.usefixtures("as_child")
def test_a_service_of_the_root_that_fails_says_why_and_goes_on_nowhere() -> None:
    def fail() -> None:
        raise ValueError("no way")

    _, told = run(own(fail), until=3)
    assert told[1:] == ["ValueError: no way", "ended (1), not started again"]


@pytest.mark.usefixtures("as_child")
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts are root's")
def test_a_command_sees_what_is_laid_over_and_a_service_of_the_root_never_does(tmp_path: Path) -> None:
    """What the root's own service imports must not be a file of a module."""
    (tmp_path / "name").write_text("the root's\n")
    code = f"""
import os, sys
sys.path[:0] = {sys.path!r}
from modseal.boot import services, syscalls
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
made = services.Supervisor([
    services.Service("a", "m", ("/bin/cat", {str(tmp_path / "name")!r}), 0, frozenset(), {{}}, (), False),
    services.Service("b", "root", (), 0, frozenset(), {{}}, (), False, run=lambda: print(open(name).read())),
], lambda name, text: said.append((name, text)), inside)
while not all(one["ends"] for one in made.states()):
    made.step()
print(sorted(one for one in said if "the" in one[1] or "module" in one[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == str([("a", "a module's"), ("b", "the root's")]), done.stdout + done.stderr


@pytest.mark.usefixtures("as_child")
def test_a_service_that_ends_is_trouble_and_one_that_is_done_is_not() -> None:
    made = Supervisor([service("/bin/true", restart=False), service("/bin/false")], lambda *_: None)
    while not all(one["ends"] for one in made.states()):
        made.step()
    assert made.troubled() == ["x"]
