"""A certificate as this engine sees it: parsed once, every foreign exception converted here.

The signature, names and extensions that decide are read from the DER at parse time, so that nothing
can fail later in the middle of a judgement.
"""

from __future__ import annotations

import functools
import hashlib
import warnings
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modseal.errors import FormatError
from modseal.format import der
from modseal.format.cms import Algorithm, read_algorithm
from modseal.trust import algorithms

JUDGED_EXTENSIONS = {
    x509.BasicConstraints.oid,
    x509.KeyUsage.oid,
    x509.ExtendedKeyUsage.oid,
    x509.SubjectKeyIdentifier.oid,
    x509.AuthorityKeyIdentifier.oid,
}
"""Extensions that path validation applies. A critical one outside this set refuses the certificate."""

CONSTRAINING_EXTENSIONS = {
    x509.NameConstraints.oid,
    x509.PolicyConstraints.oid,
    x509.InhibitAnyPolicy.oid,
}
"""Extensions that narrow a CA and that modseal does not apply: refused even when they are not critical."""

FOREIGN = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""All that the library raises for certificates and CRLs that it cannot parse."""


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """An X.509 certificate; equal and hashed by its DER. Times are aware, in UTC."""

    der: bytes
    fingerprint: str
    subject: str
    subject_der: bytes
    issuer: str
    issuer_der: bytes
    serial: int
    not_before: datetime
    not_after: datetime
    key: Any = field(repr=False)
    key_der: bytes = field(repr=False)
    key_id: bytes | None
    authority_key_id: bytes | None
    is_ca: bool
    path_length: int | None
    key_usage: x509.KeyUsage | None
    extended_key_usage: frozenset[str] | None
    unjudged: tuple[str, ...]
    signed_bytes: bytes = field(repr=False)
    signature_algorithm: Algorithm = field(repr=False)
    signature: bytes = field(repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and other.der == self.der

    def __hash__(self) -> int:
        return hash(self.der)

    @property
    def is_self_issued(self) -> bool:
        """Whether issuer and subject are the same name."""
        return self.issuer_der == self.subject_der

    @classmethod
    def parse(cls, data: bytes) -> Certificate:
        """From DER. Raises `FormatError` (malformed-certificate, unsupported-algorithm)."""
        return _parse(data)

    def verify_issued_by(self, issuer: Certificate) -> algorithms.SignatureAlgorithm:
        """Verify this certificate's signature with the issuer's key; returns the algorithm.

        Raises `FormatError`: bad-signature, unsupported-algorithm, algorithm-not-allowed,
        algorithm-mismatch.
        """
        row, salt = algorithms.identify(self.signature_algorithm, None, issuer.key)
        algorithms.verify(row, issuer.key, self.signature, self.signed_bytes, salt)
        return row


@functools.lru_cache(maxsize=256)
def _parse(data: bytes) -> Certificate:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # negative serials and the like: judged here, not warned about
            return _from_library(x509.load_der_x509_certificate(data), data)
    except FOREIGN as error:
        raise FormatError("malformed-certificate", f"a certificate cannot be parsed: {error}") from error


def _from_library(parsed: x509.Certificate, data: bytes) -> Certificate:
    extensions = {extension.oid: extension for extension in parsed.extensions}

    def value(kind: Any) -> Any:
        found = extensions.get(kind.oid)
        return found.value if found else None

    constraints, usage = value(x509.BasicConstraints), value(x509.ExtendedKeyUsage)
    key_id, authority = value(x509.SubjectKeyIdentifier), value(x509.AuthorityKeyIdentifier)
    signed, algorithm, signature = _split(data)
    key = parsed.public_key()
    return Certificate(
        der=data,
        fingerprint=hashlib.sha256(data).hexdigest(),
        subject=parsed.subject.rfc4514_string(),
        subject_der=parsed.subject.public_bytes(),
        issuer=parsed.issuer.rfc4514_string(),
        issuer_der=parsed.issuer.public_bytes(),
        serial=parsed.serial_number,
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        key=key,
        key_der=key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        key_id=key_id.digest if key_id else None,
        authority_key_id=authority.key_identifier if authority else None,
        is_ca=bool(constraints and constraints.ca),
        path_length=constraints.path_length if constraints else None,
        key_usage=value(x509.KeyUsage),
        extended_key_usage=frozenset(oid.dotted_string for oid in usage) if usage else None,
        unjudged=tuple(
            oid.dotted_string
            for oid, extension in extensions.items()
            if oid in CONSTRAINING_EXTENSIONS or (extension.critical and oid not in JUDGED_EXTENSIONS)
        ),
        signed_bytes=signed,
        signature_algorithm=algorithm,
        signature=signature,
    )


def _split(data: bytes) -> tuple[bytes, Algorithm, bytes]:
    """The signed part, the algorithm and the signature (RFC 5280 section 4.1.1).

    The algorithm inside the signed part must be the same (section 4.1.1.2).
    """
    try:
        outer = der.Reader(data)
        body = outer.enter()
        outer.end()
        signed = body.take(der.SEQUENCE)
        algorithm = read_algorithm(body)
        bits = body.take(der.BIT_STRING).content
        body.end()
        inner = body.inside(signed)
        inner.optional(der.context(0))
        inner.integer()
        if read_algorithm(inner).raw != algorithm.raw or not bits or bits[0] != 0:
            raise ValueError("its two signature algorithms differ, or its signature is no whole number of bytes")
    except FormatError as error:
        raise ValueError(error.failure.detail) from error
    return signed.raw, algorithm, bits[1:]
