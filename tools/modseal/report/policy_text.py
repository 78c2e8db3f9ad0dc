"""A policy as text: all of it, or in one line the weakest thing that it would accept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from modseal.format.level import Level
from modseal.report.text import plural, safe, safe_name
from modseal.trust.deny import Deny
from modseal.trust.policy import Anchor, Policy
from modseal.trust.powers import Power
from modseal.trust.weakest import Weakest, Widest, find, why_unusable, widest

_NAMED = 3
"""Anchors named in the line; `modseal policy show` has them all."""


def render(policy: Policy) -> str:
    """The whole policy as lines."""
    return "\n".join(_lines(policy))


def _lines(policy: Policy) -> Iterator[str]:
    yield f"policy {safe_name(policy.source)}"
    yield f"  minimum level        {policy.minimum_level}"
    yield f"  unsigned community   {'allowed' if policy.allow_unsigned_community else 'refused'}"
    if policy.allow_unsigned_community:
        may = policy.unsigned_may
        yield f"                       may: {_powers(may.powers(Level.COMMUNITY))}; {_scope(may.paths, 'any path')}"
    for anchor in policy.anchors:
        kind = "CA" if anchor.certificate else "pin"
        fingerprint = anchor.certificate.fingerprint if anchor.certificate else anchor.fingerprint
        yield f"  anchor               {safe(anchor.name)} grants {anchor.grants}"
        expired = ", even when expired" if anchor.accept_expired else ""
        yield f"                       {kind} sha256:{fingerprint}{expired}"
        yield f"                       {_scope(anchor.vendors, 'any vendor')}; {_scope(anchor.names, 'any module')}"
        yield f"                       may: {_powers(anchor.powers)}; {_scope(anchor.may.paths, 'any path')}"
    yield f"  algorithms           {', '.join(sorted(policy.algorithms))}"
    yield f"  least RSA key        {policy.minimum_rsa_bits} bits"
    yield f"  timestamp            {'required' if policy.timestamp_required else 'not required'}"
    for authority in policy.timestamp_anchors:
        yield f"  timestamp anchor     {safe(authority.subject)} sha256:{authority.fingerprint}"
    needed = "required" if policy.revocation.required else "not required"
    yield f"  CRLs                 {len(policy.revocation.crls)}, {needed}"
    yield f"  signers              at least {policy.minimum_signers}"
    for wanted in policy.required_signers:
        yield f"  required signer      {safe(wanted)}"
    yield from _deny_lines(policy.deny)
    for name, floor in policy.floors.items():
        yield f"  least version        {safe(name)} {safe(floor)}"
    for wanted in policy.required_attachments:
        yield f"  required attachment  {safe(wanted)}"
    if policy.community_list:
        yield f"  community paths      those of the list {policy.community_list}, and the policy's own:"
    for prefix in policy.community_paths:
        yield f"  community path       {safe(prefix)}"


def _deny_lines(deny: Deny) -> Iterator[str]:
    for digest in sorted(deny.digests):
        yield f"  denied digest        sha256:{digest} of a manifest, a payload or a file"
    for key in sorted(deny.all_keys):
        yield f"  denied key           {key}, in every certificate"
    for fingerprint in sorted(deny.signers_without_key):
        yield f"  denied certificate   sha256:{fingerprint}, and no other with its key"
    for pattern in deny.names:
        yield f"  denied module        {safe(pattern)}"


def _scope(patterns: tuple[str, ...], everything: str) -> str:
    return safe(" or ".join(patterns)) if patterns else everything


def _powers(powers: frozenset[Power]) -> str:
    if powers == frozenset(Power):
        return "all powers"
    return ", ".join(power for power in Power if power in powers) or "no powers"


def weakest(policy: Policy) -> str:
    """One line: the least trusted bundle that would still be accepted, and the most that any bundle may do."""
    found = find(policy)
    text = f"accepts at the weakest {_bundle(found, policy)}" if found else f"accepts nothing: {_why_nothing(policy)}"
    if found and (most := widest(policy)):
        text += f"; widest powers: {_widest(most)}"
    if policy.community_list:
        text += f"; files of community modules by the list {policy.community_list}"
    denied = ", ".join(_denied(policy.deny))
    return f"{safe_name(policy.source)}: {text}" + (f"; denies {denied}" if denied else "")


def _denied(deny: Deny) -> Iterator[str]:
    """What the deny list has, counted; and where it is weaker than it may look."""
    for entries, one in ((deny.all_keys, "key"), (deny.digests, "digest"), (deny.names, "name")):
        if entries:
            yield f"{plural(len(entries), one)}"
    if deny.signers_without_key:
        count = f"{plural(len(deny.signers_without_key), 'certificate')} alone"
        yield f"{count} (name the key to deny every certificate with it)"


def _widest(most: Widest) -> str:
    where = f" below {_list(most.paths, ' or ')}" if most.paths else ""
    who = [f"{anchor.name} ({anchor.grants})" for anchor in most.anchors]
    return f"{_powers(most.powers)}{where} by {_list(who, ' or ') if who else 'unsigned community modules'}"


def _bundle(found: Weakest, policy: Policy) -> str:
    name = f"module {safe(found.name)}" if found.name else "any module"
    vendor = f"vendor {safe(found.vendor)}" if found.vendor else "any vendor"
    if not found.signers:
        return ", ".join([f"an unsigned community module ({name}, {vendor}) from anybody", *_limits(policy)])
    article = "an" if str(found.level)[0] in "aeiou" else "a"
    parts = [
        f"{article} {found.level} module ({name}, {vendor}) by {_signers(found)}",
        *_conditions(found, policy),
        *_limits(policy),
    ]
    return ", ".join(parts)


def _signers(found: Weakest) -> str:
    count = f"{found.signers} signers" if found.signers > 1 else "one signer"
    if found.required:
        more = f", {count} in all" if found.signers > len(found.required) else ""
        return _list(found.required, " and ") + more
    names = [anchor.name for anchor in sorted(found.anchors, key=lambda anchor: anchor.certificate is None)]
    return f"{count} under {_list(names, ' or ')}"


def _list(names: Sequence[str], joint: str) -> str:
    shown = [safe(name) for name in names[:_NAMED]]
    return joint.join(shown) + (f"{joint}{len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _conditions(found: Weakest, policy: Policy) -> Iterator[str]:
    yield "timestamp required" if policy.timestamp_required else "no timestamp needed"
    certifying = any(anchor.certificate for anchor in found.anchors)
    if not certifying:
        yield "pinned, so that no CRL counts"
    elif policy.revocation.required:
        yield "revocation required"
    elif policy.revocation.crls:
        yield "revocation checked only where a CRL is named"
    else:
        yield "no revocation check: no CRL is named"
    expired = [anchor for anchor in found.anchors if anchor.accept_expired]
    if expired:
        yield f"by {_list([anchor.name for anchor in expired], ' or ')} even with an expired certificate"


def _limits(policy: Policy) -> Iterator[str]:
    """What else every accepted bundle has to keep to, as far as it narrows what is accepted at the weakest."""
    if policy.required_attachments:
        yield f"with the attachments {_list(policy.required_attachments, ' and ')}"
    if policy.community_paths and policy.minimum_level.name == "COMMUNITY":
        yield f"as a community module only with files below {_list(policy.community_paths, ' or ')}"


def _why_nothing(policy: Policy) -> str:
    reasons = [(anchor, why_unusable(anchor, policy)) for anchor in policy.anchors]
    if "*" in policy.deny.names:
        return "every module name is on the deny list"
    if not reasons:
        return "it names no anchor"
    if all(why for _, why in reasons):
        anchor, why = reasons[0]
        return f"{safe(anchor.name)} {why}" if len(reasons) == 1 else f"no anchor is of use ({_all(reasons)})"
    return "no module is in the scope of enough signers, required ones included, and not denied"


def _all(reasons: list[tuple[Anchor, str]]) -> str:
    shown = "; ".join(f"{safe(anchor.name)}: {why}" for anchor, why in reasons[:_NAMED])
    return shown + (f"; and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else "")
