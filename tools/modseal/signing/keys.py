"""Who signs: a private key with the certificates that speak for it.

`open` turns a key reference into a `Signer`: a file here, a token in `pkcs11`, a key service through
`plugins`. Where a key cannot be reached from here at all, sign in two steps: `block.prepare` here, sign
there, `block.complete` here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from modseal.errors import KeyMaterialError, RefusedError, foreign
from modseal.signing import fitness
from modseal.signing.material import Passphrase, read_certificates, read_key
from modseal.trust.algorithms import SignatureAlgorithm

_URI = re.compile(r"([a-z][a-z0-9+.-]+):")
_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


class Signer(Protocol):
    """Something that signs, wherever its key is."""

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


@dataclass(frozen=True, slots=True)
class FileSigner:
    """A signer whose private key was read from a file, once, and is held in memory."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    warnings: tuple[str, ...]
    _key: Any = field(repr=False)

    def sign(self, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
        """See `Signer.sign`."""
        fitness.choose_algorithm(self.certificate, algorithm.name)
        with foreign(lambda _: KeyMaterialError(f"the key cannot sign with {algorithm.name}")):
            return bytes(self._key.sign(data, *_parameters(algorithm)))


def open(  # noqa: A001 - `keys.open` reads as what it does; this module opens no files itself
    reference: str, cert: Path | None = None, chain: Sequence[Path] = (), passphrase: Passphrase | None = None
) -> Signer:
    """The signer of a key reference: a path, or a URI (`file:`, `pkcs11:`, the scheme of a plug-in).

    A path that exists is a path, whatever it looks like. Raises `UsageError` for another kind of
    reference, and what `load_signer`, `pkcs11.open` and `plugins.open` raise.
    """
    scheme = None if os.path.lexists(reference) else _URI.match(reference)
    if scheme is None or scheme[1] == "file":
        return load_signer(Path(reference[scheme.end() :] if scheme else reference), cert, chain, passphrase)
    if scheme[1] == "pkcs11":
        from modseal.signing import pkcs11

        return pkcs11.open(reference, cert, chain, passphrase)
    from modseal.signing import plugins

    return plugins.open(scheme[1], reference, cert, chain)


def load_signer(
    key: Path, cert: Path | None, chain: Sequence[Path] = (), passphrase: Passphrase | None = None
) -> FileSigner:
    """The signer of a PEM or PKCS#12 file.

    The certificate is the first that belongs to the key: of `cert` where it is named, else of the key
    file. Others in these files go into the chain where they lead up from it; those of `chain` must.

    Raises `KeyMaterialError` (file or passphrase), `RefusedError` (unfit-certificate: not of this key,
    a weak or unsupported kind of key, an unrelated certificate in the chain), `InputError`.
    """
    material = read_key(key, passphrase)
    public = material.key.public_key()
    certificate, ordered = certify(
        lambda one: public_key(one) == public, cert or key, cert, material.certificates, chain
    )
    return FileSigner(certificate, ordered, material.warnings, material.key)


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
        raise KeyMaterialError(f"{source} has no certificate: name the certificate that belongs to the key")
    certificate = next(filter(belongs, candidates), None)
    if certificate is None:
        raise RefusedError("unfit-certificate", f"no certificate in {source} belongs to the private key")
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


def _parameters(algorithm: SignatureAlgorithm) -> tuple[Any, ...]:
    """What the library's `sign` takes after the data."""
    digest = _HASHES[algorithm.digest_name]()
    if algorithm.family == "rsa-pkcs1":
        return padding.PKCS1v15(), digest
    if algorithm.family == "rsa-pss":
        return padding.PSS(padding.MGF1(digest), digest.digest_size), digest
    if algorithm.family == "ecdsa":
        return (_ecdsa(digest),)
    return ()


def _ecdsa(digest: hashes.HashAlgorithm) -> ec.ECDSA:
    """ECDSA with the nonce of RFC 6979 where the library has it: same input, same bytes."""
    try:
        return ec.ECDSA(digest, deterministic_signing=True)
    except UnsupportedAlgorithm:
        return ec.ECDSA(digest)
