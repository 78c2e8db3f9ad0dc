"""Certificates with one field that no library would write, signed again with a real key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from builders import crls
from builders.cms import NULL, algorithm, octets, sequence
from builders.pki import Identity, new_key, root, signer
from modseal.format import der

VERSION, SERIAL, SIGNATURE, ISSUER, VALIDITY, SUBJECT, KEY, EXTENSIONS = range(8)
"""The signed fields of a certificate of version 3, by place (RFC 5280 section 4.1)."""

EC_PUBLIC_KEY, ED25519, RSA, RSA_PSS = (
    "1.2.840.10045.2.1",
    "1.3.101.112",
    "1.2.840.113549.1.1.1",
    "1.2.840.113549.1.1.10",
)
P256 = der.encode_oid("1.2.840.10045.3.1.7")


def fields_of(data: bytes) -> list[bytes]:
    """The signed fields of a certificate or CRL."""
    return [value.raw for value in der.elements(der.Reader(data).enter().enter(), sorted_set=False)]


def edited(
    change: Callable[[list[bytes]], Iterable[bytes]], identity: Identity | None = None, key: Any = None
) -> bytes:
    """A certificate whose signed fields are changed, signed again by the root or another P-256 key."""
    fields = fields_of((identity or signer()).der)
    return crls.signed(der.encode(der.SEQUENCE, *change(fields)), key or root().key)


def with_field(place: int, field: bytes, identity: Identity | None = None, key: Any = None) -> bytes:
    """A certificate with another field at this place."""
    return edited(lambda fields: [*fields[:place], field, *fields[place + 1 :]], identity, key)


def remade(identity: Identity, place: int, field: bytes, key: Any = None) -> Identity:
    """The identity with another field at this place of its certificate, and the same key."""
    return replace(identity, certificate=x509.load_der_x509_certificate(with_field(place, field, identity, key)))


def validity(start: bytes, end: bytes = der.encode(der.GENERALIZED_TIME, b"21231231000000Z")) -> bytes:
    return sequence(start, end)


def key_info(oid: str, parameters: bytes | None, key: bytes) -> bytes:
    """A SubjectPublicKeyInfo."""
    return sequence(algorithm(oid, parameters), der.encode(der.BIT_STRING, b"\0", key))


def point(key: Any, form: PublicFormat = PublicFormat.UncompressedPoint) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.X962, form))


def rsa_key(key: Any) -> bytes:
    """The RSAPublicKey of a key."""
    return bytes(key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1))


def explicit_p256() -> bytes:
    """P-256 spelled out as SpecifiedECDomain (SEC 1 appendix C.2); the numbers are FIPS 186-4's, appendix D.1.2.3."""
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    x = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
    y = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    return sequence(
        der.encode_integer(1),
        sequence(der.encode_oid("1.2.840.10045.1.1"), der.encode_integer(prime)),
        sequence(octets((prime - 3).to_bytes(32)), octets(b.to_bytes(32))),
        octets(b"\x04" + x.to_bytes(32) + y.to_bytes(32)),
        der.encode_integer(order),
        der.encode_integer(1),
    )


def odd_key_infos(ec_key: Any) -> dict[str, bytes]:
    """The key of each kind in a form that is not its one form; libraries read nearly all of them."""
    hybrid = bytes([6 | point(ec_key)[-1] & 1]) + point(ec_key)[1:]
    rsa = rsa_key(new_key("rsa"))
    return {
        "explicit curve": key_info(EC_PUBLIC_KEY, explicit_p256(), point(ec_key)),
        "implicit curve": key_info(EC_PUBLIC_KEY, NULL, point(ec_key)),
        "no curve": key_info(EC_PUBLIC_KEY, None, point(ec_key)),
        "compressed point": key_info(EC_PUBLIC_KEY, P256, point(ec_key, PublicFormat.CompressedPoint)),
        "hybrid point": key_info(EC_PUBLIC_KEY, P256, hybrid),
        "RSA without NULL": key_info(RSA, None, rsa),
        "Ed25519 identity": key_info(ED25519, None, (1).to_bytes(32, "little")),
        "Ed25519 with NULL": key_info(ED25519, NULL, b"\x05" * 32),
    }
