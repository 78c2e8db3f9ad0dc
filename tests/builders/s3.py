"""An S3 server on loopback: moto's, in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def store() -> Iterator[str]:
    """Its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
    server = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **CREDENTIALS},
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, server)
        yield url
    finally:
        server.terminate()
        server.wait()


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        try:
            urlopen(f"{url}/moto-api/data.json").close()
        except (URLError, ConnectionError):
            assert server.poll() is None, "moto's server does not start"
            time.sleep(0.1)
        else:
            return
    raise AssertionError("moto's server does not answer")


def fill(url: str, bucket: str, objects: Mapping[str, bytes]) -> None:
    """A new bucket with these objects."""
    headers = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request",
        "Content-Type": "application/octet-stream",  # a form would be taken apart
    }
    for path, data in {"": b"", **{f"/{quote(name)}": data for name, data in objects.items()}}.items():
        urlopen(Request(f"{url}/{bucket}{path}", data, headers, method="PUT")).close()
