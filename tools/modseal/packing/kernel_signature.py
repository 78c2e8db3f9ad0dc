"""Signatures in the forms that the Linux kernel reads: PKCS #7 without signed attributes, and `security.ima`.

The kernel takes RSA with PKCS #1 v1.5 and SHA-256 everywhere; what else it takes depends on how it was built. So only
RSA keys sign here.
"""

from __future__ import annotations

import hashlib
import struct

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modseal.errors import RefusedError
from modseal.format import cms, der
from modseal.pki import algorithms
from modseal.signing.signer import Signer

_ALGORITHM = "rsa-pkcs1-sha256"
_IMA_SIGNATURE, _IMA_VERSION, _IMA_SHA256 = 3, 2, 4


def require_key(signer: Signer) -> None:
    """Raises `RefusedError` (unfit-certificate) for a key that is not RSA."""
    if not isinstance(signer.certificate.public_key(), rsa.RSAPublicKey):
        raise RefusedError("unfit-certificate", "the kernel's enforcement takes RSA keys, and this one is another")


def pkcs7(content: bytes, signer: Signer, *, attached: bool) -> bytes:
    """SignedData (RFC 2315) over `content`, which is inside it where it is `attached`.

    As of `openssl smime -sign -noattr -binary`. An attached one also has the certificate, which the kernel looks for
    by its key; a detached one has none, as `fsverity sign` makes it.
    """
    row = algorithms.ALGORITHMS[_ALGORITHM]
    digest = der.encode(der.SEQUENCE, der.encode_oid(row.digest_oid), algorithms.NULL_PARAMETERS)
    signed = der.encode(der.SEQUENCE, der.encode_oid(row.signature_oid), algorithms.NULL_PARAMETERS)
    certificate = signer.certificate
    issuer = certificate.issuer.public_bytes()
    info = der.encode(
        der.SEQUENCE,
        der.encode_integer(1),
        der.encode(der.SEQUENCE, issuer, der.encode_integer(certificate.serial_number)),
        digest,
        signed,
        der.encode(der.OCTET_STRING, signer.sign(row, content)),
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


def ima(content: bytes, signer: Signer) -> bytes:
    """The value of `security.ima` for a file, as `evmctl ima_sign` makes it: `struct signature_v2_hdr`, the signature.

    The key is named by the last four bytes of its certificate's key identifier, by which the kernel looks for it;
    without one, by those of the SHA-1 of its RSAPublicKey.
    """
    try:
        name = signer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        public = signer.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
        name = hashlib.sha1(public, usedforsecurity=False).digest()
    signature = signer.sign(algorithms.ALGORITHMS[_ALGORITHM], content)
    head = struct.pack(">BBB4sH", _IMA_SIGNATURE, _IMA_VERSION, _IMA_SHA256, name[-4:], len(signature))
    return head + signature
