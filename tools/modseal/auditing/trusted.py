"""The trusted signers of an examined bundle, with what their trust rests on: an anchor, a path, perhaps a timestamp."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from modseal.pki.certificate import Certificate
from modseal.pki.path import NoPath, Path, find_paths
from modseal.pki.public_key import kind_of_key
from modseal.trust.examination import Examination, Status
from modseal.trust.policy import Policy
from modseal.trust.signature import Signer


@dataclass(frozen=True, slots=True)
class Trusted:
    """One trusted signer. `proven` is the time of signing that a timestamp proves, None where none does."""

    signer: Signer
    path: Path
    proven: datetime | None

    @property
    def endures(self) -> bool:
        """Whether the end of its certificates changes nothing: a timestamp or the policy sees to that."""
        return self.proven is not None or (self.path.pinned and self.path.anchor.accept_expired)

    @property
    def first_to_end(self) -> Certificate:
        """The certificate of its path that ends first, the anchor's included."""
        return min(self.path.certificates, key=lambda certificate: certificate.not_after)


def trusted(examination: Examination, policy: Policy, at: datetime) -> Iterator[Trusted]:
    """The trusted signers of an examination of `at`, in the order of their blocks."""
    anchors = dict(examination.trusted)
    for signer in examination.signers:
        if signer.certificate.fingerprint not in anchors:
            continue
        proven = _proven_time(examination, signer)
        # As the examination asked for it, so that the answer is the one that it remembers.
        verified_at = at if proven else None
        paths = find_paths(signer.certificate, signer.embedded, policy, proven or at, verified_at=verified_at)
        for path in () if isinstance(paths, NoPath) else paths:
            if path.anchor.name == anchors[signer.certificate.fingerprint]:
                yield Trusted(signer, path, proven)


def _proven_time(examination: Examination, signer: Signer) -> datetime | None:
    for check in examination.checks:
        about = (check.evidence.get("signer"), check.evidence.get("block"))
        if (check.id, check.status) == ("time.timestamp", Status.PASSED) and about == (
            signer.certificate.fingerprint,
            signer.block,
        ):
            return datetime.fromisoformat(str(check.evidence["time"]))
    return None


def kinds_of_keys(examination: Examination) -> tuple[str, ...]:
    """The kinds of key of the trusted signers, each once, sorted."""
    fingerprints = dict(examination.trusted)
    certificates = [signer.certificate for signer in examination.signers]
    return tuple(sorted({kind_of_key(one.key) for one in certificates if one.fingerprint in fingerprints}))
