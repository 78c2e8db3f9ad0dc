"""The keys and certificates of the vectors: from fixed seeds, with deterministic signatures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from builders import pki, tsa
from builders.pki import Identity

AT = datetime(2026, 1, 1, tzinfo=UTC)
"""The time of verification, where a vector has no other."""
RSA_KEY = Path(__file__).resolve().parents[2] / "keys-example/certified/signer.key"


def key(name: str) -> ed25519.Ed25519PrivateKey:
    """The Ed25519 key of a name: its seed is the SHA-256 of the name."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def serial(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def p256(name: str) -> ec.EllipticCurvePrivateKey:
    """The P-256 key of a name."""
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(name.encode()).digest()[:31], "big"), ec.SECP256R1())


def signing(identity: Identity) -> Callable[[bytes], bytes]:
    """ECDSA with SHA-256 whose random number comes from key and message (RFC 6979)."""
    return lambda data: bytes(identity.key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))


def ca(name: str, **changes: Any) -> Identity:
    return pki.ca(name, **{"key": key(name), "serial": serial(name), **changes})


def leaf(name: str, issuer: Identity, **changes: Any) -> Identity:
    return pki.leaf(name, **{"issuer": issuer, "key": key(name), "serial": serial(name), **changes})


ROOT, OTHER_ROOT, TSA_ROOT = ca("Vector root"), ca("Vector root 2"), ca("Vector TSA root")


SIGNER, SECOND = leaf("Vector signer", ROOT), leaf("Vector signer 2", ROOT)


STRANGER = leaf("Vector stranger", OTHER_ROOT)


ISSUING = ca("Vector issuing CA", issuer=ROOT)


BELOW = leaf("Vector signer below", ISSUING).with_chain(ISSUING)


TSA = tsa.authority("Vector TSA", issuer=TSA_ROOT, key=p256("Vector TSA"), serial=serial("Vector TSA"))


P256 = leaf("Vector P-256 signer", ROOT, key=p256("Vector P-256 signer"))


RSA = leaf("Vector RSA signer", ROOT, key=load_pem_private_key(RSA_KEY.read_bytes(), None))
