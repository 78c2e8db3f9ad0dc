"""Random access to the bytes of one open file: what every reader reads from.

A bundle is opened once and read by position from then on, so that what is verified and what is
used come from the same open file.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Protocol

from modseal.errors import FormatError
from modseal.format.meter import READ

BLOCK = 256 * 1024
"""Bytes of one read: larger ones are not faster (docs/adr), smaller ones cost more calls."""

WHOLE = 128 * 1024
"""A file of at most so many bytes is read at once: most bundles are small, and have a dozen parts."""

_SMALL = 64
"""Bytes of a piece that is kept when it is read early; a header of an archive has 60."""


class Source(Protocol):
    """Bytes by position."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`; `FormatError` (truncated) where there are fewer."""


class BytesSource:
    """A source over bytes in memory."""

    in_memory = True

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        """See `Source.read`."""
        return _exactly(self._data[offset : offset + length], offset, length)


class FileSource:
    """A source over an open file descriptor, which stays its owner's to close."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        self._whole = self._read(0, self.size) if self.size <= WHOLE else None
        self.in_memory = self._whole is not None
        """Whether every read gives bytes that were read once, when it was opened."""

    def read(self, offset: int, length: int) -> bytes:
        """See `Source.read`."""
        if self._whole is None:
            return _exactly(self._read(offset, length), offset, length)
        return _exactly(self._whole[offset : offset + length], offset, length)

    def _read(self, offset: int, length: int) -> bytes:
        """What is there of some bytes. One call returns at most 2 GiB less a page, hence the loop."""
        data = os.pread(self.descriptor, length, offset)
        while 0 < len(data) < length:
            more = os.pread(self.descriptor, length - len(data), offset + len(data))
            if not more:
                break
            data += more
        READ.count += len(data)
        return data


class Span:
    """A part of a source: one member of an archive."""

    def __init__(self, source: Source, offset: int, size: int) -> None:
        self._source = source
        self._offset = offset
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """See `Source.read`; positions count from the start of the span."""
        if not 0 <= offset <= offset + length <= self.size:
            raise FormatError("truncated", "a read past the end of a member", offset=offset, size=self.size)
        return self._source.read(self._offset + offset, length)


class Joined:
    """Several sources, one after another, as if they were one file."""

    def __init__(self, parts: Iterable[Source]) -> None:
        self._parts = tuple(part for part in parts if part.size)
        self._starts = (0, *accumulate(part.size for part in self._parts))
        self.size = self._starts[-1]

    def read(self, offset: int, length: int) -> bytes:
        """See `Source.read`."""
        if not 0 <= offset <= offset + length <= self.size:
            raise FormatError("truncated", f"{length} bytes expected at offset {offset}, of {self.size} in all")
        pieces = []
        place = bisect_right(self._starts, offset) - 1
        while length:
            within = offset - self._starts[place]
            count = min(length, self._parts[place].size - within)
            pieces.append(self._parts[place].read(within, count))
            offset, length, place = offset + count, length - count, place + 1
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class HashedSource:
    """A source that knows the SHA-256 of all its bytes: of the very bytes that its reader was given.

    A second pass over a file could hash other bytes than those that were judged, if another process writes to it in
    between. So what is read in order is hashed as it is read; small pieces from further on (headers) are kept
    until it is their turn; and only what was not read at all is read for the digest.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._digest = hashlib.sha256()
        self._position = 0
        self._early: dict[int, bytes] = {}
        self.size = source.size

    def read(self, offset: int, length: int) -> bytes:
        """See `Source.read`."""
        data = self._source.read(offset, length)
        if offset > self._position and length <= _SMALL:
            self._early.setdefault(offset, data)
        else:
            self._fill(offset)
            self._take(offset, data)
        return data

    def sha256(self) -> str:
        """The digest of the whole, lower-case hex. Raises `FormatError` (truncated) where the rest is not there."""
        self._fill(self.size)
        return self._digest.hexdigest()

    def _take(self, offset: int, data: bytes) -> None:
        """Hash what of some bytes was not hashed before, then what follows them and was read early."""
        while data:
            if offset + len(data) > self._position:
                self._digest.update(data[self._position - offset :])
                self._position = offset + len(data)
            offset = self._position
            data = self._early.pop(offset, b"")

    def _fill(self, end: int) -> None:
        """Hash all before `end`, from what was read early and else from the file."""
        while self._position < end:
            stop = min((offset for offset in self._early if offset >= self._position), default=end)
            stop = min(stop, end, self._position + BLOCK)
            data = self._early.pop(self._position, b"") or self._source.read(self._position, stop - self._position)
            self._take(self._position, data)


def blocks(source: Source, step: int = BLOCK) -> Iterator[bytes]:
    """The bytes of a source in order, `step` at a time."""
    for offset in range(0, source.size, step):
        yield source.read(offset, min(step, source.size - offset))


def sha256(source: Source) -> bytes:
    """The digest of all bytes of a source. Raises `FormatError` (truncated)."""
    digest = hashlib.sha256()
    for block in blocks(source):
        digest.update(block)
    return digest.digest()


def _exactly(data: bytes, offset: int, length: int) -> bytes:
    if len(data) != length:
        raise FormatError("truncated", f"{length} bytes expected at offset {offset}, {len(data)} found")
    return data
