"""Where results wait until a report is written: a file without a name, so that memory stays flat and nothing is left.

Reports need some of it twice (totals come first in most forms), and a cluster's results come for hours.
"""

from __future__ import annotations

import json
import tempfile
import weakref
from collections.abc import Iterator
from typing import Any

from modseal.auditing.finding import Finding, from_plain
from modseal.files.names import dumped


class Spool:
    """JSON values, one a line, in the order in which they came. Written once, read as often as needed."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - it ends with the spool
        weakref.finalize(self, self._file.close)

    def append(self, line: bytes) -> None:
        """One more JSON value, without a line feed in it."""
        self._file.write(line + b"\n")

    def lines(self) -> Iterator[bytes]:
        """Every value, as it was written. Reading several at a time is possible."""
        self._file.flush()
        position, end = 0, self._file.tell()
        while position < end:
            self._file.seek(position)
            block = self._file.readlines(_BLOCK)
            position = self._file.tell()
            yield from (line[:-1] for line in block)
        self._file.seek(0, 2)

    def values(self) -> Iterator[Any]:
        """Every value, read."""
        return map(json.loads, self.lines())


_BLOCK = 1024 * 1024
_IN_MEMORY = 4 * 1024 * 1024
"""Bytes that need no file: small audits run where nothing can be written."""


class FindingSpool(Spool):
    """A spool of findings."""

    def add(self, finding: Finding) -> None:
        """One more finding."""
        self.append(dumped(finding.plain()).encode("ascii"))

    def findings(self) -> Iterator[Finding]:
        """Every finding."""
        return map(from_plain, self.values())
