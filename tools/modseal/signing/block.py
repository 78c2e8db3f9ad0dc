"""Writes one signature block: CMS SignedData (RFC 5652), detached, over the manifest's raw bytes.

Built by hand because no library builder can set the signing time or bind the certificates. The form
is the one that `format.cms` reads: SignedData v1, one signer by issuer and serial number, id-data,
and these signed attributes:

* contentType, messageDigest, and signingTime where it is given (RFC 5652 section 11);
* cmsAlgorithmProtection (RFC 6211): the algorithms cannot be exchanged afterwards;
* signingCertificateV2 (RFC 5035): the signer and every embedded certificate are bound by hash.

Nothing here reads a clock or a key: the same arguments give the same bytes to be signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from modseal import limits
from modseal.errors import RefusedError, UsageError
from modseal.format import cms, der, times
from modseal.pki.algorithms import SignatureAlgorithm
from modseal.signing.signer import Signer


@dataclass(frozen=True, slots=True)
class Prepared:
    """A block that lacks only its signature; `to_be_signed` is the DER SET of signed attributes."""

    to_be_signed: bytes
    algorithm: SignatureAlgorithm
    certificate: bytes
    chain: tuple[bytes, ...]

    @property
    def digest_name(self) -> str:
        """The digest by hashlib's name, for a device that signs a digest and not the bytes."""
        return self.algorithm.digest_name


def prepare(
    content: bytes,
    certificate: x509.Certificate,
    chain: Sequence[x509.Certificate],
    algorithm: SignatureAlgorithm,
    signing_time: str | None,
) -> Prepared:
    """What is to be signed for `content`; `signing_time` is `YYYY-MM-DDTHH:MM:SSZ` or left out.

    Whether the certificate may sign is for `fitness.check_certificate`. Raises `UsageError` for
    another form of time, `RefusedError` (limit-exceeded) for too many certificates.
    """
    certificates = tuple(dict.fromkeys(each.public_bytes(Encoding.DER) for each in (certificate, *chain)))
    if len(certificates) > limits.CERTIFICATES_PER_BLOCK:
        detail = f"a block holds at most {limits.CERTIFICATES_PER_BLOCK} certificates, not {len(certificates)}"
        raise RefusedError("limit-exceeded", detail, certificates=len(certificates)).because("too-many-certificates")
    digest = hashlib.new(algorithm.digest_name, content).digest()
    # CMSAlgorithmProtection (RFC 6211 section 2): digest, then [1] IMPLICIT signature algorithm.
    protection = _digest_algorithm(algorithm) + der.encode(der.context(1), _signature_algorithm(algorithm))
    # SigningCertificateV2 (RFC 5035 section 3): SHA-256 is the default and so is left out.
    hashes = (der.encode(der.OCTET_STRING, hashlib.sha256(each).digest()) for each in certificates)
    identifiers = (der.encode(der.SEQUENCE, each) for each in hashes)
    attributes = [
        _attribute(cms.CONTENT_TYPE, der.encode_oid(cms.ID_DATA)),
        _attribute(cms.MESSAGE_DIGEST, der.encode(der.OCTET_STRING, digest)),
        _attribute(cms.ALGORITHM_PROTECTION, der.encode(der.SEQUENCE, protection)),
        _attribute(cms.SIGNING_CERTIFICATE_V2, der.encode(der.SEQUENCE, der.encode(der.SEQUENCE, *identifiers))),
    ]
    if signing_time is not None:
        if not _is_time(signing_time):
            raise UsageError(f"the signing time {signing_time!r} is not of the form 2026-01-31T12:00:00Z")
        attributes.append(_attribute(cms.SIGNING_TIME, der.encode_time(signing_time)))
    return Prepared(der.encode_set(attributes), algorithm, certificates[0], certificates[1:])


def complete(prepared: Prepared, signature: bytes, timestamp: bytes | None = None) -> bytes:
    """The DER of the block for a signature over `to_be_signed`.

    `timestamp` is the DER of an RFC 3161 token over the signature; it is not part of what is signed.
    """
    body = der.encode(
        der.SEQUENCE,
        der.encode_integer(1),
        der.encode(der.SET, _digest_algorithm(prepared.algorithm)),
        der.encode(der.SEQUENCE, der.encode_oid(cms.ID_DATA)),
        der.encode_set((prepared.certificate, *prepared.chain), der.context(0)),
        der.encode(der.SET, _signer_info(prepared, signature, timestamp)),
    )
    return der.encode(der.SEQUENCE, der.encode_oid(cms.ID_SIGNED_DATA), der.encode(der.context(0), body))


def build(
    content: bytes,
    signer: Signer,
    algorithm: SignatureAlgorithm,
    signing_time: str | None,
    stamp: Callable[[bytes], bytes] | None = None,
) -> bytes:
    """Prepare, sign and complete in one step, for a signer that is at hand.

    `stamp` gives the DER of a timestamp token over the signature's bytes.
    """
    prepared = prepare(content, signer.certificate, signer.chain, algorithm, signing_time)
    signature = signer.sign(algorithm, prepared.to_be_signed)
    return complete(prepared, signature, stamp(signature) if stamp else None)


def add_timestamp(data: bytes, signature: bytes, token: bytes) -> bytes:
    """A block's DER with one token more for the signer that made `signature`; all else keeps its bytes.

    Raises `FormatError` (malformed-signature) where the block has no such signer, or is not a block.
    """
    cms.decode(data)
    content_info = der.Reader(data).enter()
    oid = content_info.next().raw
    body = content_info.enter(der.context(0)).enter()
    parts = [value.raw for value in der.elements(body, sorted_set=False)]
    signers = [value.raw for value in der.elements(der.Reader(parts[-1]).enter(der.SET))]
    stamped = [_stamped(info, token) if _signature_of(info) == signature else info for info in signers]
    if stamped == signers:
        raise der.malformed("no signer of the block made this signature")
    inner = der.encode(der.SEQUENCE, *parts[:-1], der.encode_set(stamped))
    return der.encode(der.SEQUENCE, oid, der.encode(der.context(0), inner))


def _signature_of(info: bytes) -> bytes:
    parts = der.elements(der.Reader(info).enter(), sorted_set=False)
    return next(part.content for part in parts if part.tag == der.OCTET_STRING)


def _stamped(info: bytes, token: bytes) -> bytes:
    """A SignerInfo with a token among the values of its one timestamp attribute (RFC 3161 appendix A)."""
    parts = der.elements(der.Reader(info).enter(), sorted_set=False)
    unsigned = parts.pop() if parts[-1].tag == der.context(1) else None
    attributes = der.elements(der.Reader(unsigned.raw).enter(der.context(1))) if unsigned else []
    own = {der.Reader(each.raw).enter().oid(): each.raw for each in attributes}
    tokens = [token]
    if cms.TIMESTAMP_TOKEN in own:
        values = der.Reader(own[cms.TIMESTAMP_TOKEN]).enter()
        values.oid()
        tokens += [value.raw for value in der.elements(values.enter(der.SET))]
    own[cms.TIMESTAMP_TOKEN] = _attribute(cms.TIMESTAMP_TOKEN, *dict.fromkeys(tokens))
    return der.encode(der.SEQUENCE, *(part.raw for part in parts), der.encode_set(own.values(), der.context(1)))


def _signer_info(prepared: Prepared, signature: bytes, timestamp: bytes | None) -> bytes:
    """SignerInfo v1 (RFC 5652 section 5.3)."""
    signed = der.Reader(prepared.to_be_signed).take(der.SET).content
    unsigned = der.encode(der.context(1), _attribute(cms.TIMESTAMP_TOKEN, timestamp)) if timestamp else b""
    # IssuerAndSerialNumber with the certificate's own bytes: a re-encoded name may differ from them.
    certificate = der.Reader(prepared.certificate).enter().enter()
    certificate.optional(der.context(0))  # the version
    serial = certificate.take(der.INTEGER).raw
    certificate.take(der.SEQUENCE)  # the signature algorithm
    issuer = certificate.take(der.SEQUENCE).raw
    return der.encode(
        der.SEQUENCE,
        der.encode_integer(1),
        der.encode(der.SEQUENCE, issuer, serial),
        _digest_algorithm(prepared.algorithm),
        der.encode(der.context(0), signed),
        der.encode(der.SEQUENCE, _signature_algorithm(prepared.algorithm)),
        der.encode(der.OCTET_STRING, signature),
        unsigned,
    )


def _attribute(oid: str, *values: bytes) -> bytes:
    return der.encode(der.SEQUENCE, der.encode_oid(oid), der.encode_set(values))


def _digest_algorithm(algorithm: SignatureAlgorithm) -> bytes:
    """The digest's AlgorithmIdentifier, its parameters absent (RFC 5754 section 2)."""
    return der.encode(der.SEQUENCE, der.encode_oid(algorithm.digest_oid))


def _signature_algorithm(algorithm: SignatureAlgorithm) -> bytes:
    """The content of the signature's AlgorithmIdentifier."""
    return der.encode_oid(algorithm.signature_oid) + (algorithm.signature_parameters or b"")


def _is_time(text: str) -> bool:
    try:
        found = datetime.strptime(text, times.FORM)  # noqa: DTZ007 - its Z is compared as text
        # Before 1950 a time has no form that verifiers read (`der.decode_time`).
        return found.year >= 1950 and found.strftime(times.FORM) == text
    except ValueError:
        return False
