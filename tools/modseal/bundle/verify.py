"""Verify a bundle under a policy: open it, examine it, give the result. This is all that a gate needs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from modseal.bundle.fence import fenced
from modseal.bundle.open import open_bundle
from modseal.errors import Failure, FormatError, InputError, InternalError, RefusedError, UndecidedError
from modseal.trust.examination import Examination, Verdict
from modseal.trust.examine import examine
from modseal.trust.policy import Policy


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
