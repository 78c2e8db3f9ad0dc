"""The trusted signers of an examined bundle, with what their trust rests on: an anchor, a path, perhaps a timestamp."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from modseal.pki.certificate import Certificate
from modseal.pki.public_key import kind_of_key
from modseal.trust.anchors import AnchoredPath
from modseal.trust.examination import Examination
from modseal.trust.signature import VerifiedSigner
from modseal.values import dataclass


@dataclass(frozen=True, slots=True)
class Trusted:
    """One trusted signer. `proven` is the time of signing that a timestamp proves, None where none does."""

    signer: VerifiedSigner
    path: AnchoredPath
    proven: datetime | None

    @property
    def endures(self) -> bool:
        """Whether the end of its certificates changes nothing: a timestamp or the policy sees to that."""
        return self.proven is not None or (self.path.pinned and self.path.anchor.accept_expired)

    @property
    def first_to_end(self) -> Certificate:
        """The certificate of its path that ends first, the anchor's included."""
        return min(self.path.certificates, key=lambda certificate: certificate.not_after)


def trusted(examination: Examination) -> Iterator[Trusted]:
    """The trusted signers of an examination, in the order of their blocks."""
    for one in examination.judgements:
        if one.trusted and one.path:
            yield Trusted(one.signer, one.path, one.proven_time)


def kinds_of_keys(examination: Examination) -> tuple[str, ...]:
    """The kinds of key of the trusted signers, each once, sorted."""
    fingerprints = dict(examination.trusted)
    certificates = [signer.certificate for signer in examination.signers]
    return tuple(sorted({kind_of_key(one.key) for one in certificates if one.fingerprint in fingerprints}))
