"""Path building and validation, a strict subset of RFC 5280 section 6.

Candidates are only candidates: a path ends in one of the anchor certificates that the caller gives. What an anchor
may vouch for is not asked here (`trust.anchors`).
What this engine does not judge it refuses (`refusals` has the list). The work is bounded:
`limits.PATH_SIGNATURES` are verified and `limits.PATH_STEPS` taken for one signer, then it gives up; and all that is
done for one bundle is charged to its examination (`effort`), also where the answer is remembered.
"""

from __future__ import annotations

import functools
from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field, replace
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from modseal import limits
from modseal.errors import Evidence, Failure, FormatError
from modseal.pki import purpose, revocation
from modseal.pki.algorithms import ALGORITHMS
from modseal.pki.certificate import Certificate
from modseal.pki.certificate_policies import NO_POLICIES, NO_POLICY_REQUIRED
from modseal.pki.effort import Effort, ExhaustedError, of_signature
from modseal.pki.purpose import CODE_SIGNING_PROFILE, CRL_SIGNING_PROFILE, MINIMUM_RSA_BITS, ChainProfile
from modseal.pki.revocation import RevocationRules
from modseal.values import dataclass

if TYPE_CHECKING:
    from modseal.pki.crl import Crl
    from modseal.pki.name_constraints import NameConstraints

REMEMBERED_PATHS = 256
"""Verdicts on a signer's chain that are remembered: 2,000 bundles of one signer judge its chain once."""


@dataclass(frozen=True, slots=True)
class PathRules:
    """What a path must satisfy besides RFC 5280, and what it may be built of; equal and hashed by value.

    `algorithms` are names of `pki.algorithms`. `minimum_rsa_bits` holds for CAs here; the code that uses the
    signer's key checks that one. `intermediates` are candidates beside those that come with a signer.
    """

    algorithms: frozenset[str] = frozenset(ALGORITHMS)
    minimum_rsa_bits: int = MINIMUM_RSA_BITS
    revocation: RevocationRules = field(default_factory=RevocationRules)
    intermediates: tuple[Certificate, ...] = ()


class Denials(Protocol):
    """Certificates that the caller denies, on any path; equal and hashed by value."""

    def entry(self, certificate: Certificate) -> str | None:
        """What denies a certificate; None where nothing does."""

    def __hash__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Path:
    """A validated path, signer first and the anchor's certificate last.

    `at` is when its certificates are valid. `candidates` are what it was searched in.
    """

    certificates: tuple[Certificate, ...]
    at: datetime
    candidates: tuple[Certificate, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class NoPath:
    """Why there is no path: the failures of the chain with the fewest."""

    failures: tuple[Failure, ...]


def find_path(
    signer: Certificate,
    embedded: Sequence[Certificate],
    anchors: Sequence[Certificate],
    rules: PathRules,
    at: datetime,
    profile: ChainProfile = CODE_SIGNING_PROFILE,
    *,
    effort: Effort | None = None,
    denied: Denials | None = None,
) -> Path | NoPath:
    """The best of `find_paths`: the first that step 5 passes, or else the first."""
    paths = find_paths(signer, embedded, anchors, rules, at, profile, effort=effort, denied=denied)
    return paths if isinstance(paths, NoPath) else paths[0]


def find_paths(
    signer: Certificate,
    embedded: Sequence[Certificate],
    anchors: Sequence[Certificate],
    rules: PathRules,
    at: datetime,
    profile: ChainProfile = CODE_SIGNING_PROFILE,
    *,
    verified_at: datetime | None = None,
    effort: Effort | None = None,
    denied: Denials | None = None,
) -> tuple[Path, ...] | NoPath:
    """A valid path from a signer to each anchor certificate that one leads to, or why there is none.

    `at` is when the certificates must be valid: the proven time of signing, or else that of verification.
    `verified_at` is the latter where the two differ, and CRLs are judged at that time. Among several paths to one
    anchor one without a revoked or a `denied` certificate is preferred, and anchors with such a path come first.
    """
    effort = effort or Effort()
    try:
        effort.spend(0)
        found, cost = _remembered_paths(
            signer, tuple(embedded), tuple(dict.fromkeys(anchors)), rules, at, verified_at, profile, denied
        )
        effort.spend(cost)
    except ExhaustedError as error:
        return NoPath((error.failure,))
    return found


@functools.lru_cache(maxsize=REMEMBERED_PATHS)
def _remembered_paths(
    signer: Certificate,
    embedded: tuple[Certificate, ...],
    anchors: tuple[Certificate, ...],
    rules: PathRules,
    at: datetime,
    verified_at: datetime | None,
    profile: ChainProfile,
    denied: Denials | None,
) -> tuple[tuple[Path, ...] | NoPath, int]:
    """The answer with what it costs, which is charged whether it was remembered or not.

    Every chain is tried, until each anchor has a good one. A bad one is better than none: a later step says why.
    """
    effort = Effort()
    search = _Search((*embedded, *rules.intermediates), anchors, at, effort)
    good: dict[Certificate, Path] = {}
    doubtful: dict[Certificate, Path] = {}  # revoked, or denied
    best: tuple[Failure, ...] = ()
    judged: dict[tuple[Certificate, ...], tuple[Failure, ...]] = {}
    try:
        for chain in search.chains((signer,)):
            anchor = chain[-1]
            if anchor in good:
                continue
            if chain not in judged:  # an anchor that is a candidate too ends the same chain twice
                effort.spend(_cost(chain))
                judged[chain] = tuple(path_failures(chain, rules, at, profile))
            failures = judged[chain]
            if not failures:
                path = Path(chain, at, search.candidates)
                signed_at = at if verified_at else None
                revoked = revocation_failures(path, rules, verified_at or at, signed_at, effort)
                bad = revoked or (denied and any(map(denied.entry, chain)))
                (doubtful if bad else good).setdefault(anchor, path)
                if len(good) == len(anchors):
                    break
            elif not best or len(failures) < len(best):
                best = failures
    except ExhaustedError as error:
        return NoPath((error.failure,)), effort.spent
    paths = (*good.values(), *(path for anchor, path in doubtful.items() if anchor not in good))
    return paths or NoPath(best or tuple(search.failures_without_chain(signer))), effort.spent


class _Search:
    """A bounded search upwards through certificates that name each other as issuers."""

    def __init__(
        self, candidates: Iterable[Certificate], anchors: tuple[Certificate, ...], at: datetime, effort: Effort
    ) -> None:
        self.candidates = tuple(dict.fromkeys(candidates))
        self._anchors = anchors
        self._by_name: dict[object, list[Certificate]] = {}
        for candidate in self.candidates:
            self._by_name.setdefault(candidate.subject_name, []).append(candidate)
        self._at = at
        self._effort = effort
        self._verified: dict[tuple[Certificate, Certificate], bool] = {}
        self._steps = 0
        self._pushed = 0
        self._rejected: Failure | None = None

    @property
    def exhausted(self) -> bool:
        """Whether a bound on the work was reached."""
        return len(self._verified) >= limits.PATH_SIGNATURES or self._steps >= limits.PATH_STEPS

    def chains(self, start: tuple[Certificate, ...]) -> Iterator[tuple[Certificate, ...]]:
        """Every chain of verified signatures from `start` up to an anchor: likely ones first, then short ones.

        An issuer's signature is verified when its turn comes, so that a crowd of unlikely ones costs nothing.
        """
        waiting = [(0, len(start), 0, start)]
        while waiting and not self.exhausted:
            doubts, length, _, chain = waiting.pop(0)
            if length > len(start) and not self._issued(chain[-2], chain[-1]):
                continue
            self._steps += 1
            self._effort.spend(_STEP + len(self._anchors) // _TRIED)
            for anchor in self._anchors:
                if chain[-1] == anchor:
                    yield chain
                elif self._issued(chain[-1], anchor):
                    yield (*chain, anchor)
            for issuer in self._issuers_of(chain) if length < limits.PATH_CERTIFICATES - 1 else ():
                self._pushed += 1
                more = self._is_unlikely(chain[-1], issuer)
                insort(waiting, (doubts + more, length + 1, self._pushed, (*chain, issuer)))

    def _issuers_of(self, chain: tuple[Certificate, ...]) -> Iterator[Certificate]:
        """Candidates by name, without those whose name and key are in the chain already: a loop."""
        for issuer in self._by_name.get(chain[-1].issuer_name, ()):
            if not any(issuer.subject_name == one.subject_name and issuer.key_der == one.key_der for one in chain):
                yield issuer

    def _is_unlikely(self, certificate: Certificate, issuer: Certificate) -> bool:
        """Key identifiers are hints (RFC 5280 section 4.2.1.1), and so is what would refuse the issuer later."""
        wanted = certificate.authority_key_id
        other = wanted is not None and issuer.key_id not in (None, wanted)
        return other or not issuer.is_ca or purpose.validity_failure(issuer, self._at) is not None

    def _issued(self, certificate: Certificate, issuer: Certificate) -> bool:
        if certificate.issuer_name != issuer.subject_name:
            return False
        known = self._verified.get((certificate, issuer))
        if known is not None or self.exhausted:
            return bool(known)
        self._effort.spend(of_signature(issuer.key, len(certificate.signed_bytes)))
        try:
            certificate.verify_issued_by(issuer)
            verified = True
        except FormatError as error:
            self._rejected = self._rejected or error.failure
            verified = False
        self._verified[certificate, issuer] = verified
        return verified

    def failures_without_chain(self, signer: Certificate) -> Iterator[Failure]:
        """What to say where no chain reaches an anchor."""
        evidence: Evidence = {"signer": signer.fingerprint, "subject": signer.subject, "issuer": signer.issuer}
        why = f" ({self._rejected.detail})" if self._rejected else ""
        detail = f"no chain leads from {signer.subject} to an anchor{why}"
        if self.exhausted:
            detail = f"no chain found with {limits.PATH_SIGNATURES} signatures and {limits.PATH_STEPS} steps"
            yield Failure("limit-exceeded", detail, evidence)
        elif self._rejected and self._rejected.code in ("unsupported-algorithm", "algorithm-not-allowed"):
            yield Failure(self._rejected.code, detail, {**evidence, **self._rejected.evidence})
        elif self._rejected or not self._anchors:
            yield Failure("no-path", detail, evidence)
        else:
            yield _ended(self._top(signer), signer, detail, evidence)

    def _top(self, signer: Certificate) -> Certificate:
        """The last certificate of a chain upwards: the search was complete, so that nothing is verified again."""
        chain: tuple[Certificate, ...] = (signer,)
        while above := next((one for one in self._issuers_of(chain) if self._issued(chain[-1], one)), None):
            chain = (*chain, above)
        return chain[-1]


def _ended(top: Certificate, signer: Certificate, detail: str, evidence: Evidence) -> Failure:
    """Where a chain ends without an anchor: at a certificate that is missing, or at a root that is none."""
    if not top.is_self_issued:
        key = top.authority_key_id.hex() if top.authority_key_id else None
        named = f"{top.issuer}, which issued {top.subject}" + (f" (key id {key})" if key else "")
        detail += f": neither the bundle nor the policy has the certificate of {named}"
        missing: Evidence = {"missing": top.issuer, "missing_key_id": key, "cause": "issuer-missing"}
        return Failure("no-path", detail, {**evidence, **missing})
    own = "its certificate is self-signed" if top == signer else f"it ends at {top.subject}, which is self-signed"
    return Failure("no-path", f"{detail}: {own} and no anchor of the policy", evidence)


_STEP = 2
_TRIED = 16
"""Anchors that the end of a chain is compared with for one unit."""
_CHAIN = 10
_COMPARED = 5
"""Names that are compared with constraints for one unit."""
_POLICIES = 100
"""Pairs of policies that are compared for one unit."""


def _cost(chain: tuple[Certificate, ...]) -> int:
    """The units of judging a chain: `path_failures`."""
    units = _CHAIN * len(chain)
    for depth, authority in enumerate(chain):
        stated = len(authority.policies.policies or ()) + len(authority.policies.mappings)
        units += stated * stated // _POLICIES
        if constraints := authority.name_constraints:
            bases = len(constraints.permitted) + len(constraints.excluded)
            names = sum(1 + len(below.alternative_names) for below in chain[:depth])
            units += min(names * bases, limits.NAME_COMPARISONS * depth) // _COMPARED
    return units


def path_failures(
    chain: tuple[Certificate, ...], rules: PathRules, at: datetime, profile: ChainProfile = CODE_SIGNING_PROFILE
) -> Iterator[Failure]:
    """What RFC 5280 section 6.1 holds against a chain whose signatures verify, signer first.

    The anchor's own validity and extensions are checked too (section 6.2 allows it; X5-04 wants it).
    """
    for depth, certificate in enumerate(chain):
        failure = purpose.validity_failure(certificate, at)
        if failure:
            yield failure
        evidence: Evidence = {"certificate": certificate.fingerprint}
        unjudged = ", ".join(certificate.unjudged)
        if unjudged:  # critical: a verifier that does not know it must refuse (section 4.2)
            detail = f"{certificate.subject} has extensions that modseal does not judge: {unjudged}"
            yield Failure("unsupported-extension", detail, {**evidence, "extensions": unjudged})
        if certificate.name_constraints and not certificate.is_ca:
            detail = f"{certificate.subject} has name constraints but is not a CA"
            yield Failure("invalid-chain", detail, {**evidence, "extensions": unjudged})
        if depth:
            yield from purpose.issuer_failures(certificate, profile)
            # (l), (m) of section 6.1.4: self-issued CAs do not count.
            below, length = sum(not ca.is_self_issued for ca in chain[1:depth]), certificate.path_length
            if length is not None and below > length:
                detail = f"{certificate.subject} allows {length} CAs below it, there are {below}"
                yield Failure("invalid-chain", detail, {**evidence, "path_length": length, "below": below})
    yield from _name_failures(chain)
    yield from _policy_failure(chain, profile)
    yield from _algorithm_failures(chain, rules)


def _name_failures(chain: tuple[Certificate, ...]) -> Iterator[Failure]:
    """Section 6.1.3 (b), (c): each CA's constraints on all below it, self-issued CAs excepted."""
    for depth, authority in enumerate(chain):
        for position, certificate in enumerate(chain[:depth]):
            if authority.name_constraints and (position == 0 or not certificate.is_self_issued):
                yield from _constraint_failures(certificate, authority, authority.name_constraints)


def _constraint_failures(
    certificate: Certificate, authority: Certificate, constraints: NameConstraints
) -> Iterator[Failure]:
    from modseal.pki.name_constraints import NotJudgedError, check_names, constrained_names

    evidence: Evidence = {"certificate": certificate.fingerprint, "authority": authority.fingerprint}
    names = constrained_names(certificate.subject_name, certificate.alternative_names)
    try:
        for problem in check_names(names, constraints):
            detail = f"{authority.subject} may not issue for {certificate.subject}: {problem}"
            yield Failure("invalid-chain", detail, evidence)
    except NotJudgedError as error:
        detail = f"the name constraints of {authority.subject} cannot be judged for {certificate.subject}: {error}"
        yield Failure("unsupported-extension", detail, evidence)


def _policy_failure(chain: tuple[Certificate, ...], profile: ChainProfile) -> Iterator[Failure]:
    """Section 6.1.3 (d) to (f): from the anchor down."""
    if profile.policies == NO_POLICY_REQUIRED and all(one.policies == NO_POLICIES for one in chain):
        return  # nothing is required, and nothing said: most chains
    from modseal.pki.policy_graph import policy_problem

    below = [(certificate.policies, certificate.is_self_issued) for certificate in reversed(chain[:-1])]
    problem = policy_problem(below, profile.policies, chain[-1].policies)
    if problem:
        yield Failure("invalid-chain", f"{problem} (RFC 5280 section 6.1)", {"certificate": chain[0].fingerprint})


def _algorithm_failures(chain: tuple[Certificate, ...], rules: PathRules) -> Iterator[Failure]:
    for certificate, issuer in pairwise(chain):
        name = certificate.algorithm_under(issuer).name
        if name not in rules.algorithms:
            evidence: Evidence = {"certificate": certificate.fingerprint, "algorithm": name}
            detail = f"{certificate.subject} is signed with {name}, which the policy does not allow"
            yield Failure("algorithm-not-allowed", detail, evidence)
    for certificate in chain[1:]:
        yield from purpose.key_failures(certificate, rules.minimum_rsa_bits)


def revocation_failures(
    path: Path, rules: PathRules, at: datetime, signed_at: datetime | None = None, effort: Effort | None = None
) -> list[Failure]:
    """Why one of a path's certificates below the anchor is, or may be, revoked.

    `at` is the time of verification, when CRLs must be current; `signed_at` the proven time of signing.
    """
    effort = effort or Effort()
    try:
        effort.spend(0)
        failures, cost = _remembered_failures(path, rules, at, signed_at)
        effort.spend(cost)
    except ExhaustedError as error:
        return [error.failure]
    return list(failures)


@functools.lru_cache(maxsize=REMEMBERED_PATHS)
def _remembered_failures(
    path: Path, rules: PathRules, at: datetime, signed_at: datetime | None
) -> tuple[tuple[Failure, ...], int]:
    """The answer with what it costs."""
    own = Effort()

    def signers(crl: Crl, issuer: Certificate) -> Iterator[Certificate]:
        return _crl_signers(crl, issuer, path, rules, at, own)

    try:
        found = revocation.judge(
            path.certificates, rules.revocation, at, signed_at=signed_at, signers=signers, effort=own
        )
    except ExhaustedError as error:
        return (error.failure,), own.spent
    return tuple(found), own.spent


def _crl_signers(
    crl: Crl, issuer: Certificate, path: Path, rules: PathRules, at: datetime, effort: Effort
) -> Iterator[Certificate]:
    """Certificates in a CA's name, with keys of their own, whose path leads to the same anchor (section 6.3.3 (f)).

    Such a certificate says that it signs CRLs, and must not be revoked itself, as far as other lists tell.
    """
    others = replace(rules.revocation, crls=tuple(other for other in rules.revocation.crls if other is not crl))
    for signer in dict.fromkeys((*path.certificates, *path.candidates)):
        named = signer.subject_name == crl.issuer and signer.key_der != issuer.key_der
        if named and signer.key_usage and signer.key_usage.crl_sign:
            chain = _valid_chain(signer, path, rules, effort)
            if chain and not revocation.judge(chain, others, at, effort=effort):
                yield signer


def _valid_chain(signer: Certificate, path: Path, rules: PathRules, effort: Effort) -> tuple[Certificate, ...] | None:
    if any(purpose.key_failures(signer, rules.minimum_rsa_bits)):
        return None
    search = _Search((*path.certificates, *path.candidates), path.certificates[-1:], path.at, effort)
    for chain in search.chains((signer,)):
        effort.spend(_cost(chain))
        if not any(path_failures(chain, rules, path.at, CRL_SIGNING_PROFILE)):
            return chain
    return None
