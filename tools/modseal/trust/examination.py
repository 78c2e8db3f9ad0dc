"""The results: check, examination, verdict. Values only; text is made of them in `report`."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import field, replace
from datetime import datetime

from modseal.codes import CODES, CodeName, next_step
from modseal.errors import Evidence, Failure
from modseal.format.level import Level
from modseal.format.manifest import Manifest
from modseal.trust.anchors import AnchoredPath
from modseal.trust.policy import Anchor
from modseal.trust.signature import VerifiedSigner
from modseal.trust.signing_time import Stamp
from modseal.values import dataclass

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


SETTLED = (Status.PASSED, Status.NOT_APPLICABLE)
"""The statuses of a check that do not keep a signer from being trusted."""


@dataclass(frozen=True, slots=True)
class AnchorOutcome:
    """What steps 2 to 6 found of a signer under one anchor; without a path where none leads to any.

    `proven_level` is the claim where the anchor grants it and steps 1 to 5 hold, and its scope.
    """

    path: AnchoredPath | None
    checks: tuple[Check, ...]
    proven_level: Level | None = None
    trusted: bool = field(default_factory=bool, init=False, repr=False, compare=False)
    """Whether every check passed or does not apply."""

    def __post_init__(self) -> None:
        statuses = {check.status for check in self.checks}
        object.__setattr__(self, "trusted", statuses.issubset(SETTLED))

    @property
    def undecided(self) -> bool:
        """Whether no check failed, and some could not be made: with a current CRL, say, it may be trusted."""
        return not self.trusted and all(check.status is not Status.FAILED for check in self.checks)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One verified signer: its timestamp's proof, and its outcomes under each anchor that a path leads to.

    The best outcome comes first. There is none where signers are not judged: where the manifest cannot be read, or
    only integrity is examined. `stamp` is None where no timestamp proves when the signature was made.
    """

    signer: VerifiedSigner
    stamp: Stamp | None = None
    outcomes: tuple[AnchorOutcome, ...] = ()
    anchors: tuple[Anchor, ...] = field(default_factory=tuple, init=False, repr=False, compare=False)
    """Those that it is trusted under."""

    def __post_init__(self) -> None:
        found = [one.path.anchor for one in self.outcomes if one.trusted and one.path]
        object.__setattr__(self, "anchors", tuple(found))

    @property
    def trusted(self) -> bool:
        """Whether the policy trusts the signer, under one anchor at least."""
        return bool(self.anchors)

    @property
    def undecided(self) -> bool:
        """Whether it could still be trusted under another anchor, or at all."""
        return any(one.undecided for one in self.outcomes)

    @property
    def path(self) -> AnchoredPath | None:
        """The path of the best outcome."""
        return self.outcomes[0].path if self.outcomes else None

    @property
    def proven_time(self) -> datetime | None:
        """The time of signing that a timestamp proves (aware)."""
        return self.stamp.time if self.stamp else None

    def under(self, anchor: Anchor | None) -> Judgement:
        """The same with the outcome under this anchor as the best, if it is trusted under it."""
        best = self.path
        if anchor not in self.anchors or (best and best.anchor is anchor):
            return self
        first = sorted(self.outcomes, key=lambda one: one.path is None or one.path.anchor != anchor)
        return replace(self, outcomes=tuple(first))


@dataclass(frozen=True, slots=True)
class Examination:
    """All checks of one bundle under one policy at one time, and what was found of each verified signer.

    `manifest` is None where none could be read. `manifest_signed` says that a signature over its bytes verifies;
    what it says is proved only where a signer is trusted.
    """

    checks: tuple[Check, ...]
    manifest: Manifest | None
    manifest_signed: bool
    proven_level: Level | None
    judgements: tuple[Judgement, ...]
    at: datetime

    @property
    def signers(self) -> tuple[VerifiedSigner, ...]:
        """All signers whose signatures verify, in the order of their blocks."""
        return tuple(one.signer for one in self.judgements)

    @property
    def trusted(self) -> tuple[tuple[str, str], ...]:
        """Of each trusted signer its certificate's fingerprint, and the name of the anchor that it is shown under."""
        found = [one for one in self.judgements if one.trusted]
        return tuple((one.signer.certificate.fingerprint, one.anchors[0].name) for one in found)

    @property
    def effective_level(self) -> Level:
        """What of an accepted module counts: the proven level, community for an unsigned one."""
        return self.proven_level or Level.COMMUNITY

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
