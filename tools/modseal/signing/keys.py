"""Opens the signer: a private key with its certificates.

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
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from modseal.errors import KeyMaterialError, foreign
from modseal.pki.algorithms import SignatureAlgorithm
from modseal.signing import fitness
from modseal.signing.material import Passphrase, read_key
from modseal.signing.signer import Signer, certify, public_key

_URI = re.compile(r"([a-z][a-z0-9+.-]+):")
_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


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
        with foreign(lambda _: KeyMaterialError(f"the key cannot sign with {algorithm.name}").because("key-kind")):
            return bytes(self._key.sign(data, *_parameters(algorithm)))


def open(  # noqa: A001 - `keys.open` reads as what it does; this module opens no files itself
    reference: str, cert: Path | None = None, chain: Sequence[Path] = (), passphrase: Passphrase | None = None
) -> Signer:
    """The signer of a key reference: a path, or a URI (`file:`, `pkcs11:`, the scheme of a plug-in).

    An existing path is always taken as a path, even if it looks like a URI. Raises `UsageError` for another kind of
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
