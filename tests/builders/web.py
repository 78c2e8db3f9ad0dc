"""Web servers for tests, on loopback in a thread: honest ones, and such as lie."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Answer = bytes | Callable[[BaseHTTPRequestHandler], None]
"""A body, or what writes the whole answer."""


@dataclass
class Site:
    """A server that runs: its address without a slash at the end, and the paths it was asked for."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def site(answers: Mapping[str, Answer] | Path, context: ssl.SSLContext | None = None) -> Iterator[Site]:
    """Serves answers by path, or a folder with listings; everything else is 404."""
    found = Site("")
    with serving(_handler(answers, found.asked), context) as host:
        found.url = f"{'https' if context else 'http'}://{host}"
        yield found


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server with this handler, in a thread: its host and port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.block_on_close = False  # some answers never end
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(answers: Mapping[str, Answer] | Path, asked: list[str]) -> Callable[..., BaseHTTPRequestHandler]:
    class Files(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(answers))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    class Scripted(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            asked.append(self.path)
            assert isinstance(answers, Mapping)
            answer = answers.get(self.path)
            try:
                if answer is None:
                    reply(self, 404, b"nothing here")
                elif isinstance(answer, bytes):
                    reply(self, 200, answer)
                else:
                    answer(self)
            except (OSError, ValueError):
                self.close_connection = True  # the client has seen enough

        def log_message(self, *_: object) -> None:
            """Nothing."""

    return Files if isinstance(answers, Path) else Scripted


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: object) -> None:
    """A whole answer; headers have `_` for `-`, and a given Content-Length may be a lie."""
    handler.send_response(status)
    for name, value in {"Content_Length": len(body), **headers}.items():
        if value is not None:
            handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(body)


def redirect(to: str, status: int = 302) -> Answer:
    """An answer that leads elsewhere."""
    return lambda handler: reply(handler, status, Location=to)


def listing(*names: str) -> bytes:
    """A page with links."""
    return "".join(["<html><body>", *(f'<a href="{name}">x</a>\n' for name in names), "</body></html>"]).encode()
