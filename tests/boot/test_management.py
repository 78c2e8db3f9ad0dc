"""What is sent to the management interface gets to the receiver as it is, and its answer gets back."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from modseal import limits
from modseal.boot import management, receiver, supervisor
from modseal.boot.documents import MANAGEMENT_USER, OWN_USERS, SERVE_USER, SERVICE_USER
from modseal.boot.requests import Running, invalid
from modseal.boot.services import Service
from modseal.boot.supervisor import Supervisor
from modseal.boot.update import Delivery

SAID: list[str] = []


def port_of(follow: Callable[[Delivery], Running]) -> Iterator[int]:
    """The port of an interface that hands what it is sent to a function."""
    server = socket.create_server(("127.0.0.1", 0))
    own, given = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def receive() -> None:
        while (message := socket.recv_fds(own, 8, 1))[0]:
            with socket.socket(fileno=message[1][0]) as connection:
                receiver.answer(connection, int.from_bytes(message[0]), follow, SAID.append)

    def serve() -> None:
        interface = management.Interface(given)
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                break
            with client, suppress(OSError):
                interface.answer(client)
        if interface._relay:
            os.waitpid(interface._relay, 0)

    threads = [threading.Thread(target=function) for function in (receive, serve)]
    for one in threads:
        one.start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    given.shutdown(socket.SHUT_RDWR)
    for one in threads:
        one.join()
    for each in (server, own, given):
        each.close()


def put(port: int, data: bytes, **headers: str) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("PUT", "/update", data, headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read() or b"{}")


@pytest.fixture
def whole() -> Iterator[int]:
    def follow(delivery: Delivery) -> Running:
        data = delivery.take(delivery.left)
        if data != bytes(range(256)) * 4096:
            raise invalid("other bytes")
        return Running(2, 3)

    yield from port_of(follow)


@pytest.fixture
def refusing() -> Iterator[int]:
    def follow(delivery: Delivery) -> Running:
        delivery.take(1)
        raise invalid("no")

    yield from port_of(follow)


def test_every_byte_arrives_and_the_answer_comes_back(whole: int) -> None:
    status, said = put(whole, bytes(range(256)) * 4096)
    assert (status, said) == (200, {"outcome": "accepted", "version": 2, "generation": 3})


def test_a_refusal_comes_back_once_all_is_sent(refusing: int) -> None:
    """The receiver has refused it after the first byte; a client that still sends must be able to read why."""
    status, said = put(refusing, bytes(8 << 20))
    assert (status, said["outcome"], said["code"]) == (422, "rejected", "update-invalid")


def test_the_next_one_is_taken_at_once(whole: int) -> None:
    """The process that had the one before ends a little after its client has the answer."""
    for _ in range(5):
        assert put(whole, b"x")[0] == 422


def test_while_one_is_taken_another_one_is_told_so(whole: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_connection(("127.0.0.1", whole)) as client:
        client.sendall(b"PUT /update HTTP/1.1\r\nContent-Length: 99\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(64).startswith(b"HTTP/1.1 100 ")
        monkeypatch.setattr(limits, "MANAGED_TIME", 0.5)  # for the other one: this one's time has begun
        status, said = put(whole, b"x")
        assert (status, said["outcome"]) == (503, "undecided")
        assert "another delivery" in str(said["detail"])
        client.shutdown(socket.SHUT_WR)
        assert b"422" in client.recv(4096)


def test_what_ends_too_early_is_refused(whole: int) -> None:
    with socket.create_connection(("127.0.0.1", whole)) as client:
        client.sendall(b"PUT /update HTTP/1.1\r\nContent-Length: 99\r\n\r\nonly this")
        client.shutdown(socket.SHUT_WR)
        assert b"422" in client.recv(4096)


def test_a_client_that_waits_for_leave_gets_it(whole: int) -> None:
    with socket.create_connection(("127.0.0.1", whole)) as client:
        client.sendall(b"PUT /update HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(64).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"no")
        assert b"422" in client.recv(4096)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"PUT /update HTTP/1.1\r\n\r\n", b"400"),
        (b"PUT /update HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"PUT /update HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"PUT /update HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"PUT /status HTTP/1.1\r\nContent-Length: 1\r\n\r\n", b"404"),
        (b"DELETE /update HTTP/1.1\r\n\r\n", b"404"),
    ],
)
def test_what_is_no_delivery_is_refused(whole: int, head: bytes, status: bytes) -> None:
    with socket.create_connection(("127.0.0.1", whole)) as client:
        client.sendall(head)
        assert client.recv(4096).split()[1] == status


def test_what_goes_wrong_in_the_receiver_is_said_and_does_not_end_it() -> None:
    def follow(_: Delivery) -> Running:
        raise KeyError("x")

    connection, other = socket.socketpair()
    with connection, other:
        assert not receiver.answer(connection, 1, follow, lambda _: None)
        said = json.loads(other.recv(4096))
    assert said == {"outcome": "undecided", "code": "internal-error", "detail": "KeyError: 'x'"}


def silent(client: socket.socket) -> None:
    """It says no more, and its other end waits as long as it may."""


def resets(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def ends(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("leave", [silent, resets, ends])
@pytest.mark.parametrize("begin", [b"", b"PUT /update HTTP/1.1\r\nContent-Le", b"GET /stat"])
def test_whoever_leaves_in_the_midst_takes_the_interface_from_nobody(
    whole: int, monkeypatch: pytest.MonkeyPatch, begin: bytes, leave: Callable[[socket.socket], None]
) -> None:
    assert put(whole, b"x")[0] == 422  # a process has had it in hand
    monkeypatch.setattr(limits, "MANAGED_TIME", 0.3)
    with socket.create_connection(("127.0.0.1", whole)) as client:
        client.sendall(begin)
        leave(client)
        time.sleep(0.05)
        for _ in range(2):
            assert put(whole, b"x")[0] == 422


def test_a_head_that_comes_byte_by_byte_has_no_longer_time(whole: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MANAGED_TIME", 0.3)
    stop = threading.Event()

    def trickle() -> None:
        with socket.create_connection(("127.0.0.1", whole)) as client, suppress(OSError):
            while not stop.wait(0.05):
                client.sendall(b"P")

    thread = threading.Thread(target=trickle)
    thread.start()
    time.sleep(0.1)
    begun = time.monotonic()
    try:
        assert put(whole, b"x")[0] == 422
    finally:
        stop.set()
        thread.join()
    assert time.monotonic() - begun < 10


def test_a_head_may_come_in_pieces(whole: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "status").write_text("{}")
    monkeypatch.setattr(management, "STATUS", str(tmp_path / "status"))
    with socket.create_connection(("127.0.0.1", whole)) as client:
        client.sendall(b"GET /sta")
        time.sleep(0.05)
        client.sendall(b"tus HTTP/1.1\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.0 200")


def test_a_state_that_cannot_be_read_is_said(whole: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(management, "STATUS", "/nowhere")
    with socket.create_connection(("127.0.0.1", whole)) as client:
        client.sendall(b"GET /status HTTP/1.1\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.0 503")


def test_a_process_that_is_gone_already_has_no_delivery_in_hand(whole: int) -> None:
    interface = management.Interface(None)
    interface._relay = 1 << 22  # more than there are numbers
    assert not interface._is_busy()


def until(made: Supervisor, done: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        made.step()


def root(name: str, run: Callable[[], int | None], user: int = 0, *, limited: bool = True) -> Service:
    return Service(name, "root", (), user, frozenset(), {}, (), run=run, limited=limited, restart=True)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_POLL", 0.02)
    monkeypatch.setattr(supervisor, "_PAUSES", (0.01,))


@pytest.mark.usefixtures("quick")
def test_the_interface_is_started_again_and_listens_where_it_did(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "status").write_text('{"name": "edge"}')
    monkeypatch.setattr(management, "STATUS", str(tmp_path / "status"))
    server = socket.create_server(("127.0.0.1", 0))
    made = Supervisor([root("management", partial(management.serve, server, None), limited=False)], lambda *_: None)
    made.step()
    os.kill(made._running[0].process, signal.SIGKILL)
    until(made, lambda: bool(made.states()[0]["ends"]) and made.states()[0]["running"])
    assert made.troubled() == ["management"]
    with server, socket.create_connection(server.getsockname()) as client:
        client.sendall(b"GET /status HTTP/1.1\r\n\r\n")
        assert b"edge" in client.recv(4096)
    made.stop()


@pytest.mark.usefixtures("quick")
def test_what_was_handed_over_while_nobody_received_is_taken_by_the_next_one() -> None:
    def follow(delivery: Delivery) -> Running:
        if delivery.take(delivery.left) == b"end":
            os.kill(os.getpid(), signal.SIGKILL)
        return Running(2, 3)

    own, control = receiver.channel()
    receive = partial(receiver.serve, own, follow, lambda _: None)
    made = Supervisor(
        [
            Service(
                "update",
                "root",
                (),
                0,
                frozenset(),
                {},
                (),
                restart=True,
                run=receive,
                limited=False,
                last=receiver.RESTART,
            )
        ],
        lambda *_: None,
    )
    socket.send_fds(control, [bytes(8)], [0])  # whoever has the other end may hand over what is no connection
    control.send(b"x")
    with receiver.hand_over(control, 3) as first, receiver.hand_over(control, 4) as second:
        first.sendall(b"end")
        second.sendall(b"good")
        until(made, lambda: made.over)
        assert json.loads(second.recv(4096))["outcome"] == "accepted"
    assert made.states()[0]["ends"] == 2
    made.step()
    assert not made.states()[0]["running"]  # it is not taken up again before the restart
    own.close()
    control.close()


@pytest.mark.usefixtures("quick")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_no_service_can_end_a_process_that_speaks_to_the_network() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    said: list[tuple[str, str]] = []
    own = root("management", partial(management.serve, server, None), MANAGEMENT_USER)
    made = Supervisor([own], lambda *words: said.append(words))
    made.step()
    process = made._running[0].process
    until(made, lambda: f"Uid:\t{MANAGEMENT_USER}\t{MANAGEMENT_USER}" in Path(f"/proc/{process}/status").read_text())
    program = ("/bin/sh", "-c", f"kill -9 {process}")
    made.add(Service("x", "m", program, SERVICE_USER, frozenset(), {"PATH": "/bin"}, (), restart=False))
    until(made, lambda: any(one["name"] == "x" and one["ends"] for one in made.states()))
    assert made.states()[0] == {"name": "management", "module": "root", "running": True, "ends": 0}
    made.stop()
    server.close()


def test_the_users_of_a_host_are_nobody_elses() -> None:
    assert {MANAGEMENT_USER, SERVE_USER} < {*OWN_USERS}
    assert SERVICE_USER not in OWN_USERS
