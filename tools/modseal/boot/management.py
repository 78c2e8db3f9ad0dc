"""The management interface: the state of the host, and the quote of its TPM, over HTTP, for reading alone.

A process of its own, without any right and as nobody, answers each request with the newest state that process 1 has
written. It takes no command: what changes a host is a signed generation and a restart.
"""

from __future__ import annotations

import json
import os
import re
import socket
from contextlib import suppress

from modseal.boot import attestation, tpm_commands
from modseal.boot.services import limit_to
from modseal.errors import ModsealError

STATUS = "/run/modseal/status.json"
_NOBODY = 65534
_SECONDS = 5
"""Longer is no request awaited, so that one client cannot keep the others out for good."""
_REQUEST = 4096
_WANTED = re.compile(rb"GET /(?:status|attestation\?nonce=(?P<nonce>(?:[0-9a-f]{2}){8,32})) HTTP/1\.[01]\r\n")


def start(port: int) -> int:
    """Serve in a child process; gives its number. Raises `OSError`."""
    server = socket.create_server(("0.0.0.0", port))  # noqa: S104 - the network is what it is for
    process = os.fork()
    if process:
        server.close()
        return process
    try:
        os.setsid()
        tpm = os.open(tpm_commands.DEVICE, os.O_RDWR | os.O_CLOEXEC) if os.path.exists(tpm_commands.DEVICE) else None
        limit_to(_NOBODY, frozenset())
        while True:
            with suppress(OSError):
                client, _ = server.accept()
                with client:
                    _answer(client, tpm)
    finally:
        os._exit(1)


def _answer(client: socket.socket, tpm: int | None) -> None:
    client.settimeout(_SECONDS)
    request = _WANTED.match(client.recv(_REQUEST))
    body = b""
    if request:
        with open(STATUS, "rb") as file:
            body = file.read()
    if request and request["nonce"]:
        body = _attestation(body, bytes.fromhex(request["nonce"].decode()), tpm) if tpm is not None else b""
    status = b"200 OK" if body else b"404 Not Found"
    head = b"HTTP/1.0 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    client.sendall(head + body)


def _attestation(status: bytes, nonce: bytes, tpm: int) -> bytes:
    """The newest log with a quote over a nonce; nothing where the TPM does not answer."""
    try:
        send = tpm_commands.open_device(tpm)
        registers = tpm_commands.read(send, attestation.REGISTERS)
        return attestation.encode(
            tpm_commands.quote(send, attestation.REGISTERS, nonce), registers, json.loads(status)["events"]
        )
    except (ModsealError, OSError, ValueError):
        return b""
