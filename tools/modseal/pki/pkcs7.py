"""Signatures in the form that the Linux kernel reads: PKCS #7 without signed attributes (RFC 2315), of a key of RSA."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from modseal.errors import FormatError
from modseal.format import cms, der
from modseal.pki import algorithms

ALGORITHM = algorithms.ALGORITHMS["rsa-pkcs1-sha256"]
"""The kernel takes it everywhere; what else it takes depends on how it was built."""


def envelope(content: bytes, certificate: x509.Certificate, signature: bytes, *, attached: bool) -> bytes:
    """SignedData with a signature over `content`, which is inside it where it is `attached`.

    As of `openssl smime -sign -noattr -binary`. An attached one also has the certificate, which the kernel looks for
    by its key; a detached one has none, as `fsverity sign` makes it.
    """
    digest = der.encode(der.SEQUENCE, der.encode_oid(ALGORITHM.digest_oid), algorithms.NULL_PARAMETERS)
    signed = der.encode(der.SEQUENCE, der.encode_oid(ALGORITHM.signature_oid), algorithms.NULL_PARAMETERS)
    info = der.encode(
        der.SEQUENCE,
        der.encode_integer(1),
        der.encode(der.SEQUENCE, certificate.issuer.public_bytes(), der.encode_integer(certificate.serial_number)),
        digest,
        signed,
        der.encode(der.OCTET_STRING, signature),
    )
    inner = der.encode(der.context(0), der.encode(der.OCTET_STRING, content)) if attached else b""
    body = der.encode(
        der.SEQUENCE,
        der.encode_integer(1),
        der.encode(der.SET, digest),
        der.encode(der.SEQUENCE, der.encode_oid(cms.ID_DATA), inner),
        der.encode(der.context(0), certificate.public_bytes(Encoding.DER)) if attached else b"",
        der.encode(der.SET, info),
    )
    return der.encode(der.SEQUENCE, der.encode_oid(cms.ID_SIGNED_DATA), der.encode(der.context(0), body))


def verify(data: bytes, content: bytes, certificate: x509.Certificate) -> None:
    """Verify that `data` is the attached signature of this certificate's key over this content, in the one form of it.

    Nothing of `data` is parsed. Raises `FormatError` (bad-signature).
    """
    key = certificate.public_key()
    size = key.key_size // 8 if isinstance(key, rsa.RSAPublicKey) else 0
    if not size or envelope(content, certificate, data[-size:], attached=True) != data:
        raise FormatError("bad-signature", "it is not the signature of this key over this content")
    algorithms.verify(ALGORITHM, key, data[-size:], content)
