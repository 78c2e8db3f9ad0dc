"""The weakest bundle that a policy accepts, read off the table of its anchors.

Each usable anchor is a row: what it grants, the vendors and names of its scope, and how many signers it stands for (a
CA any number, a pin one). A way in is a set of rows that together satisfy `[signers]`; every one of them has to speak
for the module, so the scope of a way in is what all of their patterns have in common. The widest one is the weakest.

Patterns are compared as patterns; no example names are tried. That is exact for plain text and `*`. Two patterns with
`?` or `[...]` may be taken to have something in common although they have not, and a deny list of several patterns may
cover more than is seen here: the answer is then too weak rather than too strong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import combinations, islice, product

from modseal.format.level import Level
from modseal.trust.policy import Anchor, Policy, matches_any
from modseal.trust.powers import Power
from modseal.values import dataclass, regex

_TRIED = 40_000
"""Combinations that are looked at: 256 pins of which two have to sign make 32,640, of which three 2.8 million."""
_SHOWN = 3
"""Patterns that the text names."""
Choice = tuple[str, ...]
"""Patterns that a text has to match all; none: any text."""

_WILDCARD = regex(r"[*?]|\[!?\]?[^]]*\]")


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
        return None if "*" in policy.deny.names else Weakest(Level.COMMUNITY, None, None, 0, (), ())
    usable = [anchor for anchor in policy.anchors if not why_unusable(anchor, policy)]
    ways = _ways_in(usable, policy)
    scopes = [scope for way in islice(ways, _TRIED) if (scope := _common_scope(way, policy))]
    if next(ways, None):  # too many to look at them all: nothing is weaker than any module of any vendor
        scopes.append(([()], [()]))
    if not scopes:
        return None
    vendors, names = min(scopes, key=lambda scope: tuple(min(map(_narrowness, choices)) for choices in scope))
    speaking = [one for one in usable if _speaks_for(one.vendors, vendors) and _speaks_for(one.names, names)]
    return Weakest(
        policy.minimum_level,
        _text(vendors),
        _text(names),
        policy.minimum_signers,
        tuple(speaking),
        policy.required_signers,
    )


def _ways_in(usable: Sequence[Anchor], policy: Policy) -> Iterator[tuple[Anchor, ...]]:
    """The smallest sets of anchors that give enough signers, the required ones among them."""
    certifying = [anchor for anchor in usable if anchor.certificate]
    pins = [anchor for anchor in usable if anchor.fingerprint]
    for required in product(*(_stand_for(wanted, usable, policy) for wanted in policy.required_signers)):
        pinned = {anchor.fingerprint for anchor in required if anchor.fingerprint}
        missing = policy.minimum_signers - len(pinned)
        if missing <= 0 or any(anchor.certificate for anchor in required):
            yield required
            continue
        yield from ((*required, anchor) for anchor in certifying)
        for more in combinations([pin for pin in pins if pin.fingerprint not in pinned], missing):
            if len({pin.fingerprint for pin in more}) == missing:  # two pins of one certificate are one signer
                yield (*required, *more)


def _stand_for(wanted: str, usable: Sequence[Anchor], policy: Policy) -> list[Anchor]:
    """The anchors under which a required signer can be trusted: `wanted` is an anchor's name or a fingerprint.

    A fingerprint that no pin has may be that of any certificate below a CA.
    """
    if wanted in policy.deny.all_signers:
        return []
    unknown = wanted not in policy.pins and all(anchor.name != wanted for anchor in policy.anchors)
    return [one for one in usable if wanted in (one.name, one.fingerprint) or (unknown and one.certificate)]


def _common_scope(way: Sequence[Anchor], policy: Policy) -> tuple[list[Choice], list[Choice]] | None:
    """The vendors and names that all these anchors speak for, without denied ones; None where that leaves nothing."""
    vendors = _common([anchor.vendors for anchor in way])
    names = [one for one in _common([anchor.names for anchor in way]) if not _is_denied(one, policy)] if vendors else []
    return (vendors, names) if names else None


def _common(scopes: Sequence[tuple[str, ...]]) -> list[Choice]:
    """One pattern of each scope that has any, in every way in which one text can match all of them."""
    choices: list[Choice] = [()]
    for scope in filter(None, scopes):
        choices = [
            _together(choice, pattern)
            for choice in choices
            for pattern in scope
            if all(_meet(pattern, other) for other in choice)
        ][:_TRIED]
    return choices


def _together(choice: Choice, pattern: str) -> Choice:
    """Both as one choice: a plain text, if there is one, is all that they have in common."""
    if pattern in choice or (choice and not _WILDCARD.search(choice[0])):
        return choice
    return (*choice, pattern) if _WILDCARD.search(pattern) else (pattern,)


def _narrowness(choice: Choice) -> tuple[bool, int]:
    """The least is the widest: wildcards before plain texts, few plain characters before many."""
    plain = any(not _WILDCARD.search(pattern) for pattern in choice)
    return plain, sum(1 + len(_WILDCARD.sub("", pattern)) for pattern in choice)


def _meet(one: str, other: str) -> bool:
    """Whether some text matches both patterns.

    Between two patterns with `*`, only their beginnings and ends count: one text can have the middle parts
    of both, one after the other.
    """
    for plain, pattern in ((one, other), (other, one)):
        if not _WILDCARD.search(plain):
            return fnmatchcase(plain, pattern)
    (begin, end), (other_begin, other_end) = _ends(one), _ends(other)
    begins = begin.startswith(other_begin) or other_begin.startswith(begin)
    return begins and (end.endswith(other_end) or other_end.endswith(end))


def _ends(pattern: str) -> tuple[str, str]:
    parts = _WILDCARD.split(pattern)
    return parts[0], parts[-1]


def _is_denied(names: Choice, policy: Policy) -> bool:
    """Whether one entry of the deny list covers every name that matches all these patterns."""
    denied = policy.deny.names
    plain = [name for name in names if not _WILDCARD.search(name)]
    return "*" in denied or not set(names).isdisjoint(denied) or any(matches_any(name, denied) for name in plain)


def _speaks_for(scope: tuple[str, ...], choices: list[Choice]) -> bool:
    """Whether a scope has all that one of the choices matches."""
    return not scope or any(one in scope or matches_any(one, scope) for choice in choices for one in choice)


def _text(choices: list[Choice]) -> str | None:
    if () in choices:
        return None
    shown = sorted(choices, key=_narrowness)[:_SHOWN]
    more = [f"{len(choices) - _SHOWN} more"] if len(choices) > _SHOWN else []
    return " or ".join([*map(" and ".join, shown), *more])


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
    """The most that any one signer may do: by these anchors, or without any signature where there are none."""

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
