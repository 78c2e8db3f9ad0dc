"""A signature that rests on a key which is accepted, and weaker than what is recommended."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from cryptography.hazmat.primitives.asymmetric import rsa

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject
from modseal.pki.certificate import Certificate
from modseal.pki.public_key import kind_of_key

RSA_BITS = 3072
"""The RSA modulus with a security strength of 128 bits; 2048 bits have 112 (NIST SP 800-57 part 1, table 2)."""
RSA_EXPONENT = 65537
"""The smallest public exponent of FIPS 186-5 (section A.1.1: larger than 2 to the power of 16)."""


def check(subject: Subject) -> Iterator[Hit]:
    """Each weak key of the trusted signers and of those above them, once."""
    certificates = chain.from_iterable(one.path.certificates for one in subject.trusted)
    for certificate in dict.fromkeys(certificates):
        reasons = list(_reasons(certificate))
        if reasons:
            evidence = {"certificate": certificate.fingerprint, "key": kind_of_key(certificate.key)}
            yield Hit(f"the key of {certificate.subject} has {' and '.join(reasons)}", evidence)


def _reasons(certificate: Certificate) -> Iterator[str]:
    key = certificate.key
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < RSA_BITS:
            yield f"{key.key_size} bits, less than {RSA_BITS}"
        if (exponent := key.public_numbers().e) < RSA_EXPONENT:
            yield f"the public exponent {exponent}, less than {RSA_EXPONENT}"


RULE = Rule(
    id="weak-algorithm",
    severity=Severity.LOW,
    title="A key is weaker than recommended",
    what=f"A trusted signer, or a CA above it, has an RSA key of less than {RSA_BITS} bits, or with a public exponent "
    f"below {RSA_EXPONENT}.",
    why="An RSA key of 2048 bits has a security strength of 112 bits, where 128 are recommended (NIST SP 800-57 "
    "part 1). A small exponent is outside FIPS 186-5, and forgives no verifier a mistake: signatures were forged that "
    "way (CVE-2006-4339). modseal compares the whole padding, but the next verifier may not. Low, because neither can "
    "be broken today, and VMware's own signers have the exponent 3. MD5, SHA-1 and shorter keys are no finding of "
    "this rule: no policy accepts them.",
    remedy="Choose RSA-3072 or better, ECDSA or Ed25519 for the next certificate; `minimum-rsa-bits = 3072` makes the "
    "policy demand it.",
    example="A signer's certificate with RSA-2048.",
    check=check,
)
