"""What a certificate may be used for: code signing at the leaf, issuing above it, keys strong enough.

The signer calls the same rules before it signs, so that it never makes a signature that every gate refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from modseal import limits
from modseal.errors import Evidence, Failure
from modseal.format.times import time_text
from modseal.pki.algorithms import key_bits
from modseal.pki.certificate import Certificate
from modseal.pki.certificate_policies import NO_POLICY_REQUIRED, PolicyInputs
from modseal.values import dataclass

CODE_SIGNING = "1.3.6.1.5.5.7.3.3"
TIME_STAMPING = "1.3.6.1.5.5.7.3.8"
MINIMUM_RSA_BITS = 2048
"""NIST SP 800-131A: RSA below 2048 bits is disallowed for signatures."""
_CURVES = ("secp256r1", "secp384r1", "secp521r1")


@dataclass(frozen=True, slots=True)
class ChainProfile:
    """What a chain is for. The product judges signers by `CODE_SIGNING`; no policy can change that.

    `extended_key_usage` must be named by the leaf, and by each CA that has the extension at all; None is for
    chains that have no such extension by nature (`CRL_SIGNING`). `policies` are inputs of RFC 5280 section 6.1.1.
    """

    name: str
    extended_key_usage: str | None
    policies: PolicyInputs = NO_POLICY_REQUIRED


CODE_SIGNING_PROFILE = ChainProfile("code signing", CODE_SIGNING)
TIME_STAMPING_PROFILE = ChainProfile("time stamping", TIME_STAMPING)
CRL_SIGNING_PROFILE = ChainProfile("CRL signing", None)


def leaf_failures(certificate: Certificate) -> Iterator[Failure]:
    """Why a certificate may not sign code: RFC 5280 sections 4.2.1.3, 4.2.1.9, 4.2.1.12.

    Strict where the RFC is silent: codeSigning must be named (anyExtendedKeyUsage is not enough, X5-01),
    digitalSignature must be asserted, and a CA does not sign code itself (X5-02).
    """
    evidence: Evidence = {"signer": certificate.fingerprint, "subject": certificate.subject}
    if certificate.extended_key_usage is None or CODE_SIGNING not in certificate.extended_key_usage:
        yield Failure("wrong-purpose", "the signer's certificate has no extended key usage codeSigning", evidence)
    if certificate.key_usage is None or not certificate.key_usage.digital_signature:
        yield Failure("wrong-purpose", "the signer's certificate has no key usage digitalSignature", evidence)
    if certificate.is_ca:
        yield Failure("wrong-purpose", "the signer's certificate is that of a CA", evidence)


def issuer_failures(certificate: Certificate, profile: ChainProfile = CODE_SIGNING_PROFILE) -> Iterator[Failure]:
    """Why a certificate may not issue one for this purpose: RFC 5280 section 6.1.4 (k), (n).

    An extended key usage in a CA limits what is below it, as browsers and Authenticode have it (X5-01).
    """
    evidence: Evidence = {"certificate": certificate.fingerprint, "subject": certificate.subject}
    if not certificate.is_ca:
        yield Failure("invalid-chain", f"{certificate.subject} issued a certificate but is not a CA", evidence)
    if certificate.key_usage is not None and not certificate.key_usage.key_cert_sign:
        yield Failure("invalid-chain", f"{certificate.subject} lacks key usage keyCertSign", evidence)
    usages = certificate.extended_key_usage
    if profile.extended_key_usage and usages is not None and profile.extended_key_usage not in usages:
        yield Failure("wrong-purpose", f"{certificate.subject} may not issue for {profile.name}", evidence)


def key_failures(certificate: Certificate, minimum_rsa_bits: int = MINIMUM_RSA_BITS) -> Iterator[Failure]:
    """Why a key is too weak, or too large to verify in bounded time."""
    key, bits = certificate.key, key_bits(certificate.key)
    evidence: Evidence = {"certificate": certificate.fingerprint, "bits": bits}
    if isinstance(key, rsa.RSAPublicKey):
        if not minimum_rsa_bits <= bits <= limits.RSA_BITS:
            detail = f"{certificate.subject} has an RSA key of {bits} bits; {minimum_rsa_bits} is the least"
            yield Failure("weak-key", detail, evidence)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name not in _CURVES:
            yield Failure("weak-key", f"{certificate.subject} has a key on the curve {key.curve.name}", evidence)
    elif not type(key).__name__.startswith(("Ed25519", "MLDSA")):
        yield Failure("weak-key", f"{certificate.subject} has a kind of key that does not sign code", evidence)


def validity_failure(certificate: Certificate, at: datetime) -> Failure | None:
    """Whether a certificate is outside its validity at a time (RFC 5280 section 4.1.2.5)."""
    evidence: Evidence = {
        "certificate": certificate.fingerprint,
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
        "at": at.isoformat(),
    }
    judged = time_text(at)  # which may lie in the future
    if at < certificate.not_before:
        detail = (
            f"{certificate.subject} is not valid yet at {judged}: valid only from {time_text(certificate.not_before)}"
        )
        return Failure("not-yet-valid", detail, evidence)
    if at > certificate.not_after:
        detail = f"{certificate.subject} is expired at {judged}: valid until {time_text(certificate.not_after)}"
        return Failure("expired", detail, evidence)
    return None
