"""A certificate as this engine sees it: parsed once, every foreign exception converted here.

The signature, names and extensions that decide are read from the DER at parse time, so that nothing
can fail later in the middle of a judgement.
"""

from __future__ import annotations

import functools
import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modseal.errors import FormatError, foreign
from modseal.format import der
from modseal.format.cms import Algorithm
from modseal.pki import algorithms, public_key
from modseal.pki.certificate_policies import PolicyExtensions
from modseal.pki.extensions import (
    BASIC_CONSTRAINTS,
    CERTIFICATE_POLICIES,
    DISTRIBUTION_POINTS,
    EXTENDED_KEY_USAGE,
    INHIBIT_ANY_POLICY,
    KEY_USAGE,
    NAME_CONSTRAINTS,
    POLICY_CONSTRAINTS,
    POLICY_MAPPINGS,
    SUBJECT_ALTERNATIVE_NAME,
    Extension,
    read_extensions,
    read_signed,
)
from modseal.pki.names import GeneralName, Name, read_general_names, read_name, read_point_names
from modseal.values import dataclass

if TYPE_CHECKING:
    from modseal.pki.name_constraints import NameConstraints

JUDGED_EXTENSIONS = {
    BASIC_CONSTRAINTS,
    KEY_USAGE,
    EXTENDED_KEY_USAGE,
    SUBJECT_ALTERNATIVE_NAME,
    NAME_CONSTRAINTS,
    CERTIFICATE_POLICIES,
    POLICY_MAPPINGS,
    POLICY_CONSTRAINTS,
    INHIBIT_ANY_POLICY,
}
"""Extensions that path validation applies. A critical one outside this set refuses the certificate.
Key identifiers are not in it: they only help to find issuers, and are never critical (RFC 5280 section 4.2.1.1)."""

_VERSION_3 = der.encode_integer(2)


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """An X.509 certificate; equal and hashed by its DER. Times are aware, in UTC."""

    der: bytes
    fingerprint: str
    subject: str
    subject_name: Name = field(repr=False)
    issuer: str
    issuer_der: bytes
    issuer_name: Name = field(repr=False)
    alternative_names: tuple[GeneralName, ...] = field(repr=False)
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
    name_constraints: NameConstraints | None = field(repr=False)
    policies: PolicyExtensions = field(repr=False)
    distribution_points: tuple[GeneralName, ...] = field(repr=False)
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
        return self.issuer_name == self.subject_name

    @property
    def key_ids(self) -> frozenset[bytes]:
        """What a key identifier may call its key: as it says itself, and by RFC 5280 section 4.2.1.2 (1)."""
        bits = der.Reader(self.key_der).enter()
        bits.next()
        usual = hashlib.sha1(bits.take(der.BIT_STRING).content[1:], usedforsecurity=False).digest()
        return frozenset({usual, self.key_id or usual})

    @classmethod
    def parse(cls, data: bytes) -> Certificate:
        """From DER. Raises `FormatError` (malformed-certificate, unsupported-algorithm, weak-key, limit-exceeded)."""
        return _parse(data)

    def algorithm_under(self, issuer: Certificate) -> algorithms.SignatureAlgorithm:
        """The algorithm of this certificate's signature with the issuer's key.

        Raises `FormatError`: unsupported-algorithm, algorithm-not-allowed, algorithm-mismatch.
        """
        return algorithms.identify(self.signature_algorithm, None, issuer.key)[0]

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
    with foreign(_malformed), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # negative serials and the like: judged here, not warned about
        try:
            return _from_library(x509.load_der_x509_certificate(data), data)
        except UnsupportedAlgorithm as error:
            # Not damage: a newer kind of key, which a block may carry beside an older one (docs/adr, 10).
            detail = "a certificate has a kind of key that this machine's library does not know"
            raise FormatError("unsupported-algorithm", detail) from error
        except FormatError as error:
            if error.failure.code in _NOT_DAMAGE:
                raise
            raise _malformed(error.failure.detail) from error


_NOT_DAMAGE = ("limit-exceeded", "unsupported-algorithm", "weak-key")


def _malformed(why: str) -> FormatError:
    return FormatError("malformed-certificate", f"a certificate cannot be parsed: {why}")


def _from_library(parsed: x509.Certificate, data: bytes) -> Certificate:
    parts = _read(data)  # first: it bounds what the library is asked to make text of
    extensions = {extension.oid: extension.value for extension in parsed.extensions}

    def value(kind: Any) -> Any:
        return extensions.get(kind.oid)

    constraints, usage = value(x509.BasicConstraints), value(x509.ExtendedKeyUsage)
    key_id, authority = value(x509.SubjectKeyIdentifier), value(x509.AuthorityKeyIdentifier)
    critical = [oid for oid, extension in parts.extensions.items() if extension.critical]
    key = parsed.public_key()
    algorithms.require_bounded(key)
    alternative = parts.extensions.get(SUBJECT_ALTERNATIVE_NAME)
    name_constraints = None
    if constrained := parts.extensions.get(NAME_CONSTRAINTS):
        from modseal.pki.name_constraints import NameConstraints  # imported here: few CAs have any

        name_constraints = NameConstraints.parse(constrained.value)
    return Certificate(
        der=data,
        fingerprint=hashlib.sha256(data).hexdigest(),
        subject=parsed.subject.rfc4514_string(),
        subject_name=parts.subject,
        issuer=parsed.issuer.rfc4514_string(),
        issuer_der=parsed.issuer.public_bytes(),
        issuer_name=parts.issuer,
        alternative_names=read_general_names(der.only(alternative.value)) if alternative else (),
        serial=parsed.serial_number,
        not_before=parts.not_before,
        not_after=parts.not_after,
        key=key,
        key_der=key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        key_id=key_id.digest if key_id else None,
        authority_key_id=authority.key_identifier if authority else None,
        is_ca=bool(constraints and constraints.ca),
        path_length=constraints.path_length if constraints else None,
        key_usage=value(x509.KeyUsage),
        extended_key_usage=frozenset(oid.dotted_string for oid in usage) if usage else None,
        name_constraints=name_constraints,
        policies=PolicyExtensions.parse(parts.extensions),
        distribution_points=tuple(_distribution_points(parts)),
        unjudged=tuple(oid for oid in critical if oid not in JUDGED_EXTENSIONS),
        signed_bytes=parts.signed,
        signature_algorithm=parts.algorithm,
        signature=parts.signature,
    )


class _Parts(NamedTuple):
    """What is read from the DER by our own strict reader: what is signed, how, and what has a meaning in it."""

    signed: bytes
    algorithm: Algorithm
    signature: bytes
    issuer: Name
    not_before: datetime
    not_after: datetime
    subject: Name
    extensions: dict[str, Extension]


def _read(data: bytes) -> _Parts:
    """The parts of a certificate (RFC 5280 section 4.1). Raises `FormatError`.

    The issuer has a name (section 4.1.2.4), and only version 3 has extensions (section 4.1.2.1).
    """
    signed = read_signed(data)
    inner = signed.fields
    version = inner.optional(der.context(0))
    inner.integer()  # the serial number
    signed.require_algorithm()
    issuer = read_name(inner.next())
    validity = inner.enter()
    not_before, not_after = der.decode_either_time(validity.next()), der.decode_either_time(validity.next())
    validity.end()
    subject = read_name(inner.next())
    public_key.require_form(inner.enter())
    inner.optional(0x81)  # unique identifiers: obsolete (RFC 5280 section 4.1.2.8), so not read further
    inner.optional(0x82)
    wrapped = inner.optional(der.context(3))
    inner.end()
    if not issuer:
        raise der.malformed("its issuer has no name")
    if wrapped and (not version or version.content != _VERSION_3):
        raise der.malformed("it has extensions, and no version that has them")
    extensions = read_extensions(der.only(wrapped.content)) if wrapped else {}
    return _Parts(signed.raw, signed.algorithm, signed.signature, issuer, not_before, not_after, subject, extensions)


def _distribution_points(parts: _Parts) -> Iterator[GeneralName]:
    """The names of the points that have the issuer's own CRLs for all reasons (RFC 5280 section 4.2.1.13)."""
    found = parts.extensions.get(DISTRIBUTION_POINTS)
    body = der.only(found.value) if found else der.Reader(b"")
    while body.more():
        point = body.enter()
        name, reasons, issuer = point.optional(der.context(0)), point.optional(0x81), point.optional(der.context(2))
        point.end()
        if name and not reasons and not issuer:
            yield from read_point_names(name.content, parts.issuer)
