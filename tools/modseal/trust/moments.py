"""The moments at which a verdict may change by itself: certificates begin and end, CRLs go stale.

Between two neighbouring moments the time of verification decides nothing, so a verdict holds for every time
between them. Who keeps verdicts (an audit's cache) keeps them for that long and no longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from modseal.errors import FormatError
from modseal.format import timestamp as token_format
from modseal.pki.certificate import Certificate
from modseal.trust.policy import Policy
from modseal.trust.signature import VerifiedSigner, verify_member
from modseal.trust.timestamp import CLOCK_TOLERANCE

BEGINNING = datetime.min.replace(tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)


def of_policy(policy: Policy) -> frozenset[datetime]:
    """The moments of what the policy names."""
    named = [anchor.certificate for anchor in policy.anchors if anchor.certificate]
    certificates = (*named, *policy.intermediates, *policy.timestamp_anchors)
    return frozenset((*_of_certificates(certificates), *_of_crls(policy), *_of_recalls(policy)))


def of_signers(signers: Iterable[VerifiedSigner]) -> frozenset[datetime]:
    """The moments of signers, of the certificates beside them, and of their timestamps."""
    found: set[datetime] = set()
    for signer in signers:
        found.update(_of_certificates((signer.certificate, *signer.embedded)))
        found.update(_of_tokens(signer.timestamps))
    return frozenset(found)


def between(moments: Iterable[datetime], at: datetime) -> tuple[datetime, datetime] | None:
    """The neighbouring moments around `at`; a verdict of `at` holds strictly between them. None exactly at one."""
    earlier, later = BEGINNING, END
    for moment in moments:
        if moment == at:
            return None
        earlier, later = (max(earlier, moment), later) if moment < at else (earlier, min(later, moment))
    return earlier, later


def _of_certificates(certificates: Iterable[Certificate]) -> Iterator[datetime]:
    for certificate in certificates:
        yield certificate.not_before
        yield certificate.not_after


def _of_crls(policy: Policy) -> Iterator[datetime]:
    for crl in policy.revocation.crls:
        yield crl.this_update
        yield from (crl.next_update,) if crl.next_update else ()
        try:
            yield from (crl.this_update + policy.revocation.maximum_age,) if policy.revocation.maximum_age else ()
        except OverflowError:  # beyond the year 9999: it never comes
            continue


def _of_recalls(policy: Policy) -> Iterator[datetime]:
    for recall in policy.recalls:
        yield recall.issued
        yield recall.expires
        yield from of_signers(verify_member(recall.signature, recall.signed, policy.intermediates).signers)


def _of_tokens(tokens: Iterable[bytes]) -> Iterator[datetime]:
    """A verifier's clock must not be before a token's time; nothing else about a token depends on it.

    The time that it proves is one too, so that no result is kept that has it and the time of verification as the same.
    """
    for raw in tokens:
        try:
            token = token_format.decode(raw)
            yield token.latest
            yield token.earliest - CLOCK_TOLERANCE
        except (FormatError, OverflowError):
            continue
