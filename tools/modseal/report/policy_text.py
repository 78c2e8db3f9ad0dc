"""A policy as text: all of it, or the weakest thing that it would accept."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.format.level import Level
from modseal.report.text import safe
from modseal.trust.policy import Anchor, Policy


def weakest(policy: Policy) -> str:
    """One line: the least trusted bundle that would still be accepted."""
    if policy.allow_unsigned_community and policy.minimum_level is Level.COMMUNITY:
        return f"{safe(policy.source)}: accepts at the weakest an unsigned community module from anybody"
    usable = [anchor for anchor in policy.anchors if anchor.grants >= policy.minimum_level]
    if not usable:
        return f"{safe(policy.source)}: accepts nothing: no anchor grants {policy.minimum_level}"
    widest = min(usable, key=_narrowness)
    vendors, names = _scope(widest.vendors, "any vendor"), _scope(widest.names, "any module")
    signers = f"{policy.minimum_signers} signers" if policy.minimum_signers > 1 else "one signer"
    revocation = "revocation required" if policy.revocation.required else "revocation not required"
    return (f"{safe(policy.source)}: accepts at the weakest a {policy.minimum_level} module ({names}, {vendors}) by {signers} "
            f"under {safe(widest.name)}, {revocation}, {'timestamp required' if policy.timestamp_required else 'no timestamp needed'}")


def _narrowness(anchor: Anchor) -> tuple[bool, bool]:
    return bool(anchor.vendors), bool(anchor.names)


def _scope(patterns: tuple[str, ...], everything: str) -> str:
    return safe(" or ".join(patterns)) if patterns else everything


def render(policy: Policy) -> str:
    """The whole policy as lines."""
    return "\n".join(_lines(policy))


def _lines(policy: Policy) -> Iterator[str]:
    yield f"policy {safe(policy.source)}"
    yield f"  minimum level        {policy.minimum_level}"
    yield f"  unsigned community   {'allowed' if policy.allow_unsigned_community else 'refused'}"
    for anchor in policy.anchors:
        kind = "CA" if anchor.certificate else "pin"
        fingerprint = anchor.certificate.fingerprint if anchor.certificate else anchor.fingerprint
        yield f"  anchor               {safe(anchor.name)} grants {anchor.grants}"
        yield f"                       {kind} sha256:{fingerprint}{', even when expired' if anchor.accept_expired else ''}"
        yield f"                       {_scope(anchor.vendors, 'any vendor')}; {_scope(anchor.names, 'any module')}"
    yield f"  algorithms           {', '.join(sorted(policy.algorithms))}"
    yield f"  least RSA key        {policy.minimum_rsa_bits} bits"
    yield f"  timestamp            {'required' if policy.timestamp_required else 'not required'}"
    yield f"  CRLs                 {len(policy.revocation.crls)}, {'required' if policy.revocation.required else 'not required'}"
    yield f"  signers              at least {policy.minimum_signers}"
    for wanted in policy.required_signers:
        yield f"  required signer      {safe(wanted)}"
    deny = policy.deny
    yield f"  denied               {len(deny.digests)} digests, {len(deny.signers)} signers, {len(deny.names)} names"
    for name, floor in policy.floors.items():
        yield f"  least version        {safe(name)} {safe(floor)}"
    for wanted in policy.required_attachments:
        yield f"  required attachment  {safe(wanted)}"
    for prefix in policy.community_paths:
        yield f"  community path       {safe(prefix)}"
