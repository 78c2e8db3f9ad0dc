"""What a service that was killed says of its tasks when it is started again: what the host's own log says."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from builders import served
from builders.pki import NOW
from modseal.errors import InputError
from modseal.host import change, prune, switch, values
from modseal.host.actor import Actor
from modseal.serve import documents, routes
from modseal.serve.broker import PLACE, Broker
from modseal.serve.roles import Caller, Role
from modseal.serve.spec import Clients
from modseal.serve.tasks import Task, Tasks

ANN = Caller("CN=Ann", "key-sha256:" + "0" * 64, Role.OPERATOR)


@pytest.fixture
def one(tmp_path: Path) -> served.Served:
    return served.make(tmp_path)


def restarted(one: served.Served, begun: Task) -> Task:
    broker = Broker(one.host.root, Clients(one.folder / "serve.toml"), 10**6, lambda: NOW)
    broker.recover()
    return Tasks(one.host.root / PLACE / "tasks").get(begun["id"])


def begun(one: served.Served, operation: str, **arguments: str) -> Task:
    with one.host.store() as store:
        before = store.state.event.number
    return Tasks(one.host.root / PLACE / "tasks").begin(operation, arguments, ANN, NOW, before)


def ann(task: Task) -> Actor:
    """Who has asked for a task, as the log has it."""
    return Actor(ANN.key, ANN.name, task["id"])


@pytest.mark.parametrize("word", ["install", "update"])
def test_a_task_that_was_done_is_said_to_be_done(one: served.Served, word: str) -> None:
    if word == "update":
        one.host.installed(one.host.bundle("agent", "1.0"))
    task = begun(one, "install", Action=word)
    change = one.host.install(one.host.bundle("agent", "2.0"), update=word == "update", actor=ann(task))
    found = restarted(one, task)
    assert (found["state"], found["problem"]) == ("done", None)
    assert found["result"] == {**values.change_values(change), "results": []}, "but for the bundles, which are gone"
    assert not documents.DOCUMENTS[values.CHANGE].problems(found["result"])


def test_what_other_tasks_have_done_is_said_as_they_would_have_said_it(one: served.Served) -> None:
    agent, tool = (one.host.bundle(name, "1.0") for name in ("agent", "tool"))
    one.host.installed(agent)
    one.host.installed(tool)
    waiting = one.host.bundle("waits", "1.0", kind="vib")
    for operation, act in (
        ("remove", lambda actor: change.remove(one.host.root, ["tool"], NOW, actor=actor)),
        ("rollback", lambda actor: switch.rollback(one.host.root, None, NOW, actor=actor)),
        ("rollback", lambda actor: switch.rollback(one.host.root, 1, NOW, actor=actor)),
        ("install", lambda actor: one.host.install(waiting, actor=actor)),
        ("activate", lambda actor: switch.activate(one.host.root, NOW, actor=actor)),
        ("prune", lambda actor: prune.prune(one.host.root, 1, NOW, actor=actor)),
    ):
        task = begun(one, operation)
        done = act(ann(task))
        wanted = values.pruned_values(done) if operation == "prune" else {**values.change_values(done), "results": []}
        found = restarted(one, task)
        assert (found["state"], found["result"]) == ("done", wanted), operation


def test_of_two_tasks_of_one_client_the_one_that_was_done_is_the_one_that_is_said_to_be(one: served.Served) -> None:
    first, second = begun(one, "install"), begun(one, "install")
    one.host.install(one.host.bundle("agent", "1.0"), actor=ann(second))
    assert (restarted(one, first)["state"], restarted(one, second)["state"]) == ("failed", "done")


def test_a_task_that_was_not_done_has_the_reason_as_its_document(one: served.Served) -> None:
    task = begun(one, "install", Action="install")
    one.host.installed(one.host.bundle("agent", "2.0"))  # somebody else's
    found = restarted(one, task)
    assert (found["state"], found["result"]) == ("failed", None)
    assert found["problem"]["schema"] == "modseal/host-problem@1"
    assert "as it was before" in found["problem"]["detail"]


def test_a_log_that_is_broken_keeps_no_service_from_starting(one: served.Served) -> None:
    task = begun(one, "remove")
    one.host.installed(one.host.bundle("agent", "1.0"))
    log = one.host.root / "var/lib/modseal/log.jsonl"
    log.chmod(0o600)
    log.write_bytes(log.read_bytes().replace(b"install", b"instill"))
    found = restarted(one, task)
    assert (found["state"], found["problem"]["code"]) == ("failed", "log-broken")


def test_what_is_no_task_is_said_at_the_start_and_keeps_nobody_from_it(
    one: served.Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = begun(one, "verify")
    tasks = one.host.root / PLACE / "tasks"
    name = task["id"][:-8]
    os.mkfifo(tasks / f"{name}00000001.json")
    (tasks / f"{name}00000002.json").symlink_to("/dev/zero")
    (tasks / f"{name}00000003.json").mkdir()
    with (tasks / f"{name}00000004.json").open("wb") as file:
        file.truncate(1 << 40)
    (tasks / f"{name}00000005.json").write_text("[" * 60_000)
    with socket.socket(socket.AF_UNIX) as unix:
        monkeypatch.chdir(tasks)  # the path of a socket has 107 bytes at most
        unix.bind(f"{name}00000006.json")
    (tasks / "\x1b[2J.json").write_text("{}")
    (one.host.root / PLACE / "uploads").symlink_to(one.folder)
    one.start()
    assert one.process
    assert one.ask("GET", f"{routes.TASKS}/{task['id']}").document["TaskState"] == "Exception"
    assert len(one.ask("GET", routes.TASKS).document["Members"]) == 1
    assert one.ask("GET", f"{routes.TASKS}/{name}00000001").status == 503
    one.stop()
    ignored = [line for line in one.said if "is ignored" in line]
    assert [line.partition(name)[2].partition(".json")[0] for line in ignored[1:]] == [
        f"0000000{n}" for n in range(1, 7)
    ]
    assert "it has not the name of a task" in ignored[0]
    assert (one.folder / "serve.toml").exists()


@pytest.mark.parametrize("name", ["tasks", ""])
def test_a_folder_of_the_service_that_is_none_is_named(one: served.Served, name: str) -> None:
    place = one.host.root / PLACE / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("no folder")
    with pytest.raises(InputError, match=r"/tasks: (File exists|Not a directory)"):
        Broker(one.host.root, Clients(one.folder / "serve.toml"), 10**6, lambda: NOW)
