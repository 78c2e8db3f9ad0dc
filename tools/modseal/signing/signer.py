"""What every kind of signer has: a certificate that belongs to its key, and those above it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from cryptography import x509

from modseal.errors import KeyMaterialError, RefusedError
from modseal.pki.algorithms import SignatureAlgorithm
from modseal.signing import fitness
from modseal.signing.material import read_certificates


class Signer(Protocol):
    """Something that signs, with a key in a file, a token or a service."""

    @property
    def certificate(self) -> x509.Certificate:
        """The signer's certificate; its key is the one that signs."""

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """The certificates above it that go into the block, nearest first; a root may be left out."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences that the person who signs should see."""

    def sign(self, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
        """The signature over `data`, which the signer hashes itself.

        Raises `UsageError` for an algorithm that does not fit the key, `KeyMaterialError`.
        """


def certify(
    belongs: Callable[[x509.Certificate], bool],
    source: object,
    cert: Path | None,
    own: Sequence[x509.Certificate],
    chain: Sequence[Path],
) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
    """The certificate of a key, and those above it, nearest first: the rules for every kind of key.

    It is the first that `belongs` to the key: of the file `cert` where one is named, else of those that
    the key has of its `own`. Others of these go into the chain where they lead up from it; those of
    `chain` must. `source` says in messages where they are from. Raises what `load_signer` raises.
    """
    candidates = read_certificates(cert) if cert else tuple(own)
    if not candidates:
        raise KeyMaterialError(f"{source} has no certificate: name the certificate that belongs to the key").because(
            "certificate-missing"
        )
    certificate = next(filter(belongs, candidates), None)
    if certificate is None:
        raise RefusedError("unfit-certificate", f"no certificate in {source} belongs to the private key").because(
            "other-certificate"
        )
    fitness.check_key(certificate)
    named = tuple(each for path in chain for each in read_certificates(path))
    ordered, unrelated = fitness.order_chain(certificate, (*candidates, *own, *named))
    for other in unrelated:
        if other in named:
            raise RefusedError("unfit-certificate", fitness.unrelated_failure(other).detail)
    return certificate, ordered


def public_key(certificate: x509.Certificate) -> object:
    """A certificate's key as the verifier reads it; None where it cannot."""
    try:
        return fitness.parse(certificate).key
    except RefusedError:
        return None
