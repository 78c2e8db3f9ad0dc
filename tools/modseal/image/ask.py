"""Asks a host for its attestation, and sends it what its owner has signed, over its management interface."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from modseal import limits
from modseal.boot.documents import NUMBER
from modseal.errors import InputError, UsageError
from modseal.format.shape import Table, Text

_SECONDS = 60
_UPDATE_SECONDS = 900
"""A host answers only once it has proved and written an update."""


def _connect(address: str, seconds: int) -> http.client.HTTPConnection:
    parts = urllib.parse.urlsplit(address)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query:
        raise UsageError(f"{address} is no address of a management interface, such as http://192.0.2.7:9090")
    return http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=seconds)


def ask(address: str, nonce: bytes) -> bytes:
    """The bytes of an attestation over a nonce, unproved. Raises `UsageError`, `InputError`."""
    connection = _connect(address, _SECONDS)
    try:
        connection.request("GET", f"/attestation?nonce={nonce.hex()}")
        answer = connection.getresponse()
        data = answer.read(limits.HOST_DOCUMENT_SIZE)
    except (OSError, http.client.HTTPException) as error:
        raise InputError(f"{address} does not answer: {error}").because("host-silent") from None
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise InputError(f"{address} gives no attestation (HTTP {answer.status}): it may have no TPM").because(
            "host-silent"
        )
    return data


@dataclass(frozen=True, slots=True)
class HostAnswer:
    """What a host says of a request: `outcome` is accepted, rejected or undecided; why, where it is not accepted."""

    outcome: str
    code: str
    detail: str
    version: int
    generation: int


_ANSWER = Table(
    {"outcome": Text(choices=("accepted", "rejected", "undecided"))},
    {"code": Text(most=64), "detail": Text(least=0, most=1 << 16), "version": NUMBER, "generation": NUMBER},
)


def send(address: str, path: Path) -> HostAnswer:
    """Send a signed request to a host, and give what it says of it. Raises `UsageError`, `InputError`."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError.of(path, error) from error
    connection = _connect(address, _UPDATE_SECONDS)
    try:
        with file:
            connection.request("PUT", "/update", file, {"Content-Length": str(path.stat().st_size)})
        said = json.loads(connection.getresponse().read(limits.HOST_DOCUMENT_SIZE))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise InputError(f"{address} does not answer: {error}").because("host-silent") from None
    finally:
        connection.close()
    if next(iter(_ANSWER.problems(said)), None):
        raise InputError(f"{address} answers with something that modseal does not know").because("host-silent")
    numbers = said.get("version", 0), said.get("generation", 0)
    return HostAnswer(said["outcome"], said.get("code", ""), said.get("detail", ""), *numbers)
