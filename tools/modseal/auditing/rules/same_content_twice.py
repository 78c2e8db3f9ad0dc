"""The same file under two names."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Row, Rule


class SameContent:
    """Remembers the first name of each content."""

    def __init__(self) -> None:
        self._first: dict[bytes, str] = {}
        self._hits: list[Hit] = []

    def see(self, row: Row) -> None:
        """See `SetRule.see`."""
        if row.sha256 is None:
            return
        first = self._first.setdefault(bytes.fromhex(row.sha256), row.bundle)
        if first != row.bundle:
            detail = f"it is the same file as {first}"
            self._hits.append(Hit(detail, bundle=row.bundle, sha256=row.sha256, related=(first,)))

    def hits(self) -> Iterator[Hit]:
        """See `SetRule.hits`."""
        yield from self._hits


RULE = Rule(
    id="same-content-twice",
    severity=Severity.INFO,
    title="The same file under two names",
    what="Two bundles have the same SHA-256.",
    why="It costs space, and whoever replaces one of them may forget the other. Info, because nothing is wrong with "
    "either.",
    remedy="Keep one of them, under the name that the depot's index has.",
    example="`agent.vib` and `agent-copy.vib` in two folders.",
    start=SameContent,
)
