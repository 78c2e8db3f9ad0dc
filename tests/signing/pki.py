"""A small PKI for the signing tests: root, intermediate, and a signer for every kind of key."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from builders.pki import EPOCH, FAR, Identity, ca, new_key
from modseal.ca import issue
from modseal.ca.issue import Validity
from modseal.signing.keys import FileSigner

VALID = Validity(EPOCH, FAR)


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
    """A CA of any depth, self-signed where it has no issuer; `changes` are those of `builders.pki.ca`."""
    above = Identity(issuer, issuer_key) if issuer else None
    return ca(common_name, issuer=above, key=key, **changes).certificate


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
