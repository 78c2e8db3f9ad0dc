"""An OCI registry in memory, on loopback: what pushing and pulling takes of the distribution specification 1.1."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from builders.web import serving


@dataclass
class Registry:
    """What was pushed: blobs by digest; manifests by digest and by tag, each with its media type."""

    host: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)


@contextmanager
def registry() -> Iterator[Registry]:
    found = Registry()
    with serving(_handler(found)) as found.host:
        yield found


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _handler(held: Registry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content_Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            blob = re.fullmatch(r"/v2/.+/blobs/(sha256:[0-9a-f]{64})", path)
            manifest = re.fullmatch(r"/v2/.+/manifests/(.+)", path)
            if blob and blob[1] in held.blobs:
                self._answer(200, held.blobs[blob[1]], Docker_Content_Digest=blob[1])
            elif manifest and manifest[1] in held.manifests:
                kind, data = held.manifests[manifest[1]]
                self._answer(200, data, Content_Type=kind, Docker_Content_Digest=digest_of(data))
            else:
                self._answer(404, b"{}")

        do_HEAD = do_GET  # noqa: N815 - its base class calls it so

        def do_POST(self) -> None:
            self._body()
            self._answer(202, Location=f"http://{held.host}{urlsplit(self.path).path}session")

        def do_PUT(self) -> None:
            parts, data = urlsplit(self.path), self._body()
            manifest = re.fullmatch(r"/v2/.+/manifests/(.+)", parts.path)
            if manifest:
                kind = self.headers.get("Content-Type", "")
                held.manifests[manifest[1]] = held.manifests[digest_of(data)] = (kind, data)
            else:
                [wanted] = parse_qs(parts.query)["digest"]
                assert wanted == digest_of(data)
                held.blobs[wanted] = data
            self._answer(201, Location=f"http://{held.host}{parts.path}")

        def log_message(self, *_: object) -> None:
            """Nothing."""

    return Handler
