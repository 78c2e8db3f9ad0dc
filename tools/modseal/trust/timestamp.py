"""Step 2, for signers with timestamps: whether one proves when the signature existed.

A token (RFC 3161) of an authority that the policy names under `[time] anchors` proves that the
signature existed at T: genTime plus its accuracy, the latest moment that it allows. The signer's
chain, purpose and strength are then judged at T, so that a signature outlives its certificate. CRLs
must be fresh at the time of verification all the same.

* Where the policy names no timestamp anchor (and requires none), tokens prove nothing and are ignored (`signing_time`).
* The earliest T counts, of the tokens that verify.
* A token that is broken (not well formed, for another signature, a bad signature, an authority that was
  expired, revoked or unfit) fails the bundle even beside a good one: no sound vendor ships that. One of an
  authority that the policy does not know, or with an algorithm that cannot be judged, is set aside beside
  a good one, as blocks are in step 1: a vendor may have asked two authorities for two sets of customers.
* A verifier whose clock is before the token's time has a wrong clock, and nothing it says of age holds:
  `untrusted-time` (`CLOCK_TOLERANCE` allows for clocks that differ a little).

Two verifiers must agree. Ours checks what binds the token to this signature and to one certificate, the
algorithms, and the authority's path and purpose, by the rules of step 3. rfc3161-client then has OpenSSL
verify the token's signature and chain again.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta

from modseal.causes import CauseName
from modseal.codes import CODES, CodeName
from modseal.errors import Evidence, Failure, FormatError, foreign
from modseal.format import cms, der
from modseal.format import timestamp as token_format
from modseal.format.times import time_text
from modseal.format.timestamp import Token
from modseal.pki import algorithms, purpose
from modseal.pki.algorithms import SignatureAlgorithm
from modseal.pki.certificate import Certificate
from modseal.pki.effort import Effort, of_certificate, of_signature
from modseal.pki.extensions import EXTENDED_KEY_USAGE
from modseal.pki.path import Denials, NoPath, PathRules, find_path, revocation_failures
from modseal.trust.policy import Policy
from modseal.trust.signature import VerifiedSigner, is_named_by
from modseal.trust.signing_time import SigningTime, Stamp
from modseal.values import dataclass

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far a verifier's clock may be behind an authority's: machines without NTP drift by minutes, not by hours."""

_SECOND_OPINION = ("rsa-pkcs1", "ecdsa")
"""The families that OpenSSL verifies in PKCS #7, which is what rfc3161-client calls."""

_SECOND_OPINION_COST = 250
"""Units of a token's second verification, whose chain OpenSSL builds from the same certificates."""


@dataclass(frozen=True, slots=True)
class ConsistentToken:
    """A token whose one signer, the authority, signed it over the expected bytes. Nothing about trust yet."""

    token: Token
    authority: Certificate
    embedded: tuple[Certificate, ...]
    algorithm: SignatureAlgorithm


def judge_tokens(signer: VerifiedSigner, policy: Policy, at: datetime, effort: Effort) -> SigningTime:
    """What a signer's tokens prove under a policy that has timestamp anchors, or requires a timestamp."""
    stamps: list[Stamp] = []
    broken: list[Failure] = []
    unknown: list[Failure] = []
    for raw in signer.timestamps:
        try:
            stamp = verify(raw, signer.signature, policy.timestamp_anchors, policy.path_rules, at, effort, policy.deny)
            stamps.append(stamp)
        except FormatError as error:
            failure = error.failure
            found = Failure(failure.code, failure.detail, {**signer.evidence, **failure.evidence})
            unjudged = CODES[failure.code].undecided or failure.evidence.get("reason") in ("no-path", "no-anchors")
            (unknown if unjudged else broken).append(found)
    if not stamps:
        return SigningTime(failures=(*broken, *unknown))
    earliest = min(stamps, key=lambda stamp: stamp.time)
    newest = max(stamp.token.earliest for stamp in stamps)
    if newest > at + CLOCK_TOLERANCE:
        detail = f"the time of verification is before a timestamp of {time_text(newest)}: the clock is wrong"
        evidence: Evidence = {**signer.evidence, "at": at.isoformat(), "newest": newest.isoformat()}
        broken.append(Failure("untrusted-time", detail, evidence))
    return SigningTime(earliest, tuple(broken), tuple(unknown))


def verify(
    raw: bytes,
    signature: bytes,
    anchors: tuple[Certificate, ...],
    rules: PathRules,
    at: datetime,
    effort: Effort | None = None,
    denied: Denials | None = None,
) -> Stamp:
    """A token over a signature's bytes, proved by these timestamp anchors and no other (SIG-10).

    The authority is judged at the token's own time; CRLs at `at`. Raises `FormatError`: bad-timestamp with
    the evidence `reason`, or a code that says that it cannot be judged.
    """
    effort = effort or Effort()
    consistent = verify_consistent(raw, signature, effort)
    token, authority, algorithm = consistent.token, consistent.authority, consistent.algorithm
    if not anchors:
        raise _bad("no-anchors", "the policy names no timestamp anchor", authority)
    profile = purpose.TIME_STAMPING_PROFILE
    path = find_path(
        authority, consistent.embedded, anchors, rules, token.latest, profile, effort=effort, denied=denied
    )
    if isinstance(path, NoPath):
        raise _of_token(path.failures[0], authority)
    if denied and any(map(denied.entry, path.certificates)):
        raise _bad("denied", "the deny list has its authority, or a CA above it", authority)
    if algorithm.name not in rules.algorithms:
        raise _bad("algorithm-not-allowed", f"the policy does not allow {algorithm.name}", authority)
    for failure in purpose.key_failures(authority, rules.minimum_rsa_bits):
        raise _bad(failure.code, failure.detail, authority)
    # Without a time of its own: a token of a revoked authority proves nothing, whenever it says it was made.
    for failure in revocation_failures(path, rules, at, None, effort):
        raise _of_token(failure, authority)
    effort.spend(_SECOND_OPINION_COST + of_certificate(len(raw)))
    _second_opinion(token, authority, algorithm, anchors, rules.intermediates)
    return Stamp(token, authority, path.certificates[-1].subject)


def verify_consistent(raw: bytes, signature: bytes, effort: Effort | None = None) -> ConsistentToken:
    """What holds of a token without any trust in its authority.

    It is over these signature bytes (RFC 3161 section 2.4.2), and signed by exactly one certificate in it,
    which it names by hash (RFC 5816) and which is for timestamps alone (section 2.3). Raises `FormatError`.
    """
    effort = effort or Effort()
    effort.spend(of_certificate(len(raw)))
    token = token_format.decode(raw)
    actual = hashlib.new(_digest_name(token.imprint_digest), signature).digest()
    if not hmac.compare_digest(actual, token.imprint):
        raise _bad("content-digest-mismatch", "it is over another signature")
    try:
        embedded = tuple(map(Certificate.parse, token.certificates))
    except FormatError as error:
        raise _bad(error.failure.code, error.failure.detail) from error
    named = [each for each in embedded if (each.issuer_der, each.serial) == (token.issuer, token.serial)]
    if len(named) != 1:
        # With two of them, which one a verifier takes would be its own business.
        raise _bad("signer-certificate-missing", f"{len(named)} of its certificates fit its signer; one must")
    for stranger in embedded:
        if stranger != named[0] and not stranger.is_ca:
            raise _bad("invalid-chain", f"it carries {stranger.subject}, which neither signed it nor is a CA")
    effort.spend(of_signature(named[0].key, len(token.signed_attributes)))
    algorithm = _verify_signature(token, named[0])
    _require_binding(token, named[0])
    _require_purpose(named[0])
    return ConsistentToken(token, named[0], embedded, algorithm)


def _digest_name(algorithm: cms.Algorithm) -> str:
    try:
        return algorithms.digest_name(algorithm)
    except FormatError as error:
        raise _of_token(error.failure) from error


def _verify_signature(token: Token, authority: Certificate) -> SignatureAlgorithm:
    """RFC 5652 section 5.4: the digest of the content, then the signature over the signed attributes."""
    digest_name = _digest_name(token.digest)
    if not hmac.compare_digest(hashlib.new(digest_name, token.content).digest(), token.message_digest):
        raise _bad("bad-signature", "its content is not what was signed", authority)
    try:
        row, salt = algorithms.identify(token.signature_algorithm, digest_name, authority.key)
        algorithms.verify(row, authority.key, token.signature, token.signed_attributes, salt)
    except FormatError as error:
        raise _of_token(error.failure, authority) from error
    return row


def _require_binding(token: Token, authority: Certificate) -> None:
    try:
        fits = all(is_named_by(identifier, authority) for identifier in token.named_certificates)
    except FormatError as error:
        raise _of_token(error.failure) from error
    if not fits:
        raise _bad("bad-signature", "its signer signed for another certificate", authority)


def _require_purpose(authority: Certificate) -> None:
    """timeStamping, critical, and nothing else (RFC 3161 section 2.3): no other role proves a time (SIG-10)."""
    critical = EXTENDED_KEY_USAGE in authority.critical
    if authority.extended_key_usage != frozenset({purpose.TIME_STAMPING}) or not critical:
        raise _bad("wrong-purpose", "its signer's certificate is not for timeStamping alone", authority)
    usage = authority.key_usage
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        raise _bad("wrong-purpose", "its signer's key usage is not for signatures", authority)
    if authority.is_ca:
        raise _bad("wrong-purpose", "its signer is a CA", authority)


def _second_opinion(
    token: Token,
    authority: Certificate,
    algorithm: SignatureAlgorithm,
    anchors: tuple[Certificate, ...],
    intermediates: tuple[Certificate, ...],
) -> None:
    """rfc3161-client must find the same: OpenSSL's verdict on signature, chain and purpose at genTime."""
    if algorithm.family not in _SECOND_OPINION:
        detail = f"timestamp tokens signed with {algorithm.name} are not supported"
        raise FormatError("unsupported-algorithm", detail, algorithm=algorithm.name)
    # Imported here: a bundle without a timestamp does not pay for it.
    from cryptography import x509
    from rfc3161_client import VerifierBuilder, decode_timestamp_response

    with foreign(lambda why: _bad("bad-signature", f"rfc3161-client refuses it ({why})", authority)):
        verifier = VerifierBuilder(
            roots=[x509.load_der_x509_certificate(each.der) for each in anchors],
            intermediates=[x509.load_der_x509_certificate(each.der) for each in intermediates],
        ).build()
        # The library does not take a bare token, only the answer that carries one.
        status = der.encode(der.SEQUENCE, der.encode_integer(0))
        answer = der.encode(der.SEQUENCE, status, token_format.sort_certificates(token))
        verifier.verify(decode_timestamp_response(answer), token.imprint)


def _of_token(failure: Failure, authority: Certificate | None = None) -> FormatError:
    """A failure of one of the shared rules, as a failure of the token."""
    if CODES[failure.code].undecided:
        return FormatError(failure.code, f"the timestamp token cannot be judged: {failure.detail}", **failure.evidence)
    cause: CauseName | None = "unknown-timestamp-authority" if failure.code == "no-path" else None
    return _bad(failure.code, failure.detail, authority).because(cause)


def _bad(reason: CodeName, detail: str, authority: Certificate | None = None) -> FormatError:
    who = {"authority": authority.subject, "authority_certificate": authority.fingerprint} if authority else {}
    return FormatError("bad-timestamp", f"the timestamp token does not verify: {detail}", reason=reason, **who)
