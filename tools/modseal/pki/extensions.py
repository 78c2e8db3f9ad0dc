"""The extensions of certificates, CRLs and CRL entries, read from their DER (RFC 5280 section 4.1.2.9).

The identifiers of those that modseal judges have their names here. Which of them are judged, and how, is
said where they are: `certificate`, `name_constraints`, `certificate_policies`, `crl`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from modseal import limits
from modseal.errors import FormatError
from modseal.format import der
from modseal.format.cms import Algorithm, read_algorithm

AUTHORITY_KEY_ID = "2.5.29.35"
BASIC_CONSTRAINTS = "2.5.29.19"
CERTIFICATE_ISSUER = "2.5.29.29"
CERTIFICATE_POLICIES = "2.5.29.32"
CRL_NUMBER = "2.5.29.20"
DELTA_CRL_INDICATOR = "2.5.29.27"
DISTRIBUTION_POINTS = "2.5.29.31"
EXPIRED_CERTIFICATES_ON_CRL = "2.5.29.60"
EXTENDED_KEY_USAGE = "2.5.29.37"
INHIBIT_ANY_POLICY = "2.5.29.54"
INVALIDITY_DATE = "2.5.29.24"
ISSUING_DISTRIBUTION_POINT = "2.5.29.28"
KEY_USAGE = "2.5.29.15"
NAME_CONSTRAINTS = "2.5.29.30"
POLICY_CONSTRAINTS = "2.5.29.36"
POLICY_MAPPINGS = "2.5.29.33"
REASON_CODE = "2.5.29.21"
SUBJECT_ALTERNATIVE_NAME = "2.5.29.17"

_TRUE = b"\xff"


class Extension(NamedTuple):
    """One extension: whether it is critical, and the DER of its value."""

    critical: bool
    value: bytes


Extensions = Mapping[str, Extension]


def read_extensions(reader: der.Reader) -> dict[str, Extension]:
    """All extensions of a SEQUENCE OF Extension by identifier.

    Raises `FormatError`: not DER, none, too many, or one twice.
    """
    found: dict[str, Extension] = {}
    while reader.more():
        if len(found) == limits.EXTENSIONS:
            raise FormatError("limit-exceeded", f"more than {limits.EXTENSIONS} extensions", limit=limits.EXTENSIONS)
        fields = reader.enter()
        oid = fields.oid()
        critical = fields.optional(der.BOOLEAN)
        if critical and critical.content != _TRUE:
            raise der.malformed("an extension's criticality is neither TRUE nor absent")
        if oid in found:
            raise der.malformed(f"the extension {oid} is there twice")
        found[oid] = Extension(critical is not None, fields.octets())
        fields.end()
    if not found:
        raise der.malformed("a list of extensions is empty")
    return found


class SignedParts(NamedTuple):
    """The outer form of a certificate and of a CRL: a SEQUENCE of what is signed, an algorithm, and the signature.

    `fields` reads what is signed, `raw` is its DER.
    """

    fields: der.Reader
    raw: bytes
    algorithm: Algorithm
    signature: bytes

    def require_algorithm(self) -> None:
        """The next field is the algorithm again. Raises `FormatError` (RFC 5280 sections 4.1.1.2 and 5.1.1.2)."""
        if read_algorithm(self.fields).raw != self.algorithm.raw:
            raise der.malformed("its two signature algorithms differ")


def read_signed(data: bytes) -> SignedParts:
    """The parts of a certificate or CRL (RFC 5280 sections 4.1 and 5.1). Raises `FormatError`."""
    body = der.only(data)
    value = body.take(der.SEQUENCE)
    algorithm = read_algorithm(body)
    bits = body.take(der.BIT_STRING).content
    body.end()
    if bits[:1] != b"\0":
        raise der.malformed("its signature is not a whole number of bytes")
    return SignedParts(body.inside(value), value.raw, algorithm, bits[1:])


def read_count(content: bytes) -> int:
    """The content of an INTEGER that is not negative. Raises `FormatError`."""
    number = der.Reader(der.encode(der.INTEGER, content)).integer()
    if number < 0:
        raise der.malformed("a count is negative")
    return number
