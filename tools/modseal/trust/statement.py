"""Signed statements that are not bundles: steps 1 to 6 for the index of a depot and for a recall.

They are signed as a manifest is, by CMS blocks over the raw bytes, and judged by the same functions as in `examine`.
What differs is the claim. A statement speaks of all the modules that it names, so a signer's anchor must cover the
vendor and the name of each; and it must grant the policy's minimum level: who cannot get one module accepted decides
nothing about others' modules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

from modseal.errors import Failure
from modseal.format.image_profile import ImageProfile
from modseal.pki.effort import Effort
from modseal.trust import signers
from modseal.trust.examination import Examination, Status, collect
from modseal.trust.levels import LevelClaim
from modseal.trust.policy import Policy
from modseal.trust.signature import verify_member


def examine_statement(
    content: bytes, signature: bytes, modules: Iterable[tuple[str, str]], what: str, policy: Policy, at: datetime
) -> Examination:
    """All checks of a statement at an aware time in UTC: its raw bytes, and its signature member.

    `modules` are vendor and name of each module that it speaks of; `what` is what it is called in messages. The
    examination has no manifest.
    """
    # (1) signature, over exactly the raw bytes.
    effort = Effort()
    signatures = verify_member(signature, content, policy.intermediates, effort=effort)
    checks = signers.signature_checks(not signature, signatures.signers, signatures.failures)

    # (2) time to (6) level.
    claim = LevelClaim(policy.minimum_level, tuple(modules), f"{what} needs a signer of level")
    undecided = all(check.status is not Status.FAILED for check in checks)
    found = signers.judge_all(signatures, claim, policy, at, effort, exempt=False, undecided=undecided)
    checks += [*found.signer_checks(), *found.checks]

    # (9) restrictions: the deny list.
    digest = hashlib.sha256(content).hexdigest()
    denied = [Failure("denied", f"the deny list has the SHA-256 of {what}", {"sha256": digest})]
    failures = [*(denied if digest in policy.deny.digests else ()), *signers.signer_denials(policy, found.signers)]
    checks += collect(9, "policy", failures, "not denied")
    checks.sort(key=lambda check: check.step)
    return Examination(tuple(checks), None, bool(signatures.signers), None, found.signers, at)


def examine_profile(profile: ImageProfile, policy: Policy, at: datetime) -> Examination:
    """All checks of an image profile's signers, who must be fit to speak for all its modules together."""
    return examine_statement(profile.signed, profile.signature, profile.subjects, "the image profile", policy, at)


def withdrawn(examination: Examination) -> bool:
    """Whether the policy has withdrawn its trust from everybody who signed: by deny list, CRL or removed anchors.

    A certificate that has run out by itself withdraws nothing, and neither does what is only undecided.
    """
    return bool(examination.judgements) and all(
        (not one.trusted and any(check.code in _WITHDRAWN for check in one.outcomes[0].checks if one.outcomes))
        or any(check.code == "denied" and check.evidence.get("signer") == one.signer.certificate.fingerprint
               for check in examination.checks)
        for one in examination.judgements
    )  # fmt: skip


_WITHDRAWN = frozenset({"revoked", "no-path", "no-anchors"})
