"""A statement in a DSSE envelope, which the tools of in-toto verify.

What is signed is the pre-authentication encoding: it starts with `DSSEv1`, so it can be neither a manifest nor the
signed attributes of a signature block. Source: DSSE v1.0, protocol.md and envelope.md.
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modseal.errors import FormatError, KeyMaterialError
from modseal.format.dsse import STATEMENT, Envelope, encode, pae
from modseal.pki import algorithms
from modseal.pki.algorithms import SignatureAlgorithm
from modseal.signing import fitness
from modseal.signing.signer import Signer


def key_id(signer: Signer) -> str:
    """The SHA-256 of the signer's public key (the DER of its SubjectPublicKeyInfo) in hex."""
    public = signer.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).hexdigest()


def envelope(payload: bytes, signer: Signer, algorithm: SignatureAlgorithm, payload_type: str = STATEMENT) -> bytes:
    """The JSON of an envelope with one signature, over exactly these bytes; it is verified before it is returned.

    Raises `UsageError` and `KeyMaterialError` as `Signer.sign` does, and the latter for a signature that does not
    verify under the certificate's key.
    """
    message = pae(payload_type, payload)
    signature = signer.sign(algorithm, message)
    try:
        algorithms.verify(algorithm, fitness.parse(signer.certificate).key, signature, message)
    except FormatError as error:
        raise KeyMaterialError(f"the key made a signature that cannot be used: {error.failure.detail}").because(
            "token-failed"
        ) from None
    return encode(Envelope(payload_type, payload, ((key_id(signer), signature),)))
