"""An audit as one JSON document, `modseal/audit@1` (schemas/audit.schema.json): for machines, baselines and diffs.

It is written piece by piece, one line for each result and finding, so that its size costs no memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from modseal.auditing.run import Audit
from modseal.files.names import dumped


def render(audit: Audit) -> Iterator[bytes]:
    """The document in pieces."""
    findings = chain(audit.finding_spool.lines(), audit.late_spool.lines())
    return document(audit.head(), {"results": audit.result_spool.lines(), "findings": findings})


def document(head: Mapping[str, Any], lists: Mapping[str, Iterable[bytes]]) -> Iterator[bytes]:
    """A JSON object in pieces: first what is short, then arrays of values that are JSON already, one on each line."""
    yield dumped(head, indent=2).removesuffix("\n}").encode("ascii")
    for name, lines in lists.items():
        yield f',\n  "{name}": ['.encode("ascii")
        end = b""
        for piece in separated(lines, b"    "):
            yield piece
            end = b"\n  "
        yield end + b"]"
    yield b"\n}\n"


def separated(lines: Iterable[bytes], indent: bytes = b"") -> Iterator[bytes]:
    """JSON values for an array's brackets, each on a line of its own."""
    before = b"\n"
    for each in lines:
        yield before + indent + each
        before = b",\n"


def compact(value: object) -> bytes:
    """A value as JSON in one line."""
    return dumped(value).encode("ascii")
