"""Signature blocks for tests: good by default, and every field can be made wrong.

Deliberately not the project's own builder, so that a test can write what no sane signer would.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from builders.pki import Identity
from modseal.format import cms, der

DIGESTS = {
    "md5": "1.2.840.113549.2.5",
    "sha1": "1.3.14.3.2.26",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
    "sha3_256": "2.16.840.1.101.3.4.2.8",
}
RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
RSA_PSS = "1.2.840.113549.1.1.10"
ECDSA_SHA256 = "1.2.840.10045.4.3.2"
ED25519 = "1.3.101.112"
ML_DSA = {f"MLDSA{n}": f"2.16.840.1.101.3.4.3.{17 + i}" for i, n in enumerate((44, 65, 87))}
"""By the start of the library's name for the key."""
NULL = b"\x05\x00"
UNKNOWN = "1.3.6.1.4.1.99999.1"

Attribute = tuple[str, list[bytes]]


def sequence(*parts: bytes) -> bytes:
    return der.encode(der.SEQUENCE, *parts)


def octets(data: bytes) -> bytes:
    return der.encode(der.OCTET_STRING, data)


def algorithm(oid: str, parameters: bytes | None = None) -> bytes:
    """An AlgorithmIdentifier."""
    return sequence(der.encode_oid(oid), parameters or b"")


def encode_attribute(attribute: Attribute) -> bytes:
    oid, values = attribute
    return sequence(der.encode_oid(oid), der.encode_set(values))


def sign_raw(key: Any, data: bytes, digest: str = "sha256") -> bytes:
    """A signature in the usual form for the key."""
    kind = {
        "sha1": hashes.SHA1,
        "sha256": hashes.SHA256,
        "sha384": hashes.SHA384,
        "sha512": hashes.SHA512,
        "md5": hashes.MD5,
        "sha3_256": hashes.SHA3_256,
    }[digest]()
    if isinstance(key, rsa.RSAPrivateKey):
        return bytes(key.sign(data, padding.PKCS1v15(), kind))
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return bytes(key.sign(data, ec.ECDSA(kind)))
    return bytes(key.sign(data))


def usual(key: Any) -> tuple[str, bytes]:
    """The digest and the signature's AlgorithmIdentifier that are usual for a key."""
    if isinstance(key, rsa.RSAPrivateKey):
        return "sha256", algorithm(RSA_ENCRYPTION, NULL)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return "sha256", algorithm(ECDSA_SHA256)
    return "sha512", algorithm(ML_DSA.get(type(key.public_key()).__name__[:7], ED25519))


@dataclass
class Signer:
    """One SignerInfo. `attributes` turns the good signed attributes into others; `signature` the signature.

    `unsigned_raw` is the DER of unsigned attributes of any form, in the place of `unsigned`.
    """

    identity: Identity
    digest: str = ""
    digest_algorithm: bytes = b""
    signature_algorithm: bytes = b""
    attributes: Callable[[list[Attribute]], list[Attribute]] = field(default=lambda good: good)
    raw_attributes: Callable[[bytes], bytes] | None = None
    signed_attributes: bool = True
    sign: Callable[[bytes], bytes] | None = None
    signature: Callable[[bytes], bytes] = field(default=lambda good: good)
    sid: bytes = b""
    version: int = 1
    unsigned: Sequence[Attribute] = ()
    unsigned_raw: bytes = b""

    def good_attributes(self, content: bytes) -> list[Attribute]:
        digest = hashlib.new(self.digest, content).digest()
        return [
            (cms.CONTENT_TYPE, [der.encode_oid(cms.ID_DATA)]),
            (cms.MESSAGE_DIGEST, [octets(digest)]),
            (cms.SIGNING_TIME, [der.encode_time("2025-06-01T12:00:00Z")]),
        ]

    def encode(self, content: bytes) -> bytes:
        usual_digest, usual_signature = usual(self.identity.key)
        self.digest = self.digest or usual_digest
        self.digest_algorithm = self.digest_algorithm or algorithm(DIGESTS[self.digest])
        attributes = [encode_attribute(one) for one in self.attributes(self.good_attributes(content))]
        inside = b"".join(sorted(attributes))
        if self.raw_attributes:
            inside = self.raw_attributes(inside)
        signed = der.encode(der.SET, inside) if self.signed_attributes else content
        sign = self.sign or (lambda data: sign_raw(self.identity.key, data, self.digest))
        return sequence(
            der.encode_integer(self.version),
            self.sid or issuer_and_serial(self.identity),
            self.digest_algorithm,
            der.encode(der.context(0), inside) if self.signed_attributes else b"",
            self.signature_algorithm or usual_signature,
            octets(self.signature(sign(signed))),
            der.encode(der.context(1), *sorted(map(encode_attribute, self.unsigned))) if self.unsigned else b"",
            self.unsigned_raw,
        )


@dataclass
class Block:
    """One SignedData. Every field has a good default."""

    signers: Sequence[Signer]
    certificates: Sequence[bytes] | None = None
    version: int = 1
    digest_algorithms: Sequence[bytes] | None = None
    content_type: str = cms.ID_DATA
    content: bytes | None = None
    crls: bytes = b""
    sort_certificates: bool = True

    def encode(self, content: bytes) -> bytes:
        infos = [signer.encode(content) for signer in self.signers]
        digests = self.digest_algorithms
        if digests is None:
            digests = sorted({signer.digest_algorithm for signer in self.signers})
        certificates = self.certificates
        if certificates is None:
            certificates = [one.der for signer in self.signers for one in (signer.identity, *signer.identity.chain)]
        certificates = list(dict.fromkeys(certificates))
        if self.sort_certificates:
            certificates.sort()
        inside = b"" if self.content is None else der.encode(der.context(0), octets(self.content))
        body = sequence(
            der.encode_integer(self.version),
            der.encode(der.SET, *digests),
            sequence(der.encode_oid(self.content_type), inside),
            der.encode(der.context(0), *certificates) if certificates else b"",
            self.crls,
            der.encode_set(infos),
        )
        return wrap(body)


def wrap(body: bytes, oid: str = cms.ID_SIGNED_DATA) -> bytes:
    """A ContentInfo."""
    return sequence(der.encode_oid(oid), der.encode(der.context(0), body))


def issuer_and_serial(identity: Identity) -> bytes:
    certificate = identity.certificate
    return sequence(certificate.issuer.public_bytes(), der.encode_integer(certificate.serial_number))


def by_key_id(key_id: bytes) -> bytes:
    """A signer identifier by subject key identifier."""
    return der.encode(0x80, key_id)


def block(manifest: bytes, /, *identities: Identity, **changes: Any) -> bytes:
    """The DER of a good block; `changes` are fields of `Block`, or of every `Signer` of it.

    Both have a `version`: that of the signers is `signer_version` here.
    """
    for_signer = {
        key: changes.pop(key) for key in list(changes) if key in Signer.__dataclass_fields__ and key != "version"
    }
    if "signer_version" in changes:
        for_signer["version"] = changes.pop("signer_version")
    changes.setdefault("signers", [Signer(identity, **for_signer) for identity in identities])
    return Block(**changes).encode(manifest)


def pem(data: bytes, label: str = "PKCS7") -> bytes:
    text = base64.b64encode(data)
    lines = b"".join(text[at : at + 64] + b"\n" for at in range(0, len(text), 64))
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label.encode(), lines, label.encode())


def replaced(attributes: list[Attribute], oid: str, *values: bytes) -> list[Attribute]:
    """The attributes with other values for one type; none removes it."""
    others = [one for one in attributes if one[0] != oid]
    return [*others, (oid, list(values))] if values else others
