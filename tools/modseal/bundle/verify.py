"""Verify a bundle under a policy: open it, examine it, give the result. The gate's whole story."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from modseal.bundle.fence import fenced
from modseal.bundle.open import OpenBundle, open_bundle
from modseal.errors import Failure, FormatError, InputError, InternalError, RefusedError, UndecidedError
from modseal.format.level import Level
from modseal.trust.examination import Examination, Status, Verdict
from modseal.trust.examine import examine
from modseal.trust.policy import Policy

INTEGRITY_STEPS = (0, 7, 8)
"""The steps that `extract --unverified` checks too: container, payloads, files."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one file: an examination, or the failure that prevented one (then undecided)."""

    bundle: str
    sha256: str | None
    examination: Examination | None
    failure: Failure | None = None

    @property
    def verdict(self) -> Verdict:
        """The examination's verdict; undecided where there is none."""
        return self.examination.verdict if self.examination else Verdict.UNDECIDED

    def require(self) -> Examination:
        """The examination of an accepted bundle.

        Raises `RefusedError` or `UndecidedError` with what decided first against any other.
        """
        if self.examination and self.verdict is Verdict.ACCEPTED:
            return self.examination
        reason = (self.examination.primary if self.examination else None) or self.failure
        kind = RefusedError if self.verdict is Verdict.REJECTED else UndecidedError
        if reason is None or reason.code is None:
            raise kind("internal-error", f"{self.bundle}: something could not be examined")
        raise kind(reason.code, f"{self.bundle}: {reason.detail}", **reason.evidence)


def verify(path: Path, policy: Policy, at: datetime, *, with_digest: bool) -> Result:
    """Examine the bundle at `path`; never raises for what the file is.

    `with_digest` asks for the SHA-256 of the whole file: of the bytes that were judged, in the same pass.
    """
    try:
        with fenced(str(path)), open_bundle(path, with_digest=with_digest or bool(policy.deny.digests)) as bundle:
            examination = examine(bundle, policy, at)
            return Result(str(path), bundle.sha256() if with_digest else None, examination)
    except (
        InputError,
        InternalError,
        FormatError,
    ) as error:  # a FormatError only where the file shrinks while it is read
        return Result(str(path), None, None, error.failure)


def examine_integrity(bundle: OpenBundle, at: datetime) -> Examination:
    """The examination without any question of trust: who packs, signs or unpacks unverified needs it.

    It proves nothing about the origin: no level, no trusted signer.
    """
    bundle.whole = True
    nobody = Policy(source="no policy", minimum_level=Level.COMMUNITY)
    examination = examine(bundle, nobody, at)
    checks = tuple(
        check
        if check.step in INTEGRITY_STEPS or check.code == "bad-manifest"
        else replace(check, status=Status.NOT_APPLICABLE, detail=f"{check.detail} (not asked for)")
        for check in examination.checks
    )
    return replace(examination, checks=checks, manifest_proved=False, proven_level=None, trusted=())
