"""The bundles of an audit, made ready in one pass: compact rows and steps in spools, the worst rows, and the numbers.

Findings come in the order of bundles, so both spools are read side by side. What stays in memory does not grow with
the audit: a bounded number of rows and signers, and counters of words that modseal itself gives.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from modseal import limits
from modseal.auditing.run import LEVELS, Audit
from modseal.auditing.spool import Spool
from modseal.report.audit_html.groups import SEVERITIES, Groups, Marks, said
from modseal.report.audit_html.signers import Signers
from modseal.report.html import data
from modseal.trust.examination import WORST_LAST, Status

VERDICTS = tuple(map(str, WORST_LAST))
STATUSES = tuple(str(status) for status in Status)


class BundleRow(NamedTuple):
    """One line of the table. Its order is that of the values that report.js has by the same names."""

    file: str
    vendor: str | None
    name: str | None
    version: str | None
    proved: bool
    verdict: int
    claimed: int
    proven: int
    worst: int
    counted: int
    aside: int
    rules: tuple[int, ...]
    anchors: str
    sha256: str | None
    size: int
    format: str | None
    cause: int | None
    """The rule of the first check that did not pass, by its place in the legend."""

    @property
    def badness(self) -> tuple[int, int, int]:
        """By verdict, then by severity, then by the number of findings."""
        return self.verdict, self.worst, self.counted


class NextSteps:
    """The steps of bundles, as many as fit: those of bundles with the most severe findings first."""

    def __init__(self) -> None:
        self._tiers = [_Tier() for _ in range(len(SEVERITIES) + 1)]

    def add(self, severity: int, place: int, details: Callable[[], object]) -> None:
        """One more bundle's; `severity` by its place in `SEVERITIES`, -1 where nothing was found."""
        tier = self._tiers[severity + 1]
        tier.bundles += 1
        if not tier.full:
            tier.add(f"{place} {data(details())}".encode("ascii"))

    def lines(self) -> Iterator[bytes]:
        """The steps that the page carries, each after its bundle's place."""
        count = size = 0
        for tier in reversed(self._tiers):
            for line in tier.spool.lines():
                count, size = count + 1, size + len(line)
                if count > limits.HTML_STEPS or size > limits.HTML_STEPS_SIZE:
                    return
                yield line

    def left_out(self) -> tuple[int, bool]:
        """How many bundles' steps the page does not carry, and whether something was found in any of those."""
        missing = sum(tier.bundles for tier in self._tiers) - sum(1 for _ in self.lines())
        return missing, missing > self._tiers[0].bundles


class _Tier:
    """The steps of bundles whose findings are as severe."""

    def __init__(self) -> None:
        self.spool = Spool()
        self.bundles = self.kept = self.size = 0
        self.full = False

    def add(self, line: bytes) -> None:
        self.kept, self.size = self.kept + 1, self.size + len(line)
        self.full = self.kept >= limits.HTML_STEPS or self.size >= limits.HTML_STEPS_SIZE
        self.spool.append(line)


class Worst:
    """The worst of many entries; of equals, the first."""

    def __init__(self) -> None:
        self._heap: list[tuple[tuple[int, int, int], int, BundleRow]] = []

    def add(self, place: int, entry: BundleRow) -> None:
        """One more entry. The heap gives up the best one, and of equals the last."""
        one = (entry.badness, -place, entry)
        if len(self._heap) < limits.HTML_ROWS:
            heapq.heappush(self._heap, one)
        else:
            heapq.heappushpop(self._heap, one)

    def __iter__(self) -> Iterator[tuple[int, BundleRow]]:
        """Each with its place in the audit."""
        return ((-place, entry) for _, place, entry in sorted(self._heap, key=lambda one: one[:2], reverse=True))


@dataclass(slots=True)
class Bundles:
    """What the page needs of them."""

    rows: Spool = field(default_factory=Spool)
    """Every entry as JSON, in the order of the audit."""
    worst: Worst = field(default_factory=Worst)
    """The entries that are shown while no script runs."""
    steps: NextSteps = field(default_factory=NextSteps)
    signers: Signers = field(default_factory=Signers)


def collect(audit: Audit, groups: Groups) -> Bundles:
    """All of it, in one pass over results and findings."""
    found = Bundles()
    numbers = {group.rule: number for number, group in enumerate(groups.listed())}
    for place, (result, marks) in enumerate(_marked(audit, groups)):
        entry = _entry(result, marks, numbers)
        found.rows.append(data(entry).encode("ascii"))
        found.steps.add(
            max(entry.worst, 0 if marks or entry.verdict else -1), place, partial(_details, result, marks, numbers)
        )
        found.signers.add(result["signers"])
        found.worst.add(place, entry)
    return found


def _marked(audit: Audit, groups: Groups) -> Iterator[tuple[dict[str, Any], Marks]]:
    """Each result with what its findings come to."""
    for result, findings in audit.results_with_findings():
        marks = Marks()
        for finding in findings:
            marks.add(finding)
        yield result, _merged(marks, groups.late.get(result["bundle"]))


def _merged(marks: Marks, late: Marks | None) -> Marks:
    if late:
        marks.worst = max(marks.worst, late.worst)
        marks.counted += late.counted
        marks.aside += late.aside
        marks.rules |= late.rules
        marks.notes += late.notes
    return marks


def _entry(result: dict[str, Any], marks: Marks, numbers: dict[str, int]) -> BundleRow:
    module = result["module"] or {}
    return BundleRow(
        file=result["bundle"],
        vendor=module.get("vendor"),
        name=module.get("name"),
        version=module.get("version"),
        proved=module.get("proved", False),
        verdict=VERDICTS.index(result["verdict"]),
        claimed=_level(result["claimed_level"]),
        proven=_level(result["proven_level"]),
        worst=marks.worst,
        counted=marks.counted,
        aside=marks.aside,
        rules=tuple(sorted(numbers[rule] for rule in marks.rules)),
        cause=None if marks.cause is None else numbers[marks.cause],
        anchors=", ".join(dict.fromkeys(one["anchor"] for one in result["signers"] if one["trusted"])),
        sha256=result["sha256"],
        size=result["size"],
        format=result["format"],
    )


def _level(name: str | None) -> int:
    return LEVELS.index(name or "none")


def _details(result: dict[str, Any], marks: Marks, numbers: dict[str, int]) -> dict[str, Any]:
    """What opens below a row."""
    checks = sorted(result["checks"], key=lambda check: check["status"] in _QUIET)  # a stable sort
    kept = sorted(checks[: limits.HTML_CHECKS], key=lambda check: check["step"])
    error = result.get("error")
    return {
        "signers": [_signer(one) for one in result["signers"]],
        "notes": [
            {"rule": numbers[note.rule], "detail": note.detail, "state": note.state}
            for note in marks.notes[: limits.HTML_CHECKS]
        ],
        "checks": [_check(check) for check in kept],
        "more": len(checks) - len(kept),
        "error": {"code": error["code"], "detail": error["detail"]} if error else None,
    }


_QUIET = frozenset({"passed", "not-applicable"})


def _signer(signer: dict[str, Any]) -> dict[str, Any]:
    names = ("subject", "algorithm", "fingerprint", "not_before", "not_after", "timestamps", "claimed_time")
    return {**{name: signer[name] for name in names}, "anchor": signer["anchor"] if signer["trusted"] else None}


def _check(check: dict[str, Any]) -> dict[str, Any]:
    return {
        "step": check["step"],
        "status": STATUSES.index(check["status"]),
        "code": check["code"],
        "detail": check["detail"],
        "evidence": [(name.replace("_", " "), said(value)) for name, value in check["evidence"].items()],
        "next": None if check["status"] in _QUIET else check["next_step"],
    }
