"""The signature of a program that the firmware starts.

"Windows Authenticode Portable Executable Signature Format" (2008), the one that UEFI 2.10 section 32.2.4 refers to.
It is written in one form, in which everything but the number at its end follows from the program and the certificate.
So it is read by being written again: a signature in any other form is refused, and nothing of it is parsed.
"""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from modseal.boot import portable_executable
from modseal.errors import FormatError
from modseal.format import cms, der
from modseal.pki import algorithms

ALGORITHM = algorithms.ALGORITHMS["rsa-pkcs1-sha256"]
_INDIRECT_DATA = "1.3.6.1.4.1.311.2.1.4"
_PE_IMAGE_DATA = "1.3.6.1.4.1.311.2.1.15"
_DIGEST_ALGORITHM = der.encode(der.SEQUENCE, der.encode_oid(ALGORITHM.digest_oid), algorithms.NULL_PARAMETERS)


def _content(digest: bytes) -> bytes:
    # SpcPeImageData with the flags and the text that every signer writes: no flag, <<<Obsolete>>>.
    text = der.encode(0x80, "<<<Obsolete>>>".encode("utf-16-be"))
    file = der.encode(der.context(0), der.encode(der.context(2), text))
    image = der.encode(der.SEQUENCE, der.encode(der.BIT_STRING, b"\0"), file)
    return der.encode(der.SEQUENCE, der.encode_oid(_PE_IMAGE_DATA), image) + der.encode(
        der.SEQUENCE, _DIGEST_ALGORITHM, der.encode(der.OCTET_STRING, digest)
    )


def _attributes(digest: bytes) -> list[bytes]:
    values = (
        (cms.CONTENT_TYPE, der.encode_oid(_INDIRECT_DATA)),
        (cms.MESSAGE_DIGEST, der.encode(der.OCTET_STRING, hashlib.sha256(_content(digest)).digest())),
    )
    return [der.encode(der.SEQUENCE, der.encode_oid(oid), der.encode(der.SET, value)) for oid, value in values]


def signed(digest: bytes) -> bytes:
    """What the signature of a program with this digest is over: the signed attributes."""
    return der.encode_set(_attributes(digest))


def envelope(digest: bytes, certificate: x509.Certificate, signature: bytes) -> bytes:
    """The SignedData (PKCS #7) with a signature over `signed(digest)`. No time is in it."""
    info = der.encode(
        der.SEQUENCE,
        der.encode_integer(1),
        der.encode(der.SEQUENCE, certificate.issuer.public_bytes(), der.encode_integer(certificate.serial_number)),
        _DIGEST_ALGORITHM,
        der.encode_set(_attributes(digest), der.context(0)),
        der.encode(der.SEQUENCE, der.encode_oid(ALGORITHM.signature_oid), algorithms.NULL_PARAMETERS),
        der.encode(der.OCTET_STRING, signature),
    )
    body = der.encode(
        der.SEQUENCE,
        der.encode_integer(1),
        der.encode(der.SET, _DIGEST_ALGORITHM),
        der.encode(
            der.SEQUENCE,
            der.encode_oid(_INDIRECT_DATA),
            der.encode(der.context(0), der.encode(der.SEQUENCE, _content(digest))),
        ),
        der.encode(der.context(0), certificate.public_bytes(Encoding.DER)),
        der.encode(der.SET, info),
    )
    return der.encode(der.SEQUENCE, der.encode_oid(cms.ID_SIGNED_DATA), der.encode(der.context(0), body))


def verify(data: bytes, certificate: x509.Certificate) -> bytes:
    """The digest of a program that the key of this certificate has signed. Raises `FormatError` (bad-signature)."""
    key = certificate.public_key()
    digest = portable_executable.digest(data)
    found = portable_executable.signature(data)
    size = key.key_size // 8 if isinstance(key, rsa.RSAPublicKey) else 0
    if not size or envelope(digest, certificate, found[-size:]) != found:
        raise FormatError("bad-signature", "the program does not have the owner's signature, in the one form of it")
    algorithms.verify(ALGORITHM, key, found[-size:], signed(digest))
    return digest
