"""Bundles that bring a link or a file where another brings a directory: together, one writes through the other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from modseal import limits
from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Row, Rule
from modseal.auditing.spool import Spool
from modseal.errors import FormatError
from modseal.format.together import Footprint, PathClash, clashes


class _Label(NamedTuple):
    """A bundle as a finding names it."""

    bundle: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class _Modules:
    """What was seen, as `clashes` walks it; in a spool, because all files of all bundles would not fit into memory."""

    spool: Spool

    def __iter__(self) -> Iterator[tuple[str, _Label, Footprint]]:
        for name, label, (links, directories, files) in self.spool.values():
            yield name, _Label(*label), Footprint(tuple(map(tuple, links)), tuple(directories), files)


class PathOfAnotherKind:
    """Keeps where each bundle's entries lie, and compares them at the end."""

    def __init__(self) -> None:
        self._spool = Spool()

    def see(self, row: Row) -> None:
        """See `SetRule.see`."""
        if row.id is not None:
            value = [f"{row.vendor}/{row.name}", [row.bundle, row.sha256], row.footprint]
            self._spool.append(json.dumps(value, ensure_ascii=True).encode("ascii"))

    def hits(self) -> Iterator[Hit]:
        """See `SetRule.hits`."""
        told: Counter[str] = Counter()
        try:
            for clash in clashes(_Modules(self._spool)):
                told[clash.one.bundle] += 1
                if told[clash.one.bundle] <= limits.FINDINGS:
                    yield _hit(clash)
        except FormatError as error:
            yield Hit(f"whether paths clash is not known: {error.failure.detail}", remedy=_FEWER, undecided=True)
        for bundle in (bundle for bundle, count in told.items() if count > limits.FINDINGS):
            yield Hit(f"and {told[bundle] - limits.FINDINGS} more paths that clash", bundle=bundle)


_FEWER = "Audit fewer bundles at a time: those that are installed together."


def _hit(clash: PathClash[_Label]) -> Hit:
    one, other = clash.one, clash.other
    here = "a file" if clash.target is None else f"a link to {clash.target!r}"
    there = "a directory" if clash.directory else "a file"
    evidence = {"path": clash.path, "target": clash.target, "other": other.sha256}
    detail = f"{clash.path!r} is {here}, and in {other.bundle} {there}"
    return Hit(detail, evidence, bundle=one.bundle, sha256=one.sha256, related=(other.bundle,))


RULE = Rule(
    id="path-of-another-kind",
    severity=Severity.HIGH,
    title="A link or file where another module has a directory",
    what="Two modules of unlike names bring one path: the one as a link, the other as a file or a directory, declared "
    "or with something below it; or the one as a file and the other as a directory. Letter case and Unicode forms do "
    "not count. Of the bundles that a path clashes with, one is named.",
    why="Where both are installed, the files of the one go wherever the link of the other leads, past the rules for "
    "paths that each was judged by alone: `opt/x/link` to `../../etc/cron.d`, and another module's `opt/x/link/evil`. "
    "A file in the place of a directory makes an installation stop half-way.",
    remedy="Do not install the two together; ask who made the link why it leads out of its own folder.",
    example="`agent.vib` with the link `opt/x/link`, and `tools.vib` with `opt/x/link/evil`.",
    start=PathOfAnotherKind,
)
