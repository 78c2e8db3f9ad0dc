"""Signatures that the Linux kernel reads: PKCS #7 as `pki.pkcs7` has it, and `security.ima`.

Only keys of RSA sign here.
"""

from __future__ import annotations

import hashlib
import struct

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modseal.errors import RefusedError
from modseal.pki import pkcs7
from modseal.signing.signer import Signer

_IMA_SIGNATURE, _IMA_VERSION, _IMA_SHA256 = 3, 2, 4


def require_key(signer: Signer) -> None:
    """Raises `RefusedError` (unfit-certificate) for a key that is not RSA."""
    if not isinstance(signer.certificate.public_key(), rsa.RSAPublicKey):
        raise RefusedError("unfit-certificate", "the kernel's enforcement takes RSA keys, and this one is another")


def signed(content: bytes, signer: Signer, *, attached: bool) -> bytes:
    """A signature over `content` as `pki.pkcs7.envelope` has it."""
    return pkcs7.envelope(content, signer.certificate, signer.sign(pkcs7.ALGORITHM, content), attached=attached)


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
    signature = signer.sign(pkcs7.ALGORITHM, content)
    head = struct.pack(">BBB4sH", _IMA_SIGNATURE, _IMA_VERSION, _IMA_SHA256, name[-4:], len(signature))
    return head + signature
