"""Where results wait until a report is written: a file without a name, so that memory stays flat and nothing is left.

Reports need some of it twice (totals come first in most forms), and a cluster's results come for hours.
"""

from __future__ import annotations

import json
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import IO, Any, TypeVar

from modseal.auditing.as_of import AsOf
from modseal.auditing.finding import Finding, FindingText, State, from_plain
from modseal.files.names import dumped

T = TypeVar("T")


class Spool:
    """JSON values, one a line, in the order in which they came. Written once, read as often as needed.

    `as_of` is the time that stands in them where they are read, in the place of marks.
    """

    def __init__(self) -> None:
        self.as_of: AsOf | None = None
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - it ends with the spool
        weakref.finalize(self, self._file.close)

    def append(self, line: bytes) -> None:
        """One more JSON value, without a line feed in it; it may have marks."""
        self._file.write(line + b"\n")

    def extend(self, block: bytes) -> None:
        """A block of another spool, in the order in which that gave them."""
        self._file.write(block)

    def lines(self) -> Iterator[bytes]:
        """Every value, as it was written, without marks. Reading several at a time is possible."""
        lines = (line[:-1] for block in self._read(lambda file: file.readlines(_BLOCK)) for line in block)
        return map(self.as_of.filled, lines) if self.as_of else lines

    def blocks(self) -> Iterator[bytes]:
        """All of it with its marks, in blocks of some size, which may end within a line."""
        return self._read(lambda file: file.read(_BLOCK))

    def _read(self, some: Callable[[IO[bytes]], T]) -> Iterator[T]:
        self._file.flush()
        position, end = 0, self._file.tell()
        while position < end:
            self._file.seek(position)
            block = some(self._file)
            position = self._file.tell()
            yield block
        self._file.seek(0, 2)

    def values(self) -> Iterator[Any]:
        """Every value, read."""
        return map(json.loads, self.lines())


_BLOCK = 1024 * 1024
_IN_MEMORY = 4 * 1024 * 1024
"""Bytes that need no file: small audits run where nothing can be written."""


class FindingSpool(Spool):
    """A spool of findings; `counted` has the number of those that count, by rule."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: Counter[str] = Counter()

    def add(self, finding: Finding) -> None:
        """One more finding."""
        plain, as_of = finding.plain(), self.as_of
        text = as_of.written(as_of.marked(plain)) if as_of else dumped(plain)
        self.append(text.encode("ascii"))
        self.counted[finding.rule] += finding.state is State.NEW

    def add_text(self, text: FindingText, bundle: str) -> None:
        """One more finding, which counts; `bundle` is the file's name as JSON, `portable`."""
        self.append(text.line(bundle))
        self.counted[text.rule] += 1

    def findings(self) -> Iterator[Finding]:
        """Every finding."""
        return map(from_plain, self.values())
