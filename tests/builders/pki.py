"""Certificates for tests: everything valid from `EPOCH` to `FAR`, and every field can be made wrong.

Keys are made once a session. `ca` and `leaf` give good certificates; each keyword changes one thing.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from modseal.pki.certificate import Certificate
from modseal.signing.keys import FileSigner

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
FAR = datetime(2123, 12, 31, tzinfo=UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
"""The time at which tests verify."""

CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING
SIGN = frozenset({"digital_signature"})
ISSUE = frozenset({"key_cert_sign", "crl_sign"})

_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
_GENERATORS: dict[str, Callable[[], Any]] = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "rsa-e3": lambda: rsa.generate_private_key(3, 2048),
    "rsa-1024": lambda: rsa.generate_private_key(65537, 1024),
    "dsa": lambda: dsa.generate_private_key(2048),
    "p192": lambda: ec.generate_private_key(ec.SECP192R1()),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "k256": lambda: ec.generate_private_key(ec.SECP256K1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
    "x25519": x25519.X25519PrivateKey.generate,
    "ml-dsa-44": mldsa.MLDSA44PrivateKey.generate,
    "ml-dsa-65": mldsa.MLDSA65PrivateKey.generate,
    "ml-dsa-87": mldsa.MLDSA87PrivateKey.generate,
}
_serials = itertools.count(1000)


@functools.cache
def new_key(kind: str = "p256", number: int = 0) -> Any:
    """A key of a kind, made once a session for each number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weak kinds are the point of some tests
        return _GENERATORS[kind]()


@dataclass(frozen=True, eq=False)
class Identity:
    """A certificate with its private key and the certificates above it, nearest first."""

    certificate: x509.Certificate
    key: Any
    chain: tuple[Identity, ...] = field(default=(), repr=False)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.der).hexdigest()

    @property
    def parsed(self) -> Certificate:
        """As the verifier sees it."""
        return Certificate.parse(self.der)

    def with_chain(self, *chain: Identity) -> Identity:
        return replace(self, chain=chain)

    def signer(self) -> FileSigner:
        """As what `modseal sign` signs with; its chain is embedded."""
        return FileSigner(self.certificate, tuple(one.certificate for one in self.chain), (), self.key)


def name(common_name: str, organization: str = "Test") -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def key_usage(*names: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in names for usage in _USAGES})


def issue(
    common_name: str,
    *,
    issuer: Identity | None = None,
    key: Any = None,
    signing_key: Any = None,
    subject: x509.Name | None = None,
    issuer_name: x509.Name | None = None,
    start: datetime = EPOCH,
    end: datetime = FAR,
    basic: tuple[bool, int | None] | None = (False, None),
    usage: Sequence[str] | frozenset[str] | None = SIGN,
    purposes: Sequence[x509.ObjectIdentifier] | None = (CODE_SIGNING,),
    key_id: bytes | None = b"",
    serial: int | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    digest: Any = None,
) -> Identity:
    """A certificate in which every field can be given; None leaves an extension out."""
    key = key or new_key("p256", next(_serials))
    above = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common_name) if subject is None else subject)
        .issuer_name(issuer_name or (issuer.certificate.subject if issuer else subject or name(common_name)))
        .public_key(key.public_key())
        .serial_number(serial or next(_serials))
        .not_valid_before(start)
        .not_valid_after(end)
    )
    if key_id is not None:
        value = (
            x509.SubjectKeyIdentifier(key_id) if key_id else x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        )
        builder = builder.add_extension(value, critical=False)
    if basic is not None:
        builder = builder.add_extension(x509.BasicConstraints(*basic), critical=True)
    if usage is not None:
        builder = builder.add_extension(key_usage(*usage), critical=True)
    if purposes is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(purposes)), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    certificate = builder.sign(signing_key or above, digest or digest_for(signing_key or above))
    return Identity(certificate, key, (issuer, *issuer.chain) if issuer else ())


def ca(common_name: str = "Test root", **changes: Any) -> Identity:
    """A CA: self-signed where no `issuer` is given."""
    return issue(common_name, **{"basic": (True, None), "usage": ISSUE, "purposes": None, **changes})


def leaf(common_name: str = "Test signer", **changes: Any) -> Identity:
    """A code signing certificate below `root()`, or below another `issuer`; its chain is not embedded."""
    return issue(common_name, **{"issuer": root(), **changes}).with_chain()


def digest_for(key: Any) -> Any:
    return (
        hashes.SHA256() if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey) else None
    )


@functools.cache
def root(number: int = 0) -> Identity:
    """A root, made once a session for each number."""
    return ca(f"Test root {number}", key=new_key("p256", number + 1))


@functools.cache
def signer(kind: str = "p256", number: int = 0) -> Identity:
    """A good signer below `root(0)`, made once a session."""
    return leaf(f"Test {kind} signer {number}", key=new_key(kind, number + 100))


def crl(
    issuer: Identity, *revoked: Identity, start: datetime = EPOCH, end: datetime = FAR, at: datetime = EPOCH
) -> x509.CertificateRevocationList:
    """A good CRL that revokes these certificates."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
    builder = builder.last_update(start).next_update(end).add_extension(x509.CRLNumber(1), critical=False)
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number).revocation_date(at)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, digest_for(issuer.key))
