"""The extensions of certificates, CRLs and CRL entries, read from their DER (RFC 5280 section 4.1.2.9).

The identifiers of those that modseal judges have their names here. Which of them are judged, and how, is
said where they are: `certificate`, `name_constraints`, `certificate_policies`, `crl`.
"""

from __future__ import annotations

from collections.abc import Mapping

from modseal import limits
from modseal.errors import FormatError
from modseal.format import der
from modseal.format.cms import Algorithm, read_algorithm
from modseal.pki.names import read_general_names
from modseal.values import dataclass

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
SUBJECT_KEY_ID = "2.5.29.14"

_TRUE = b"\xff"


@dataclass(frozen=True, slots=True)
class Extension:
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


@dataclass(frozen=True, slots=True)
class SignedParts:
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


@dataclass(frozen=True, slots=True)
class BasicConstraints:
    """Whether the key is a CA's, and how many CAs may follow it in a path (RFC 5280 section 4.2.1.9)."""

    ca: bool
    path_length: int | None


def read_basic_constraints(value: bytes) -> BasicConstraints:
    """BasicConstraints. Raises `FormatError`, also for a length without a CA."""
    body = der.only(value)
    ca = body.optional(der.BOOLEAN)
    length = body.optional(der.INTEGER)
    body.end()
    if ca and ca.content != _TRUE:
        raise der.malformed("basic constraints have a flag that is neither TRUE nor absent")
    if length and not ca:
        raise der.malformed("basic constraints bound the path of what is no CA")
    return BasicConstraints(ca is not None, read_count(length.content) if length else None)


@dataclass(frozen=True, slots=True)
class KeyUsage:
    """The uses of a key that have a meaning here (RFC 5280 section 4.2.1.3)."""

    digital_signature: bool
    content_commitment: bool
    key_cert_sign: bool
    crl_sign: bool

    @classmethod
    def parse(cls, value: bytes) -> KeyUsage:
        """From the extension's BIT STRING; the first bit is the highest of its byte. Raises `FormatError`."""
        unused, *octets = der.only_value(value, der.BIT_STRING).content or b"\xff"
        if unused > (7 if octets else 0) or (octets and octets[-1] & ((1 << unused) - 1)):
            raise der.malformed("a key usage is no string of bits")
        first = octets[0] if octets else 0
        return cls(*(bool(first & 0x80 >> bit) for bit in (0, 1, 5, 6)))


def read_purposes(value: bytes) -> frozenset[str]:
    """The identifiers of ExtKeyUsageSyntax, one or more (RFC 5280 section 4.2.1.12). Raises `FormatError`."""
    body = der.only(value)
    found = [body.oid()]
    while body.more():
        found.append(body.oid())
    return frozenset(found)


def read_authority_key_id(value: bytes) -> bytes | None:
    """The identifier of the issuer's key, where it is there (RFC 5280 section 4.2.1.1). Raises `FormatError`.

    The issuer's issuer and serial number come together, or not at all.
    """
    body = der.only(value)
    key_id, issuer, serial = body.optional(0x80), body.optional(der.context(1)), body.optional(0x82)
    body.end()
    if (issuer is None) != (serial is None):
        raise der.malformed("an authority key identifier has an issuer or a serial number without the other")
    if issuer and serial:
        read_general_names(body.inside(issuer))
        read_count(serial.content)
    return key_id.content if key_id else None


def read_count(content: bytes) -> int:
    """The content of an INTEGER that is not negative. Raises `FormatError`."""
    number = der.Reader(der.encode(der.INTEGER, content)).integer()
    if number < 0:
        raise der.malformed("a count is negative")
    return number
