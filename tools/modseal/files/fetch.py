"""Fetches bundles and listings from servers through fsspec, for audits.

What is fetched is read once, in order, and kept where the server cannot reach it: in memory, or in a file without a
name. Every read and every answer is bounded in size and in time. Every exception of fsspec and
the packages below it becomes an `InputError` with our own text: theirs may hold the whole address, secrets included.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

from modseal import limits
from modseal.causes import CauseName
from modseal.errors import InputError, UsageError
from modseal.files.address import Address, require_driver
from modseal.format.source import BytesSource, FileSource, Source

TIMEOUT = 60.0
"""Seconds that a server has to answer, and again for each PIECE of what it sends: a slower one would take hours."""

PIECE = 1024 * 1024
"""Bytes that are asked for at a time."""

IN_MEMORY = 8 * 1024 * 1024
"""Bytes of a bundle that is kept in memory; a larger one goes to a file."""


class _Refused(Exception):  # noqa: N818 - not a failure of the server, but something that we do not take from it
    """Something that is not taken from a server, in our own words."""


@contextmanager
def fetched(address: Address, most: int | None = None) -> Iterator[Source]:
    """A bundle's bytes, as they were when they were fetched, once. Raises `InputError`.

    Where it should have `most` bytes, one more is fetched and then no other: its reader sees that it is too long.
    """
    with ExitStack() as stack:
        pieces = _pieces(address, limits.REMOTE_SIZE)
        wanted = pieces if most is None else _first(pieces, most + 1)
        start = b""
        for piece in wanted:
            start += piece
            if len(start) > IN_MEMORY:
                break
        if len(start) <= IN_MEMORY:
            pieces.close()
            yield BytesSource(start)
            return
        with _space(address):
            file = stack.enter_context(tempfile.TemporaryFile())
            _write(file, start, wanted)
            pieces.close()
            yield FileSource(file.fileno())


def _first(pieces: Iterator[bytes], length: int) -> Iterator[bytes]:
    for piece in pieces:
        yield piece[:length]
        length -= len(piece)
        if length <= 0:
            return


def head(address: Address, length: int) -> bytes:
    """The first bytes of something: `length`, or fewer where there are no more. Raises `InputError`."""
    start = b""
    pieces = _pieces(address, limits.REMOTE_SIZE, length)
    while len(start) < length and (piece := next(pieces, b"")):
        start += piece
    pieces.close()
    return start[:length]


def page(address: Address) -> bytes:
    """The page at a web address. Raises `InputError`, also where it is too large."""
    return b"".join(_pieces(address, limits.REMOTE_LISTING))


def look_up(address: Address) -> dict[str, Any]:
    """What an object store says of a name: `type` (file or directory) and `size`. Raises `InputError`."""
    with _in_our_words(address):
        found: dict[str, Any] = _call(_file_system(address.scheme), "info", address.url)
        return found


def entries(address: Address) -> list[dict[str, Any]]:
    """What an object store has directly in a folder: `name`, `type` and `size` of each. Raises `InputError`."""
    with _in_our_words(address):
        found: list[dict[str, Any]] = _call(_file_system(address.scheme), "ls", address.url, detail=True)
        return found


def _write(file: Any, start: bytes, pieces: Iterator[bytes]) -> None:
    file.write(start)
    for piece in pieces:
        file.write(piece)
    file.flush()


@contextmanager
def _space(address: Address) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError.of(address.name, error, ": the temporary file") from None


def _pieces(address: Address, limit: int, piece: int = PIECE) -> Generator[bytes, None, None]:
    """The bytes of something, in order. Raises `InputError`, also for more than `limit` or not as many as announced."""
    received = 0
    with _in_our_words(address), _opened(address) as (read, announced):
        data = read(1)  # from here on the announced size is known, before anybody waits for more
        while data:
            received += len(data)
            if max(received, announced() or 0) > limit:
                raise _Refused(f"more than {limit} bytes, which is the limit")
            yield data
            data = read(piece)
        size = announced()
        if size is not None and received != size:
            raise _Refused(f"{size} bytes were announced, and {received} came")


Read = Callable[[int], bytes]


@contextmanager
def _opened(address: Address) -> Iterator[tuple[Read, Callable[[], int | None]]]:
    """What reads something in order, and what tells the size that was announced with the first piece of it."""
    system = _file_system(address.scheme)
    if address.scheme == "gs":  # gcsfs has no stream: ask for one range after the other
        size = int(_call(system, "info", address.url)["size"])
        yield _Ranges(partial(_call, system, "cat_file", address.url), size).read, lambda: size
    elif not system.async_impl:
        with system.open(address.url, "rb") as plain:
            yield plain.read, lambda: plain.size
    else:
        options = {"size": 0, **system.kwargs} if address.web else {}  # a size, so that it is not asked for first
        file = _wait(system, system.open_async, address.url, "rb", **options)
        try:
            yield partial(_wait, system, _fill, file), partial(_announced, file)
        finally:
            with suppress(Exception):  # what is closed after a failure may fail as well
                _wait(system, _close, file)


class _Ranges:
    """Reads in order by asking for ranges of IN_MEMORY bytes."""

    def __init__(self, ask: Callable[..., bytes], size: int) -> None:
        self._ask, self._size, self._position = ask, size, 0
        self._there = b""

    def read(self, length: int) -> bytes:
        """The next bytes, none at the end."""
        if not self._there and self._position < self._size:
            self._there = self._ask(start=self._position, end=min(self._position + IN_MEMORY, self._size))
            self._position += len(self._there)
        data, self._there = self._there[:length], self._there[length:]
        return data


async def _fill(file: Any, length: int) -> bytes:
    """So many bytes of a stream, fewer at its end."""
    data: bytes = await file.read(length)
    while len(data) < length and (more := await file.read(length - len(data))):
        data += more
    return data


async def _close(file: Any) -> None:
    answer = getattr(file, "r", None)
    await file.close()
    if answer is not None:
        answer.close()


def _announced(file: Any) -> int | None:
    """The size that a stream's answer began with."""
    size = getattr(file.r, "content_length", None) or file.size
    return int(size) if size else None


def _call(system: Any, method: str, *arguments: Any, **options: Any) -> Any:
    if system.async_impl:
        options["timeout"] = TIMEOUT
    return getattr(system, method)(*arguments, **options)


def _wait(system: Any, function: Any, *arguments: Any, **options: Any) -> Any:
    from fsspec.asyn import sync

    return sync(system.loop, function, *arguments, timeout=TIMEOUT, **options)


_environments: dict[str, frozenset[tuple[str, str]]] = {}
"""By scheme: the environment that its file system was made in, which fsspec does not look at when it finds it again."""


def _file_system(scheme: str) -> Any:
    """The file system of fsspec: one for each process, which keeps its connections. Nothing that it lists is kept.

    It has its server and credentials from the environment, so that another environment is another file system.
    """
    require_driver(scheme)
    import fsspec

    environment = frozenset(os.environ.items())
    if _environments.setdefault(scheme, environment) != environment:
        fsspec.get_filesystem_class(scheme).clear_instance_cache()
        _environments[scheme] = environment
    if scheme in ("http", "https"):
        return fsspec.filesystem(scheme, get_client=_client, encoded=True)
    return fsspec.filesystem(scheme, use_listings_cache=False)


async def _client(**options: Any) -> Any:
    """A connection pool that keeps no cookies, takes bytes as they are, and proxies and ~/.netrc from the environment.

    Redirects are followed, because servers of artifacts send everybody to their store, but never from https to http.
    """
    import aiohttp

    tracing = aiohttp.TraceConfig()
    tracing.on_request_redirect.append(_require_no_downgrade)
    tracing.on_request_end.append(_require_plain)
    headers = {**options.pop("headers", {}), "Accept-Encoding": "identity", "User-Agent": "modseal"}
    return aiohttp.ClientSession(
        **{"trust_env": True, **options},
        headers=headers,
        trace_configs=[tracing],
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT, sock_read=TIMEOUT),
    )


async def _require_no_downgrade(_session: Any, _context: Any, redirect: Any) -> None:
    answer = redirect.response
    to = str(answer.headers.get("Location") or answer.headers.get("URI") or "")
    if answer.url.scheme == "https" and to.lower().startswith("http:"):
        raise _Refused("the server leads from https to http")


async def _require_plain(_session: Any, _context: Any, request: Any) -> None:
    if request.response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise _Refused("the server compresses what it sends, although it was asked not to")


@contextmanager
def _in_our_words(address: Address) -> Iterator[None]:
    """Makes every failure of fsspec and the packages below it an `InputError`."""
    try:
        yield
    except InputError:
        raise
    except UsageError as error:  # a worker on another machine that lacks a package
        raise InputError(f"{address.name}: {error.failure.detail}", path=address.name).because(
            "extra-missing"
        ) from None
    except Exception as error:  # noqa: BLE001 - each package has exceptions of its own, and passes on others'
        raise InputError(f"{address.name}: {_reason(error)}", path=address.name).because(_cause(error)) from None


_REASONS = {
    "ClientPayloadError": "the answer ended early",
    "IncompleteReadError": "the answer ended early",
    "ResponseStreamingError": "the answer ended early",
    "ServerDisconnectedError": "the server closed the connection",
    "TooManyRedirects": "too many redirects",
    "NoCredentialsError": "there are no credentials in the environment",
}
"""Exceptions of aiohttp and botocore by their names, so that neither is loaded for it."""

_LONGEST_REASON = 200
"""Characters of a text that comes from a server."""


def _reason(error: Exception) -> str:
    """Why something failed. Not the exception's own text, which may hold the whole address."""
    import ssl

    status = getattr(error, "status", None)
    for kind, reason in (
        (_Refused, str(error)),
        (FileNotFoundError, "not found"),
        (PermissionError, "access denied"),
        (TimeoutError, f"no answer, or too slow a one, for {TIMEOUT:g} s"),
        (ssl.SSLError, "no trusted TLS connection"),
        (ssl.CertificateError, "no trusted TLS connection"),
    ):
        if isinstance(error, kind):
            return reason
    if isinstance(status, int) and status:
        return f"HTTP status {status}"
    if type(error).__name__ in _REASONS:
        return _REASONS[type(error).__name__]
    text = str(getattr(error, "strerror", None) or "").partition("\n")[0]
    return text[:_LONGEST_REASON] or f"no proper answer ({type(error).__name__})"


_NO_ACCESS = (401, 403, 407)
_NOT_THERE = (404, 410)


def _cause(error: Exception) -> CauseName:
    """What can be done about it."""
    import ssl

    status = getattr(error, "status", None)
    if isinstance(error, FileNotFoundError) or status in _NOT_THERE:
        return "not-on-server"
    if isinstance(error, PermissionError) or status in _NO_ACCESS or type(error).__name__ == "NoCredentialsError":
        return "no-access"
    return "tls-untrusted" if isinstance(error, ssl.SSLError | ssl.CertificateError) else "server-failed"
