"""What is sent to the management interface gets to the receiver as it is, and its answer gets back."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from modseal import limits
from modseal.boot import management, receiver
from modseal.boot.requests import Running, invalid
from modseal.boot.update import Delivery

SAID: list[str] = []


def port_of(follow: Callable[[Delivery], Running]) -> Iterator[int]:
    """The port of an interface that hands what it is sent to a function."""
    server = socket.create_server(("127.0.0.1", 0))
    own, given = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def receive() -> None:
        while (message := socket.recv_fds(own, 8, 1))[0]:
            with socket.socket(fileno=message[1][0]) as connection:
                receiver.answer(connection, int.from_bytes(message[0]), follow, lambda *words: SAID.append(str(words)))

    def serve() -> None:
        relay = 0
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                break
            with client:
                relay = management._answer(client, None, given, relay)
        if relay:
            os.waitpid(relay, 0)

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
        assert not receiver.answer(connection, 1, follow, lambda *_: None)
        said = json.loads(other.recv(4096))
    assert said == {"outcome": "undecided", "code": "internal-error", "detail": "KeyError: 'x'"}
