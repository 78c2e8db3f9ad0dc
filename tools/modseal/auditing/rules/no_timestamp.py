"""A signature whose time nothing proves, so that it ends with its certificate."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject
from modseal.errors import Evidence

_IGNORED = "Name the root of the timestamp authority under `[time] anchors`, if you trust it."


def check(subject: Subject) -> Iterator[Hit]:
    """Trusted signers below a CA without a timestamp that counts. A pin's keeper decides about its end himself."""
    for one in subject.trusted:
        if one.proven or one.path.pinned:
            continue
        signer = one.signer
        evidence: Evidence = {"signer": signer.certificate.fingerprint, "timestamps": len(signer.timestamps)}
        if signer.timestamps:
            detail = f"the timestamp of {signer.certificate.subject} is ignored: the policy names no timestamp anchor"
            yield Hit(detail, evidence, remedy=_IGNORED)
        else:
            yield Hit(f"the signature of {signer.certificate.subject} has no timestamp", evidence)


RULE = Rule(
    id="no-timestamp",
    severity=Severity.LOW,
    title="No timestamp proves when it was signed",
    what="A trusted signer's signature has no timestamp, or none that the policy takes notice of. Signers that the "
    "policy pins are not meant: there the pin says what happens when the certificate ends.",
    why="Such a signature is good for as long as its certificate, a year or two, and the bundle is often in use for "
    "longer. Low, because nothing is wrong today; `signer-expires-soon` tells when it becomes urgent.",
    remedy="Timestamp the signature while its certificate is valid: `modseal timestamp`, or `--tsa` of `modseal sign`.",
    example="A `.seal` signed in a pipeline that has no access to a timestamp authority.",
    check=check,
)
