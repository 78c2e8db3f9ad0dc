"""The results: check, examination, verdict. Values only; text is made of them in `report`."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from modseal.codes import CODES, CodeName, next_step
from modseal.errors import Evidence, Failure
from modseal.format.level import Level
from modseal.format.manifest import Manifest
from modseal.trust.signature import Signer

STEPS = (
    "container",
    "signature",
    "time",
    "chain",
    "purpose",
    "revocation",
    "level",
    "payloads",
    "files",
    "restrictions",
)
"""The names of the steps, by their numbers (docs/verification.md)."""


class Status(enum.StrEnum):
    """What became of one check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not-applicable"
    INCONCLUSIVE = "inconclusive"


class Verdict(enum.StrEnum):
    """What became of a bundle. Rejected and undecided both block; they mean different things."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNDECIDED = "undecided"


WORST_LAST = (Verdict.ACCEPTED, Verdict.UNDECIDED, Verdict.REJECTED)
"""Of several bundles, and of the same one twice, the worst verdict counts."""


@dataclass(frozen=True, slots=True)
class Check:
    """One numbered fact about a bundle. `id` is `step.what`; `code` is set unless the check passed."""

    step: int
    id: str
    status: Status
    detail: str
    code: CodeName | None = None
    evidence: Evidence = field(default_factory=dict)

    @property
    def next_step(self) -> str | None:
        """The one safe next step of a check that did not pass."""
        return next_step(self.code, self.evidence) if self.code else None


def passed(step: int, what: str, detail: str, **evidence: str | int | bool | None) -> Check:
    """A check that passed."""
    return Check(step, f"{STEPS[step]}.{what}", Status.PASSED, detail, None, evidence)


def failed(step: int, what: str, failure: Failure) -> Check:
    """A check for a failure: failed, or inconclusive where the code means that we cannot judge."""
    status = Status.INCONCLUSIVE if CODES[failure.code].undecided else Status.FAILED
    return Check(step, f"{STEPS[step]}.{what}", status, failure.detail, failure.code, failure.evidence)


def skipped(step: int, what: str, detail: str) -> Check:
    """A check that does not apply."""
    return Check(step, f"{STEPS[step]}.{what}", Status.NOT_APPLICABLE, detail)


def unexamined(step: int, detail: str) -> Check:
    """A step that could not be examined, because an earlier one left nothing to examine."""
    return Check(step, f"{STEPS[step]}.examined", Status.INCONCLUSIVE, detail)


def set_aside(check: Check, why: str = "another signer suffices") -> Check:
    """A check that is not needed, because others suffice: reported, but it decides nothing."""
    if check.status in (Status.PASSED, Status.NOT_APPLICABLE):
        return check
    return replace(check, status=Status.NOT_APPLICABLE, detail=f"{check.detail} (set aside: {why})")


def collect(step: int, what: str, failures: Iterable[Failure], otherwise: str) -> list[Check]:
    """A check for each failure, or one that passed."""
    return [failed(step, what, failure) for failure in failures] or [passed(step, what, otherwise)]


@dataclass(frozen=True, slots=True)
class Examination:
    """All checks of one bundle under one policy at one time.

    `manifest` is None where none could be read, and only proved where `manifest_proved`.
    """

    checks: tuple[Check, ...]
    manifest: Manifest | None
    manifest_proved: bool
    proven_level: Level | None
    signers: tuple[Signer, ...]
    trusted: tuple[tuple[str, str], ...]
    at: datetime

    @property
    def verdict(self) -> Verdict:
        """Rejected if a check failed, else undecided if one is inconclusive, else accepted."""
        statuses = {check.status for check in self.checks}
        if Status.FAILED in statuses:
            return Verdict.REJECTED
        return Verdict.UNDECIDED if Status.INCONCLUSIVE in statuses else Verdict.ACCEPTED

    @property
    def primary(self) -> Check | None:
        """The first check that decided against the bundle."""
        wanted = {Verdict.REJECTED: Status.FAILED, Verdict.UNDECIDED: Status.INCONCLUSIVE}.get(self.verdict)
        return next((check for check in self.checks if check.status is wanted), None)
