"""Asks a host for its attestation, and sends it what its owner has signed, over its management interface."""

from __future__ import annotations

import http.client
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modseal import limits
from modseal.boot import requests
from modseal.boot.documents import NUMBER
from modseal.errors import InputError, RefusedError
from modseal.files import host_address
from modseal.files.open import open_reader
from modseal.format.shape import Table, Text

_SECONDS = 60
_UPDATE_SECONDS = 900
"""A host answers only once it has proved and written an update."""


def ask(address: str, nonce: bytes) -> bytes:
    """The bytes of an attestation over a nonce, unproved. Raises `UsageError`, `InputError`."""
    status, data = _answer(address, _host(address, _SECONDS), "GET", f"/attestation?nonce={nonce.hex()}")
    if status != http.client.OK:
        raise InputError(f"{address} gives no attestation (HTTP {status})").because("host-without-tpm")
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
    """Send a signed request to a host, and give what it says of it.

    Raises `UsageError`, `InputError`, and `RefusedError` for a file that is no request, of which nothing is sent.
    """
    host = _host(address, _UPDATE_SECONDS)
    if not requests.is_one(path):
        raise RefusedError("update-invalid", f"{path} does not begin as a request to a host").because("no-request")
    with open_reader(path) as file:
        length = {"Content-Length": str(os.fstat(file.fileno()).st_size)}
        status, data = _answer(address, host, "PUT", "/update", file, length)
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        said = None
    if next(iter(_ANSWER.problems(said)), None):
        detail = f"{address} answers with something that no host says (HTTP {status})"
        raise InputError(detail).because("host-answer")
    numbers = said.get("version", 0), said.get("generation", 0)
    return HostAnswer(said["outcome"], said.get("code", ""), said.get("detail", ""), *numbers)


def _host(address: str, seconds: int) -> http.client.HTTPConnection:
    place = host_address.read(address, "http", http.client.HTTP_PORT, "http://192.0.2.7:9090")
    return http.client.HTTPConnection(place.host, place.port, timeout=seconds)


def _answer(
    address: str, host: http.client.HTTPConnection, method: str, path: str, body: Any = None, headers: Any = None
) -> tuple[int, bytes]:
    """The status and the content of an answer. Raises `InputError`."""
    try:
        host.connect()
        with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before it has taken everything
            host.request(method, path, body, headers or {})
        answer = host.getresponse()
        return answer.status, answer.read(limits.HOST_DOCUMENT_SIZE)
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"{address} does not answer on port {host.port}: {why}").because("host-silent") from None
    finally:
        host.close()
