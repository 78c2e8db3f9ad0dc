"""The rules of an audit, one a module; docs/audits.md is made from them."""

from __future__ import annotations

from modseal.audit.rule import Rule
from modseal.audit.rules import claim_above_proven, same_id_other_content

RULES: tuple[Rule, ...] = (
    claim_above_proven.RULE,
    same_id_other_content.RULE,
)
"""Every rule, in the order of docs/audits.md."""

BUNDLE_RULES = tuple(rule for rule in RULES if rule.check)
SET_RULES = tuple(rule for rule in RULES if rule.start)
BY_ID = {rule.id: rule for rule in RULES}
