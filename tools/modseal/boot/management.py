"""The management interface, over HTTP: the state of the host, the quote of its TPM, and a way in for signed requests.

A process of its own, without any right, and of a user that no service has. `GET` is answered with the newest state that
process 1 has written. What is `PUT` is handed to the `receiver` byte by byte: it counts for the owner's signature in it
alone. So there is no login here, and nothing to steal.
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
from modseal.boot.documents import MANAGEMENT_USER
from modseal.boot.services import close_all_but
from modseal.errors import ModsealError

STATUS = "/run/modseal/status.json"
_PIECE = 1 << 16
_PAUSE = 0.05
_WANTED = re.compile(rb"GET /(?:status|attestation\?nonce=(?P<nonce>(?:[0-9a-f]{2}){8,32})) HTTP/1\.[01]\r\n")
_DELIVERED = re.compile(rb"PUT /update HTTP/1\.[01]\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]{1,12})\r\n", re.IGNORECASE)
_AWAITS = re.compile(rb"\r\nexpect: *100-continue\r\n", re.IGNORECASE)
_STATUS = {"accepted": b"200 OK", "rejected": b"422 Unprocessable Content", "undecided": b"503 Service Unavailable"}


def listen(port: int) -> socket.socket:
    """What the interface listens on, made by root, who also gives the interface the TPM. Raises `OSError`.

    Who starts the interface keeps it: nobody else listens there when the interface is started again.
    """
    if os.path.exists(tpm_commands.DEVICE):
        os.chown(tpm_commands.DEVICE, MANAGEMENT_USER, MANAGEMENT_USER)
    return socket.create_server(("0.0.0.0", port))  # noqa: S104 - the network is what it is for


def serve(server: socket.socket, control: socket.socket | None) -> None:
    """Serve, in a process without rights. `control` leads to the receiver. Raises `OSError`."""
    close_all_but(server.fileno(), *([control.fileno()] if control else []))
    interface = Interface(control)
    while True:
        with suppress(OSError):
            client, _ = server.accept()
            with client:
                try:
                    interface.answer(client)
                except OSError:
                    pass
                except Exception as error:  # noqa: BLE001 - whatever somebody sends, the next one must be answered, too
                    os.write(2, f"{type(error).__name__}: {error}\n".encode())


class Interface:
    """Answers one request after the other."""

    def __init__(self, control: socket.socket | None) -> None:
        self._control = control
        self._relay = 0
        """The process that has a delivery in hand; 0 where none has."""

    def answer(self, client: socket.socket) -> None:
        """Answer a client's request, and hand on what it delivers. Raises `OSError`."""
        head, start = _head(client)
        request = _WANTED.match(head)
        if _DELIVERED.match(head):
            return self._deliver(client, head, start)
        if not request:
            return _respond(client, b"404 Not Found" if head else b"400 Bad Request")
        try:
            with open(STATUS, "rb") as file:
                body = file.read()
        except OSError:  # there was no room for it
            return _respond(client, _STATUS["undecided"])
        if request["nonce"]:
            body = _attestation(body, bytes.fromhex(request["nonce"].decode()))
        return _respond(client, b"200 OK" if body else b"404 Not Found", body)

    def _deliver(self, client: socket.socket, head: bytes, start: bytes) -> None:
        """Hand an update to the receiver in a process of its own, so that the state can be asked for meanwhile."""
        length = _LENGTH.search(head)
        if not length or b"transfer-encoding" in head.lower() or self._control is None:
            return _respond(client, b"400 Bad Request")
        size = int(length[1])
        if size > limits.UPDATE_SIZE + limits.REQUEST_SIZE:
            return _respond(client, b"413 Content Too Large")
        if self._is_busy():
            said = b'{"outcome": "undecided", "detail": "the host takes another delivery; send it again later"}\n'
            return _respond(client, _STATUS["undecided"], said)
        self._relay = os.fork()
        if self._relay:
            return None
        try:
            signal.alarm(limits.DELIVERY_TIME)
            if _AWAITS.search(head):
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            relayed(client, start, size, receiver.hand_over(self._control, size))
        finally:
            os._exit(0)

    def _is_busy(self) -> bool:
        """Whether a delivery is in hand, and stays so: a process ends a little after its client has the answer."""
        end = time.monotonic() + limits.MANAGED_TIME
        while self._relay:
            try:
                ended = os.waitpid(self._relay, os.WNOHANG) != (0, 0)
            except ChildProcessError:
                ended = True
            if ended:
                self._relay = 0
            elif time.monotonic() > end:
                return True
            else:
                time.sleep(_PAUSE)
        return False


def _head(client: socket.socket) -> tuple[bytes, bytes]:
    """The lines of a request, and what came behind them; nothing where they are too long, or do not end in time."""
    end, head = time.monotonic() + limits.MANAGED_TIME, b""
    while b"\r\n\r\n" not in head:
        client.settimeout(max(end - time.monotonic(), _PAUSE))
        piece = client.recv(limits.MANAGED_REQUEST - len(head))
        if not piece or time.monotonic() > end:
            return b"", b""
        head += piece
    client.settimeout(limits.MANAGED_TIME)
    lines, _, start = head.partition(b"\r\n\r\n")
    return lines + b"\r\n", start


def _respond(client: socket.socket, status: bytes, body: bytes = b"") -> None:
    head = b"HTTP/1.0 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    client.sendall(head + body)


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


def _attestation(status: bytes, nonce: bytes) -> bytes:
    """The newest log with a quote over a nonce; nothing where there is no TPM, or it does not answer."""
    try:
        tpm = os.open(tpm_commands.DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        send = tpm_commands.open_device(tpm)
        registers = tpm_commands.read(send, attestation.REGISTERS)
        return attestation.encode(
            tpm_commands.quote(send, attestation.REGISTERS, nonce), registers, json.loads(status)["events"]
        )
    except (ModsealError, OSError, ValueError):
        return b""
    finally:
        os.close(tpm)
