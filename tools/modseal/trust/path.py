"""Path building and validation for code signing: a strict subset of RFC 5280 section 6.

Candidates (from the block and from the policy) are only candidates; anchors come from the policy
alone. What this engine does not apply it refuses: policy mapping, name constraints and every unknown
critical extension. The work is bounded: `MAXIMUM_SIGNATURES` are verified for one signer, then it gives up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from modseal.errors import Evidence, Failure, FormatError
from modseal.trust import purpose
from modseal.trust.certificate import Certificate
from modseal.trust.policy import Anchor, Policy

MAXIMUM_DEPTH = 8
"""Certificates in a path, anchor included. Code signing chains have two to four."""

MAXIMUM_SIGNATURES = 64
"""Certificate signatures verified for one signer: bounds crossed and looping candidates (X5-07, X5-08)."""


@dataclass(frozen=True, slots=True)
class Path:
    """A validated path, signer first and the anchor's certificate last; a pin's path is the signer alone."""

    certificates: tuple[Certificate, ...]
    anchor: Anchor
    pinned: bool


@dataclass(frozen=True, slots=True)
class NoPath:
    """Why there is no path: the failures of the candidate that came furthest."""

    failures: tuple[Failure, ...]


def find_path(signer: Certificate, embedded: Sequence[Certificate], policy: Policy, at: datetime) -> Path | NoPath:
    """The first valid path from a signer to an anchor of the policy at a time, or why there is none."""
    pin = policy.pins.get(signer.fingerprint)
    if pin:
        failure = None if pin.accept_expired else purpose.validity_failure(signer, at)
        return NoPath((failure,)) if failure else Path((signer,), pin, pinned=True)
    if not policy.anchors:
        return NoPath((Failure("no-anchors", f"{policy.source} names no anchor", {"signer": signer.fingerprint}),))
    return _search(signer, _Candidates(embedded, policy), policy, at)


def _search(signer: Certificate, candidates: _Candidates, policy: Policy, at: datetime) -> Path | NoPath:
    """Try every chain, anchors first; remember the most telling failure."""
    best: tuple[Failure, ...] = ()
    for chain, anchor in candidates.chains((signer,)):
        failures = tuple(path_failures(chain, policy, at))
        if not failures:
            return Path(chain, anchor, pinned=False)
        best = best or failures
    if candidates.exhausted:
        detail = f"more than {MAXIMUM_SIGNATURES} certificate signatures were tried"
        return NoPath((*best, Failure("limit-exceeded", detail, {"signer": signer.fingerprint})))
    return NoPath(best or (candidates.dead_end(signer),))


class _Candidates:
    """The certificates that a path may go through, and how many signatures were verified so far."""

    def __init__(self, embedded: Sequence[Certificate], policy: Policy) -> None:
        self._anchors = [anchor for anchor in policy.anchors if anchor.certificate]
        self._intermediates = list(dict.fromkeys((*embedded, *policy.intermediates)))
        self._signatures = 0
        self._rejected: Failure | None = None

    @property
    def exhausted(self) -> bool:
        """Whether the bound on signatures was reached."""
        return self._signatures >= MAXIMUM_SIGNATURES

    def chains(self, chain: tuple[Certificate, ...]) -> Iterator[tuple[tuple[Certificate, ...], Anchor]]:
        """Every chain of verified signatures from `chain` up to an anchor, shortest ends first."""
        last = chain[-1]
        for anchor in self._anchors:
            if anchor.certificate and (last == anchor.certificate or self._issued(last, anchor.certificate)):
                yield (chain if last == anchor.certificate else (*chain, anchor.certificate)), anchor
        if len(chain) >= MAXIMUM_DEPTH - 1:
            return
        for issuer in self._intermediates:
            if not _repeats(issuer, chain) and self._issued(last, issuer):
                yield from self.chains((*chain, issuer))

    def _issued(self, certificate: Certificate, issuer: Certificate) -> bool:
        if certificate.issuer_der != issuer.subject_der or self.exhausted:
            return False
        self._signatures += 1
        try:
            certificate.verify_issued_by(issuer)
        except FormatError as error:
            self._rejected = self._rejected or error.failure
            return False
        return True

    def dead_end(self, signer: Certificate) -> Failure:
        """What to say where no chain reaches an anchor."""
        evidence: Evidence = {"signer": signer.fingerprint, "subject": signer.subject, "issuer": signer.issuer}
        why = f" ({self._rejected.detail})" if self._rejected else ""
        return Failure("no-path", f"no chain leads from {signer.subject} to an anchor{why}", evidence)


def _repeats(issuer: Certificate, chain: tuple[Certificate, ...]) -> bool:
    """Whether a name and key are in the chain already: a loop, whatever certificate carries them."""
    return any(issuer.subject_der == seen.subject_der and issuer.key == seen.key for seen in chain)


def path_failures(chain: tuple[Certificate, ...], policy: Policy, at: datetime) -> Iterator[Failure]:
    """What RFC 5280 section 6.1 holds against a chain whose signatures verify, signer first.

    The anchor's own validity and extensions are checked too (section 6.2 allows it; X5-04 wants it).
    """
    for depth, certificate in enumerate(chain):
        failure = purpose.validity_failure(certificate, at)
        if failure:
            yield failure
        if certificate.unjudged:
            names = ", ".join(certificate.unjudged)
            evidence: Evidence = {"certificate": certificate.fingerprint, "extensions": names}
            detail = f"{certificate.subject} has extensions that modseal does not judge: {names}"
            yield Failure("unsupported-extension", detail, evidence)
        if depth:
            yield from purpose.issuer_failures(certificate)
            yield from _length_failure(chain, depth)
    yield from _algorithm_failures(chain, policy)


def _length_failure(chain: tuple[Certificate, ...], depth: int) -> Iterator[Failure]:
    """Section 6.1.4 (l), (m): CAs below this one that are not self-issued, against its path length."""
    certificate = chain[depth]
    below = sum(not ca.is_self_issued for ca in chain[1:depth])
    if certificate.path_length is not None and below > certificate.path_length:
        evidence: Evidence = {"certificate": certificate.fingerprint, "path_length": certificate.path_length, "below": below}
        yield Failure("invalid-chain", f"{certificate.subject} allows {certificate.path_length} CAs below it, there are {below}", evidence)


def _algorithm_failures(chain: tuple[Certificate, ...], policy: Policy) -> Iterator[Failure]:
    for certificate, issuer in pairwise(chain):
        name = certificate.verify_issued_by(issuer).name
        if name not in policy.algorithms:
            evidence: Evidence = {"certificate": certificate.fingerprint, "algorithm": name}
            yield Failure("algorithm-not-allowed", f"{certificate.subject} is signed with {name}, which the policy does not allow", evidence)
    for certificate in chain[1:]:
        yield from purpose.key_failures(certificate, policy.minimum_rsa_bits)
