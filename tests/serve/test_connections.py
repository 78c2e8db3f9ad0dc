"""Whoever only holds connections keeps nobody out, and costs a fixed number of descriptors and bytes."""

from __future__ import annotations

import contextlib
import http.client
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from builders.served import Served, make, served
from limits.cover import bounds
from modseal import limits
from modseal.errors import InputError, UsageError
from modseal.serve import frames, routes, spec, start
from modseal.serve.connections import Idle, Strangers, Unsent, bytes_taken, source_of

MANY = int(os.environ.get("MODSEAL_CLIENTS", "500"))
"""Connections that are held; `make many-clients` holds more."""

HELLO = bytes.fromhex("16030100c8010000c40303")
"""How a TLS client begins: a record of 200 bytes, of which nothing more comes."""


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("held"), "connections = 16\nrequests = 100000\n") as found:
        yield found


@bounds("SERVE_STRANGERS_OF_ONE")
def test_an_address_that_has_many_loses_its_own_oldest() -> None:
    found = Strangers()
    found.add("theirs", b"b")
    for number in range(limits.SERVE_STRANGERS_OF_ONE):
        assert found.one_too_many(b"a") is None
        found.add(number, b"a")
    assert found.one_too_many(b"a") == 0
    assert found.one_too_many(b"b") is None
    found.remove(0)
    assert found.one_too_many(b"a") is None


@bounds("SERVE_STRANGERS")
def test_of_all_addresses_the_one_that_has_most_loses_its_oldest() -> None:
    found = Strangers()
    found.add("theirs", b"b")
    for number in range(limits.SERVE_STRANGERS - 1):
        found.add(number, bytes([number // (limits.SERVE_STRANGERS_OF_ONE - 1)]))
    assert found.one_too_many(b"new") == 0
    found.remove(0)
    assert found.one_too_many(b"new") is None


def test_a_network_of_ipv6_is_one_source() -> None:
    assert source_of("2001:db8::1") == source_of("2001:db8::ffff:1%eth0") != source_of("2001:db8:0:1::1")
    assert source_of("192.0.2.1") != source_of("192.0.2.2")


def _held(one: Served, stack: contextlib.ExitStack, count: int) -> list[socket.socket]:
    """Connections of 100 addresses that show no certificate: nothing, half a handshake, or garbage is sent."""
    sent = (b"", HELLO, b"GET / HTTP/1.1\r\n\r\n", os.urandom(100))
    found = []
    for number in range(count):
        place = (f"127.0.1.{number % 100 + 1}", 0)
        connection = socket.create_connection(("127.0.0.1", one.port), timeout=30, source_address=place)
        found.append(stack.enter_context(connection))
        with contextlib.suppress(OSError):
            connection.sendall(sent[number % 4])
    return found


def files_and_memory(process: int) -> tuple[int, int]:
    """The open descriptors of a process, and what it has in memory: bytes."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return len(os.listdir(f"/proc/{process}/fd")), pages * resource.getpagesize()


def test_who_holds_many_connections_keeps_nobody_out_and_costs_no_more_than_who_holds_some(one: Served) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    assert one.ask("GET", routes.MANAGER).status == 200
    own_files, own_memory = files_and_memory(one.front)
    for count in (200, MANY):
        with contextlib.ExitStack() as stack:
            _held(one, stack, count)
            assert one.ask("GET", routes.MANAGER).status == 200
            files, memory = files_and_memory(one.front)
            assert one.ask("GET", routes.MANAGER).status == 200
        assert files <= own_files + limits.SERVE_STRANGERS + 1
        assert memory - own_memory < limits.SERVE_STRANGERS * limits.MIB // 2


def test_one_address_that_holds_connections_keeps_not_even_itself_out(one: Served) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(2 * limits.SERVE_STRANGERS_OF_ONE):
            stack.enter_context(socket.create_connection(("127.0.0.1", one.port), timeout=30)).sendall(HELLO)
        assert one.ask("GET", routes.MANAGER).status == 200


@bounds("SERVE_SHARE")
def test_a_certificate_has_its_share_of_the_connections(one: Served) -> None:
    """Of the 16 that there may be, four."""
    with contextlib.ExitStack() as stack:
        statuses = []
        for _ in range(6):
            context = one.tls(one.clients["operator"])
            connection = http.client.HTTPSConnection("127.0.0.1", one.port, context=context, timeout=30)
            stack.enter_context(contextlib.closing(connection))
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", routes.MANAGER)
                with connection.getresponse() as response:
                    statuses.append(response.status)
                    response.read()
        assert statuses == [200] * 4
        assert one.ask("GET", routes.MANAGER).status == 200
    assert one.ask("GET", routes.MANAGER, "operator").status == 200, "those that were closed count no more"


class _Connection:
    """What `Idle` and `Unsent` ask of a connection."""

    def __init__(self) -> None:
        self.transport: _Connection | None = self
        self.taken, self.ended = 0, False

    def abort(self) -> None:
        self.ended = True


@bounds("SERVE_SLOWEST")
def test_who_does_nothing_is_let_go() -> None:
    idle, silent, busy, slow, reading = Idle(lambda one: one.taken), *(_Connection() for _ in range(4))
    for second in range(2 * frames.IDLE_SECONDS + 1):
        slow.taken = second * limits.SERVE_SLOWEST // (frames.IDLE_SECONDS + 2)
        reading.taken = second * (limits.SERVE_SLOWEST // frames.IDLE_SECONDS + 1)
        idle.look([silent, busy, slow, reading], {busy: 1}, second)
    assert [one.ended for one in (silent, busy, slow, reading)] == [True, False, True, False]


def test_what_a_client_has_taken_is_what_its_system_has_acknowledged() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        taken, _ = server.accept()
        with taken:
            transport = SimpleNamespace(get_extra_info=lambda _: taken)
            before = bytes_taken(transport)
            taken.sendall(bytes(1000))
            assert len(client.recv(1000, socket.MSG_WAITALL)) == 1000
            client.sendall(b"seen")
            assert taken.recv(4) == b"seen"
            assert bytes_taken(transport) - before == 1000


def test_a_connection_that_was_closed_meanwhile_has_taken_nothing_and_ends_nobodys_service() -> None:
    """asyncio has no socket of it any more, or one that is closed; the service once died of that."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        pass
    for left in (None, server):
        assert bytes_taken(SimpleNamespace(get_extra_info=lambda _, left=left: left)) == 0


@bounds("SERVE_ANSWERS")
def test_long_answers_that_are_not_taken_have_an_end() -> None:
    found, share = Unsent(), limits.SERVE_ANSWERS // limits.SERVE_SHARE
    first, second, third = (_Connection() for _ in range(3))
    found.answer(first, b"a", 10 * share)
    with pytest.raises(InputError, match="have not been taken yet"):
        found.answer(second, b"a", limits.SERVE_BODY + 1)
    found.answer(second, b"a", limits.SERVE_BODY)
    found.answer(second, b"b", share // 2)
    found.answer(third, b"b", share - share // 2)
    with pytest.raises(InputError, match="have not been taken yet"):
        found.answer(first, b"b", limits.SERVE_BODY + 1)
    found.asks_again(first)
    second.transport = None
    found.answer(first, b"a", 10 * share)
    found.asks_again(third)
    found.answer(third, b"b", share)


def test_open_files_are_reserved_before_anybody_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "connections = 8192")
    found, given = spec.read(tmp_path / "serve.toml"), []
    limit = SimpleNamespace(RLIMIT_NOFILE=7, RLIM_INFINITY=-1, setrlimit=lambda *one: given.append(one))
    monkeypatch.setattr(start, "resource", limit)
    limit.getrlimit = lambda _: (1024, 524288)
    start._reserve_files(found)
    assert given[0][1][0] >= 8192 + limits.SERVE_STRANGERS
    limit.getrlimit = lambda _: (1024, 4096)
    with pytest.raises(
        UsageError, match=r"`connections = 8192` needs \d+ open files, and a process may have 4096 here"
    ):
        start._reserve_files(found)
    limit.getrlimit = lambda _: (-1, -1)
    start._reserve_files(found)
    assert len(given) == 1
