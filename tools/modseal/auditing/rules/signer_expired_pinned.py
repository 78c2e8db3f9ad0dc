"""A signer whose certificate has ended, and whom a pin accepts all the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject


def check(subject: Subject) -> Iterator[Hit]:
    """Trusted signers that have ended, where nothing but the pin speaks for them."""
    for one in subject.trusted:
        certificate = one.signer.certificate
        if one.endures and one.proven is None and certificate.not_after < subject.at:
            name = one.path.anchor.name
            detail = f"{certificate.subject} ended on {certificate.not_after:%Y-%m-%d}; the pin {name} accepts it still"
            yield Hit(detail, {"signer": certificate.fingerprint, "anchor": name})


def moments(subject: Subject) -> Iterator[datetime]:
    """When each certificate ends."""
    return (one.signer.certificate.not_after for one in subject.trusted)


RULE = Rule(
    id="signer-expired-pinned",
    severity=Severity.LOW,
    title="Only a pin keeps an expired signer trusted",
    what="A trusted signer's certificate has ended, no timestamp proves that the signature is older, and the policy "
    "pins the certificate with `accept-expired = true`.",
    why="The policy's keeper wanted it so, and VMware's signatures before 2020 need it. But nothing proves when the "
    "signature was made: whoever finds the old key can sign today, and it is accepted. Low, because it is a decision "
    "of the policy and no fault of the bundle.",
    remedy="Narrow the pin with `names` and `vendors`, and drop it when nothing needs it any more.",
    example="A VIB of 2015 under the policy `vmware`: its signer's certificate ended on 2019-12-31.",
    check=check,
    moments=moments,
)
