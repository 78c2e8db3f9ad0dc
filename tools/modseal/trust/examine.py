"""The main path: examine a bundle under a policy at a time, step by step.

Read `examine` top to bottom; its numbers are those of docs/verification.md, of the reports and of the
policy. It does no I/O and reads no clock: the bundle's bytes come through `Bundle`, the time is given.
The manifest is parsed after step 1, from the very bytes that step 1 verified. When step 1 fails the
rest is still examined as far as possible, for diagnosis; no later result can make up for it.

Steps 0, 7 and 8 are in `integrity`, 1 to 6 in `signers`, 9 in `restrictions`; what files may do in `granted`.
"""

from __future__ import annotations

from datetime import datetime
from operator import attrgetter

from modseal.errors import Failure, FormatError
from modseal.format.level import Level
from modseal.pki.effort import Effort
from modseal.trust import granted, integrity, signers
from modseal.trust.contents import by_path
from modseal.trust.examination import (
    STEPS,
    Examination,
    Judgement,
    Status,
    failed,
    skipped,
    unexamined,
)
from modseal.trust.integrity import Bundle
from modseal.trust.levels import LevelClaim
from modseal.trust.policy import Policy
from modseal.trust.restrictions import restriction_checks
from modseal.trust.signature import verify_member


def examine(bundle: Bundle, policy: Policy, at: datetime) -> Examination:
    """All checks of a bundle under a policy, at an aware time in UTC."""
    # (0) container: exactly the members of the format, in order, nothing else.
    members = bundle.container
    if isinstance(members, Failure):
        return integrity.unreadable(members, at, range(1, len(STEPS)))
    checks = [integrity.container_check(members)]

    # (1) signature: the signers of exactly the manifest member's raw bytes.
    effort = Effort()
    signatures = verify_member(bundle.signature, bundle.manifest, policy.intermediates, bundle.kind, effort)
    signature_checks = signers.signature_checks(not bundle.signature, signatures.signers, signatures.failures)
    # Only now is the manifest parsed, from the very bytes that were verified.
    try:
        manifest = integrity.read_manifest(bundle.kind, bundle.manifest)
    except FormatError as error:
        checks += [*signature_checks, failed(1, "manifest", error.failure)]
        checks += [unexamined(step, "not examined: the manifest cannot be read") for step in range(2, len(STEPS))]
        return Examination(tuple(checks), None, False, None, tuple(map(Judgement, signatures.signers)), at)
    checks += [failed(1, "manifest", failure) for failure in (manifest.vib.unknown if manifest.vib else ())]
    community = manifest.claimed_level is Level.COMMUNITY
    exempt = not bundle.signature and community and policy.allow_unsigned_community
    if exempt:
        detail = "unsigned community module; the policy allows it"
        checks += [skipped(step, "signers", detail) for step in range(1, 6)]
    else:
        checks += signature_checks

    # (2) time to (6) level, for each signer by itself, then for all of them together.
    claim = LevelClaim(manifest.claimed_level, ((manifest.vendor, manifest.name),))
    undecided = all(check.status is not Status.FAILED for check in checks if check.step == 1)
    found = signers.judge_all(signatures, claim, policy, at, effort, exempt=exempt, undecided=undecided)
    rest = [*found.checks, *signers.expected_checks(manifest, signatures)]

    # (7) payloads: size and every digest of each, and of every attachment.
    # (8) files: exactly the declared ones, none of them unsafe, and nothing that the policy does not grant.
    signed = bool(signatures.signers)
    whole = bool(found.trusted) or exempt  # else it cannot be accepted, and a part of it is enough for the report
    contents = integrity.measure(
        bundle,
        manifest,
        members,
        whole=whole,
        to_sink=whole,
        exempt=exempt,
        raw=bool(policy.deny.digests),  # only a deny list needs the digest of a payload as a whole
    )
    holders = [None] if exempt else [anchor for one in found.trusted for anchor in one.anchors]
    power = granted.judge(contents.demand, holders, policy.unsigned_may)
    rest += integrity.content_checks(bundle, members, contents, power.unsafe)
    placement = granted.placement_failures(
        manifest, contents.demand.entries, policy.community_paths, policy.community_list
    )
    rest += [failed(8, "placement", failure) for failure in by_path(placement)]
    rest += power.checks

    # If one anchor allows everything that the module does, its signers are shown under that anchor.
    judged = [one.under(power.anchor) for one in found.signers]
    checks += found.signer_checks(power.anchor)

    # (9) restrictions: deny list, version floor, required attachments.
    rest += restriction_checks(bundle, policy, contents, judged, at)

    checks = sorted([*checks, *rest], key=attrgetter("step"))
    # The claim is proved once a signer with a sound path grants it; the minimum is another matter.
    levels = (outcome.proven_level for one in judged for outcome in one.outcomes)
    proven = next((level for level in levels if level), None)
    return Examination(tuple(checks), manifest, signed, proven, tuple(judged), at)
