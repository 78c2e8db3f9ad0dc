"""Limits of hosts that are managed from a desk: just under is asked, just over decides nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from builders import managed
from builders.managed import Desk, Say, lying, oem
from builders.transcript import run
from limits.cover import bounds
from modseal import limits
from modseal.errors import SpecError
from modseal.host import values
from modseal.remote import fleet
from modseal.remote.inventory import RemoteHost, targets

LEVEL = {"schema": values.ACCEPTANCE, "level": "partner", "policy_minimum": "partner", "was": None}
TASK = "/redfish/v1/TaskService/Tasks/7"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return managed.desk(tmp_path_factory.mktemp("desk"))


def asked(desk: Desk, say: Say, *words: str, **more: Say) -> str:
    with desk.hosts(web=say, **more):
        return run(
            "remote", "--inventory", "remote.toml", *(words or ("web", "acceptance", "get")), cwd=desk.folder
        ).out


@bounds("REMOTE_HOSTS")
def test_an_inventory_has_at_most_so_many_hosts(tmp_path: Path) -> None:
    head = 'schema = "modseal/remote@1"\nca = "a"\ncertificate = "b"\nkey = "c"\n'
    rows = "".join(f'[host.h{one}]\naddress = "h{one}:1"\n' for one in range(limits.REMOTE_HOSTS))
    path = tmp_path / "remote.toml"
    path.write_text(head + rows)
    assert len(targets((), path, {}, every=True)) == limits.REMOTE_HOSTS
    path.write_text(f'{head}{rows}[host.more]\naddress = "more:1"\n')
    with pytest.raises(SpecError, match="at most"):
        targets((), path, {}, every=True)


@bounds("REMOTE_REPLY_SIZE")
def test_an_answer_has_a_size(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = json.dumps(oem(LEVEL)).encode()
    monkeypatch.setattr(limits, "REMOTE_REPLY_SIZE", len(whole))
    assert asked(desk, lying(200, whole)).startswith("acceptance level ")
    assert f"it is over {len(whole)} bytes" in asked(desk, lying(200, whole + b" "))


@bounds("REMOTE_REPLY_TIME", "REMOTE_SLOWEST")
def test_an_answer_has_a_time_and_one_to_a_bundle_has_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(to: object) -> None:
        time.sleep(0.6)
        lying(200, {"MultipartHttpPushUri": "/redfish/v1/x", **oem(LEVEL)})(to)  # type: ignore[arg-type]

    monkeypatch.setattr(limits, "REMOTE_REPLY_TIME", 30)
    assert asked(desk, late).startswith("acceptance level ")
    monkeypatch.setattr(limits, "REMOTE_REPLY_TIME", 0.3)
    assert "it did not answer within 0.3 seconds" in asked(desk, late)
    (desk.folder / "a.seal").write_bytes(b"x" * 3000)
    seconds: list[float] = []
    monkeypatch.setattr(limits, "REMOTE_REPLY_TIME", 30)
    monkeypatch.setattr(limits, "REMOTE_SLOWEST", 1000)
    ask = fleet.Connection.ask

    def measured(*arguments: object, **options: float) -> object:
        seconds.append(options.get("seconds", 0))
        return ask(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(fleet.Connection, "ask", measured)
    asked(desk, lying(200, {"MultipartHttpPushUri": "/redfish/v1/x"}), "web", "install", "a.seal")
    assert seconds[0] == 0
    assert 33 < seconds[1] < 34


@bounds("REMOTE_CONNECT_TIME")
def test_a_connection_has_a_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    def connect(_: object, timeout: float) -> object:
        given.append(timeout)
        raise TimeoutError

    monkeypatch.setattr("modseal.remote.connection.socket.create_connection", connect)
    assert "it did not answer" in asked(desk, lying(200, b""))
    assert given == [limits.REMOTE_CONNECT_TIME]


@bounds("REMOTE_TASK_TIME", "REMOTE_PAUSE", "REMOTE_LONGEST_PAUSE")
def test_a_task_is_asked_for_less_and_less_often_until_its_time_is_over(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, pauses = [0.0], []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(fleet.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(fleet.time, "sleep", sleep)
    monkeypatch.setattr(fleet, "Connection", _Working)
    one = RemoteHost("web", "web", 1, Path(), Path(), Path())
    from modseal.remote import questions

    (found,) = fleet.ask_all([one], questions.verify(), limits.REMOTE_TASK_TIME, lambda *_: None)
    assert found.problem is not None
    assert found.problem.code == "host-unreachable"
    assert pauses[:3] == [0.2, 0.4, 0.8]
    assert max(pauses) == limits.REMOTE_LONGEST_PAUSE / 1000
    assert limits.REMOTE_TASK_TIME - 3 <= sum(pauses) <= limits.REMOTE_TASK_TIME


class _Working:
    """A connection to a host that is never done."""

    def __init__(self, target: RemoteHost) -> None:
        self.target = target

    def ask(self, *_: object, **__: object) -> object:
        from modseal.remote.connection import Reply

        return Reply(202, TASK, {"TaskState": "Running"})


@bounds("REMOTE_AT_ONCE")
def test_so_many_hosts_are_asked_at_a_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REMOTE_AT_ONCE", 1)
    now, most = [0], [0]

    def slow(to: object) -> None:
        now[0] += 1
        most[0] = max(most[0], now[0])
        time.sleep(0.2)
        now[0] -= 1
        lying(200, oem(LEVEL))(to)  # type: ignore[arg-type]

    asked(desk, slow, "--all", "acceptance", "get", more=slow)
    assert most == [1]
    monkeypatch.setattr(limits, "REMOTE_AT_ONCE", 2)
    asked(desk, slow, "--all", "acceptance", "get", more=slow)
    assert most == [2]
