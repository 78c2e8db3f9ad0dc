"""Whether a certificate may sign, and with which algorithm, by the verifier's own rules.

Nothing is signed that the strict verifier would refuse, so a mistake shows at the vendor's desk and
not at every customer's gate. The rules themselves are in `trust`; here they are only called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from modseal.causes import CauseName
from modseal.errors import Failure, FormatError, RefusedError, UsageError
from modseal.format.cms import Algorithm
from modseal.pki import purpose
from modseal.pki.algorithms import ALGORITHMS, RSA_PSS, SignatureAlgorithm, identify
from modseal.pki.certificate import Certificate
from modseal.pki.path import NoPath, revocation_failures
from modseal.trust.anchors import anchored_paths
from modseal.trust.policy import Policy

_NEED = "an RSA key of 2048 bits or more, an ECDSA key on P-256, P-384 or P-521, Ed25519, or ML-DSA"

_CAUSES: Mapping[str, CauseName] = {
    "expired": "certificate-expired",
    "not-yet-valid": "certificate-not-yet-valid",
    "wrong-purpose": "certificate-purpose",
    "weak-key": "key-too-weak",
    "invalid-chain": "stranger-in-chain",
}
"""What is behind an unfit certificate where that is one thing alone: the verifier's code -> the cause."""

_PREFERRED = (
    "rsa-pkcs1-sha256",
    "rsa-pss-sha256",
    "ecdsa-p256-sha256",
    "ecdsa-p384-sha384",
    "ecdsa-p521-sha512",
    "ed25519",
    "ml-dsa-44",
    "ml-dsa-65",
    "ml-dsa-87",
)
"""The default is the first that fits the key: for RSA the one form that every known verifier reads."""


def parse(certificate: x509.Certificate) -> Certificate:
    """A certificate as the verifier sees it. Raises `RefusedError` (unfit-certificate)."""
    try:
        return Certificate.parse(certificate.public_bytes(Encoding.DER))
    except FormatError as error:
        raise RefusedError("unfit-certificate", error.failure.detail) from error


def choose_algorithm(certificate: x509.Certificate, name: str | None = None) -> SignatureAlgorithm:
    """The named algorithm, or the default one for the certificate's key.

    Raises `UsageError` where the name is unknown or does not fit the key, `RefusedError`
    (unfit-certificate) where no algorithm fits it.
    """
    fitting = [row for row in ALGORITHMS.values() if fits(row, certificate)]
    if not fitting:
        raise RefusedError("unfit-certificate", f"no signature algorithm fits {_NEED}")
    if name is None:
        return min(fitting, key=_preference)
    if name not in ALGORITHMS:
        raise UsageError(f"{name!r} is not a signature algorithm; this key can use {_names(fitting)}")
    if ALGORITHMS[name] not in fitting:
        raise UsageError(f"the key is not one for {name}; it can use {_names(fitting)}")
    return ALGORITHMS[name]


def fits(row: SignatureAlgorithm, certificate: x509.Certificate) -> bool:
    """Whether a verifier would read this algorithm with this certificate's key as this same row."""
    only_pss = certificate.public_key_algorithm_oid.dotted_string == RSA_PSS
    if only_pss and row.family != "rsa-pss":
        return False  # RFC 4055 section 1.2: such a key is for PSS alone
    try:
        written = Algorithm(row.signature_oid, row.signature_parameters, b"")
        return identify(written, row.digest_name, parse(certificate).key)[0] == row
    except FormatError:
        return False


def order_chain(
    certificate: x509.Certificate, others: Sequence[x509.Certificate]
) -> tuple[tuple[x509.Certificate, ...], tuple[x509.Certificate, ...]]:
    """The certificates that lead up from the signer, nearest first, and those that do not.

    The signer itself and repetitions are dropped. Two issuers of one certificate (a cross-signed CA)
    both stay.
    """
    rest = [other for other in dict.fromkeys(others) if other != certificate]
    ordered: list[x509.Certificate] = []
    children = [certificate]
    while children:
        children = [other for other in rest if any(_issued(child, other) for child in children)]
        ordered += children
        rest = [other for other in rest if other not in children]
    return tuple(ordered), tuple(rest)


def check_certificate(certificate: x509.Certificate, chain: Sequence[x509.Certificate], at: datetime) -> None:
    """The certificate may sign code at this time (aware), and each of the chain issues towards it.

    Raises `RefusedError` (unfit-certificate) with every reason at once; its evidence `reasons` has the
    codes that the verifier would give.
    """
    ordered, unrelated = order_chain(certificate, chain)
    signer = parse(certificate)
    failures = [*_failures(signer, at), *purpose.leaf_failures(signer)]
    for issuer in map(parse, ordered):
        failures += [*_failures(issuer, at), *purpose.issuer_failures(issuer)]
    failures += [unrelated_failure(other) for other in unrelated]
    if failures:
        detail = f"{signer.subject} cannot sign: " + "; ".join(failure.detail for failure in failures)
        reasons = ",".join(dict.fromkeys(failure.code for failure in failures))
        refused = RefusedError("unfit-certificate", detail, signer=signer.fingerprint, reasons=reasons)
        raise refused.because(_CAUSES.get(reasons))


def check_policy(
    certificate: x509.Certificate, chain: Sequence[x509.Certificate], policy: Policy, at: datetime
) -> None:
    """A verifier with this policy would find a path for the signer, with no certificate revoked or denied.

    Raises `RefusedError` (unfit-certificate) with every reason, as `check_certificate` does.
    """
    signer = parse(certificate)
    paths = anchored_paths(signer, tuple(map(parse, chain)), policy, at)
    if isinstance(paths, NoPath):
        failures = [*paths.failures, *policy.deny.failures((signer,))]
    else:
        best = paths[0].path
        failures = [*revocation_failures(best, policy.path_rules, at), *policy.deny.failures(best.certificates)]
    if failures:
        detail = f"{signer.subject} cannot sign under {policy.source}: " + "; ".join(one.detail for one in failures)
        reasons = ",".join(dict.fromkeys(failure.code for failure in failures))
        refused = RefusedError("unfit-certificate", detail, signer=signer.fingerprint, reasons=reasons)
        raise refused.because("chain-missing" if failures[0].evidence.get("cause") == "issuer-missing" else None)


def missing_issuer(certificate: x509.Certificate, chain: Sequence[x509.Certificate]) -> str | None:
    """A sentence for who signs without the certificate of the issuer; None where it is there, or none is needed.

    A root is seldom embedded, so the chain need not lead up to one: its first certificate is what verifiers lack.
    """
    signer = parse(certificate)
    if signer.is_self_issued or order_chain(certificate, chain)[0]:
        return None
    return (
        f"the signature does not carry the certificate of {signer.issuer}, which issued the signer's; who "
        "verifies without it refuses the bundle: embed it with --chain, or check with --policy that it is there"
    )


def check_key(certificate: x509.Certificate) -> None:
    """The certificate's key is of a kind and size that signs. Raises `RefusedError` (unfit-certificate)."""
    signer = parse(certificate)
    for failure in purpose.key_failures(signer):
        detail = f"{failure.detail} (signing takes {_NEED})"
        raise RefusedError("unfit-certificate", detail, signer=signer.fingerprint, reasons=failure.code).because(
            "key-too-weak"
        )


def unrelated_failure(certificate: x509.Certificate) -> Failure:
    """A certificate of the chain that issued none of the others."""
    other = parse(certificate)
    detail = f"{other.subject} is in the chain but issued neither the signer's certificate nor another of the chain"
    return Failure("invalid-chain", detail, {"certificate": other.fingerprint})


def _failures(certificate: Certificate, at: datetime) -> Iterator[Failure]:
    outside = purpose.validity_failure(certificate, at)
    if outside:
        yield outside
    yield from purpose.key_failures(certificate)
    for oid in certificate.unjudged:
        detail = f"{certificate.subject} has the extension {oid}, which no verifier of modseal judges"
        yield Failure("unsupported-extension", detail, {"extension": oid})


def _issued(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    below, above = parse(child), parse(issuer)
    if below.issuer_name != above.subject_name:
        return False
    try:
        below.verify_issued_by(above)
    except FormatError:
        return False
    return True


def _preference(row: SignatureAlgorithm) -> int:
    return _PREFERRED.index(row.name) if row.name in _PREFERRED else len(_PREFERRED)


def _names(rows: Sequence[SignatureAlgorithm]) -> str:
    return ", ".join(row.name for row in rows)
