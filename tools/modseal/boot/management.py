"""The management interface, over HTTP: the state of the host, the quote of its TPM, and a way in for signed requests.

A process of its own, without any right and as nobody. `GET` is answered with the newest state that process 1 has
written. What is `PUT` is handed to the `receiver` byte by byte: it counts for the owner's signature in it alone. So
there is no login here, and nothing to steal.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from contextlib import suppress

from modseal import limits
from modseal.boot import attestation, receiver, tpm_commands
from modseal.boot.services import limit_to
from modseal.errors import ModsealError

STATUS = "/run/modseal/status.json"
_NOBODY = 65534
_PIECE = 1 << 16
_PAUSE = 0.05
_WANTED = re.compile(rb"GET /(?:status|attestation\?nonce=(?P<nonce>(?:[0-9a-f]{2}){8,32})) HTTP/1\.[01]\r\n")
_DELIVERED = re.compile(rb"PUT /update HTTP/1\.[01]\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]{1,12})\r\n", re.IGNORECASE)
_AWAITS = re.compile(rb"\r\nexpect: *100-continue\r\n", re.IGNORECASE)
_STATUS = {"accepted": b"200 OK", "rejected": b"422 Unprocessable Content", "undecided": b"503 Service Unavailable"}


def start(port: int, control: socket.socket | None = None) -> int:
    """Serve in a child process; gives its number. `control` leads to the receiver. Raises `OSError`."""
    server = socket.create_server(("0.0.0.0", port))  # noqa: S104 - the network is what it is for
    process = os.fork()
    if process:
        server.close()
        return process
    try:
        os.setsid()
        tpm = os.open(tpm_commands.DEVICE, os.O_RDWR | os.O_CLOEXEC) if os.path.exists(tpm_commands.DEVICE) else None
        limit_to(_NOBODY, frozenset())
        relay = 0
        while True:
            with suppress(OSError):
                client, _ = server.accept()
                with client:
                    relay = _answer(client, tpm, control, relay)
    finally:
        os._exit(1)


def _answer(client: socket.socket, tpm: int | None, control: socket.socket | None, relay: int) -> int:
    """Answer one request; gives the process that has an update in hand, if one has."""
    client.settimeout(limits.MANAGED_TIME)
    head = client.recv(limits.MANAGED_REQUEST)
    if _DELIVERED.match(head):
        return _deliver(client, head, control, relay)
    request = _WANTED.match(head)
    body = b""
    if request:
        with open(STATUS, "rb") as file:
            body = file.read()
    if request and request["nonce"]:
        body = _attestation(body, bytes.fromhex(request["nonce"].decode()), tpm) if tpm is not None else b""
    _respond(client, b"200 OK" if body else b"404 Not Found", body)
    return relay


def _respond(client: socket.socket, status: bytes, body: bytes = b"") -> None:
    head = b"HTTP/1.0 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    client.sendall(head + body)


def _deliver(client: socket.socket, head: bytes, control: socket.socket | None, relay: int) -> int:
    """Hand an update to the receiver in a process of its own, so that the state can be asked for meanwhile."""
    if relay and not _ended(relay):
        said = b'{"outcome": "undecided", "detail": "the host takes another delivery; send it again later"}\n'
        _respond(client, _STATUS["undecided"], said)
        return relay
    while b"\r\n\r\n" not in head and len(head) < limits.MANAGED_REQUEST:
        piece = client.recv(limits.MANAGED_REQUEST - len(head))
        if not piece:
            return 0
        head += piece
    head, end, start = head.partition(b"\r\n\r\n")
    length = _LENGTH.search(head + b"\r\n")
    if not end or not length or b"transfer-encoding" in head.lower() or control is None:
        _respond(client, b"400 Bad Request")
        return 0
    size = int(length[1])
    if size > limits.UPDATE_SIZE + limits.REQUEST_SIZE:
        _respond(client, b"413 Content Too Large")
        return 0
    process = os.fork()
    if process:
        return process
    try:
        signal.alarm(limits.DELIVERY_TIME)
        if _AWAITS.search(head + b"\r\n"):
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        relayed(client, start, size, receiver.hand_over(control, size))
    finally:
        os._exit(0)


def _ended(process: int) -> bool:
    """Whether a child has ended, or does so within moments: its client has the answer a little before."""
    end = time.monotonic() + limits.MANAGED_TIME
    while os.waitpid(process, os.WNOHANG) == (0, 0):
        if time.monotonic() > end:
            return False
        time.sleep(_PAUSE)
    return True


def relayed(client: socket.socket, start: bytes, size: int, connection: socket.socket) -> None:
    """Pass `size` bytes of a client on, of which `start` is here, and what is answered back. Raises `OSError`."""
    left, piece = size, start[:size]
    refused = False
    while left:
        left -= len(piece)
        if not refused:
            try:
                connection.sendall(piece)
            except OSError:
                refused = True  # the answer is there; but a client reads it only once all is sent
        if left:
            piece = client.recv(min(_PIECE, left))
            if not piece:
                break
    client.settimeout(None)
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
    said = b""
    with suppress(OSError):
        while more := connection.recv(_PIECE):
            said += more
    outcome = json.loads(said or b"{}").get("outcome", "undecided")
    _respond(client, _STATUS[outcome], said)


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
