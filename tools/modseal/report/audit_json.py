"""An audit as one JSON document, `modseal/audit@1` (schemas/audit.schema.json): for machines, baselines and diffs.

It is written piece by piece, one line for each result and finding, so that its size costs no memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from modseal.audit.run import Audit


def render(audit: Audit) -> Iterator[bytes]:
    """The document in pieces."""
    head = json.dumps(audit.head(), indent=2, ensure_ascii=True)
    yield head.removesuffix("\n}").encode("ascii")
    yield b',\n  "results": ['
    yield from listed(audit.result_spool.lines())
    yield b'],\n  "findings": ['
    yield from listed(audit.finding_spool.lines())
    yield b"]\n}\n"


def listed(lines: Iterable[bytes]) -> Iterator[bytes]:
    """JSON values as what stands in an array's brackets, one on each line."""
    separator = b"\n    "
    for line in lines:
        yield separator + line
        separator = b",\n    "
    if separator[:1] == b",":
        yield b"\n  "
