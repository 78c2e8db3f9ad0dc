"""The management interface: the state of the host over HTTP, for reading alone.

A process of its own, without any right and as nobody, answers each request with the newest state that process 1 has
written. It takes no command: what changes a host is a signed generation and a restart.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from modseal.boot.services import limit_to

STATUS = "/run/modseal/status.json"
_NOBODY = 65534
_SECONDS = 5
"""Longer is no request awaited, so that one client cannot keep the others out for good."""
_REQUEST = 4096


def start(port: int) -> int:
    """Serve in a child process; gives its number. Raises `OSError`."""
    server = socket.create_server(("0.0.0.0", port))  # noqa: S104 - the network is what it is for
    process = os.fork()
    if process:
        server.close()
        return process
    try:
        os.setsid()
        limit_to(_NOBODY, frozenset())
        while True:
            with suppress(OSError):
                client, _ = server.accept()
                with client:
                    _answer(client)
    finally:
        os._exit(1)


def _answer(client: socket.socket) -> None:
    client.settimeout(_SECONDS)
    request = client.recv(_REQUEST).split(b"\r\n", 1)[0]
    body = b""
    if request in (b"GET /status HTTP/1.1", b"GET /status HTTP/1.0"):
        with open(STATUS, "rb") as file:
            body = file.read()
    status = b"200 OK" if body else b"404 Not Found"
    head = b"HTTP/1.0 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    client.sendall(head + body)
