"""What gcsfs asks of Google Cloud Storage, answered on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from builders.web import serving

TIME = "2026-01-01T00:00:00Z"


@contextmanager
def store(bucket: str, objects: Mapping[str, bytes]) -> Iterator[str]:
    """The address of a server with one bucket."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            place, _, name = parts.path.partition(f"/b/{bucket}/o")
            name = unquote(name.strip("/"))
            if not name and place.endswith("/v1"):
                self._json(_listed(objects, query.get("prefix", ""), query.get("delimiter", "")))
            elif name not in objects:
                self._json({"error": {"code": 404, "message": "No such object"}}, 404)
            elif query.get("alt") == "media":
                self._data(objects[name])
            else:
                self._json(_described(objects, name))

        def _json(self, value: Any, status: int = 200) -> None:
            self._send(status, json.dumps(value).encode(), "application/json")

        def _data(self, data: bytes) -> None:
            first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            part = data[first : last + 1]
            self._send(206, part, "application/octet-stream", f"bytes {first}-{first + len(part) - 1}/{len(data)}")

        def _send(self, status: int, body: bytes, kind: str, part: str = "") -> None:
            self.send_response(status)
            for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), ("Content-Range", part)):
                if value:
                    self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # gcsfs asks for things that it then does not wait for

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with serving(Handler) as host:
        yield f"http://{host}"


def _described(objects: Mapping[str, bytes], name: str) -> dict[str, str]:
    size = str(len(objects[name]))
    return {
        "kind": "storage#object",
        "name": name,
        "size": size,
        "generation": "1",
        "updated": TIME,
        "timeCreated": TIME,
    }


def _listed(objects: Mapping[str, bytes], prefix: str, delimiter: str) -> dict[str, Any]:
    rest = {name: name.removeprefix(prefix) for name in sorted(objects) if name.startswith(prefix)}
    folders = {
        prefix + part.partition(delimiter)[0] + delimiter for part in rest.values() if delimiter and delimiter in part
    }
    items = [_described(objects, name) for name, part in rest.items() if not delimiter or delimiter not in part]
    return {"kind": "storage#objects", "items": items, "prefixes": sorted(folders)}
