"""The process without rights, as the one with them sees it once somebody has taken it over: whatever it sends."""

from __future__ import annotations

import base64
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from builders.pki import NOW
from builders.served import Served, make
from modseal import limits
from modseal.serve import frames
from modseal.serve.broker import Broker
from modseal.serve.spec import Clients


class Child:
    """What was taken over."""

    def __init__(self, one: Served, control: socket.socket) -> None:
        self.one, self._control = one, control

    def connection(self) -> socket.socket:
        mine, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"?"], [theirs.fileno()])
        mine.settimeout(30)
        return mine

    def ask(self, message: dict[str, Any], *descriptors: int) -> dict[str, Any]:
        with self.connection() as connection:
            frames.send(connection, message, *descriptors)
            return frames.receive(connection, 30)[0]

    def send(self, data: bytes) -> dict[str, Any]:
        with self.connection() as connection:
            with suppress(OSError):  # it has heard enough
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            return frames.receive(connection, 30)[0]

    def certificate(self, role: str = "admin") -> str:
        return base64.b64encode(self.one.clients[role].der).decode()


@contextmanager
def child_of(folder: Path) -> Iterator[Child]:
    """A broker in a thread, whose child we are."""
    one = make(folder)
    broker = Broker(one.host.root, Clients(folder / "serve.toml"), limits.MIB, lambda: NOW)
    broker.recover()
    mine, theirs = socket.socketpair()
    thread = threading.Thread(target=broker.serve, args=(theirs, os.getpid(), os.geteuid()))
    thread.start()
    try:
        yield Child(one, mine)
    finally:
        mine.close()
        thread.join(30)
        theirs.close()
    assert not thread.is_alive()
