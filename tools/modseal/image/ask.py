"""Asks a host for its attestation, over its management interface."""

from __future__ import annotations

import http.client
import urllib.parse

from modseal import limits
from modseal.errors import InputError, UsageError

_SECONDS = 60


def ask(address: str, nonce: bytes) -> bytes:
    """The bytes of an attestation over a nonce, unproved. Raises `UsageError`, `InputError`."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query:
        raise UsageError(f"{address} is no address of a management interface, such as http://192.0.2.7:9090")
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=_SECONDS)
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
