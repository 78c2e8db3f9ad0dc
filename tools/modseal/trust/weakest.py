"""The weakest thing that a policy would accept, found with the policy's own rules.

A policy is as strong as the weakest bundle that passes it, and that is hard to see in a long file. So a
bundle is sought: by a vendor and with a name that no scope was written for, then by ones made from the
scopes' patterns, with as few signers as will do. `None` says that there is none: the policy accepts nothing.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain, permutations, product

from modseal.format.level import Level
from modseal.trust.policy import Anchor, Policy, matches_any
from modseal.trust.powers import Power

Choice = tuple[str | None, str]
"""A pattern (None: any) and a text that it matches."""

_LETTERS = string.ascii_letters + string.digits
_ANY = "zq-9f3e7c-unforeseen"
_UNFORESEEN: tuple[Choice, ...] = tuple((None, text) for text in (_ANY, *_LETTERS))
"""Texts that nobody wrote a pattern for, unless it matches all."""
_COMBINED = 6
"""Patterns of one kind up to which every two and every three are tried together."""
_TRIED = 2_000
"""Pairs of a vendor and a name that are tried at most."""
_CLASS = re.compile(r"\[!?\]?[^]]*\]")


@dataclass(frozen=True, slots=True)
class Weakest:
    """A kind of bundle that is accepted.

    `anchors` are those of which one has to vouch for each of `signers` distinct signers (0: unsigned), and
    `required` those that must. `vendor` and `name` are patterns, None for any.
    """

    level: Level
    vendor: str | None
    name: str | None
    signers: int
    anchors: tuple[Anchor, ...]
    required: tuple[str, ...]


def find(policy: Policy) -> Weakest | None:
    """The weakest kind of bundle that the policy accepts, or None where it accepts nothing."""
    signers_wanted = policy.minimum_signers > 1 or policy.required_signers
    if policy.allow_unsigned_community and policy.minimum_level is Level.COMMUNITY and not signers_wanted:
        free = any(not matches_any(text, policy.deny.names) for _, text in _UNFORESEEN)
        return Weakest(Level.COMMUNITY, None, None, 0, (), ()) if free else None
    usable = [anchor for anchor in policy.anchors if not why_unusable(anchor, policy)]
    for tried, ((vendor, vendor_text), (name, name_text)) in enumerate(_pairs(usable)):
        speaking = tuple(
            anchor for anchor in usable if anchor.speaks_for_vendor(vendor_text) and anchor.speaks_for_name(name_text)
        )
        if _suffice(speaking, policy) and not matches_any(name_text, policy.deny.names):
            return _accepted(policy, vendor, name, speaking)
        if tried == _TRIED:
            break
    # Where scopes could meet in a way that was not tried, the answer is too weak rather than too strong.
    unclear = _suffice(usable, policy) and "*" not in policy.deny.names and _has_untried(usable, policy)
    return _accepted(policy, None, None, tuple(usable)) if unclear else None


def _accepted(policy: Policy, vendor: str | None, name: str | None, anchors: tuple[Anchor, ...]) -> Weakest:
    return Weakest(policy.minimum_level, vendor, name, policy.minimum_signers, anchors, policy.required_signers)


def _has_untried(usable: Sequence[Anchor], policy: Policy) -> bool:
    """Whether patterns with wildcards have to meet in fours, or are too many to be combined."""
    patterns = [
        {one for anchor in usable for one in anchor.vendors},
        {one for anchor in usable for one in anchor.names},
    ]
    wild = any(not set(pattern).isdisjoint("*?[") for some in patterns for pattern in some)
    needed = max(policy.minimum_signers, len(policy.required_signers))
    many = max(map(len, patterns)) > _COMBINED
    return (wild and (needed > 3 or many)) or sum(map(len, patterns)) > _TRIED**0.5


def why_unusable(anchor: Anchor, policy: Policy) -> str:
    """Why nothing that the anchor vouches for can be accepted; empty where something can."""
    if anchor.grants < policy.minimum_level:
        return f"grants {anchor.grants}, and the minimum is {policy.minimum_level}"
    if policy.timestamp_required and not policy.timestamp_anchors:
        return "a timestamp is required, and no timestamp anchor is named"
    if anchor.fingerprint in policy.deny.all_signers:
        return "its signer is on the deny list"
    if anchor.certificate and policy.deny.entry(anchor.certificate):
        return "it is on the deny list itself"
    certificate, revocation = anchor.certificate, policy.revocation
    if (
        certificate
        and revocation.required
        and not any(crl.issuer == certificate.subject_name for crl in revocation.crls)
    ):
        return "revocation is required, and it has no CRL"
    return ""


@dataclass(frozen=True, slots=True)
class Widest:
    """The most that any one signer may do: by these anchors, or by nobody's signature where there are none."""

    powers: frozenset[Power]
    anchors: tuple[Anchor, ...]
    paths: tuple[str, ...]


def widest(policy: Policy) -> Widest | None:
    """The widest powers that the policy grants, the gravest first; None where it accepts nothing.

    Of equal powers those without `paths` are wider. Each anchor is taken by itself, as step 8 takes it.
    """
    usable = [anchor for anchor in policy.anchors if not why_unusable(anchor, policy)]
    found: list[tuple[frozenset[Power], bool, Anchor | None]] = [
        (anchor.powers, not anchor.may.paths, anchor) for anchor in usable
    ]
    if policy.allow_unsigned_community and policy.minimum_level is Level.COMMUNITY:
        may = policy.unsigned_may
        found.append((may.powers(Level.COMMUNITY), not may.paths, None))
    if not found:
        return None
    powers, anywhere, _ = max(found, key=lambda one: ([power in one[0] for power in Power], one[1]))
    holders = [holder for held, free, holder in found if (held, free) == (powers, anywhere)]
    anchors = () if None in holders else tuple(holder for holder in holders if holder is not None)
    paths = anchors[0].may.paths if anchors else policy.unsigned_may.paths
    return Widest(powers, anchors, paths)


def _suffice(speaking: Sequence[Anchor], policy: Policy) -> bool:
    """Whether enough signers can come from these anchors, the required ones among them.

    A CA can certify any number of signers; a pin is one.
    """
    certifying = any(anchor.certificate for anchor in speaking)
    names = {anchor.name for anchor in speaking}
    pins = {anchor.fingerprint for anchor in speaking if anchor.fingerprint}
    for wanted in policy.required_signers:
        by_fingerprint = wanted in pins or (
            certifying and wanted not in policy.pins and bool(re.fullmatch("[0-9a-f]{64}", wanted))
        )
        if wanted in policy.deny.all_signers or not (wanted in names or by_fingerprint):
            return False
    return certifying or len(pins) >= policy.minimum_signers


def _pairs(usable: Sequence[Anchor]) -> Iterator[tuple[Choice, Choice]]:
    """Vendors and names to try, each once: those of each anchor, the widest anchor first, then all with all."""
    seen: set[tuple[Choice, Choice]] = set()
    for pair in chain(_own_pairs(usable), _cross_pairs(usable)):
        if pair not in seen:
            seen.add(pair)
            yield pair


def _own_pairs(usable: Sequence[Anchor]) -> Iterator[tuple[Choice, Choice]]:
    for anchor in sorted(usable, key=lambda one: (_narrow(one.vendors), bool(one.vendors), bool(one.names))):
        yield from product(_within(anchor.vendors) or _UNFORESEEN[:1], _within(anchor.names) or _UNFORESEEN)


def _cross_pairs(usable: Sequence[Anchor]) -> Iterator[tuple[Choice, Choice]]:
    vendors, names = _across([one.vendors for one in usable]), _across([one.names for one in usable])
    yield from product([*_UNFORESEEN[:1], *vendors], [*_UNFORESEEN, *names])


def _within(patterns: Sequence[str]) -> Sequence[Choice]:
    widest_first = sorted(patterns, key=lambda pattern: _narrow((pattern,)))
    return [(pattern, text) for pattern in widest_first for text in _instances(pattern)]


def _narrow(patterns: Sequence[str]) -> bool:
    """Whether what nobody has foreseen is outside all of some patterns: `[!B]*` lets in more than `Acme`."""
    return bool(patterns) and not matches_any(_ANY, tuple(patterns))


def _across(scopes: Sequence[Sequence[str]]) -> list[Choice]:
    """Every pattern of all the scopes, and what two or three have in common where there are few."""
    patterns = list(dict.fromkeys(pattern for scope in scopes for pattern in scope))
    together = [
        (" and ".join(some), text)
        for count in (2, 3)
        for some in permutations(patterns if len(patterns) <= _COMBINED else (), count)
        for text in _instances("".join(some))
        if all(fnmatchcase(text, pattern) for pattern in some)
    ]
    return [*_within(patterns), *together]


def _instances(pattern: str) -> Iterator[str]:
    """Texts that a shell-style pattern matches: its stars empty, and filled."""
    plain = _CLASS.sub(lambda found: next((one for one in _LETTERS if fnmatchcase(one, found[0])), "-"), pattern)
    for star in ("", _ANY):
        text = plain.replace("?", "x").replace("*", star)
        if text and fnmatchcase(text, pattern):
            yield text
