"""Step 1: which signers really signed these bytes.

A signature covers the manifest member's raw bytes and nothing else. What comes out is a `VerifiedSigner`
(verified) or a `Failure`; there is no third thing, and no bool.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Sequence

from modseal.errors import Evidence, Failure, FormatError
from modseal.format import cms, known_blocks
from modseal.format.cms import Algorithm, CertificateId, SignerInfo
from modseal.format.manifest import Kind
from modseal.pki import algorithms
from modseal.pki.certificate import Certificate
from modseal.pki.effort import Effort, of_certificate, of_signature
from modseal.values import dataclass


@dataclass(frozen=True, slots=True)
class VerifiedSigner:
    """Proof that the holder of this certificate's key signed the bytes. Nothing about trust yet.

    `block` counts from 1. `claimed_time` is what the signer says, never proof. `embedded` are the
    certificates of its block: candidates for a path. `timestamps` are tokens over `signature`, unproved.
    """

    certificate: Certificate
    block: int
    algorithm: str
    claimed_time: str | None
    embedded: tuple[Certificate, ...]
    timestamps: tuple[bytes, ...]
    signature: bytes

    @property
    def evidence(self) -> Evidence:
        """How reports name this signer."""
        return {"signer": self.certificate.fingerprint, "subject": self.certificate.subject, "block": self.block}


@dataclass(frozen=True, slots=True)
class Signatures:
    """What the signature member holds: verified signers, and a failure for every other signature."""

    signers: tuple[VerifiedSigner, ...]
    failures: tuple[Failure, ...]


def verify_member(
    member: bytes,
    content: bytes,
    extra: Sequence[Certificate] = (),
    kind: Kind = "seal",
    effort: Effort | None = None,
) -> Signatures:
    """Verify every block of a signature member over `content`; `extra` certificates may name signers too.

    `kind` says which forms of PEM the member may have (`cms.split_blocks`). `effort` is charged for it: that of an
    examination, or one of its own.
    """
    effort = effort or Effort()
    digests: dict[str, bytes] = {}  # each once, however many signers there are
    signers: list[VerifiedSigner] = []
    failures: list[Failure] = []
    try:
        blocks = cms.split_blocks(member, kind)
    except FormatError as error:
        return Signatures((), (error.failure,))
    for number, block in enumerate(blocks, 1):
        try:
            data = known_blocks.decode(block)
            effort.spend(sum(map(of_certificate, map(len, data.certificates))))
            embedded = tuple(map(Certificate.parse, data.certificates))
        except FormatError as error:
            failures.append(_in_block(error, number))
            continue
        for info in data.signers:
            try:
                signers.append(_verify_signer(info, content, digests, number, embedded, extra, effort))
            except FormatError as error:
                failures.append(_in_block(error, number))
    return Signatures(tuple(signers), tuple(failures))


def _in_block(error: FormatError, number: int) -> Failure:
    failure = error.failure
    return Failure(failure.code, f"block {number}: {failure.detail}", {**failure.evidence, "block": number})


def _verify_signer(
    info: SignerInfo,
    content: bytes,
    digests: dict[str, bytes],
    number: int,
    embedded: tuple[Certificate, ...],
    extra: Sequence[Certificate],
    effort: Effort,
) -> VerifiedSigner:
    """RFC 5652 section 5.6: the digest of the content, then the signature over the signed attributes."""
    digest_name = algorithms.digest_name(info.digest)
    actual = digests.get(digest_name)
    if actual is None:
        actual = digests[digest_name] = hashlib.new(digest_name, content).digest()
    if not hmac.compare_digest(actual, info.message_digest):
        raise FormatError(
            "content-digest-mismatch",
            "the signature was made for other bytes",
            signed_digest=info.message_digest.hex(),
            manifest_digest=actual.hex(),
        )
    problem: FormatError | None = None
    # Several certificates may fit the identifier (CMS-16); the first whose key verifies the signature is the signer's.
    for certificate in dict.fromkeys((*embedded, *extra)):
        by_key = certificate.key_id == info.key_id
        by_issuer = certificate.serial == info.serial and certificate.issuer_der == info.issuer
        if not (by_issuer if info.key_id is None else by_key):
            continue
        effort.spend(of_signature(certificate.key, len(info.signed_attributes)))
        try:
            row, salt = _identified(info.signature_algorithm, digest_name, certificate)
            algorithms.verify(row, certificate.key, info.signature, info.signed_attributes, salt)
        except FormatError as error:
            problem = error
            continue
        _require_bound(info, certificate, embedded)
        return VerifiedSigner(
            certificate, number, row.name, info.signing_time, embedded, info.timestamps, info.signature
        )
    raise problem or FormatError("signer-certificate-missing", "no certificate matches the signer identifier")


@functools.lru_cache(maxsize=256)
def _identified(
    signature: Algorithm, digest: str, certificate: Certificate
) -> tuple[algorithms.SignatureAlgorithm, int | None]:
    """What `algorithms.identify` says of a certificate's key: the same for all blocks of a signer."""
    return algorithms.identify(signature, digest, certificate.key)


def _require_bound(info: SignerInfo, certificate: Certificate, embedded: tuple[Certificate, ...]) -> None:
    """signingCertificateV2 and signingCertificate, each where it is there, name this signer first (RFC 5035 section 3).

    Where one names more than one, those are all that a path may use: then every embedded certificate
    must be among them, so that none can be exchanged without notice.
    """
    for identifiers in info.named_certificates:
        if not is_named_by(identifiers[0], certificate):
            raise FormatError("bad-signature", "the signer signed for another certificate than the one in the block")
        for other in embedded if len(identifiers) > 1 else ():
            if not any(is_named_by(identifier, other) for identifier in identifiers):
                raise FormatError(
                    "bad-signature",
                    f"the block carries {other.subject}, which the signer did not name",
                    certificate=other.fingerprint,
                )


def is_named_by(identifier: CertificateId, certificate: Certificate) -> bool:
    """Whether hash, and issuer and serial number where they are there, are this certificate's.

    Raises `FormatError` for a digest that is not accepted. The SHA-1 of the older attribute is compared all the
    same: the certificate is proved by other means, so that a collision wins nothing, and another one is refused.
    """
    own = (certificate.issuer_der, certificate.serial)
    if identifier.issuer is not None and (identifier.issuer, identifier.serial) != own:
        return False
    digest = "sha1" if identifier.digest is None else algorithms.digest_name(identifier.digest)
    return hmac.compare_digest(_digest_of(certificate, digest), identifier.value)


@functools.lru_cache(maxsize=256)
def _digest_of(certificate: Certificate, algorithm: str) -> bytes:
    return hashlib.new(algorithm, certificate.der, usedforsecurity=False).digest()
