"""A run of bytes within a regular file: what a file in a disc image is, or the whole file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from modseal.files.open import open_file
from modseal.format.source import FileSource, Source, Span


@dataclass(frozen=True, slots=True)
class Part:
    """`size` bytes from `offset` of the file at `path`; all of it where `size` is None. It can be sent to a process."""

    path: str
    offset: int = 0
    size: int | None = None

    @contextmanager
    def open(self) -> Iterator[Source]:
        """The bytes by position, while the file is open. Raises `InputError`."""
        with open_file(self.path) as descriptor:
            whole = FileSource(descriptor)
            yield whole if self.size is None else Span(whole, self.offset, self.size)
