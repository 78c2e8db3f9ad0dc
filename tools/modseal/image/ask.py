"""Asks a host for its attestation, and sends it what its owner has signed, over its management interface."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from pathlib import Path
from typing import Any

from modseal import limits
from modseal.errors import InputError, UsageError

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


def send(address: str, path: Path) -> dict[str, Any]:
    """Send a signed request to a host, and give what it says: `outcome`, and `code` and `detail` where it refuses.

    Raises `UsageError`, `InputError`.
    """
    connection = _connect(address, _UPDATE_SECONDS)
    try:
        with path.open("rb") as file:
            size = str(path.stat().st_size)
            connection.request(
                "PUT", "/update", file, {"Content-Length": size, "Content-Type": "application/octet-stream"}
            )
        said = json.loads(connection.getresponse().read(limits.HOST_DOCUMENT_SIZE))
    except FileNotFoundError as error:
        raise InputError.of(path, error) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise InputError(f"{address} does not answer: {error}").because("host-silent") from None
    finally:
        connection.close()
    if not isinstance(said, dict) or said.get("outcome") not in ("accepted", "rejected", "undecided"):
        raise InputError(f"{address} answers with something that modseal does not know").because("host-silent")
    return said
