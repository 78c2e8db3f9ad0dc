"""CRLs for tests: `make` gives a good one, each keyword changes one thing; `edited` changes its signed bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from builders.cms import sign_raw
from builders.pki import EPOCH, FAR, Identity, digest_for
from modseal.format import der
from modseal.pki.crl import Crl

Extensions = Sequence[tuple[x509.ExtensionType, bool]]
ECDSA_SHA256 = der.encode(der.SEQUENCE, der.encode_oid("1.2.840.10045.4.3.2"))


def revoked(serial: int, since: datetime = EPOCH, extensions: Extensions = ()) -> x509.RevokedCertificate:
    """An entry."""
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.build()


def make(
    issuer: Identity,
    *entries: x509.RevokedCertificate | Identity,
    start: datetime = EPOCH,
    end: datetime = FAR,
    name: x509.Name | None = None,
    key: Any = None,
    extensions: Extensions = (),
) -> bytes:
    """A CRL as DER; an identity stands for an entry of its certificate."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(name or issuer.certificate.subject)
    builder = builder.last_update(start).next_update(end).add_extension(x509.CRLNumber(1), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    for entry in entries:
        one = revoked(entry.certificate.serial_number) if isinstance(entry, Identity) else entry
        builder = builder.add_revoked_certificate(one)
    signing_key = key or issuer.key
    return builder.sign(signing_key, digest_for(signing_key)).public_bytes(Encoding.DER)


def key_id(issuer: Identity) -> Extensions:
    """The extension that names the issuer's key, which every CRL should have (RFC 5280 section 5.2.1)."""
    return [(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), False)]


def read(*lists: bytes) -> tuple[Crl, ...]:
    """CRLs as the verifier sees them."""
    return tuple(Crl.parse(data, f"crl {number}") for number, data in enumerate(lists))


def edited(data: bytes, change: Callable[[list[bytes]], Iterable[bytes]], key: Any) -> bytes:
    """A CRL whose signed fields `change` has changed, signed again with a P-256 key."""
    outer = der.Reader(data).enter()
    body = outer.enter()
    fields: list[bytes] = []
    while body.more():
        fields.append(body.next().raw)
    return signed(der.encode(der.SEQUENCE, *change(fields)), key)


def signed(body: bytes, key: Any) -> bytes:
    """Any signed part as a CRL or certificate, by a P-256 key."""
    return der.encode(der.SEQUENCE, body, ECDSA_SHA256, der.encode(der.BIT_STRING, b"\0" + sign_raw(key, body)))
