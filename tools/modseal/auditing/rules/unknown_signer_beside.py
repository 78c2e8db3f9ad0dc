"""A signer that nobody trusts, beside one that is trusted."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject


def check(subject: Subject) -> Iterator[Hit]:
    """Verified signers that the policy does not trust, where it trusts another."""
    fingerprints = dict(subject.examination.trusted)
    for certificate in dict.fromkeys(signer.certificate for signer in subject.examination.signers):
        if fingerprints and certificate.fingerprint not in fingerprints:
            evidence = {"signer": certificate.fingerprint, "subject": certificate.subject}
            yield Hit(f"{certificate.subject} signed it too, whom the policy does not trust", evidence)


RULE = Rule(
    id="unknown-signer-beside",
    severity=Severity.INFO,
    title="A signer that is not trusted, beside one that is",
    what="The bundle has a good signature by somebody whom the policy does not trust, beside that of a trusted signer.",
    why="Signatures can be added by anybody: it takes nothing from the trusted one, and proves nothing. Often it is a "
    "vendor's newer or older certificate, whose anchor the policy lacks.",
    remedy="Ask the vendor whether the signer is theirs; if so, their anchor is missing in the policy.",
    example="A VIB with an old and a new signature of VMware, under a policy that pins the old signer alone.",
    check=check,
)
