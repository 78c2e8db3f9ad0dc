"""Receives what is pushed: bundles go to files without a name, in bounded time, size and number."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from modseal import limits
from modseal.errors import InputError, UsageError
from modseal.format.canonical_json import once
from modseal.serve import frames
from modseal.serve.operations import PARAMETERS
from modseal.serve.room import InFlight, Turns, require_room

_SECONDS = 3600
"""Within which a push must be there: 4 GiB at 10 Mbit/s."""

_GRACE_SECONDS = 30
"""A push that brings less than `limits.SERVE_SLOWEST` is waited for so long; as long as a connection may take to get
going."""

_HEADS = limits.MIB
"""Bytes of a push that are not of its bundles, at most: parameters, and the heads of all parts."""

Arguments = Callable[[Mapping[str, bytes]], dict[str, Any]]
_NAME = "the folder for pushed bundles (`spool`)"


class Push:
    """What has arrived: the arguments of `install`, and the bundles as open files."""

    def __init__(self, request: web.Request, names: Collection[str], arguments: Arguments, named: bool) -> None:
        self.request = request
        self.arguments: dict[str, Any] = {}
        self.descriptors: list[int] = []
        self._names, self._make, self._named = names, arguments, named
        self._fields: dict[str, bytes] = {}
        self._files: list[str] = []
        self.writing: asyncio.Future[None] | None = None

    async def takes(self, part: BodyPartReader) -> bool:
        """Whether a part was a field, and is read; else it is a bundle. Raises `ModsealError`, `ValueError`."""
        name = part.name or ""
        if name in self._names and name not in self._fields:
            self._fields[name] = await _text(part)
            return True
        if name != "UpdateFile" or len(self._files) >= limits.SERVE_BUNDLES:
            raise web.HTTPBadRequest(reason=f"a part is called {part.name!r}, or is one too many"[:100])
        if self._named and not part.filename:
            raise web.HTTPBadRequest(reason="no bundle was chosen")
        if (self._fields or self._named) and not self._files:
            self._make(self._fields)  # a form has fields that say whose it is: without them nothing is taken
        self._files.append(part.filename or "")
        return False

    def end(self) -> None:
        """Everything is there. Raises `ModsealError`, `ValueError`."""
        self.arguments = {**self._make(self._fields), "Files": self._files}
        if not self._files:
            raise web.HTTPBadRequest(reason="there is no part UpdateFile")

    async def close(self) -> None:
        """Remove the files, once no thread writes to their descriptors any more, which others have next."""
        if self.writing:
            await asyncio.wait((self.writing,))
            self.writing.exception()  # it was told already, or nobody is there any more
        for descriptor in self.descriptors:
            os.close(descriptor)


class Pushes:
    """Takes pushes of at most `upload` bytes into the folder that is open as `spool`."""

    def __init__(self, spool: int, upload: int) -> None:
        self._spool, self._upload = spool, upload
        self._turns, self._in_flight = Turns(limits.SERVE_PUSHES), InFlight(upload)

    @asynccontextmanager
    async def received(
        self, request: web.Request, who: bytes, names: Collection[str], arguments: Arguments, *, named: bool = False
    ) -> AsyncIterator[Push]:
        """One push, whose files are there while the block runs: bundles, and fields of which `arguments` are made.

        Fields that come first are looked at before any bundle is. Where bundles must be `named`, one without is what a
        browser sends where none was chosen. Raises `ModsealError`, `TimeoutError` where the push does not come, and
        aiohttp's exceptions.
        """
        if not request.content_type.startswith("multipart/"):
            raise web.HTTPBadRequest(reason="push a bundle as multipart/form-data: UpdateParameters, then UpdateFile")
        length = self._upload if request.content_length is None else request.content_length
        if length > self._upload + _HEADS:
            raise web.HTTPRequestEntityTooLarge(self._upload, length)
        push = Push(request, frozenset(names), arguments, named)
        async with self._turns.turn(who):
            with self._in_flight.held(min(length, self._upload)):
                require_room(self._spool, request.content_length or 0, _NAME)
                try:
                    await self._receive(push)
                    yield push
                finally:
                    await push.close()

    async def _receive(self, push: Push) -> None:
        loop = asyncio.get_running_loop()
        begun, size = loop.time(), 0
        async with asyncio.timeout(_GRACE_SECONDS) as deadline:
            try:
                async for part in await push.request.multipart():
                    if not isinstance(part, BodyPartReader):
                        raise web.HTTPBadRequest(reason="parts have no parts here")
                    if await push.takes(part):
                        continue
                    push.descriptors.append(_file(self._spool))
                    async for chunk in _chunks(part):
                        size += len(chunk)
                        if size > self._upload:
                            raise web.HTTPRequestEntityTooLarge(self._upload, size)
                        push.writing = loop.run_in_executor(None, _write, push.descriptors[-1], chunk)
                        await asyncio.shield(push.writing)  # a thread goes on when nobody waits any more
                        seconds = min(_GRACE_SECONDS + size / limits.SERVE_SLOWEST, _SECONDS)
                        deadline.reschedule(begun + seconds)
                push.end()
            except (ValueError, RecursionError, HttpProcessingError) as error:
                raise web.HTTPBadRequest(reason=f"the body cannot be read ({type(error).__name__})") from None


def _file(folder: int) -> int:
    """A file without a name. Raises `InputError`."""
    try:
        return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=folder)
    except OSError as error:
        raise InputError.of(_NAME, error, to_write=True) from error


def _write(descriptor: int, chunk: bytes) -> None:
    require_room(descriptor, len(chunk), _NAME)
    try:
        while chunk:
            chunk = chunk[os.write(descriptor, chunk) :]
    except OSError as error:
        raise InputError.of(_NAME, error, to_write=True) from error


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    """The bytes of a part, in pieces of any size."""
    while chunk := await asyncio.wait_for(part.read_chunk(limits.SERVE_BODY), frames.IDLE_SECONDS):
        yield chunk


async def _text(part: BodyPartReader) -> bytes:
    """A part that is no bundle. Raises `ValueError` for one that is too long."""
    found = b""
    async for chunk in _chunks(part):
        found += chunk
        if len(found) > limits.SERVE_BODY:
            raise ValueError("UpdateParameters is too long")
    return found


def parameters(fields: Mapping[str, bytes]) -> dict[str, Any]:
    """Redfish's parameters of a push, as arguments. Raises `ValueError`, `UsageError`."""
    found = json.loads(fields.get("UpdateParameters", b"").decode() or "{}", object_pairs_hook=once)
    if problems := PARAMETERS.problems(found):
        raise UsageError(f"UpdateParameters: {problems[0]}")
    if found.get("ForceUpdate"):
        raise web.HTTPBadRequest(reason="ForceUpdate: nothing is forced onto this host")
    return dict(found.get("Oem", {}).get("Modseal", {}))
