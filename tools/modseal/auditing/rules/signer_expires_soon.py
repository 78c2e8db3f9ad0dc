"""A bundle that will be refused before long, because a certificate ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject
from modseal.auditing.trusted import Trusted
from modseal.trust.moments import BEGINNING
from modseal.trust.policy import Policy

WINDOW = timedelta(days=90)
"""A quarter of a year: long enough to ask a vendor for another signature, and to roll it out."""


def check(subject: Subject) -> Iterator[Hit]:
    """Trusted signers whose path ends within the window, unless those that remain suffice."""
    signers = subject.trusted
    ending = [one for one in signers if not one.endures and _start(one) <= subject.at]
    if _suffice([one for one in signers if one not in ending], subject.policy):
        return
    for one in ending:
        certificate = one.first_to_end
        end = f"{certificate.not_after:%Y-%m-%d}"
        whose = "" if certificate == one.signer.certificate else f", above {one.signer.certificate.subject},"
        detail = f"the certificate of {certificate.subject}{whose} ends on {end}, and the signature with it"
        evidence = {"signer": one.signer.certificate.fingerprint, "certificate": certificate.fingerprint}
        yield Hit(detail, {**evidence, "not_after": certificate.not_after.isoformat()})


def moments(subject: Subject) -> Iterator[datetime]:
    """When the window of each certificate begins."""
    for one in subject.trusted:
        if not one.endures:
            yield _start(one)


def _start(one: Trusted) -> datetime:
    """When its end is near enough to be told."""
    try:
        return one.first_to_end.not_after - WINDOW
    except OverflowError:  # a certificate of the year 1
        return BEGINNING


def _suffice(lasting: Sequence[Trusted], policy: Policy) -> bool:
    """Whether the policy asks for no more signers than these."""
    named = {one.path.anchor.name for one in lasting} | {one.signer.certificate.fingerprint for one in lasting}
    keys = {one.signer.certificate.key_der for one in lasting}
    return len(keys) >= policy.minimum_signers and named.issuperset(policy.required_signers)


RULE = Rule(
    id="signer-expires-soon",
    severity=Severity.MEDIUM,
    title="A certificate that the signature needs ends within 90 days",
    what=f"A trusted signer's certificate, or one above it, ends within {WINDOW.days} days. No timestamp proves when "
    "the signature was made, the policy does not accept the expired certificate, and the other signers do not suffice.",
    why="On that day the same bytes under the same policy are refused as `expired`: in the pipeline, at the gate, and "
    "on every host at once.",
    remedy="Have the bundle timestamped while the certificate is valid (`modseal timestamp`), or signed again.",
    example="A bundle signed without a timestamp, whose signer's certificate ends next month.",
    check=check,
    moments=moments,
)
