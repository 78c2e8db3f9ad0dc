"""An S3 server on loopback: moto's, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote
from urllib.request import Request, urlopen

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


_PROGRAM = """
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
server._thread.join()
"""
"""It listens at a free port that the system chooses, says which, and only then is anything asked of it."""


@contextmanager
def store() -> Iterator[str]:
    """Its address."""
    server = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **CREDENTIALS},
    )
    assert server.stdout
    with server:
        try:
            port = server.stdout.readline().strip()
            assert port, "moto's server does not start"
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def fill(url: str, bucket: str, objects: Mapping[str, bytes]) -> None:
    """A new bucket with these objects."""
    headers = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request",
        "Content-Type": "application/octet-stream",  # a form would be taken apart
    }
    for path, data in {"": b"", **{f"/{quote(name)}": data for name, data in objects.items()}}.items():
        urlopen(Request(f"{url}/{bucket}{path}", data, headers, method="PUT")).close()
