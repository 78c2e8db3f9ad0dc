"""Two reports compared: which bundles came, went, changed or moved, which findings are new or gone, what got worse.

Both are claims (see `audit.report_file`). Bundles are recognised by their names, and by their SHA-256 where a name
is gone; findings by their fingerprints, so that a finding stays the same one wherever its bundle lies. Of each bundle
a few words are kept; findings are read again from their files when a report of the comparison is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import field
from functools import cached_property
from typing import NamedTuple

from modseal.auditing.finding import Finding, Severity, State
from modseal.auditing.report_file import ReportFile
from modseal.auditing.run import LEVELS
from modseal.trust.examination import WORST_LAST, Verdict
from modseal.values import dataclass


class Side(NamedTuple):
    """What one of the reports says of a bundle."""

    name: str
    sha256: str | None
    verdict: Verdict
    level: str
    """The proven level, or `none`."""

    def worse_than(self, other: Side) -> bool:
        """Whether this verdict is worse, or this level lower."""
        verdict = WORST_LAST.index(self.verdict) > WORST_LAST.index(other.verdict)
        return verdict or LEVELS.index(self.level) > LEVELS.index(other.level)

    def judged_as(self, other: Side) -> bool:
        """Whether verdict and level are the same."""
        return (self.verdict, self.level) == (other.verdict, other.level)


class Pair(NamedTuple):
    """One bundle in both reports."""

    old: Side
    new: Side

    @property
    def worse(self) -> bool:
        """Whether it got worse."""
        return self.new.worse_than(self.old)


@dataclass(slots=True)
class BundleChanges:
    """What became of the bundles. One with other content, and one that moved, may be judged otherwise as well."""

    added: list[Side] = field(default_factory=list)
    removed: list[Side] = field(default_factory=list)
    changed: list[Pair] = field(default_factory=list)
    """The same name, other content."""
    moved: list[Pair] = field(default_factory=list)
    """The same content, another name."""
    rejudged: list[Pair] = field(default_factory=list)
    """The same name and content, another verdict or level."""
    unfit: list[Side] = field(default_factory=list)
    """Those that were added and are not accepted, with a content that the old report does not have."""
    same: int = 0

    def pairs(self) -> Iterator[Pair]:
        """Every bundle of both reports that is not the same."""
        yield from self.changed
        yield from self.moved
        yield from self.rejudged


@dataclass(frozen=True)
class Difference:
    """The comparison. `fail_on` is the least severity of a new finding that makes it worse."""

    old: ReportFile
    new: ReportFile
    bundles: BundleChanges
    fail_on: Severity = Severity.MEDIUM

    @property
    def complete(self) -> bool:
        """Whether neither audit was interrupted: else a bundle that is missing may be there all the same."""
        return self.old.complete and self.new.complete

    @property
    def policy_changed(self) -> bool:
        """Whether the policies differ, or it is not known what one of them was."""
        before, after = self.old.policy["sha256"], self.new.policy["sha256"]
        return before is None or before != after

    @cached_property
    def worse(self) -> bool:
        """Whether a finding that counts is new, a verdict is worse or a level lower, or what was added is unfit."""
        return (
            bool(self.bundles.unfit)
            or any(pair.worse for pair in self.bundles.pairs())
            or any(finding.severity >= self.fail_on for finding in self.new_findings())
        )

    @cached_property
    def _before(self) -> _Fingerprints:
        return _fingerprints(self.old)

    @cached_property
    def _after(self) -> _Fingerprints:
        return _fingerprints(self.new)

    def new_findings(self) -> Iterator[Finding]:
        """Those that count in the new report, and did not in the old one: not found then, or set aside."""
        for finding, fingerprint in _each(self.new):
            if finding.state is State.NEW and fingerprint not in self._before.counted:
                yield finding

    def gone_findings(self) -> Iterator[Finding]:
        """Those that counted in the old report, and that the new one does not have."""
        for finding, fingerprint in _each(self.old):
            if finding.state is State.NEW and not self._after.has(fingerprint):
                yield finding

    def now_set_aside(self) -> Iterator[Finding]:
        """Those that counted in the old report, and that the new one has, but does not count."""
        for finding, fingerprint in _each(self.new):
            aside = finding.state is not State.NEW and fingerprint not in self._after.counted
            if aside and fingerprint in self._before.counted:
                yield finding

    def was_set_aside(self, finding: Finding) -> bool:
        """Whether the old report has a new finding, and did not count it."""
        return bytes.fromhex(finding.fingerprint) in self._before.set_aside

    @property
    def still_there(self) -> int:
        """How many different findings count in both reports."""
        return len(self._before.counted & self._after.counted)


class _Fingerprints(NamedTuple):
    counted: set[bytes]
    set_aside: set[bytes]

    def has(self, fingerprint: bytes) -> bool:
        """Whether there is such a finding, whatever its state."""
        return fingerprint in self.counted or fingerprint in self.set_aside


def _each(report: ReportFile) -> Iterator[tuple[Finding, bytes]]:
    for finding in report.findings():
        yield finding, bytes.fromhex(finding.fingerprint)


def _fingerprints(report: ReportFile) -> _Fingerprints:
    found = _Fingerprints(set(), set())
    for finding, fingerprint in _each(report):
        (found.counted if finding.state is State.NEW else found.set_aside).add(fingerprint)
    return found


def compare(old: ReportFile, new: ReportFile, fail_on: Severity = Severity.MEDIUM) -> Difference:
    """What differs between two reports. Raises `InputError` where one changes meanwhile."""
    return Difference(old, new, _bundles(_sides(old), _sides(new)), fail_on)


def _sides(report: ReportFile) -> dict[str, Side]:
    """Each bundle by its name; of one that was examined twice, the worse."""
    found: dict[str, Side] = {}
    for result in report.results():
        name = result["bundle"]
        side = Side(name, result["sha256"], Verdict(result["verdict"]), result["proven_level"] or LEVELS[-1])
        if name not in found or side.worse_than(found[name]):
            found[name] = side
    return found


def _bundles(old: dict[str, Side], new: dict[str, Side]) -> BundleChanges:
    found = BundleChanges()
    gone = {name: side for name, side in old.items() if name not in new}
    by_content: defaultdict[str | None, list[str]] = defaultdict(list)
    for name, side in reversed(gone.items()):
        by_content[side.sha256].append(name)
    known = {side.sha256 for side in old.values()} - {None}
    for name, side in new.items():
        if before := old.get(name):
            _both(found, Pair(before, side))
        elif side.sha256 and by_content[side.sha256]:
            found.moved.append(Pair(gone.pop(by_content[side.sha256].pop()), side))
        else:
            found.added.append(side)
            if side.verdict is not Verdict.ACCEPTED and side.sha256 not in known:
                found.unfit.append(side)
    found.removed = list(gone.values())
    return found


def _both(found: BundleChanges, pair: Pair) -> None:
    if pair.old.sha256 != pair.new.sha256:
        found.changed.append(pair)
    elif not pair.new.judged_as(pair.old):
        found.rejudged.append(pair)
    else:
        found.same += 1
