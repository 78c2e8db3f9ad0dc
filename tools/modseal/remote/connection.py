"""One connection to a host: TLS 1.3, both sides with a certificate, and a bound for everything that comes back.

A host is not trusted with this machine: its answer has a size and a time that it may take, is JSON or nothing, and
sends us nowhere else. Proxies of the environment are not used: whoever is between can only carry what is sealed.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from modseal import limits
from modseal.errors import KeyMaterialError, UndecidedError
from modseal.files.small import read_small
from modseal.format.canonical_json import once
from modseal.remote.inventory import RemoteHost


@dataclass(frozen=True, slots=True)
class Reply:
    """What a host answered: the status of HTTP, the place of a task where there is one, and JSON of any shape."""

    status: int
    location: str | None
    body: object


class Connection:
    """Asks one host. Each question has a connection of its own, so that none can answer another."""

    def __init__(self, target: RemoteHost) -> None:
        self.target, self._context = target, _context(target)

    def ask(
        self,
        method: str,
        path: str,
        body: Iterable[bytes] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        seconds: float | None = None,
    ) -> Reply:
        """One question, and its whole answer within so many seconds, by default `limits.REMOTE_REPLY_TIME`.

        Raises `UndecidedError`: host-unreachable, host-reply-invalid.
        """
        target, seconds = self.target, seconds or limits.REMOTE_REPLY_TIME
        try:
            with _connected(target, seconds) as stream:
                connection = http.client.HTTPSConnection(target.host, target.port, context=self._context)
                connection.sock = self._context.wrap_socket(stream, server_hostname=target.host)
                with connection.sock:
                    connection.request(method, path, body, {"Accept": "application/json", **(headers or {})})
                    answer = connection.getresponse()
                    data = answer.read(limits.REMOTE_REPLY_SIZE + 1)
        except ssl.SSLCertVerificationError as error:
            self._fail("remote-certificate", f"its certificate is not proved: {error.verify_message}")
        except ssl.SSLError as error:
            self._fail("remote-refused", f"TLS failed: {error.reason or error}")
        except TimeoutError:
            self._fail("remote-silent", f"it did not answer within {seconds:g} seconds")
        except http.client.HTTPException as error:
            invalid(target, f"it is not HTTP: {type(error).__name__}")
        except OSError as error:
            self._fail("remote-silent", error.strerror or "it cannot be reached")
        if len(data) > limits.REMOTE_REPLY_SIZE:
            invalid(target, f"it is over {limits.REMOTE_REPLY_SIZE} bytes")
        if answer.length:  # what is left of the declared length; http.client says nothing of it
            invalid(target, "it ends early")
        if 300 <= answer.status < 400:
            invalid(target, f"it sends us elsewhere (HTTP {answer.status}), which is not followed")
        return Reply(answer.status, answer.getheader("Location"), _json(target, data))

    def _fail(self, cause: Any, why: str) -> NoReturn:
        target = self.target
        detail = f"{target.shown}: {why}"
        raise UndecidedError("host-unreachable", detail, host=target.host, port=target.port).because(cause) from None


def invalid(target: RemoteHost, why: str) -> NoReturn:
    """Raise that an answer is none that a host gives."""
    raise UndecidedError("host-reply-invalid", f"the answer of {target.shown} cannot be used: {why}", host=target.host)


def _context(target: RemoteHost) -> ssl.SSLContext:
    """What both sides must show. Raises `KeyMaterialError` and `InputError` for files of ours."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which demands a certificate for the name that was asked for
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    for path in (target.ca, target.certificate, target.key):
        read_small(path, limits.POLICY_FILE_SIZE)  # says what the system says, where OpenSSL would not name the file
    try:
        context.load_verify_locations(target.ca)
    except ssl.SSLError:
        raise KeyMaterialError(f"{target.ca} has no CA certificates in PEM").because("not-a-certificate") from None
    try:
        context.load_cert_chain(target.certificate, target.key, password=_no_passphrase)
    except _PassphraseError:
        what = f"{target.key} has a passphrase, and a connection needs a key without"
        raise KeyMaterialError(what).because("passphrase-missing") from None
    except ssl.SSLError:
        what = f"{target.certificate} and {target.key} are not a certificate and its private key in PEM"
        raise KeyMaterialError(what).because("other-certificate") from None
    return context


class _PassphraseError(ValueError):
    """A key asks for a passphrase, which OpenSSL would ask the terminal for."""


def _no_passphrase() -> NoReturn:
    raise _PassphraseError


@contextmanager
def _connected(target: RemoteHost, seconds: float) -> Iterator[socket.socket]:
    """A TCP connection that ends after so many seconds, whatever it is doing then: `TimeoutError`.

    The time-out of a socket starts anew with each byte, and one that drips would never end.
    """
    end = time.monotonic() + seconds
    stream = socket.create_connection((target.host, target.port), timeout=min(seconds, limits.REMOTE_CONNECT_TIME))
    stream.settimeout(seconds)
    handle = stream.dup()  # TLS takes the other one over
    timer = threading.Timer(end - time.monotonic(), _cut, (handle,))
    timer.daemon = True
    timer.start()
    try:
        yield stream
    except (OSError, http.client.HTTPException):
        if time.monotonic() >= end:
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
        timer.join()
        handle.close()
        stream.close()
    if time.monotonic() >= end:  # what was read until then may look whole
        raise TimeoutError


def _cut(handle: socket.socket) -> None:
    with suppress(OSError):  # it may have ended by itself
        handle.shutdown(socket.SHUT_RDWR)


def _json(target: RemoteHost, data: bytes) -> object:
    if not data:
        return None
    try:
        return json.loads(data, parse_constant=_no_constant, object_pairs_hook=once)
    except (ValueError, RecursionError):
        invalid(target, "it is not JSON")


def _no_constant(word: str) -> NoReturn:
    raise ValueError(word)
