"""What a policy never accepts: bundles by what is signed in them, signers by their keys, modules by their names.

A signer is denied, not one encoding of a certificate. A certificate's fingerprint covers the signature of its issuer,
and anyone can compute a second valid value of an ECDSA signature: that makes another fingerprint, and the same
certificate to every verifier. So a fingerprint stands here for each encoding that verifies, and a key for every
certificate that carries it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from cryptography.hazmat.primitives.asymmetric import ec

from modseal.errors import Failure, FormatError
from modseal.format import der, rules
from modseal.pki.certificate import Certificate
from modseal.values import dataclass

_ORDERS = tuple(curve.group_order for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()))
"""The n of each curve of `pki.algorithms`. Which one an issuer's key is on, a certificate does not say."""


@dataclass(frozen=True, slots=True)
class Deny:
    """A deny list.

    `digests` are SHA-256 in hex: of manifests, payloads or whole files. `signers` are fingerprints of certificates, in
    hex; `keys` are public keys as `rules.key_name` writes them. `certificates` are those that the list gives, and those
    of the policy that it names by fingerprint: their keys are denied. `names` are patterns of module names.
    """

    digests: frozenset[str] = frozenset()
    signers: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()
    keys: frozenset[str] = frozenset()
    certificates: tuple[Certificate, ...] = ()

    @property
    def has_signers(self) -> bool:
        """Whether any signer or CA is denied."""
        return bool(self.signers or self.keys or self.certificates)

    @property
    def all_keys(self) -> frozenset[str]:
        """Every denied key: those that are named, and those of known certificates."""
        return self.keys.union(rules.key_name(one.key_der) for one in self.certificates)

    @property
    def all_signers(self) -> frozenset[str]:
        """Every denied fingerprint: those that are listed, and those of known certificates."""
        return self.signers.union(*map(fingerprints, self.certificates))

    @property
    def signers_without_key(self) -> frozenset[str]:
        """The fingerprints whose key the policy does not know: another certificate with that key is not denied."""
        return self.signers.difference(*map(fingerprints, self.certificates))

    def entry(self, certificate: Certificate) -> str | None:
        """What in the list denies a certificate, as a policy writes it; None where nothing does."""
        if not self.has_signers:
            return None
        key = rules.key_name(certificate.key_der)
        if key in self.all_keys:
            return key
        found = self.signers and self.signers & fingerprints(certificate)
        return f"sha256:{min(found)}" if found else None

    def failures(self, path: Sequence[Certificate]) -> Iterator[Failure]:
        """Why a signer is denied: `path` has its certificate first, then those above it as far as they are known."""
        for certificate in path:
            entry = self.entry(certificate)
            if entry:
                above = "" if certificate == path[0] else f"{certificate.subject}, which is above "
                detail = f"the deny list has {above}the signer {path[0].subject} ({entry})"
                yield Failure("denied", detail, {"signer": path[0].fingerprint, "denied": entry})


def fingerprints(certificate: Certificate) -> frozenset[str]:
    """The SHA-256 of every encoding of a certificate that verifies where this one does, lower-case hex.

    What is signed has one encoding, and so has the rest (`pki.certificate`), the signature's value excepted. Of RSA,
    Ed25519 and ML-DSA one value verifies; of ECDSA two, (r, s) and (r, n - s) (SEC 1 section 4.1.4).
    """
    signatures = (certificate.signature, *_mirrored(certificate.signature))
    return frozenset(hashlib.sha256(_encode(certificate, one)).hexdigest() for one in signatures)


def _encode(certificate: Certificate, signature: bytes) -> bytes:
    """RFC 5280 section 4.1, with another signature value."""
    bits = der.encode(der.BIT_STRING, b"\0", signature)
    return der.encode(der.SEQUENCE, certificate.signed_bytes, certificate.signature_algorithm.raw, bits)


def _mirrored(signature: bytes) -> list[bytes]:
    """The twins of an ECDSA-Sig-Value (RFC 3279 section 2.2.3), one for each curve that it could be on."""
    try:
        values = der.Reader(signature).enter()
        r, s = values.integer(), values.integer()
        values.end()
    except FormatError:
        return []  # a signature of another kind
    return [
        der.encode(der.SEQUENCE, der.encode_integer(r), der.encode_integer(order - s))
        for order in _ORDERS
        if r > 0 and 0 < s < order
    ]
