"""Step 9: what the policy refuses even from trusted signers: deny list, version floors, recalls, attachments."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime

from modseal.errors import Failure
from modseal.format.manifest import View
from modseal.trust.examination import Check, Judgement, collect
from modseal.trust.integrity import Bundle, Contents
from modseal.trust.policy import Policy, matches_any
from modseal.trust.signers import signer_denials
from modseal.trust.version import version_key


def restriction_checks(
    bundle: Bundle, policy: Policy, contents: Contents, judged: Iterable[Judgement], at: datetime
) -> list[Check]:
    """(9) The deny list, version floors, recalls, required attachments."""
    manifest = contents.manifest
    failures = [*_digest_denials(bundle, policy, contents), *signer_denials(policy, judged)]
    floor = policy.floors.get(manifest.name)
    if floor is not None and version_key(manifest.version) < version_key(floor):
        detail = f"version {manifest.version} is older than the floor {floor}"
        failures.append(Failure("version-below-floor", detail, {"version": manifest.version, "floor": floor}))
    if matches_any(manifest.name, policy.deny.names):
        failures.append(Failure("denied", f"the deny list has the module {manifest.name!r}", {"name": manifest.name}))
    if policy.recalls or policy.kept_recalls:
        from modseal.trust.recalls import recall_failures  # not loaded where no policy needs it

        failures += recall_failures(manifest, policy, at)
    present = {attachment.name for attachment in manifest.attachments} | {a.media_type for a in manifest.attachments}
    failures += [
        Failure("attachment-missing", f"the policy requires the attachment {wanted!r}", {"attachment": wanted})
        for wanted in policy.required_attachments
        if wanted not in present
    ]
    return collect(9, "policy", failures, "not denied, not below a floor, nothing required is missing")


def _digest_denials(bundle: Bundle, policy: Policy, contents: Contents) -> Iterator[Failure]:
    """By the digests of what is signed, and of the whole file, which changes as soon as a block is added to it."""
    if not policy.deny.digests:
        return
    manifest = hashlib.sha256(bundle.manifest).hexdigest()
    found = [("manifest", manifest)]
    for payload, result in contents.measured:
        raw = result.digests.get(("sha256", View.RAW))
        found += [(f"payload {payload.name!r}", raw.hex())] if raw else []
    denied = [(what, digest) for what, digest in found if digest in policy.deny.digests]
    for what, digest in denied:
        yield Failure("denied", f"the deny list has the SHA-256 of its {what}", {"sha256": digest})
    whole = bundle.sha256()
    if whole in policy.deny.digests:
        advice = (
            "" if denied else f"; better deny its manifest, sha256:{manifest}, which stays when the file is changed"
        )
        yield Failure("denied", f"the deny list has the SHA-256 of the file{advice}", {"sha256": whole})
