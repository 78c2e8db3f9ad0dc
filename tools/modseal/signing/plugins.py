"""Signs with keys that a plug-in reaches: a cloud's key service, a signing server, another kind of device.

A plug-in is an installed package with an entry point in the group `modseal.keys`. The entry point's name
is a URI scheme, its object is a `Factory`. It is imported only for a key reference of its scheme, so a
package that is merely installed runs no code here. The guide is docs/how-to/write-a-key-plugin.md.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

from cryptography import x509

from modseal.errors import KeyMaterialError, ModsealError, UsageError
from modseal.pki.algorithms import SignatureAlgorithm
from modseal.signing import fitness, signer

GROUP = "modseal.keys"
"""The group of entry points."""


class Key(Protocol):
    """What a plug-in gives: a private key somewhere, and what is known of it.

    Its methods may raise `modseal.errors.UsageError` (a wrong reference) and `KeyMaterialError`
    (anything else), with one sentence that holds no secret. Other exceptions are reported by their
    type alone.
    """

    @property
    def certificate(self) -> x509.Certificate | None:
        """The key's certificate; None where the service keeps no certificates, so that --cert must name it."""

    @property
    def chain(self) -> Sequence[x509.Certificate]:
        """Certificates above it that the service keeps; empty where there are none."""

    @property
    def public_key(self) -> Any:
        """The public key as an object of `cryptography`, or None where the service does not tell it."""

    def sign(self, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
        """The signature over `data`, as CMS has it: for ECDSA the DER of Ecdsa-Sig-Value.

        `algorithm` tells what to do by `family` ("rsa-pkcs1", "rsa-pss" with a salt as long as the
        digest, "ecdsa", "ed25519", "ml-dsa") and `digest_name` (by hashlib's name); `name` has both.
        """


Factory = Callable[[str], Key]
"""What the entry point names: it takes the whole key reference, `SCHEME:...`."""


@dataclass(frozen=True, slots=True)
class PluginSigner:
    """A signer whose private key a plug-in reaches."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    warnings: tuple[str, ...]
    _scheme: str = field(repr=False)
    _key: Key = field(repr=False)

    def sign(self, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
        """See `signer.Signer.sign`."""
        fitness.choose_algorithm(self.certificate, algorithm.name)
        with _converted(self._scheme):
            signature: object = self._key.sign(algorithm, data)
        if not isinstance(signature, bytes) or not signature:
            raise KeyMaterialError(f"the plug-in for {self._scheme}: keys gave no signature").because("plugin-broken")
        return signature


def open(  # noqa: A001 - read as `plugins.open`, as `keys.open` is
    scheme: str, reference: str, cert: Path | None = None, chain: Sequence[Path] = ()
) -> PluginSigner:
    """The signer of a key reference whose scheme a plug-in serves.

    The certificate is that of `cert`, or the one that the plug-in gives.
    Raises `UsageError` (no plug-in for the scheme, a wrong reference), `KeyMaterialError`,
    `RefusedError` (unfit-certificate), `InputError`.
    """
    entry = _entry(scheme)
    with _converted(scheme):
        key: Key = entry.load()(reference)
        own: tuple[Any, ...] = tuple(one for one in (key.certificate, *key.chain) if one is not None)
        public = key.public_key
        well_formed = all(isinstance(one, x509.Certificate) for one in own)
    if not well_formed:
        raise KeyMaterialError(f"the plug-in for {scheme}: keys returns something that is not a certificate").because(
            "plugin-broken"
        )
    source = cert or f"the {scheme}: key"
    # Where the plug-in does not tell the key, the finished block is what shows whose it is.
    certificate, ordered = signer.certify(
        lambda one: public is None or signer.public_key(one) == public, source, cert, own, chain
    )
    return PluginSigner(certificate, ordered, (), scheme, key)


def _entry(scheme: str) -> EntryPoint:
    found = list(dict.fromkeys(entry_points(group=GROUP, name=scheme)))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(sorted(entry.dist.name if entry.dist else "?" for entry in found))
        raise UsageError(f"several plug-ins serve {scheme}: keys; uninstall all but one of {names}")
    raise UsageError(f"no plug-in for {scheme}: keys is installed; install it, sign in two steps, or name a key file")


@contextlib.contextmanager
def _converted(scheme: str) -> Iterator[None]:
    """A plug-in's exceptions as ours, by their type only: their text may contain secrets."""
    try:
        yield
    except ModsealError:
        raise
    except Exception as error:  # noqa: BLE001 - foreign code may raise anything
        broken = isinstance(error, ImportError | AttributeError | TypeError)
        raise KeyMaterialError(f"the plug-in for {scheme}: keys failed with {type(error).__name__}").because(
            "plugin-broken" if broken else "plugin-failed"
        ) from None
