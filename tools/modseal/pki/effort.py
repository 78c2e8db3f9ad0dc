"""What an examination may cost: counted, not timed, so that every machine comes to the same verdict.

A small file can ask for much work: 1,024 public-key operations fit into a signature member, and chains through
cross-signed CAs are exponentially many. Each costly operation is charged before it is done, in units of about 10 us
of one core; an examination that has spent `limits.EFFORT` ends there. What a cache already knows is charged as if it
were done: a verdict depends only on the bundle, the policy and the time, never on what was verified before.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from modseal import limits
from modseal.errors import Failure, FormatError
from modseal.pki.algorithms import curve_of


class ExhaustedError(FormatError):
    """An examination has spent all that it may."""

    def __init__(self) -> None:
        allowed = limits.EFFORT
        detail = f"verifying it costs more than {allowed} units of work, far more than any genuine bundle"
        super().__init__("limit-exceeded", detail, allowed=allowed)


class Effort:
    """What one examination has spent. `step` is set by `trust.examine` as it goes from step to step."""

    __slots__ = ("exhausted_at", "spent", "step")

    def __init__(self) -> None:
        self.spent = 0
        self.step = 1
        self.exhausted_at: int | None = None
        """The step at which there was no more to spend; None where there was always enough."""

    def spend(self, units: int) -> None:
        """Charge for an operation, before it is done. Raises `ExhaustedError`, and then at every later call."""
        self.spent += units
        if self.spent > limits.EFFORT:
            self.exhausted_at = self.step if self.exhausted_at is None else self.exhausted_at
            raise ExhaustedError

    @property
    def failure(self) -> Failure:
        """What to say of an examination that was given up."""
        return ExhaustedError().failure


def of_signature(key: Any, size: int) -> int:
    """The units of verifying a signature over so many bytes with a public key."""
    hashing = size // _HASHED
    if curve := curve_of(key):
        return hashing + (_EC[curve] if curve in _EC else max(_EC.values()))
    if isinstance(key, rsa.RSAPublicKey):
        kilobits = key.key_size // 1024 + 1
        return hashing + 1 + kilobits * kilobits * key.public_numbers().e.bit_length() // _RSA_BITS
    return hashing + _OTHERS


def of_certificate(size: int) -> int:
    """The units of reading a certificate of so many bytes: names are prepared, and the library reads it as well."""
    return 10 + size // _READ


_HASHED = 8192
"""Bytes that are hashed for one unit."""
_RSA_BITS = 25
"""Bits of an exponent that one unit pays for, with a modulus of 1,024 bits; a longer modulus costs its square."""
_EC = {"secp256r1": 20, "secp384r1": 100, "secp521r1": 110}
_OTHERS = 60
"""Ed25519 and ML-DSA."""
_READ = 16
"""Bytes of a certificate that are read for one unit: texts of combining characters are the worst."""
