"""Makes private keys, and the PEM files that keep them: PKCS #8, encrypted unless the caller says not to.

The library's own encryption runs PBKDF2 2,048 times, too few for a passphrase that a person remembers.
So PBES2 (RFC 8018 section 6.2) is put together here: PBKDF2 with HMAC-SHA-256, then AES-256 in CBC mode,
which OpenSSL and every other tool reads.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from modseal.errors import UsageError
from modseal.format import der

KEY_TYPES: dict[str, Callable[[], Any]] = {
    "ecdsa-p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ecdsa-p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa-3072": lambda: rsa.generate_private_key(public_exponent=65537, key_size=3072),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ml-dsa-65": mldsa.MLDSA65PrivateKey.generate,
}
"""The types of keys that modseal makes, by name."""

SHORTEST_PASSPHRASE = 8
"""Bytes: the least that NIST SP 800-63B has for what a person remembers. More is better."""
ITERATIONS = 600_000
"""Rounds of PBKDF2: what OWASP names for HMAC-SHA-256; a third of a second for each use of the key."""

_PBES2, _PBKDF2 = "1.2.840.113549.1.5.13", "1.2.840.113549.1.5.12"
_HMAC_SHA256, _AES_256_CBC = "1.2.840.113549.2.9", "2.16.840.1.101.3.4.1.42"
_NULL = b"\x05\x00"
_BLOCK_BITS, _KEY_BYTES, _SALT_BYTES = 128, 32, 16
_PEM_LINE = 64


def new_key(kind: str) -> Any:
    """A fresh private key of one of `KEY_TYPES`."""
    return KEY_TYPES[kind]()


def encode_key(key: Any, passphrase: bytes | None) -> bytes:
    """The PEM of a private key, encrypted with a passphrase; with None it stays unencrypted.

    Raises `UsageError` for a passphrase that is too short.
    """
    if passphrase is None:
        plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return bytes(plain)
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise UsageError(f"the passphrase is shorter than {SHORTEST_PASSPHRASE} bytes")
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return _pem("ENCRYPTED PRIVATE KEY", _encrypt(plain, passphrase))


def key_fingerprint(public_key: Any) -> str:
    """SHA-256 in hex of a SubjectPublicKeyInfo: the same for a key, its requests and its certificates."""
    data = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(data).hexdigest()


def _encrypt(plain: bytes, passphrase: bytes) -> bytes:
    """The DER of an EncryptedPrivateKeyInfo (RFC 5958 section 3)."""
    salt, vector = os.urandom(_SALT_BYTES), os.urandom(_BLOCK_BITS // 8)
    secret = PBKDF2HMAC(SHA256(), _KEY_BYTES, salt, ITERATIONS).derive(passphrase)
    padder = PKCS7(_BLOCK_BITS).padder()
    encryptor = Cipher(algorithms.AES(secret), modes.CBC(vector)).encryptor()
    encrypted = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    rounds = der.encode_integer(ITERATIONS)
    derivation = _algorithm(
        _PBKDF2, der.encode(der.SEQUENCE, der.encode(der.OCTET_STRING, salt), rounds, _algorithm(_HMAC_SHA256, _NULL))
    )
    cipher = _algorithm(_AES_256_CBC, der.encode(der.OCTET_STRING, vector))
    scheme = _algorithm(_PBES2, der.encode(der.SEQUENCE, derivation, cipher))
    return der.encode(der.SEQUENCE, scheme, der.encode(der.OCTET_STRING, encrypted))


def _algorithm(oid: str, parameters: bytes) -> bytes:
    return der.encode(der.SEQUENCE, der.encode_oid(oid), parameters)


def _pem(label: str, data: bytes) -> bytes:
    text = base64.b64encode(data).decode("ascii")
    lines = [text[start : start + _PEM_LINE] for start in range(0, len(text), _PEM_LINE)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode("ascii")
