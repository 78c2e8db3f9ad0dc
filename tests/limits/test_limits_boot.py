"""Limits of a host's first process, of what it talks to, and of files that are written: just under, and just over."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from limits.cover import bounds
from modseal import limits
from modseal.boot import management, partitions, receiver, requests, status, supervisor, tpm_commands, trial
from modseal.boot.services import Service
from modseal.errors import InputError, RefusedError, UndecidedError, UsageError
from modseal.files.output import output_file


class _Client:
    """Says what it has to say, and notes how long it is waited for and what it is answered."""

    def __init__(self, said: bytes = b"") -> None:
        self.said, self.answer, self.waits = said, b"", []

    def settimeout(self, seconds: float) -> None:
        self.waits.append(seconds)

    def recv(self, most: int) -> bytes:
        piece, self.said = self.said[:most], self.said[most:]
        return piece

    def sendall(self, data: bytes) -> None:
        self.answer += data


@bounds("MANAGED_TIME", "MANAGED_REQUEST")
def test_a_request_has_a_time_and_a_size() -> None:
    begin, end = b"PUT /update HTTP/1.1\r\nContent-Length: 999999999999\r\nX: ", b"\r\n\r\n"
    for more, code in ((0, b"413"), (1, b"400")):
        client: Any = _Client(begin + b"x" * (limits.MANAGED_REQUEST + more - len(begin + end)) + end)
        management.Interface(client).answer(client)
        assert client.answer.startswith(b"HTTP/1.0 " + code)
        assert 0 < max(client.waits) <= limits.MANAGED_TIME


@bounds("DELIVERY_TIME", "DELIVERY_PAUSE", "DELIVERY_HEAD")
def test_a_delivery_has_a_time_and_its_first_line_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    alarms: list[int] = []

    def end(_: int) -> NoReturn:
        raise SystemExit

    monkeypatch.setattr(management.os, "fork", lambda: 0)
    monkeypatch.setattr(management.os, "_exit", end)
    monkeypatch.setattr(management.signal, "alarm", alarms.append)
    monkeypatch.setattr(management, "relayed", lambda *_: None)
    monkeypatch.setattr(management.receiver, "hand_over", lambda *_: None)
    client: Any = _Client()
    with pytest.raises(SystemExit):
        management.Interface(client)._deliver(client, b"PUT /update HTTP/1.1\r\nContent-Length: 2\r\n", b"")
    assert alarms == [limits.DELIVERY_TIME]
    taken: list[int] = []

    def take(count: int) -> bytes:
        taken.append(count)
        return b"x"

    def follow(_: object) -> Any:
        return requests.read(take, None)  # type: ignore[arg-type]

    assert not receiver.answer(client, 1, follow, lambda *_: None)
    assert client.waits == [limits.DELIVERY_PAUSE]
    assert len(taken) == limits.DELIVERY_HEAD


@bounds("BOOT_LOG_SIZE")
def test_a_log_that_is_long_enough_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "boot.jsonl"
    monkeypatch.setattr(status, "_LOG", log)
    monkeypatch.setattr(status.os.path, "ismount", lambda _: True)
    status.say("x", "one line")
    monkeypatch.setattr(limits, "BOOT_LOG_SIZE", 2 * log.stat().st_size)
    status.say("x", "one line")
    assert not log.with_suffix(".old").exists()
    status.say("x", "one line")
    assert log.with_suffix(".old").read_text().count("\n") == 3
    assert not log.exists()


@bounds("BOOT_PARTITIONS")
def test_a_table_of_partitions_has_so_many_rows(tmp_path: Path) -> None:
    device = tmp_path / "disk"
    for more in (0, 1):
        header = bytearray(512)
        struct.pack_into("<QII", header, partitions._TABLE, 2, limits.BOOT_PARTITIONS + more, 128)
        device.write_bytes(bytes(512) + header + bytes(128 * (limits.BOOT_PARTITIONS + more)))
        if more:
            with pytest.raises(UndecidedError, match="no table"):
                partitions.identifiers(str(device), 512)
        else:
            assert partitions.identifiers(str(device), 512) == {}


@bounds("BOOT_WATCHDOG")
def test_the_watchdog_waits_so_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    monkeypatch.setattr(trial, "_WATCHDOG", str(tmp_path / "watchdog"))
    (tmp_path / "watchdog").touch()
    monkeypatch.setattr(trial.fcntl, "ioctl", lambda _file, _code, value: asked.append(value))
    descriptor = trial.watchdog()
    assert descriptor is not None
    os.close(descriptor)
    assert asked == [struct.pack("i", limits.BOOT_WATCHDOG)]


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def runs(told: list[str]) -> supervisor.Supervisor:
    one = Service("x", "m", ("/bin/true",), os.getuid(), frozenset(), {}, (), restart=False)
    return supervisor.Supervisor([one], lambda _, text: told.append(text))


@bounds("SERVICE_LINE")
def test_a_line_of_a_service_has_a_length(runs: supervisor.Supervisor, told: list[str]) -> None:
    read, write = os.pipe()
    (one,) = runs._running
    one.output = read
    os.write(write, b"x" * (limits.SERVICE_LINE - 1))
    runs._read(one)
    assert told == []
    os.write(write, b"x")
    runs._read(one)
    assert told == ["x" * limits.SERVICE_LINE]
    os.close(read)
    os.close(write)


@bounds("SERVICE_LINES", "SERVICE_LINES_TIME")
def test_a_service_says_so_many_lines_in_a_time(
    runs: supervisor.Supervisor, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(supervisor.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(supervisor, "_POLL", 0)
    (one,) = runs._running
    one.again = None
    for count, time, expected in (
        (limits.SERVICE_LINES, limits.SERVICE_LINES_TIME - 1, limits.SERVICE_LINES),
        (1, 1, limits.SERVICE_LINES + 1),
        (1, 0, limits.SERVICE_LINES + 2),
    ):
        runs._pass_on(one, [b"x"] * count)
        clock[0] += time
        runs.step()
        assert len(told) == expected
    assert told[-2:] == ["said too much: 1 lines are left out", "x"]


@bounds("SERVICE_STOP")
def test_services_have_a_time_to_end_in(runs: supervisor.Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def step() -> bool:
        clock[0] += 1
        return False

    monkeypatch.setattr(supervisor.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(supervisor.os, "kill", lambda *_: None)
    monkeypatch.setattr(runs, "step", step)
    runs._running[0].process = os.getpid()
    runs.stop()
    assert clock == [limits.SERVICE_STOP]


@bounds("TPM_ANSWER", "TPM_TRIES")
def test_an_answer_of_a_tpm_has_a_size_and_a_busy_one_is_asked_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    own, other = socket.socketpair()
    with own, other:
        other.sendall(bytes(limits.TPM_ANSWER + 1))
        assert len(tpm_commands.open_device(own.fileno())(b"x")) == limits.TPM_ANSWER
    monkeypatch.setattr(tpm_commands.time, "sleep", lambda _: None)
    asked: list[bytes] = []

    def busy_for(times: int) -> Callable[[bytes], bytes]:
        def send(request: bytes) -> bytes:
            asked.append(request)
            return struct.pack(">HII", 0x8001, 10, 0x922 if len(asked) <= times else 0)

        return send

    tpm_commands.extend(busy_for(limits.TPM_TRIES - 1), 13, bytes(32))
    asked.clear()
    with pytest.raises(InputError, match="refuses"):
        tpm_commands.extend(busy_for(limits.TPM_TRIES), 13, bytes(32))
    assert len(asked) == limits.TPM_TRIES


def write(path: Path) -> None:
    with output_file(path) as file:
        file.write(b"new")


@bounds("OUTPUT_LINKS")
def test_so_many_links_lead_to_a_file_that_is_written(tmp_path: Path) -> None:
    for number in range(limits.OUTPUT_LINKS):
        (tmp_path / f"l{number}").symlink_to(f"l{number - 1}" if number else "file")
    write(tmp_path / f"l{limits.OUTPUT_LINKS - 2}")
    assert (tmp_path / "file").read_bytes() == b"new"
    with pytest.raises(InputError, match="symbolic links"):
        write(tmp_path / f"l{limits.OUTPUT_LINKS - 1}")


@bounds("OUTPUT_LOOK")
def test_a_private_key_is_looked_for_in_the_beginning_of_a_file(tmp_path: Path) -> None:
    mark, path = b"PRIVATE KEY-----", tmp_path / "file"
    path.write_bytes(b"x" * (limits.OUTPUT_LOOK - len(mark)) + mark)
    with pytest.raises(UsageError, match="private key"):
        write(path)
    path.write_bytes(b"x" * (limits.OUTPUT_LOOK - len(mark) + 1) + mark)
    write(path)
    assert path.read_bytes() == b"new"


def test_what_is_no_request_is_refused() -> None:
    with pytest.raises(RefusedError, match="does not begin"):
        requests.read(lambda _: b"", None)  # type: ignore[arg-type]
