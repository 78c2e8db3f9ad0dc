"""A small PKI for the signing tests: root, intermediate, and a signer for every kind of key."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from modseal.ca import issue
from modseal.ca.issue import Validity
from modseal.signing.keys import FileSigner

VALID = Validity(datetime(2024, 1, 1, tzinfo=UTC), datetime(2123, 12, 31, tzinfo=UTC))

_GENERATORS: dict[str, Callable[[], Any]] = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "rsa-1024": lambda: rsa.generate_private_key(65537, 1024),
    "dsa": lambda: dsa.generate_private_key(1024),
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


@functools.cache
def new_key(kind: str, number: int = 0) -> Any:
    """A key of a kind; made once a session for each number."""
    return _GENERATORS[kind]()


def kind_for(algorithm: str) -> str:
    """The kind of key that an algorithm takes."""
    if algorithm.startswith("rsa"):
        return "rsa"
    return algorithm.split("-")[1] if algorithm.startswith("ecdsa") else algorithm


@dataclass(frozen=True)
class Pki:
    """A root, an intermediate below it, and signers below that."""

    root: x509.Certificate
    root_key: Any
    intermediate: x509.Certificate
    intermediate_key: Any

    def certificate(self, kind: str = "p256", **changes: Any) -> x509.Certificate:
        """The certificate of a signer; `changes` are arguments of `issue_signer`."""
        subject = issue.name(f"Test {kind} signer", "Test")
        arguments = {"validity": VALID, "purpose": ExtendedKeyUsageOID.CODE_SIGNING} | changes
        return issue.issue_signer(
            subject, new_key(kind).public_key(), self.intermediate, self.intermediate_key, **arguments
        )

    def signer(self, kind: str = "p256") -> FileSigner:
        """A signer with its intermediate."""
        return FileSigner(self.certificate(kind), (self.intermediate,), (), new_key(kind))


def authority(
    common_name: str, key: Any, issuer: x509.Certificate | None = None, issuer_key: Any = None, **changes: Any
) -> x509.Certificate:
    """A CA of any depth, self-signed where it has no issuer; `extensions` (value, critical) are added."""
    subject = issue.name(common_name, "Test")
    validity = changes.get("validity", VALID)
    builder = issue._builder(subject, issuer.subject if issuer else subject, key.public_key(), validity)
    builder = builder.add_extension(x509.BasicConstraints(changes.get("ca", True), None), critical=True)
    builder = builder.add_extension(issue._usage(key_cert_sign=True, crl_sign=True), critical=True)
    return builder.sign(issuer_key or key, issue.digest_for(issuer_key or key))


@functools.cache
def make_pki() -> Pki:
    """The PKI; made once a session."""
    root_key, intermediate_key = new_key("p384", 1), new_key("p256", 1)
    root = authority("Test root", root_key)
    return Pki(root, root_key, authority("Test intermediate", intermediate_key, root, root_key), intermediate_key)


@dataclass(frozen=True)
class Files:
    """Writes key and certificate files below one directory."""

    directory: Path

    def key(
        self, kind: str = "p256", form: PrivateFormat = PrivateFormat.PKCS8, passphrase: bytes | None = None
    ) -> Path:
        """The private key of a kind as a PEM file of mode 0600."""
        encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        return self.write("signer.key", new_key(kind).private_bytes(Encoding.PEM, form, encryption))

    def certificates(self, name: str, certificates: Sequence[x509.Certificate]) -> Path:
        """Certificates as one PEM file."""
        return self.write(name, b"".join(each.public_bytes(Encoding.PEM) for each in certificates))

    def write(self, name: str, data: bytes) -> Path:
        """Any bytes as a file of mode 0600."""
        path = self.directory / name
        path.write_bytes(data)
        path.chmod(0o600)
        return path
