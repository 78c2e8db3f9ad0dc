"""A signature block that could not be judged, beside one that could."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject
from modseal.trust.examination import Status


def check(subject: Subject) -> Iterator[Hit]:
    """Checks of step 1 that were set aside."""
    for one in subject.examination.checks:
        if one.step == 1 and one.code and one.status is Status.NOT_APPLICABLE:
            yield Hit(one.detail, {**one.evidence, "code": one.code})


RULE = Rule(
    id="signature-set-aside",
    severity=Severity.LOW,
    title="A signature could not be judged",
    what="One of the signature blocks has an algorithm or a kind of key that this modseal, or this machine's library, "
    "does not know. Another block was verified, so this one was set aside.",
    why="That is how a vendor adds a newer signature without shutting out older verifiers. But it is also a block of "
    "which nobody here can say what it proves. Low, because it decides nothing.",
    remedy="Update modseal, and audit again: what is set aside here may be judged there.",
    example="A block with an algorithm of 2030 beside one with RSA.",
    check=check,
)
