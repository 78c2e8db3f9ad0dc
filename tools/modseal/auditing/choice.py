"""Which findings count: rules that were chosen, what a baseline knows already, what the policy's keeper allows.

None of it touches a verdict. A check that did not pass can neither be left out nor be allowed; a baseline can know
it, for exactly the bytes that it was found in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase

from modseal.auditing import rules
from modseal.auditing.finding import Finding, Kind, State
from modseal.auditing.rule import Row
from modseal.codes import CODES
from modseal.errors import PolicyError, UsageError
from modseal.format.shape import suggestion
from modseal.trust.policy import Allowance, Policy, matches_any
from modseal.values import dataclass


@dataclass(frozen=True, slots=True)
class RuleChoice:
    """What decides about findings. `ids` are the rules that run; `known` the fingerprints of a baseline."""

    ids: frozenset[str]
    known: frozenset[str] = frozenset()
    allowances: tuple[Allowance, ...] = ()

    @property
    def takes_all(self) -> bool:
        """Whether every finding counts: all rules were chosen, nothing is known and nothing allowed."""
        return not self.known and not self.allowances and len(self.ids) == len(rules.BY_ID)

    def apply(self, findings: Iterable[Finding], row: Row | None) -> list[Finding]:
        """The findings of chosen rules, each with the state that it has here. `row` is that of their bundle."""
        chosen = (finding for finding in findings if finding.kind is Kind.CHECK or finding.rule in self.ids)
        return [self._state(finding, row) for finding in chosen]

    def _state(self, finding: Finding, row: Row | None) -> Finding:
        if finding.consequences:
            named = tuple(one for one in finding.consequences if one in self.ids or one not in rules.BY_ID)
            finding = replace(finding, consequences=named)
        if finding.kind is Kind.RULE:
            for allowance in self.allowances:
                if allowance.rule == finding.rule and _covers(allowance, finding, row):
                    reason = f"{allowance.reason} (until {allowance.expires})"
                    return replace(finding, state=State.ALLOWED, reason=reason)
        if self.known and _can_be_known(finding) and finding.fingerprint in self.known:
            return replace(finding, state=State.KNOWN, reason="the baseline has it")
        return finding


def choose(
    policy: Policy, at: datetime, *, select: Sequence[str] = (), ignore: Sequence[str] = (), known: Collection[str] = ()
) -> RuleChoice:
    """The choice of a command line and a policy.

    `select` and `ignore` are ids of rules or shell-style patterns of them. Allowances that have expired do not count.
    Raises `UsageError` and `PolicyError` for a rule that does not exist, or that is a check.
    """
    chosen = _expand("--select", select) if select else frozenset(rules.BY_ID)
    for allowance in policy.allowances:
        _require_rule(allowance, policy)
    current = tuple(one for one in policy.allowances if at.date() <= one.expires)
    return RuleChoice(chosen - _expand("--ignore", ignore), frozenset(known), current)


def _expand(option: str, patterns: Sequence[str]) -> frozenset[str]:
    found: set[str] = set()
    for pattern in patterns:
        matching = {id_ for id_ in rules.BY_ID if fnmatchcase(id_, pattern)}
        if not matching:
            raise UsageError(f"{option} {pattern}: {_no_rule(pattern)}")
        found |= matching
    return frozenset(found)


def _no_rule(name: str) -> str:
    if name in CODES:
        return f"{name} is a check, which always counts; --baseline sets aside what is known"
    return f"there is no such rule{suggestion(name, rules.BY_ID)}; `modseal audit --rules` lists them"


def _require_rule(allowance: Allowance, policy: Policy) -> None:
    if allowance.rule not in rules.BY_ID:
        why = "is a check, which cannot be allowed" if allowance.rule in CODES else "is not a rule of an audit"
        close = suggestion(allowance.rule, rules.BY_ID)
        raise PolicyError(f"{policy.source}:{allowance.line}: allow.rule: {allowance.rule} {why}{close}")


def _can_be_known(finding: Finding) -> bool:
    """Whether a baseline can know it: a check that did not pass, for the bytes that it was found in alone.

    Of what could not be read, of a depot that is not well formed, nobody has the bytes: only a name, which says nothing
    of what is there today.
    """
    return finding.kind is Kind.RULE or finding.sha256 is not None


def _covers(allowance: Allowance, finding: Finding, row: Row | None) -> bool:
    """Exact bytes, or a module's name where a trusted signer stands for it: else anybody could take that name."""
    if allowance.sha256 is not None:
        return allowance.sha256 == finding.sha256
    return row is not None and row.proved and row.name is not None and matches_any(row.name, allowance.modules)
