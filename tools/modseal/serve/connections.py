"""Connections of clients: those that have shown no certificate are few and go first, those that have share the rest.

Anybody can open a connection. Until its TLS handshake is done it is a stranger's, and one too many takes the place of
the one that has waited longest, among those of the address that has most: a handshake takes a moment, and whoever only
holds connections loses them. So nobody else is kept out, and no memory or descriptor beyond a fixed number is held.
"""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import socket
import ssl
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from modseal import limits
from modseal.errors import InputError
from modseal.serve import frames

if TYPE_CHECKING:
    from aiohttp.web import Server

_HANDSHAKE_SECONDS = 10
"""Within which a client has shown its certificate, and has said goodbye."""

_AT_ONCE = 64
"""Connections that are taken before those that are there are looked after again."""

_PAUSE = 1
"""Seconds until a connection is taken again, after the system has had no place for one."""


def source_of(address: str) -> bytes:
    """Whose connections are counted together: an IPv4 address, or the /64 network of an IPv6 one, which is one site."""
    return ipaddress.ip_address(address.partition("%")[0]).packed[:8]


def bytes_taken(transport: asyncio.BaseTransport) -> int:
    """How much of what was sent a client has acknowledged: `tcpi_bytes_acked` of tcp(7), since Linux 4.1.

    Nothing where the connection was closed meanwhile: asyncio has let go of its socket then.
    """
    connection = transport.get_extra_info("socket")
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128) if connection else b""
    except OSError:
        return 0
    return int.from_bytes(info[120:128], sys.byteorder)


class Strangers:
    """The connections without a certificate, the oldest first. Only counts: it closes none."""

    def __init__(self) -> None:
        self._sources: dict[object, bytes] = {}

    def one_too_many(self, source: bytes) -> object | None:
        """The connection that must go before one of this source is taken; None where there is room."""
        counts = Counter(self._sources.values())
        if counts[source] < limits.SERVE_STRANGERS_OF_ONE:
            if len(self._sources) < limits.SERVE_STRANGERS:
                return None
            most = max(counts.values())
            return next(one for one, whose in self._sources.items() if counts[whose] == most)
        return next(one for one, whose in self._sources.items() if whose == source)

    def add(self, one: object, source: bytes) -> None:
        """A connection was taken."""
        self._sources[one] = source

    def remove(self, one: object) -> None:
        """It has shown a certificate, or is gone."""
        self._sources.pop(one, None)


class Door:
    """Takes connections from a listening socket, and hands those with a certificate to aiohttp's server."""

    def __init__(self, listening: socket.socket, tls: ssl.SSLContext, server: Server, connections: int) -> None:
        self._listening, self._tls, self._server, self._most = listening, tls, server, connections
        self._loop = asyncio.get_running_loop()
        self._strangers = Strangers()
        self._owners: dict[object, bytes] = {}
        self._ended = 0
        self._handshakes: set[asyncio.Task[None]] = set()
        listening.setblocking(False)
        self._open()

    def close(self) -> None:
        """Take no more connections, and end those of strangers."""
        self._loop.remove_reader(self._listening)
        self._listening.close()
        for one in self._handshakes:
            one.cancel()

    def tidy(self) -> None:
        """Free what connections had that have ended: it stands in circles, of few objects and many bytes."""
        if self._ended >= limits.SERVE_STRANGERS:
            self._ended = 0
            gc.collect()

    def _open(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening, self._take)

    def _take(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # the whole system has no place; each client's connection waits
                self._loop.remove_reader(self._listening)
                self._loop.call_later(_PAUSE, self._open)
                return
            source = source_of(address[0])
            leaving = self._strangers.one_too_many(source)
            if isinstance(leaving, asyncio.Task):
                self._strangers.remove(leaving)
                leaving.cancel()
            task = self._loop.create_task(self._shake_hands(connection))
            self._handshakes.add(task)
            self._strangers.add(task, source)
            task.add_done_callback(partial(self._known, connection))

    def _known(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        self._strangers.remove(task)
        self._handshakes.discard(task)
        self._ended += 1
        if task.cancelled():
            connection.close()  # it may not even have begun

    async def _shake_hands(self, connection: socket.socket) -> None:
        with suppress(OSError):  # ssl.SSLError is one; so are timeouts and connections that are gone
            transport, protocol = await self._loop.connect_accepted_socket(
                self._server,
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=_HANDSHAKE_SECONDS,
            )
            self._admit(transport, protocol)

    def _admit(self, transport: asyncio.Transport, protocol: object) -> None:
        """Keep a connection unless it is one too many, of all or of its certificate."""
        open_now = set(self._server.connections)
        self._owners = {one: whose for one, whose in self._owners.items() if one in open_now}
        whose = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        of_one = sum(1 for one in self._owners.values() if one == whose)
        if len(open_now) > self._most or of_one >= self._most // limits.SERVE_SHARE:
            transport.abort()
        else:
            self._owners[protocol] = whose


class Idle:
    """Ends connections that have had no whole request, and taken nothing of an answer, for some seconds."""

    def __init__(self, taken: Callable[[Any], int] = bytes_taken) -> None:
        self._taken = taken
        self._last: dict[Any, tuple[float, int]] = {}

    def look(self, connections: Iterable[Any], active: Mapping[Any, int], now: float) -> None:
        """`active` has those that a request of is being answered; their time is bounded by who answers."""
        before, self._last = self._last, {}
        for one in connections:
            taken = self._taken(one.transport) if one.transport else 0
            last, had = before.get(one, (now, taken))
            if active.get(one) or taken - had >= limits.SERVE_SLOWEST:
                last, had = now, taken
            self._last[one] = last, had
            if now - last > frames.IDLE_SECONDS and one.transport:
                one.transport.abort()


class Unsent:
    """The long answers that clients may not have taken yet: a certificate has a share of the memory for them."""

    def __init__(self) -> None:
        self._held: dict[Any, tuple[bytes, int]] = {}

    def asks_again(self, one: object) -> None:
        """A connection has taken its answer, or it would not ask again; those that are gone hold none."""
        self._held = {each: held for each, held in self._held.items() if each is not one and each.transport}

    def answer(self, one: object, whose: bytes, size: int) -> None:
        """An answer of so many bytes is about to go out. Raises `InputError` (serve-busy)."""
        if size <= limits.SERVE_BODY:
            return
        of_one = sum(held for who, held in self._held.values() if who == whose)
        if of_one + size > limits.SERVE_ANSWERS // limits.SERVE_SHARE and of_one:
            raise InputError(f"{of_one} bytes of answers have not been taken yet").because("serve-busy")
        self._held[one] = whose, size
