"""A signature that outlives its certificate, because a timestamp proves when it was made."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject


def check(subject: Subject) -> Iterator[Hit]:
    """Trusted signers whose path has ended since the time that a timestamp proves."""
    for one in subject.trusted:
        certificate = one.first_to_end
        if one.proven and certificate.not_after < subject.at:
            end, signed = f"{certificate.not_after:%Y-%m-%d}", f"{one.proven:%Y-%m-%d}"
            detail = f"{certificate.subject} ended on {end}; a timestamp of {signed} keeps the signature"
            yield Hit(detail, {"signer": one.signer.certificate.fingerprint, "certificate": certificate.fingerprint})


def moments(subject: Subject) -> Iterator[datetime]:
    """When the first certificate of each path ends."""
    return (one.first_to_end.not_after for one in subject.trusted)


RULE = Rule(
    id="signer-expired-timestamped",
    severity=Severity.INFO,
    title="A timestamp keeps an expired signer trusted",
    what="A certificate that the signature needs has ended, and a timestamp of an authority that the policy trusts "
    "proves that the signature was made before.",
    why="This is what timestamps are for. It is told because the bundle is now trusted through the timestamp alone: "
    "whoever takes the authority out of `[time] anchors` refuses it.",
    remedy="Nothing needs to be done. Keep the timestamp authority in the policy for as long as the bundle is in use.",
    example="A release of 2023 whose signer's certificate ended in 2025.",
    check=check,
    moments=moments,
)
