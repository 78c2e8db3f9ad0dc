"""Plain HTTP on loopback for clients that have no client certificate to show: it goes on over TLS, with one."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress


@contextmanager
def forwarder(context: ssl.SSLContext, port: int) -> Iterator[str]:
    """The address, `http://127.0.0.1:PORT`, whose every byte goes to `port` of this machine by `context`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_take, args=(listening, context, port), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def _take(listening: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with suppress(OSError):  # it was closed
        while True:
            plain, _ = listening.accept()
            threading.Thread(target=_forward, args=(plain, context, port), daemon=True).start()


def _forward(plain: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with (
        closing(plain),
        suppress(OSError),
        socket.create_connection(("127.0.0.1", port)) as connection,
        context.wrap_socket(connection, server_hostname="127.0.0.1") as tls,
    ):
        threading.Thread(target=_pass, args=(plain, tls), daemon=True).start()
        _pass(tls, plain)


def _pass(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError, ValueError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
