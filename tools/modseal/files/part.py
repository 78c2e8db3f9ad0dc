"""Bytes within a regular file: what a file in a disc image is, or the whole file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from modseal.files.open import open_file
from modseal.format.source import FileSource, Joined, Source, Span
from modseal.values import dataclass


@dataclass(frozen=True, slots=True)
class FilePart:
    """Runs of the bytes of the file at `path`, each an offset and a size; all of it where `runs` is None."""

    path: str
    runs: tuple[tuple[int, int], ...] | None = None

    @contextmanager
    def open(self) -> Iterator[Source]:
        """The bytes by position, while the file is open. Raises `InputError`."""
        with open_file(self.path) as descriptor:
            whole = FileSource(descriptor)
            yield whole if self.runs is None else within(whole, self.runs)

    @property
    def size(self) -> int:
        """How many bytes they are, as far as is known without opening it."""
        return sum(size for _, size in self.runs or ())


def within(source: Source, runs: tuple[tuple[int, int], ...]) -> Source:
    """These runs of a source as one."""
    spans = [Span(source, offset, size) for offset, size in runs]
    return spans[0] if len(spans) == 1 else Joined(spans)
