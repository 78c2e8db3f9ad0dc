"""Rules about the keys that signatures rest on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from itertools import chain

from cryptography.hazmat.primitives.asymmetric import rsa

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Row, Rule, Subject
from modseal.pki.certificate import Certificate
from modseal.pki.public_key import kind_of_key
from modseal.values import dataclass

RSA_BITS = 3072
"""The RSA modulus with a security strength of 128 bits; 2048 bits have 112 (NIST SP 800-57 part 1, table 2)."""
RSA_EXPONENT = 65537
"""The smallest public exponent of FIPS 186-5 (section A.1.1: larger than 2 to the power of 16)."""


def _weak_algorithm(subject: Subject) -> Iterator[Hit]:
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


WEAK_ALGORITHM = Rule(
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
    check=_weak_algorithm,
)


_LASTING = "ML-DSA-"
_RELATED = 9
"""Bundles that are named beside the first."""


@dataclass(slots=True)
class _SameKeys:
    sha256: str | None
    count: int = 0
    bundles: list[str] = field(default_factory=list)


class Leaving:
    """Counts the bundles by the kinds of key of their trusted signers, where none of them will last."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, ...], _SameKeys] = {}

    def see(self, row: Row) -> None:
        """See `SetRule.see`."""
        if row.keys and not any(kind.startswith(_LASTING) for kind in row.keys):
            group = self._groups.setdefault(tuple(row.keys), _SameKeys(row.sha256))
            group.count += 1
            if len(group.bundles) <= _RELATED:
                group.bundles.append(row.bundle)

    def hits(self) -> Iterator[Hit]:
        """See `SetRule.hits`."""
        for kinds, group in sorted(self._groups.items()):
            keys = " and ".join(kinds)
            ends = "; ".join(f"{kind}: {_end(kind)}" for kind in kinds)
            first, *others = group.bundles
            many = f"{group.count} bundles are" if group.count > 1 else "one bundle is"
            detail = f"{many} trusted through {keys} alone ({ends})"
            yield Hit(detail, {"keys": keys}, bundle=first, sha256=group.sha256, related=tuple(others))


def _end(kind: str) -> str:
    """Table 2 of NIST IR 8547: 112 bits of strength are deprecated five years before all of them are disallowed."""
    weak = kind.startswith("RSA-") and int(kind.removeprefix("RSA-")) < RSA_BITS
    return "deprecated after 2030, disallowed after 2035" if weak else "disallowed after 2035"


ALGORITHM_LEAVING = Rule(
    id="algorithm-leaving",
    severity=Severity.INFO,
    title="Signed with algorithms that have an announced end",
    what="Bundles are trusted through RSA, ECDSA or Ed25519 alone. There is one finding for each kind of key, with the "
    "number of bundles; its file is the first of them.",
    why="A large quantum computer would break them. NIST plans to disallow RSA, ECDSA and EdDSA for signatures after "
    "2035, and to deprecate RSA-2048 after 2030 (IR 8547, draft of November 2024, table 2). What is signed today for a "
    "host that lives ten years is concerned. Info, because nothing needs to be done this year.",
    remedy="Plan a second signature with ML-DSA (FIPS 204) for modules that will still be installed in 2035: "
    "a bundle can have both.",
    example="A depot in which all signatures are ECDSA P-256.",
    start=Leaving,
)
