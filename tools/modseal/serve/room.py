"""What pushes may take, in either process: so many at a time, so many bytes, and never the last of the disk."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from modseal import limits
from modseal.errors import InputError

_TURN_SECONDS = 60
"""Longer does nobody wait: the client would have given up."""


def require_room(descriptor: int, size: int, name: str) -> None:
    """Raises `InputError` (no-space) where so many bytes more would take what the file system keeps free."""
    disk = os.fstatvfs(descriptor)
    kept = min(limits.SERVE_FREE_SPACE, disk.f_blocks * disk.f_frsize // 20)
    if disk.f_bavail * disk.f_frsize < size + kept:
        raise InputError.of(name, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), to_write=True)


class InFlight:
    """The bytes of all pushes together: at most those of some uploads of the greatest size. For any thread."""

    def __init__(self, upload: int) -> None:
        self._most, self._now, self._lock = limits.SERVE_UPLOADS * upload, 0, threading.Lock()

    @contextmanager
    def held(self, size: int) -> Iterator[None]:
        """While the block runs, these are there. Raises `InputError` (serve-busy)."""
        with self._lock:
            if self._now + size > self._most:
                detail = f"{self._now} bytes of pushes are here already, and {size} more are over {self._most}"
                raise InputError(detail).because("serve-busy")
            self._now += size
        try:
            yield
        finally:
            with self._lock:
                self._now -= size


class Turns:
    """So many at a time, and of one client its share of them; more wait, each client's behind its own."""

    def __init__(self, count: int) -> None:
        self._all, self._each = asyncio.Semaphore(count), count // limits.SERVE_SHARE
        self._own: dict[bytes, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def turn(self, who: bytes) -> AsyncIterator[None]:
        """Wait for a turn, and have it while the block runs. Raises `InputError` (serve-busy)."""
        own, waiting = self._own.get(who) or (asyncio.Semaphore(self._each), 0)
        self._own[who] = own, waiting + 1
        try:
            async with _both(own, self._all):
                yield
        finally:
            own, waiting = self._own.pop(who)
            if waiting > 1:
                self._own[who] = own, waiting - 1


@asynccontextmanager
async def _both(own: asyncio.Semaphore, every: asyncio.Semaphore) -> AsyncIterator[None]:
    """Both semaphores, the own one first, so that who has many waiting keeps no other from its turn."""
    try:
        async with asyncio.timeout(_TURN_SECONDS):
            await own.acquire()
            try:
                await every.acquire()
            except BaseException:
                own.release()
                raise
    except TimeoutError:
        raise InputError("too much is under way here already").because("serve-busy") from None
    try:
        yield
    finally:
        every.release()
        own.release()
