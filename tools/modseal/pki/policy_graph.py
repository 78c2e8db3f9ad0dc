"""Certificate policies along a chain (RFC 5280 section 6.1, with RFC 9618's graph).

modseal requires no policy of its own, so for most chains nothing follows from them. A CA may require one
(`requireExplicitPolicy`), and then a chain without a policy that is valid in every certificate is refused.

RFC 5280's tree grows exponentially (X5-07). Here one level of a graph is kept at a time: each policy once,
with the policies expected below it and those at the top that it stems from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from modseal.pki.certificate_policies import ANY_POLICY, NO_POLICIES, PolicyExtensions, PolicyInputs
from modseal.values import dataclass


@dataclass(frozen=True, slots=True)
class _Node:
    """A policy that is valid so far: what may stand for it below, and the policies at the top it stems from."""

    expected: frozenset[str]
    origins: frozenset[str]


_Level = dict[str, _Node]


def policy_problem(
    chain: Sequence[tuple[PolicyExtensions, bool]], inputs: PolicyInputs, anchor: PolicyExtensions = NO_POLICIES
) -> str | None:
    """Why a chain has no valid policy although one is required; None where all is well.

    `chain` is from the certificate below the anchor down to the signer, each with whether it is self-issued.
    What the anchor's own certificate says of policies narrows the inputs (RFC 5937 section 3).
    """
    state = _State(len(chain), inputs)
    if any(
        ANY_POLICY in pair for certificate in (anchor, *(one for one, _ in chain[:-1])) for pair in certificate.mappings
    ):
        return "a policy is mapped from or to anyPolicy"
    if anchor.policies is not None:
        state.enter(anchor, any_allowed=True)
    state.prepare(anchor, self_issued=True)
    for index, (certificate, self_issued) in enumerate(chain):
        last = index == len(chain) - 1
        state.enter(certificate, any_allowed=state.any_left > 0 or (self_issued and not last))
        if not state.satisfied:
            return "a policy is required and none is valid in every certificate"
        if not last:
            state.prepare(certificate, self_issued=self_issued)
    return state.wrap_up(chain[-1][0] if chain else anchor, inputs.acceptable)


class _State:
    """The variables of section 6.1.2; each count is of certificates that may still pass."""

    def __init__(self, length: int, inputs: PolicyInputs) -> None:
        self.level: _Level = {ANY_POLICY: _Node(frozenset({ANY_POLICY}), frozenset({ANY_POLICY}))}
        self.explicit = 0 if inputs.explicit else length + 1
        self.mapping_left = 0 if inputs.inhibit_mapping else length + 1
        self.any_left = 0 if inputs.inhibit_any else length + 1

    @property
    def satisfied(self) -> bool:
        """Section 6.1.3 (f)."""
        return self.explicit > 0 or bool(self.level)

    def enter(self, certificate: PolicyExtensions, *, any_allowed: bool) -> None:
        """Section 6.1.3 (d), (e): the level of this certificate."""
        if certificate.policies is None:
            self.level = {}
        elif self.level:
            self.level = _next_level(self.level, certificate.policies, any_allowed=any_allowed)

    def prepare(self, certificate: PolicyExtensions, *, self_issued: bool) -> None:
        """Section 6.1.4 (b), (h) to (j)."""
        _apply_mappings(self.level, certificate.mappings, allowed=self.mapping_left > 0)
        if not self_issued:
            self.explicit, self.mapping_left, self.any_left = (
                max(count - 1, 0) for count in (self.explicit, self.mapping_left, self.any_left)
            )
        self.explicit = _least(self.explicit, certificate.require_explicit)
        self.mapping_left = _least(self.mapping_left, certificate.inhibit_mapping)
        self.any_left = _least(self.any_left, certificate.inhibit_any)

    def wrap_up(self, signer: PolicyExtensions, acceptable: frozenset[str]) -> str | None:
        """Section 6.1.5 (a), (b), (g)."""
        explicit = 0 if signer.require_explicit == 0 else max(self.explicit - 1, 0)
        origins: frozenset[str] = frozenset().union(*(node.origins for node in self.level.values()))
        matches = bool(origins) and (ANY_POLICY in acceptable or ANY_POLICY in origins or bool(origins & acceptable))
        if explicit or matches:
            return None
        return "a policy is required and no acceptable one is valid in every certificate"


def _next_level(above: _Level, policies: frozenset[str], *, any_allowed: bool) -> _Level:
    level: _Level = {}
    expected = _expected_by(above)
    for policy in policies - {ANY_POLICY}:
        if policy in expected:
            level[policy] = _Node(frozenset({policy}), frozenset(expected[policy]))
        elif ANY_POLICY in above:
            level[policy] = _Node(frozenset({policy}), frozenset({policy}))
    if ANY_POLICY in policies and any_allowed:
        for policy in expected.keys() - level.keys():
            level[policy] = _Node(frozenset({policy}), frozenset(expected[policy]))
    return level


def _expected_by(above: _Level) -> dict[str, set[str]]:
    """Every policy that some node above expects, with all that it stems from."""
    expected: dict[str, set[str]] = {}
    for node in above.values():
        for policy in node.expected:
            expected.setdefault(policy, set()).update(node.origins)
    return expected


def _apply_mappings(level: _Level, mappings: Iterable[tuple[str, str]], *, allowed: bool) -> None:
    by_issuer: dict[str, set[str]] = {}
    for issuer, subject in mappings:
        by_issuer.setdefault(issuer, set()).add(subject)
    for issuer, subjects in by_issuer.items():
        if not allowed:
            level.pop(issuer, None)
        elif issuer in level:
            level[issuer] = _Node(frozenset(subjects), level[issuer].origins)
        elif ANY_POLICY in level:
            level[issuer] = _Node(frozenset(subjects), frozenset({issuer}))


def _least(count: int, limit: int | None) -> int:
    return count if limit is None else min(count, limit)
