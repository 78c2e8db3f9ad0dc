"""Limits of a served host: just under is taken, just over is refused."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from builders import served
from builders.pki import NOW
from builders.taken_over import child_of
from limits.cover import bounds
from modseal import limits
from modseal.errors import InputError, RefusedError, SpecError
from modseal.serve import frames
from modseal.serve.broker import Broker
from modseal.serve.roles import Caller, Role
from modseal.serve.spec import Clients, read
from modseal.serve.tasks import Tasks

ACTION = "/redfish/v1/Managers/host/Actions/Oem/Modseal.SetAcceptance"


@bounds("SERVE_CLIENT_CAS")
def test_a_spec_has_at_most_so_many_cas_of_clients(tmp_path: Path) -> None:
    served.make(tmp_path)
    spec = tmp_path / "serve.toml"
    text = spec.read_text()
    more = '[[client]]\nca = "ca.pem"\ngrants = "reader"\n'
    spec.write_text(text + more * (limits.SERVE_CLIENT_CAS - 1))
    assert len(read(spec).clients) == limits.SERVE_CLIENT_CAS
    spec.write_text(text + more * limits.SERVE_CLIENT_CAS)
    with pytest.raises(SpecError, match="client"):
        read(spec)


@bounds("SERVE_BODY", "SERVE_BUNDLES")
def test_a_body_and_a_push_have_their_bounds(tmp_path: Path) -> None:
    with served.served(tmp_path, "upload = 1") as one:
        good = b'{"Level": "partner"}'
        for over, status in ((0, 200), (1, 413)):
            body = good.ljust(limits.SERVE_BODY + over)
            assert one.ask("POST", ACTION, "admin", body, Content_Type="application/json").status == status
        for over, status in ((0, 202), (1, 400)):
            assert one.push_all([b"no bundle"] * (limits.SERVE_BUNDLES + over)).status == status
        assert one.push(bytes(limits.MIB)).status == 202
        assert one.push(bytes(limits.MIB + 1)).status == 413


def test_a_file_that_is_handed_over_is_measured_again(tmp_path: Path) -> None:
    """The other process has counted already; it may have been taken over."""
    served.make(tmp_path)
    broker = Broker(tmp_path / "root", Clients(tmp_path / "serve.toml"), 10, lambda: NOW)
    (tmp_path / "pushed").write_bytes(bytes(11))
    with (tmp_path / "pushed").open("rb") as file, pytest.raises(RefusedError) as caught:
        broker.copy(file.fileno(), tmp_path / "copies/bundle")
    assert caught.value.failure.code == "upload-too-large"


@bounds("SERVE_FRAME")
def test_a_message_has_at_most_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVE_FRAME", 20)
    one, other = socket.socketpair()
    with one, other:
        frames.send(one, {"a": "x" * 11})
        assert frames.receive(other, 5)[0] == {"a": "x" * 11}
        with pytest.raises(InputError, match="longer than one may be"):
            frames.send(one, {"a": "x" * 12})
        one.sendall((21).to_bytes(4, "big") + b'{"a": "xxxxxxxxxxxx"}')
        with pytest.raises(frames.MessageError, match="longer than one may be"):
            frames.receive(other, 5)


@bounds("SERVE_QUESTION")
def test_a_question_has_fewer(tmp_path: Path) -> None:
    with child_of(tmp_path) as child:
        for over, said in ((0, "a broken request: it has not the members"), (1, "a broken request: it is longer")):
            data = b"{}".ljust(limits.SERVE_QUESTION + over)
            assert child.send(len(data).to_bytes(4, "big") + data)["failure"]["detail"].startswith(said)


@bounds("SERVE_FRAME_TIME")
def test_a_message_has_a_time_however_its_bytes_are_spread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVE_FRAME_TIME", 0.5)
    with child_of(tmp_path) as child, child.connection() as connection:
        connection.sendall(b"\0\0")
        time.sleep(0.3)
        connection.sendall(b"\0\x09 ")
        assert "timed out" in frames.receive(connection, 5)[0]["failure"]["detail"]
        with child.connection() as another:
            another.sendall(b"\0\0")
            time.sleep(0.1)
            another.sendall(b"\0\x02{}")
            assert "members" in frames.receive(another, 5)[0]["failure"]["detail"]


@bounds("SERVE_TASK")
def test_a_task_has_at_most_so_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = Tasks(tmp_path)
    task = tasks.begin("verify", {}, Caller("CN=Ann", "key-sha256:" + "0" * 64, Role.ADMIN), NOW, 0)
    tasks.end(task, "done", NOW, "x" * 2000)
    monkeypatch.setattr(limits, "SERVE_TASK", (tmp_path / f"{task['id']}.json").stat().st_size)
    assert tasks.get(task["id"])["result"] == "x" * 2000
    long = tasks.end(task, "done", NOW, "x" * 2001)
    assert (long["state"], long["result"], tasks.get(task["id"])) == ("done", None, long)
    monkeypatch.setattr(limits, "SERVE_TASK", 100)
    with pytest.raises(InputError, match="over 100 bytes"):
        tasks.get(task["id"])


@bounds("SERVE_TASKS")
def test_so_many_tasks_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVE_TASKS", 2)
    tasks = Tasks(tmp_path)
    caller = Caller("CN=Ann", "key-sha256:" + "0" * 64, Role.ADMIN)
    made = [tasks.begin("verify", {}, caller, NOW.replace(minute=minute), 0)["id"] for minute in range(3)]
    assert [task["id"] for task in tasks.newest()] == made[:0:-1]
