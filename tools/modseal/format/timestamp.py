"""Timestamp tokens (RFC 3161, RFC 5816): CMS SignedData around a TSTInfo, as unproved values.

Parsing only: whether a token proves anything is for `trust.timestamp`. As narrow as signature blocks
are: strict DER, one signer, named by issuer and serial number, with signed attributes.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from modseal import limits
from modseal.errors import FormatError, foreign
from modseal.format import cms, der
from modseal.format.cms import Algorithm, CertificateId, read_algorithm
from modseal.format.der import Reader
from modseal.values import dataclass, regex

ID_TST_INFO = "1.2.840.113549.1.9.16.1.4"

_TIME = regex(rb"(\d{14})(\.\d*[1-9])?Z")
_GRANTED = 0
_VERSION = 3
"""Of SignedData whose content is not id-data (RFC 5652 section 5.1)."""
_MILLIS, _MICROS = 0x80, 0x81


@dataclass(frozen=True, slots=True)
class Token:
    """One token, unproved.

    `earliest` and `latest` bound the time that it states, by its accuracy, in whole seconds outwards.
    `named_certificates` has one identifier or two of the authority's certificate, which it signed over: by RFC 5816
    section 2.2.1, as RFC 3161 had it, or both. More than the signer's own are not kept.
    """

    raw: bytes
    certificates: tuple[bytes, ...]
    issuer: bytes
    serial: int
    digest: Algorithm
    signature_algorithm: Algorithm
    signature: bytes
    signed_attributes: bytes
    message_digest: bytes
    named_certificates: tuple[CertificateId, ...]
    content: bytes
    imprint_digest: Algorithm
    imprint: bytes
    earliest: datetime
    latest: datetime
    nonce: int | None


@dataclass(frozen=True, slots=True)
class _Info:
    """What a TSTInfo says (RFC 3161 section 2.4.2)."""

    imprint_digest: Algorithm
    imprint: bytes
    earliest: datetime
    latest: datetime
    nonce: int | None


def decode(data: bytes) -> Token:
    """A token's DER. Raises `FormatError` (bad-timestamp)."""
    if len(data) > limits.TIMESTAMP_SIZE:
        raise _bad(f"it has {len(data)} bytes, {limits.TIMESTAMP_SIZE} are allowed")
    with foreign(_bad):
        try:
            return _token(data)
        except FormatError as error:
            if error.failure.code == "bad-timestamp":
                raise
            raise _bad(error.failure.detail) from error


def token_of_response(data: bytes) -> bytes:
    """The token's DER from an authority's answer, TimeStampResp (RFC 3161 section 2.4.2).

    Only `granted` is taken: `grantedWithMods` is not what was asked for. Raises `FormatError` (bad-timestamp).
    """
    try:
        body = der.only(data)
        status = body.enter().integer()
        token = body.take(der.SEQUENCE).raw if status == _GRANTED else b""
    except FormatError as error:
        raise FormatError("bad-timestamp", "the authority's answer is not a timestamp response") from error
    if status != _GRANTED:
        raise FormatError("bad-timestamp", f"the authority refused the request with status {status}", status=status)
    return token


def sort_certificates(token: Token) -> bytes:
    """The token's DER with its certificates in the order that DER demands, which OpenSSL does not keep.

    They are not part of what is signed. For readers that do not have the laxity of `cms.read_certificates`.
    """
    content_info = Reader(token.raw).enter()
    oid = content_info.next().raw
    parts = [value.raw for value in der.elements(content_info.enter(der.context(0)).enter(), sorted_set=False)]
    tag = der.context(0)
    sorted_parts = [der.encode_set(token.certificates, tag) if part[0] == tag else part for part in parts]
    return der.encode(der.SEQUENCE, oid, der.encode(tag, der.encode(der.SEQUENCE, *sorted_parts)))


def _token(data: bytes) -> Token:
    content_info = der.only(data)
    if content_info.oid() != cms.ID_SIGNED_DATA:
        raise _bad("it is not SignedData")
    body = content_info.explicit(0)
    content_info.end()
    if body.integer() != _VERSION:
        raise _bad("its version is not 3")
    digests = [value.raw for value in der.elements(body.enter(der.SET))]
    encapsulated = body.enter()
    if encapsulated.oid() != ID_TST_INFO:
        raise _bad("its content is not a TSTInfo")
    explicit = encapsulated.enter(der.context(0))
    encapsulated.end()
    content = explicit.octets()
    explicit.end()
    certificates = cms.read_certificates(body)
    body.optional(der.context(1))  # CRLs: revocation comes from the policy
    signers = body.enter(der.SET)
    signer = signers.enter()
    signers.end()
    body.end()
    token = _signed_by(signer, data, content, certificates)
    if digests != [token.digest.raw]:
        raise _bad("its digest algorithms are not that of its signer")
    return token


def _signed_by(signer: Reader, raw: bytes, content: bytes, certificates: tuple[bytes, ...]) -> Token:
    """The token from its one SignerInfo (RFC 5652 section 5.3)."""
    if signer.integer() != 1:
        raise _bad("its signer is not named by issuer and serial number")
    issuer, serial = cms.read_issuer_and_serial(signer.enter())
    digest = read_algorithm(signer)
    attributes = signer.take(der.context(0))
    signature_algorithm = read_algorithm(signer)
    signature = signer.octets()
    unsigned = signer.optional(der.context(1))
    signer.end()
    signed = cms.read_signed_attributes(signer, attributes)
    if unsigned:
        cms.read_unsigned_attributes(signer, unsigned)  # none of them has a meaning
    content_type = cms.read_single(signed, cms.CONTENT_TYPE)
    if not content_type or content_type.oid() != ID_TST_INFO:
        raise _bad("its contentType attribute is missing or another")
    info = _info(content)
    # The signer's own certificate is the first that each of the two attributes names (RFC 5035 section 3).
    named = tuple(identifiers[0] for identifiers in cms.read_named_certificates(signed))
    if not named:
        raise _bad("it does not name its signer's certificate")
    return Token(
        raw=raw,
        certificates=certificates,
        issuer=issuer,
        serial=serial,
        digest=digest,
        signature_algorithm=signature_algorithm,
        signature=signature,
        signed_attributes=der.encode(der.SET, attributes.content),
        message_digest=cms.read_message_digest(signed),
        named_certificates=named,
        content=content,
        imprint_digest=info.imprint_digest,
        imprint=info.imprint,
        earliest=info.earliest,
        latest=info.latest,
        nonce=info.nonce,
    )


def _info(content: bytes) -> _Info:
    body = der.only(content)
    if body.integer() != 1:
        raise _bad("its version is not 1")
    body.oid()
    imprint = body.enter()
    imprint_digest, imprint_value = read_algorithm(imprint), imprint.octets()
    imprint.end()
    body.integer()
    earliest, latest = _bounds(body.take(der.GENERALIZED_TIME).content, _accuracy(body))
    body.optional(der.BOOLEAN)
    nonce = _optional_integer(body)
    body.optional(der.context(0))
    _require_known(body)
    body.end()
    return _Info(imprint_digest, imprint_value, earliest, latest, nonce)


def _accuracy(body: Reader) -> timedelta:
    """The optional Accuracy; none is stated where it is absent, and none is assumed."""
    value = body.optional(der.SEQUENCE)
    if not value:
        return timedelta()
    reader = body.inside(value)
    seconds = _optional_integer(reader) or 0
    millis, micros = (_small(reader.optional(tag)) for tag in (_MILLIS, _MICROS))
    reader.end()
    if not 0 <= seconds <= limits.TIMESTAMP_ACCURACY:
        raise _bad(f"its accuracy of {seconds} seconds is of no use")
    return timedelta(seconds=seconds, milliseconds=millis, microseconds=micros)


def _optional_integer(reader: Reader) -> int | None:
    value = reader.optional(der.INTEGER)
    return Reader(value.raw).integer() if value else None


def _small(value: der.Value | None) -> int:
    """An integer of 1 to 999 with an implicit tag."""
    if value is None:
        return 0
    number = int.from_bytes(value.content, signed=True)
    if not 1 <= number <= 999 or len(value.content) > 2:
        raise _bad("its accuracy is out of range")
    return number


def _bounds(text: bytes, accuracy: timedelta) -> tuple[datetime, datetime]:
    """The first and last moment that genTime and accuracy allow, rounded outwards to whole seconds."""
    match = _TIME.fullmatch(text)
    if not match:
        raise _bad("its time is not in its one form")
    with foreign(lambda _: _bad("its time has an impossible field")):
        stated = datetime.strptime(match[1].decode("ascii"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        fraction = timedelta(seconds=1) if match[2] else timedelta()
        earliest, latest = stated - accuracy, stated + fraction + accuracy
        round_up = timedelta(seconds=1) if latest.microsecond else timedelta()
        return earliest.replace(microsecond=0), latest.replace(microsecond=0) + round_up


def _require_known(body: Reader) -> None:
    """No extension of a TSTInfo is known, so none may be critical (RFC 3161 section 2.4.2)."""
    value = body.optional(der.context(1))
    for extension in der.elements(body.inside(value), sorted_set=False) if value else ():
        reader = body.inside(extension)
        oid = reader.oid()
        if reader.optional(der.BOOLEAN):
            raise _bad(f"it has the critical extension {oid}")


def _bad(detail: str) -> FormatError:
    return FormatError("bad-timestamp", f"the timestamp token is not well formed: {detail}")
