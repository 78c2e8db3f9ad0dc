"""Step 5: revocation, offline, by the CRLs that the policy names (RFC 5280 section 6.3).

A certificate passes where a current, complete list of its issuer does not name it. A list that is properly
signed but says something that modseal does not judge decides nothing and blocks: what it says may matter.
A list that is not properly signed says nothing at all, and does not block beside a good one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from modseal.errors import Evidence, Failure, FormatError
from modseal.pki import algorithms
from modseal.pki.certificate import Certificate
from modseal.pki.effort import Effort, of_signature
from modseal.values import dataclass

if TYPE_CHECKING:
    from modseal.pki.crl import Crl

Signers = Callable[["Crl", Certificate], Iterable[Certificate]]
"""Further certificates that may sign a CRL for a CA: those with a valid path of their own to the same anchor."""

WITHOUT_MISUSE = ("affiliationChanged", "superseded", "cessationOfOperation")
"""The reasons that leave no doubt about what was signed before. With any other, or none, the key may have been
misused before the date that the CRL gives."""

_DECISIVE = ("revoked", "crl-invalid")
"""What blocks even beside a good list: the issuer did sign it."""

_PRECEDENCE = (*_DECISIVE, "crl-stale", "crl-not-yet-valid", "crl-wrong-issuer", "crl-bad-signature")
"""Which failure is reported where several lists fail: the one that says most."""


@dataclass(frozen=True, slots=True)
class RevocationRules:
    """Which CRLs there are, whether every issuer must have one, and how old one may be.

    `accept_signed_before` lets a revoked certificate pass where the time of signing is proven and before the
    revocation, for a reason of `WITHOUT_MISUSE` (X5-11); otherwise revoked is revoked.
    """

    crls: tuple[Crl, ...] = ()
    required: bool = False
    maximum_age: timedelta | None = None
    accept_signed_before: bool = False


def judge(
    path: tuple[Certificate, ...],
    rules: RevocationRules,
    at: datetime,
    *,
    signed_at: datetime | None = None,
    signers: Signers = lambda _crl, _issuer: (),
    effort: Effort | None = None,
) -> list[Failure]:
    """Why a path (signer first, anchor last) fails on revocation; empty where it does not.

    Lists must be current `at` the time of verification; `signed_at` is the proven time of signing, if there
    is one. The anchor itself is not checked: the policy is what withdraws an anchor. `signers` finds those
    who sign CRLs with a key of their own. Every signature that is verified is charged to `effort`.
    """
    effort = effort or Effort()
    names = {certificate.subject_name for certificate in path}
    others = tuple(crl.source for crl in rules.crls if crl.issuer not in names)
    failures: list[Failure] = []
    for certificate, issuer in pairwise(path):
        failures += _Judgement(certificate, issuer, rules, at, signed_at, signers, effort).failures(others)
    return failures


@dataclass(frozen=True, slots=True)
class _Judgement:
    """One certificate against all CRLs in its issuer's name."""

    certificate: Certificate
    issuer: Certificate
    rules: RevocationRules
    at: datetime
    signed_at: datetime | None
    signers: Signers
    effort: Effort

    def failures(self, others: tuple[str, ...]) -> list[Failure]:
        """The one failure that tells most, if any. `others` are CRLs of issuers that are not in the path."""
        problems: list[Failure] = []
        covered = False
        for crl in self.rules.crls:
            if crl.issuer == self.certificate.issuer_name:
                problem = self._signature_failure(crl)
                if problem is None and crl.unjudged:
                    detail = f"modseal does not judge {crl.source}: {'; '.join(crl.unjudged)}"
                    problem = Failure("crl-invalid", detail, self._evidence(crl))
                problem = problem or self._revoked(crl) or self._age_failure(crl)
                problems += [problem] if problem else []
                # Whether the list would still name the certificate: in its scope, and not dropped since it expired.
                kept = crl.keeps_expired_since is None or self.certificate.not_after >= crl.keeps_expired_since
                covered = covered or (problem is None and kept and crl.scope.covers(self.certificate))
        if covered:
            problems = [problem for problem in problems if problem.code in _DECISIVE]
        problems.sort(key=lambda problem: _PRECEDENCE.index(problem.code))
        return problems[:1] or ([] if covered else list(self._missing(others)))

    def _missing(self, others: tuple[str, ...]) -> Iterator[Failure]:
        if not self.rules.required:
            return
        issuer = self.issuer.subject
        evidence: Evidence = {"certificate": self.certificate.fingerprint, "issuer": issuer, "crls": ", ".join(others)}
        if others and all(crl.issuer != self.certificate.issuer_name for crl in self.rules.crls):
            yield Failure("crl-wrong-issuer", f"the policy has CRLs, but none of {issuer}", evidence)
        else:
            detail = f"the policy has no CRL of {issuer} for {self.certificate.subject}"
            yield Failure("revocation-unknown", detail, evidence)

    def _signature_failure(self, crl: Crl) -> Failure | None:
        """Whether the CA itself, or another signer that it has for CRLs, signed the list (section 6.3.3 (f), (g))."""
        evidence = self._evidence(crl)
        own = signature_problem(crl, self.issuer, self.effort)
        if own is None and (self.issuer.key_usage is None or self.issuer.key_usage.crl_sign):
            return None
        if any(signature_problem(crl, signer, self.effort) is None for signer in self.signers(crl, self.issuer)):
            return None
        if own is None:
            detail = f"{self.issuer.subject} signed {crl.source} but lacks key usage cRLSign"
            return Failure("crl-wrong-issuer", detail, evidence)
        detail = f"{crl.source} is not signed by {self.issuer.subject}: {own.detail}"
        return Failure("crl-bad-signature", detail, evidence)

    def _age_failure(self, crl: Crl) -> Failure | None:
        evidence = self._evidence(crl)
        if crl.next_update is None:
            return Failure("crl-stale", f"{crl.source} has no next update, so that it is never current", evidence)
        if self.at > crl.next_update:
            return Failure("crl-stale", f"{crl.source} is past its next update", evidence)
        if self.rules.maximum_age is not None and self.at - crl.this_update > self.rules.maximum_age:
            return Failure("crl-stale", f"{crl.source} is older than the policy allows", evidence)
        if self.at < crl.this_update:
            detail = f"{crl.source} was issued after the time of verification, so that time is wrong"
            return Failure("crl-not-yet-valid", detail, evidence)
        return None

    def _revoked(self, crl: Crl) -> Failure | None:
        """An entry counts in any list that the issuer signed: a stale one proves what it says is revoked."""
        entry = crl.entries.get(self.certificate.serial)
        if entry is None:
            return None
        # The policy may let a signature stand that was made before a revocation that was for no misuse (X5-11).
        before = self.signed_at is not None and self.signed_at < entry.since
        if self.rules.accept_signed_before and before and entry.reason in WITHOUT_MISUSE:
            return None
        evidence: Evidence = {
            **self._evidence(crl),
            "certificate": self.certificate.fingerprint,
            "revoked_at": entry.since.isoformat(),
            "reason": entry.reason,
            "signed_at": self.signed_at.isoformat() if self.signed_at else "not proved",
        }
        detail = f"{self.certificate.subject} was revoked on {entry.since:%Y-%m-%d} ({entry.reason})"
        return Failure("revoked", detail, evidence)

    def _evidence(self, crl: Crl) -> Evidence:
        return {
            "crl": crl.source,
            "issuer": self.issuer.subject,
            "this_update": crl.this_update.isoformat(),
            "next_update": crl.next_update.isoformat() if crl.next_update else None,
            "at": self.at.isoformat(),
        }


def signature_problem(crl: Crl, signer: Certificate, effort: Effort | None = None) -> Failure | None:
    """Why a CRL is not signed with a certificate's key; None where it is."""
    # Charged without the list's own size: that is the policy's doing, some lists are long, and it is hashed once.
    (effort or Effort()).spend(of_signature(signer.key, 0))
    return _signature_problem(crl, signer)


@functools.lru_cache(maxsize=64)
def _signature_problem(crl: Crl, signer: Certificate) -> Failure | None:
    """Remembered, because hashing 30 MiB again for each signer of a bundle, and each path of it, takes seconds."""
    try:
        row, salt = algorithms.identify(crl.signature_algorithm, None, signer.key)
        algorithms.verify(row, signer.key, crl.signature, crl.signed_bytes, salt)
    except FormatError as error:
        return error.failure
    return None
