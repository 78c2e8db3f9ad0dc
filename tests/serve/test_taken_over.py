"""What a taken-over process without rights can do to the one that has them: what it sends is read within bounds."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from builders.taken_over import Child, child_of
from modseal import limits
from modseal.errors import InputError
from modseal.serve import frames
from modseal.serve.broker import Broker
from modseal.serve.tasks import Tasks


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    with child_of(tmp_path_factory.mktemp("taken")) as found:
        yield found


def _frame(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\0\0\0\x09{}",
        b"\xff\xff\xff\xff",
        _frame(b"[]"),
        _frame(b"\xff"),
        _frame(b"[" * 60_000),
        _frame(b"{}"),
        _frame(b'{"certificate": "\xc3\xa9", "operation": "state", "arguments": {}}'),
        _frame(b'{"certificate": "AAA", "operation": "state", "arguments": {}}'),
        _frame(b'{"certificate": "\\ud800", "operation": "state", "arguments": {}}'),
        _frame(b'{"certificate": 1, "operation": "state", "arguments": {}}'),
        _frame(b'{"certificate": "", "operation": "state", "arguments": []}'),
    ],
)
def test_what_is_no_request_is_said_to_be_a_broken_one(child: Child, data: bytes) -> None:
    reply = child.send(data)
    assert (reply["failure"]["code"], reply["exit"]) == ("usage", 2), reply
    assert reply["failure"]["detail"].startswith("a broken request"), reply


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("nothing", {}),
        ("\ud800", {}),
        ("task", {"id": "\ud800\0/../x"}),
        ("task", {"id": ["x"]}),
        ("task", {"id": "x" * 10_000}),
        ("module", {"name": "\ud800\0"}),
        ("module", {"name": ["x"]}),
        ("log", {"number": -1}),
        ("log", {"after": 10**30}),
        ("rollback", {"To": 10**30, "DryRun": True}),
        ("remove", {"Names": ["\ud800", "../x", "\0"]}),
        ("lockdown", {"Mode": "strict", "Controllers": ["\ud800"]}),
        ("acceptance", {"Level": "\ud800"}),
        ("install", {"Files": []}),
        ("state", {"root": "/"}),
        ("state", {"\ud800": 1}),
    ],
)
def test_no_argument_is_a_bug(child: Child, operation: str, arguments: dict[str, Any]) -> None:
    reply = child.ask({"certificate": child.certificate(), "operation": operation, "arguments": arguments})
    problem = reply.get("failure")
    if problem is None:  # a task, whose end has it
        name = reply["document"].get("id")
        while name and problem is None:
            asked = {"certificate": child.certificate(), "operation": "task", "arguments": {"id": name}}
            found = child.ask(asked)["document"]
            if found["state"] != "running":
                problem = found["problem"] or {"code": "none"}
            time.sleep(0.01)
    if problem:
        assert problem["code"] != "internal-error", problem


def test_a_drip_holds_no_thread_for_longer_than_one_message_may_take(
    child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All threads are taken by such connections; then somebody asks."""
    monkeypatch.setattr(limits, "SERVE_FRAME_TIME", 0.4)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(child.connection()) for _ in range(frames.ASKING)]
        ended = threading.Event()

        def drip() -> None:
            for one in held:
                one.sendall(b"\0\0\x10\0")
            while not ended.wait(0.2):
                for one in held:
                    with contextlib.suppress(OSError):
                        one.sendall(b" ")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            asked = {"certificate": child.certificate(), "operation": "whoami", "arguments": {}}
            assert child.ask(asked)["verdict"] == "accepted"
        finally:
            ended.set()
            thread.join()


def test_an_answer_that_nobody_reads_is_not_waited_for(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVE_FRAME_TIME", 0.4)
    monkeypatch.setattr(Broker, "_reply", lambda *_: {"x": "x" * limits.MIB})
    with contextlib.ExitStack() as stack:
        for _ in range(frames.ASKING):
            connection = stack.enter_context(child.connection())
            frames.send(connection, {})
        assert child.ask({})["x"]


def test_an_end_that_cannot_be_written_is_known_as_long_as_the_service_runs(
    child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk was filled meanwhile. After a restart, the host's log says what was done."""

    def full(*_: object) -> None:
        raise InputError("No space left on device")

    monkeypatch.setattr(Tasks, "end", full)
    begun = child.ask({"certificate": child.certificate(), "operation": "verify", "arguments": {}})["document"]
    asked = {"certificate": child.certificate(), "operation": "task", "arguments": {"id": begun["id"]}}
    while (found := child.ask(asked)["document"])["state"] == "running":
        time.sleep(0.01)
    assert (found["state"], found["id"]) == ("done", begun["id"])
    assert found["result"]["verdict"] == "accepted"
