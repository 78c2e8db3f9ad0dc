"""CMS SignedData (RFC 5652) as signature blocks use it: detached, over the manifest's raw bytes.

Parsing only: whether a signature verifies is for `trust.signature`. The profile is narrow, because
everything that CMS allows beyond it has been an attack (docs/verification.md, step 1): id-data,
no content inside, signed attributes always, contentType and messageDigest exactly once, strict DER
(except the order of the certificates, which OpenSSL does not sort).
"""

from __future__ import annotations

import base64
import functools

from modseal import limits
from modseal.errors import FormatError, foreign
from modseal.format import der
from modseal.format.der import Reader, Value
from modseal.format.manifest import Kind
from modseal.values import dataclass, regex

ID_DATA = "1.2.840.113549.1.7.1"
ID_SIGNED_DATA = "1.2.840.113549.1.7.2"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
SIGNING_TIME = "1.2.840.113549.1.9.5"
ALGORITHM_PROTECTION = "1.2.840.113549.1.9.52"
COUNTERSIGNATURE = "1.2.840.113549.1.9.6"
SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"
SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
TIMESTAMP_TOKEN = "1.2.840.113549.1.9.16.2.14"  # noqa: S105 - an identifier
SHA256 = "2.16.840.1.101.3.4.2.1"

SIGNED_ONLY = (
    CONTENT_TYPE,
    MESSAGE_DIGEST,
    SIGNING_TIME,
    ALGORITHM_PROTECTION,
    SIGNING_CERTIFICATE,
    SIGNING_CERTIFICATE_V2,
)
"""Never unsigned: RFC 5652 sections 11.1 to 11.3, RFC 6211 section 2, RFC 2634 section 1.3.4."""
UNSIGNED_ONLY = (COUNTERSIGNATURE, TIMESTAMP_TOKEN)
"""Never signed: both are over the signature itself (RFC 5652 section 11.4, RFC 3161 appendix A)."""

PEM_LABEL = b"PKCS7"
_BEGIN, _END = b"-----BEGIN %s-----\n" % PEM_LABEL, b"-----END %s-----\n" % PEM_LABEL
_LINE = 48
"""Bytes of a full line, which has 64 characters."""
_BLOCK = regex(rb"-----BEGIN (PKCS7|CMS)-----\n((?:[A-Za-z0-9+/=]{1,76}\n)+)-----END \1-----(?:\n|$)")


_ONE_FORM = regex(rb"-----BEGIN PKCS7-----\n(?:.{64}\n)*.{1,64}\n-----END PKCS7-----\n")
"""The lines of `_encode_block`: all are full but the last."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """An AlgorithmIdentifier: the OID, and the parameters' bytes (None where absent)."""

    oid: str
    parameters: bytes | None
    raw: bytes


Attributes = dict[str, tuple[Value, ...]]
"""The values of each attribute by its type."""


@dataclass(frozen=True, slots=True)
class CertificateId:
    """How a signer names a certificate: ESSCertIDv2 (RFC 5035 section 4), or ESSCertID (RFC 2634 section 5.4.1).

    `digest` is None in the older one, whose hash is always SHA-1. `issuer` (DER of the name) and `serial` are None
    where they are left out.
    """

    digest: Algorithm | None
    value: bytes
    issuer: bytes | None = None
    serial: int | None = None


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """One signer of a block, unproved.

    Either `issuer` (DER of the name) with `serial`, or `key_id`, names the certificate.
    `signed_attributes` is the DER SET that is signed. `signing_time` is what the signer says, never
    proof. `named_certificates` is what each of signingCertificate and signingCertificateV2 names, where it is there.
    """

    issuer: bytes | None
    serial: int | None
    key_id: bytes | None
    digest: Algorithm
    signature_algorithm: Algorithm
    signature: bytes
    signed_attributes: bytes
    message_digest: bytes
    signing_time: str | None
    named_certificates: tuple[tuple[CertificateId, ...], ...]
    timestamps: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class SignedData:
    """One signature block, unproved: DER certificates as candidates, and the signers."""

    certificates: tuple[bytes, ...]
    signers: tuple[SignerInfo, ...]


def split_blocks(member: bytes, kind: Kind = "seal") -> tuple[bytes, ...]:
    """The DER of each PEM block of a signature member, in order; none for an empty member.

    The form is that of `join_blocks`, and no other. In a `.vib` it is the strict form of RFC 7468 as genuine files
    and OpenSSL have it: labels PKCS7 and CMS, lines of up to 76 characters, the last line feed there or not.
    Raises `FormatError` (malformed-signature, limit-exceeded).
    """
    if len(member) > limits.SIGNATURE_MEMBER_SIZE:
        raise FormatError("limit-exceeded", f"the signature member is over {limits.SIGNATURE_MEMBER_SIZE} bytes")
    lone = recognise_block(member)
    if lone:
        return (lone,)
    blocks: list[bytes] = []
    position = 0
    while position < len(member):
        match = _BLOCK.match(member, position)
        if not match:
            raise FormatError("malformed-signature", f"no PEM PKCS7 block at byte {position}", offset=position)
        if len(blocks) == limits.SIGNATURE_BLOCKS:
            raise FormatError("limit-exceeded", f"more than {limits.SIGNATURE_BLOCKS} signature blocks")
        block = _decode_lines(match[2])
        if kind != "vib" and not _ONE_FORM.fullmatch(match[0]):
            detail = f"the PEM block at byte {position} is not in its one form: label PKCS7, 64 characters a line"
            raise FormatError("malformed-signature", detail, offset=position)
        blocks.append(block)
        position = match.end()
    return tuple(blocks)


def recognise_block(member: bytes) -> bytes | None:
    """The block of a member that is what `join_blocks` writes for one; None for any other, which is read."""
    if not _ONE_FORM.fullmatch(member):
        return None
    try:
        return _decode_lines(member[len(_BEGIN) : -len(_END)])
    except FormatError:
        return None


def _decode_lines(lines: bytes) -> bytes:
    text = lines.replace(b"\n", b"")
    with foreign(lambda _: FormatError("malformed-signature", "a PEM block is not canonical base64")):
        block = base64.b64decode(text, validate=True)
    if not block or base64.b64encode(block) != text:
        raise FormatError("malformed-signature", "a PEM block is not canonical base64")
    return block


def join_blocks(blocks: tuple[bytes, ...]) -> bytes:
    """The signature member for these blocks: the inverse of `split_blocks`."""
    return b"".join(map(_encode_block, blocks))


def _encode_block(block: bytes) -> bytes:
    lines = [base64.b64encode(block[at : at + _LINE]) + b"\n" for at in range(0, len(block), _LINE)]
    return b"".join((_BEGIN, *lines, _END))


def decode(block: bytes) -> SignedData:
    """A block's DER as SignedData (RFC 5652 section 5.1).

    Raises `FormatError` (malformed-signature, no-signers, limit-exceeded).
    """
    content_info = der.only(block)
    if content_info.oid() != ID_SIGNED_DATA:
        raise _bad("the block is not SignedData")
    body = content_info.explicit(0)
    content_info.end()
    version = body.integer()
    digests = [value.raw for value in der.elements(body.enter(der.SET))]
    content = body.enter()
    if content.oid() != ID_DATA:
        raise _bad("the content type is not id-data")
    if content.more():
        raise _bad("the block has content inside; it must be detached")
    certificates = read_certificates(body)
    if body.optional(der.context(1)):
        raise _bad("the block carries CRLs; revocation comes from the policy")
    signers = tuple(_signer_info(body, value) for value in der.elements(body.enter(der.SET)))
    body.end()
    _require_consistent(version, digests, signers)
    return SignedData(certificates, signers)


def read_certificates(body: Reader) -> tuple[bytes, ...]:
    """The DER of the optional [0] certificates (RFC 5652 section 10.2.3), in any order but each once."""
    value = body.optional(der.context(0))
    if not value:
        return ()
    # The one laxity: OpenSSL does not sort this SET, and it is not part of what is signed.
    values = der.elements(body.inside(value), sorted_set=False)
    if len(values) > limits.CERTIFICATES_PER_BLOCK:
        raise FormatError("limit-exceeded", f"more than {limits.CERTIFICATES_PER_BLOCK} certificates in a block")
    raws = tuple(value.raw for value in values)
    if any(value.tag != der.SEQUENCE for value in values) or len(set(raws)) != len(raws):
        raise _bad("the certificates are not distinct X.509 certificates")
    return raws


def _require_consistent(version: int, digests: list[bytes], signers: tuple[SignerInfo, ...]) -> None:
    if not signers:
        raise FormatError("no-signers", "the block has no signer")
    if len(signers) > limits.SIGNERS_PER_BLOCK:
        raise FormatError("limit-exceeded", f"more than {limits.SIGNERS_PER_BLOCK} signers in a block")
    if version != (3 if any(signer.key_id is not None for signer in signers) else 1):
        raise _bad(f"SignedData version {version} does not fit its signers")
    if set(digests) != {signer.digest.raw for signer in signers}:
        raise FormatError("algorithm-mismatch", "the block's digest algorithms are not those of its signers")


def _signer_info(parent: Reader, value: Value) -> SignerInfo:
    if value.tag != der.SEQUENCE:
        raise _bad("a signer is not a SEQUENCE")
    body = parent.inside(value)
    version = body.integer()
    key_id = body.optional(0x80)
    issuer, serial = (None, None) if key_id else read_issuer_and_serial(body.enter())
    if version != (3 if key_id else 1):
        raise _bad(f"SignerInfo version {version} does not fit its signer identifier")
    digest = read_algorithm(body)
    attributes = body.optional(der.context(0))
    if not attributes:
        raise _bad("a signer has no signed attributes")
    signature_algorithm = read_algorithm(body)
    signature = body.octets()
    unsigned = body.optional(der.context(1))
    body.end()
    signed = read_signed_attributes(body, attributes)
    content_type, signing_time = read_single(signed, CONTENT_TYPE), read_single(signed, SIGNING_TIME)
    if not content_type or content_type.oid() != ID_DATA:
        raise _bad("the contentType attribute is missing or not id-data")
    _require_protection(signed, digest, signature_algorithm)
    tokens = read_unsigned_attributes(body, unsigned).get(TIMESTAMP_TOKEN, ()) if unsigned else ()
    return SignerInfo(
        issuer=issuer,
        serial=serial,
        key_id=key_id.content if key_id else None,
        digest=digest,
        signature_algorithm=signature_algorithm,
        signature=signature,
        signed_attributes=der.encode(der.SET, attributes.content),
        message_digest=read_message_digest(signed),
        signing_time=read_time(signing_time.next()) if signing_time else None,
        named_certificates=read_named_certificates(signed),
        timestamps=tuple(token.raw for token in tokens),
    )


def read_time(value: Value) -> str:
    """The value of signingTime as `YYYY-MM-DDTHH:MM:SSZ` (RFC 5652 section 11.3)."""
    return f"{der.decode_time(value).isoformat()[:19]}Z"


def read_issuer_and_serial(reader: Reader) -> tuple[bytes, int]:
    """The content of IssuerAndSerialNumber: the name's DER and the number (RFC 5652 section 10.2.4)."""
    issuer = reader.take(der.SEQUENCE).raw
    serial = reader.integer()
    reader.end()
    return issuer, serial


def read_algorithm(parent: Reader) -> Algorithm:
    """The next value as an AlgorithmIdentifier (RFC 5280 section 4.1.1.2)."""
    return _algorithm(parent.take(der.SEQUENCE).raw)


@functools.lru_cache(maxsize=64)
def _algorithm(raw: bytes) -> Algorithm:
    reader = der.only(raw)
    oid = reader.oid()
    parameters = reader.next().raw if reader.more() else None
    reader.end()
    return Algorithm(oid, parameters, raw)


def read_signed_attributes(parent: Reader, value: Value) -> Attributes:
    """The attributes that are signed; none of them may be one that never is. Raises `FormatError`."""
    return _read_attributes(parent, value, UNSIGNED_ONLY)


def read_unsigned_attributes(parent: Reader, value: Value) -> Attributes:
    """The attributes that are not signed; none of them may be one that always is. Raises `FormatError`."""
    return _read_attributes(parent, value, SIGNED_ONLY)


def _read_attributes(parent: Reader, value: Value, elsewhere: tuple[str, ...]) -> Attributes:
    """One attribute or more, each type once and with one value or more (RFC 5652 section 5.3: SIZE 1..MAX).

    What is inside the values of an unknown type has no meaning here, and is not looked at.
    """
    found: Attributes = {}
    count = 0
    for element in der.elements(parent.inside(value)):
        reader = parent.inside(value).inside(element)
        if element.tag != der.SEQUENCE:
            raise _bad("an attribute is not a SEQUENCE")
        oid, values = reader.oid(), tuple(der.elements(reader.enter(der.SET)))
        reader.end()
        count += len(values)
        if count > limits.ATTRIBUTE_VALUES:
            raise FormatError("limit-exceeded", f"more than {limits.ATTRIBUTE_VALUES} values of a signer's attributes")
        if oid in found:
            raise _bad("an attribute is there twice")
        if not values:
            raise _bad(f"attribute {oid} has no value")
        if oid in elsewhere:
            raise _bad(f"attribute {oid} is not where it belongs: it is for signed or for unsigned ones alone")
        found[oid] = values
    if not found:
        raise _bad("a set of attributes is empty")
    return found


def read_single(attributes: Attributes, oid: str) -> Reader | None:
    """The reader of an attribute that has exactly one value."""
    if oid not in attributes:
        return None
    if len(attributes[oid]) != 1:
        raise _bad(f"attribute {oid} does not have exactly one value")
    return Reader(attributes[oid][0].raw)


def read_message_digest(attributes: Attributes) -> bytes:
    """The messageDigest attribute, which must be there (RFC 5652 section 11.2)."""
    reader = read_single(attributes, MESSAGE_DIGEST)
    if not reader:
        raise _bad("the messageDigest attribute is missing")
    return reader.octets()


def read_named_certificates(attributes: Attributes) -> tuple[tuple[CertificateId, ...], ...]:
    """What each of signingCertificateV2 and signingCertificate names, in this order; empty where neither is there."""
    return tuple(
        _named_certificates(attributes[oid][0].raw, older=oid == SIGNING_CERTIFICATE)
        for oid in (SIGNING_CERTIFICATE_V2, SIGNING_CERTIFICATE)
        if read_single(attributes, oid)
    )


@functools.lru_cache(maxsize=64)
def _named_certificates(value: bytes, *, older: bool) -> tuple[CertificateId, ...]:
    """SigningCertificateV2 (RFC 5035 section 3) or SigningCertificate (RFC 2634 section 5.4), without policies.

    Remembered, because it is the same in all that one signer signs.
    """
    body = Reader(value).enter()
    identifiers = body.enter()
    found: list[CertificateId] = []
    while identifiers.more():
        if len(found) == limits.CERTIFICATES_PER_BLOCK:
            raise FormatError(
                "limit-exceeded", f"a signer names more than {limits.CERTIFICATES_PER_BLOCK} certificates"
            )
        found.append(_certificate_id(identifiers.enter(), older=older))
    if not found:
        raise _bad("a signer names its certificate, and no certificate is named")
    if body.more():
        raise _bad("a signer names policies for its certificate, which are not judged")
    return tuple(found)


def _certificate_id(reader: Reader, *, older: bool) -> CertificateId:
    default = Algorithm(SHA256, None, der.encode(der.SEQUENCE, der.encode_oid(SHA256)))
    digest = None if older else default
    peeked = reader.next()
    if peeked.tag == der.SEQUENCE and not older:
        digest = read_algorithm(Reader(peeked.raw))
        if digest == default:
            raise der.malformed("a default value is encoded (X.690 section 11.5)")
        peeked = reader.next()
    if peeked.tag != der.OCTET_STRING:
        raise _bad("a certificate identifier has no hash")
    issuer, serial = _issuer_serial(reader.enter()) if reader.more() else (None, None)
    reader.end()
    return CertificateId(digest, peeked.content, issuer, serial)


def _issuer_serial(reader: Reader) -> tuple[bytes, int]:
    """IssuerSerial (RFC 5035 section 5): one directory name and the number."""
    names = reader.enter()
    directory = names.enter(der.context(4))
    names.end()
    issuer = directory.take(der.SEQUENCE).raw
    directory.end()
    serial = reader.integer()
    reader.end()
    return issuer, serial


def _require_protection(attributes: Attributes, digest: Algorithm, signature: Algorithm) -> None:
    """The algorithms are those that the signer signed, where it did (RFC 6211)."""
    reader = read_single(attributes, ALGORITHM_PROTECTION)
    if not reader:
        return
    body = reader.enter()
    protected = body.take(der.SEQUENCE).raw, body.take(der.context(1)).content
    body.end()
    if protected != (digest.raw, Reader(signature.raw).take(der.SEQUENCE).content):
        raise FormatError("algorithm-mismatch", "the algorithms are not the ones that the signer signed")


def _bad(detail: str) -> FormatError:
    return FormatError("malformed-signature", detail)
