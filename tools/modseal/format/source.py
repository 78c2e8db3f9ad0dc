"""Random access to the bytes of one open file: what every reader reads from.

A bundle is opened once and read by position from then on, so that what is verified and what is
used come from the same open file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Protocol

from modseal.errors import FormatError

BLOCK = 256 * 1024
"""Bytes of one read: larger ones are not faster (docs/adr), smaller ones cost more calls."""


class Source(Protocol):
    """Bytes by position."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`; `FormatError` (truncated) where there are fewer."""


class BytesSource:
    """A source over bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        """See `Source.read`."""
        return _exactly(self._data[offset : offset + length], offset, length)


class FileSource:
    """A source over an open file descriptor, which stays its owner's to close."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        """See `Source.read`. One call returns at most 2 GiB less a page, hence the loop."""
        data = os.pread(self._descriptor, length, offset)
        while 0 < len(data) < length:
            more = os.pread(self._descriptor, length - len(data), offset + len(data))
            if not more:
                break
            data += more
        return _exactly(data, offset, length)


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


def blocks(source: Source, step: int = BLOCK) -> Iterator[bytes]:
    """The bytes of a source in order, `step` at a time."""
    for offset in range(0, source.size, step):
        yield source.read(offset, min(step, source.size - offset))


def _exactly(data: bytes, offset: int, length: int) -> bytes:
    if len(data) != length:
        raise FormatError("truncated", f"{length} bytes expected at offset {offset}, {len(data)} found")
    return data
