"""A certificate as this engine sees it: parsed once, by the one strict reader of DER (docs/adr/0040).

All that decides is read at parse time, so that nothing can fail later in the middle of a judgement. Only the public
key is a library's: its exceptions are converted here.
"""

from __future__ import annotations

import functools
import hashlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm

from modseal.errors import FormatError, foreign
from modseal.format import der
from modseal.format.cms import Algorithm
from modseal.pki import algorithms, public_key
from modseal.pki.certificate_policies import PolicyExtensions
from modseal.pki.extensions import (
    AUTHORITY_KEY_ID,
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
    SUBJECT_KEY_ID,
    KeyUsage,
    read_authority_key_id,
    read_basic_constraints,
    read_extensions,
    read_purposes,
    read_signed,
)
from modseal.pki.names import GeneralName, Name, name_text, read_general_names, read_name, read_point_names
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

_VERSION_2, _VERSION_3 = der.encode_integer(1), der.encode_integer(2)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """An X.509 certificate; equal and hashed by its DER. Times are aware, in UTC.

    `critical` are the identifiers of its critical extensions.
    """

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
    key_usage: KeyUsage | None
    extended_key_usage: frozenset[str] | None
    name_constraints: NameConstraints | None = field(repr=False)
    policies: PolicyExtensions = field(repr=False)
    distribution_points: tuple[GeneralName, ...] = field(repr=False)
    critical: tuple[str, ...]
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
    def unjudged(self) -> tuple[str, ...]:
        """The critical extensions that path validation does not apply."""
        return tuple(oid for oid in self.critical if oid not in JUDGED_EXTENSIONS)

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
        warnings.simplefilter("ignore")  # about keys, such as short ones: judged here, not warned about
        try:
            return _read(data)
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


def _read(data: bytes) -> Certificate:
    """A certificate (RFC 5280 section 4.1). Raises `FormatError`, and what the library raises for its key.

    The issuer has a name (section 4.1.2.4), and only version 3 has extensions (section 4.1.2.1).
    """
    signed = read_signed(data)
    fields = signed.fields
    version = fields.optional(der.context(0))
    serial = fields.integer()
    signed.require_algorithm()
    issuer = fields.next()
    issuer_name = read_name(issuer)
    validity = fields.enter()
    not_before, not_after = der.decode_either_time(validity.next()), der.decode_either_time(validity.next())
    validity.end()
    subject = fields.next()
    subject_name = read_name(subject)
    key_info = fields.take(der.SEQUENCE)
    public_key.require_form(fields.inside(key_info))  # so that a key has one DER, by which keys are told apart
    fields.optional(0x81)  # unique identifiers: obsolete (RFC 5280 section 4.1.2.8), so not read further
    fields.optional(0x82)
    wrapped = fields.optional(der.context(3))
    fields.end()
    if not issuer_name:
        raise der.malformed("its issuer has no name")
    if version and version.content not in (_VERSION_2, _VERSION_3):
        raise der.malformed("its version is none of X.509, or is the default and encoded")
    if wrapped and (not version or version.content != _VERSION_3):
        raise der.malformed("it has extensions, and no version that has them")
    extensions = read_extensions(der.only(wrapped.content)) if wrapped else {}

    def read(oid: str, reader: Callable[[bytes], _T]) -> _T | None:
        return reader(extensions[oid].value) if oid in extensions else None

    constraints = read(BASIC_CONSTRAINTS, read_basic_constraints)
    name_constraints = None
    if NAME_CONSTRAINTS in extensions:
        from modseal.pki.name_constraints import NameConstraints  # imported here: few CAs have any

        name_constraints = NameConstraints.parse(extensions[NAME_CONSTRAINTS].value)
    return Certificate(
        der=data,
        fingerprint=hashlib.sha256(data).hexdigest(),
        subject=name_text(subject),
        subject_name=subject_name,
        issuer=name_text(issuer),
        issuer_der=issuer.raw,
        issuer_name=issuer_name,
        alternative_names=read(SUBJECT_ALTERNATIVE_NAME, lambda value: read_general_names(der.only(value))) or (),
        serial=serial,
        not_before=not_before,
        not_after=not_after,
        key_der=key_info.raw,
        key_id=read(SUBJECT_KEY_ID, lambda value: der.only_value(value, der.OCTET_STRING).content),
        authority_key_id=read(AUTHORITY_KEY_ID, read_authority_key_id),
        is_ca=bool(constraints and constraints.ca),
        path_length=constraints.path_length if constraints else None,
        key_usage=read(KEY_USAGE, KeyUsage.parse),
        extended_key_usage=read(EXTENDED_KEY_USAGE, read_purposes),
        name_constraints=name_constraints,
        policies=PolicyExtensions.parse(extensions),
        distribution_points=read(DISTRIBUTION_POINTS, lambda value: tuple(_points(value, issuer_name))) or (),
        critical=tuple(oid for oid, one in extensions.items() if one.critical),
        signed_bytes=signed.raw,
        signature_algorithm=signed.algorithm,
        signature=signed.signature,
        key=_key(key_info.raw),  # last: a kind of key that is not known does not hide damage
    )


def _key(data: bytes) -> Any:
    key = public_key.load(data)
    algorithms.require_bounded(key)
    return key


def _points(value: bytes, issuer: Name) -> Iterator[GeneralName]:
    """The names of the points that have the issuer's own CRLs for all reasons (RFC 5280 section 4.2.1.13)."""
    body = der.only(value)
    while body.more():
        point = body.enter()
        name, reasons, indirect = point.optional(der.context(0)), point.optional(0x81), point.optional(der.context(2))
        point.end()
        if name and not reasons and not indirect:
            yield from read_point_names(name.content, issuer)
