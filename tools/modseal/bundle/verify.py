"""Verify a bundle under a policy: open it, examine it, give the result. This is all that a gate needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from modseal.bundle.fence import fenced
from modseal.bundle.open import OpenBundle, open_bundle
from modseal.errors import Failure, FormatError, InputError, InternalError, RefusedError, UndecidedError
from modseal.format.payload import Sink
from modseal.trust.examination import Examination, Verdict
from modseal.trust.examine import examine
from modseal.trust.integrity import examine_integrity
from modseal.trust.policy import Policy
from modseal.values import dataclass


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
        named = reason.detail.startswith(f"{self.bundle}: ")  # as what is wrong with the file itself
        raise kind(reason.code, reason.detail if named else f"{self.bundle}: {reason.detail}", **reason.evidence)


UNREADABLE = (InputError, InternalError, FormatError)
"""What `examined` raises for the file itself; a `FormatError` only where the file shrinks while it is read."""


@contextmanager
def examined(
    path: Path,
    policy: Policy | None,
    at: datetime,
    sink: Sink | None = None,
    *,
    with_digest: bool = False,
    streams: bool = False,
    file_digests: bool = True,
) -> Iterator[tuple[OpenBundle, Examination]]:
    """The bundle at `path`, open, and its examination: under a policy, or only of its integrity.

    Raises those of `UNREADABLE`.
    """
    with_digest = with_digest or bool(policy and policy.deny.digests)
    opened = open_bundle(path, sink, with_digest=with_digest, streams=streams, file_digests=file_digests)
    with fenced(str(path)), opened as bundle:
        yield bundle, examine(bundle, policy, at) if policy else examine_integrity(bundle, at)


def verify(path: Path, policy: Policy, at: datetime, *, with_digest: bool) -> Result:
    """Examine the bundle at `path`, which may be a stream (`-`); never raises for what the file is.

    `with_digest` asks for the SHA-256 of the whole file: of the bytes that were judged, in the same pass.
    """
    try:
        opened = examined(path, policy, at, with_digest=with_digest, streams=True, file_digests=False)
        with opened as (bundle, examination):
            return Result(str(path), bundle.sha256() if with_digest else None, examination)
    except UNREADABLE as error:
        return Result(str(path), None, None, error.failure)
