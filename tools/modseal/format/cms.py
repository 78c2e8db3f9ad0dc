"""CMS SignedData (RFC 5652) as signature blocks use it: detached, over the manifest's raw bytes.

Parsing only: whether a signature verifies is for `trust.signature`. The profile is narrow, because
everything that CMS allows beyond it has been an attack (docs/verification.md, step 1): id-data,
no content inside, signed attributes always, contentType and messageDigest exactly once, strict DER
(except the order of the certificates, which OpenSSL does not sort).
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from modseal import limits
from modseal.errors import FormatError, foreign
from modseal.format import der
from modseal.format.der import Reader, Value
from modseal.format.manifest import Kind

ID_DATA = "1.2.840.113549.1.7.1"
ID_SIGNED_DATA = "1.2.840.113549.1.7.2"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
SIGNING_TIME = "1.2.840.113549.1.9.5"
ALGORITHM_PROTECTION = "1.2.840.113549.1.9.52"
SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
TIMESTAMP_TOKEN = "1.2.840.113549.1.9.16.2.14"  # noqa: S105 - an identifier
SHA256 = "2.16.840.1.101.3.4.2.1"

PEM_LABEL = b"PKCS7"
_BLOCK = re.compile(rb"-----BEGIN (PKCS7|CMS)-----\n((?:[A-Za-z0-9+/=]{1,76}\n)+)-----END \1-----(?:\n|$)")


@dataclass(frozen=True, slots=True)
class Algorithm:
    """An AlgorithmIdentifier: the OID, and the parameters' bytes (None where absent)."""

    oid: str
    parameters: bytes | None
    raw: bytes


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """One signer of a block, unproved.

    Either `issuer` (DER of the name) with `serial`, or `key_id`, names the certificate.
    `signed_attributes` is the DER SET that is signed. `signing_time` is what the signer says, never
    proof. `certificate_hashes` are the (digest OID, value) pairs of signingCertificateV2 (RFC 5035).
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
    certificate_hashes: tuple[tuple[str, bytes], ...]
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
    blocks: list[bytes] = []
    position = 0
    while position < len(member):
        match = _BLOCK.match(member, position)
        if not match:
            raise FormatError("malformed-signature", f"no PEM PKCS7 block at byte {position}", offset=position)
        if len(blocks) == limits.SIGNATURE_BLOCKS:
            raise FormatError("limit-exceeded", f"more than {limits.SIGNATURE_BLOCKS} signature blocks")
        block = _decode_base64(match[2].replace(b"\n", b""))
        if kind != "vib" and match[0] != _encode_block(block):
            detail = f"the PEM block at byte {position} is not in its one form: label PKCS7, 64 characters a line"
            raise FormatError("malformed-signature", detail, offset=position)
        blocks.append(block)
        position = match.end()
    return tuple(blocks)


def _decode_base64(text: bytes) -> bytes:
    with foreign(lambda _: FormatError("malformed-signature", "a PEM block is not canonical base64")):
        data = base64.b64decode(text, validate=True)
    if not data or base64.b64encode(data) != text:
        raise FormatError("malformed-signature", "a PEM block is not canonical base64")
    return data


def join_blocks(blocks: tuple[bytes, ...]) -> bytes:
    """The signature member for these blocks: the inverse of `split_blocks`."""
    return b"".join(map(_encode_block, blocks))


def _encode_block(block: bytes) -> bytes:
    text = base64.b64encode(block)
    lines = b"".join(text[i : i + 64] + b"\n" for i in range(0, len(text), 64))
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (PEM_LABEL, lines, PEM_LABEL)


def decode(block: bytes) -> SignedData:
    """A block's DER as SignedData (RFC 5652 section 5.1).

    Raises `FormatError` (malformed-signature, no-signers, limit-exceeded).
    """
    outer = Reader(block)
    content_info = outer.enter()
    outer.end()
    if content_info.oid() != ID_SIGNED_DATA:
        raise _bad("the block is not SignedData")
    explicit = content_info.enter(der.context(0))
    content_info.end()
    body = explicit.enter()
    explicit.end()
    version = body.integer()
    digests = [value.raw for value in der.elements(body.enter(der.SET))]
    _require_detached(body.enter())
    certificates = read_certificates(body)
    if body.optional(der.context(1)):
        raise _bad("the block carries CRLs; revocation comes from the policy")
    signers = tuple(_signer_info(body, value) for value in der.elements(body.enter(der.SET)))
    body.end()
    _require_consistent(version, digests, signers)
    return SignedData(certificates, signers)


def _require_detached(content: Reader) -> None:
    if content.oid() != ID_DATA:
        raise _bad("the content type is not id-data")
    if content.more():
        raise _bad("the block has content inside; it must be detached")


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
    signed = read_attributes(body, attributes)
    _require_content_type(signed)
    _require_protection(signed, digest, signature_algorithm)
    return SignerInfo(
        issuer=issuer,
        serial=serial,
        key_id=key_id.content if key_id else None,
        digest=digest,
        signature_algorithm=signature_algorithm,
        signature=signature,
        signed_attributes=der.encode(der.SET, attributes.content),
        message_digest=read_message_digest(signed),
        signing_time=_signing_time(signed),
        certificate_hashes=read_certificate_hashes(signed),
        timestamps=_timestamps(read_attributes(body, unsigned)) if unsigned else (),
    )


def read_issuer_and_serial(reader: Reader) -> tuple[bytes, int]:
    """The content of IssuerAndSerialNumber: the name's DER and the number (RFC 5652 section 10.2.4)."""
    issuer = reader.take(der.SEQUENCE).raw
    serial = reader.integer()
    reader.end()
    return issuer, serial


def read_algorithm(parent: Reader) -> Algorithm:
    """The next value as an AlgorithmIdentifier (RFC 5280 section 4.1.1.2)."""
    value = parent.take(der.SEQUENCE)
    reader = parent.inside(value)
    oid = reader.oid()
    parameters = reader.next().raw if reader.more() else None
    reader.end()
    return Algorithm(oid, parameters, value.raw)


def read_attributes(parent: Reader, value: Value) -> list[tuple[str, Reader]]:
    """(type, reader of its values) of each attribute; every type at most once."""
    found: list[tuple[str, Reader]] = []
    for element in der.elements(parent.inside(value)):
        reader = parent.inside(value).inside(element)
        if element.tag != der.SEQUENCE:
            raise _bad("an attribute is not a SEQUENCE")
        oid = reader.oid()
        found.append((oid, reader.enter(der.SET)))
        reader.end()
    if len({oid for oid, _ in found}) != len(found):
        raise _bad("an attribute is there twice")
    return found


def read_single(attributes: list[tuple[str, Reader]], oid: str) -> Reader | None:
    """The reader of an attribute that has exactly one value."""
    for found, reader in attributes:
        if found == oid:
            values = der.elements(reader)
            if len(values) != 1:
                raise _bad(f"attribute {oid} does not have exactly one value")
            return Reader(values[0].raw)
    return None


def _require_content_type(attributes: list[tuple[str, Reader]]) -> None:
    reader = read_single(attributes, CONTENT_TYPE)
    if not reader or reader.oid() != ID_DATA:
        raise _bad("the contentType attribute is missing or not id-data")


def read_message_digest(attributes: list[tuple[str, Reader]]) -> bytes:
    """The messageDigest attribute, which must be there (RFC 5652 section 11.2)."""
    reader = read_single(attributes, MESSAGE_DIGEST)
    if not reader:
        raise _bad("the messageDigest attribute is missing")
    return reader.octets()


def _signing_time(attributes: list[tuple[str, Reader]]) -> str | None:
    reader = read_single(attributes, SIGNING_TIME)
    return der.decode_time(reader.next()) if reader else None


def read_certificate_hashes(
    attributes: list[tuple[str, Reader]], oid: str = SIGNING_CERTIFICATE_V2, default: str = SHA256
) -> tuple[tuple[str, bytes], ...]:
    """The ESSCertIDv2 values (RFC 5035 section 3) as (digest OID, value); none where there is no such attribute.

    `oid` and `default` are for the older attribute (RFC 2634 section 5.4), whose digest is always SHA-1.
    """
    reader = read_single(attributes, oid)
    if not reader:
        return ()
    identifiers = reader.enter().enter()
    hashes: list[tuple[str, bytes]] = []
    while identifiers.more():
        identifier = identifiers.enter()
        peeked = identifier.next()
        if peeked.tag == der.SEQUENCE:
            hashes.append((identifier.inside(peeked).oid(), identifier.octets()))
        elif peeked.tag == der.OCTET_STRING:
            hashes.append((default, peeked.content))
        else:
            raise _bad("a certificate identifier has no hash")
    if not hashes:
        raise _bad("the signingCertificateV2 attribute names no certificate")
    return tuple(hashes)


def _require_protection(attributes: list[tuple[str, Reader]], digest: Algorithm, signature: Algorithm) -> None:
    """The algorithms are those that the signer signed, where it did (RFC 6211)."""
    reader = read_single(attributes, ALGORITHM_PROTECTION)
    if not reader:
        return
    body = reader.enter()
    protected = body.take(der.SEQUENCE).raw, body.take(der.context(1)).content
    body.end()
    if protected != (digest.raw, Reader(signature.raw).take(der.SEQUENCE).content):
        raise FormatError("algorithm-mismatch", "the algorithms are not the ones that the signer signed")


def _timestamps(attributes: list[tuple[str, Reader]]) -> tuple[bytes, ...]:
    for oid, reader in attributes:
        if oid == TIMESTAMP_TOKEN:
            return tuple(value.raw for value in der.elements(reader))
    return ()


def _bad(detail: str) -> FormatError:
    return FormatError("malformed-signature", detail)
