"""The rules of an audit for people: as a table of id, severity and title, and each in full as in docs/audits.md."""

from __future__ import annotations

from modseal.auditing.rule import Rule
from modseal.auditing.rules import RULES


def render() -> str:
    """One line for each rule, in the order of docs/audits.md, below a line of headings; no final newline."""
    rows = [("rule", "severity", "finds"), *((rule.id, str(rule.severity), rule.title) for rule in RULES)]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{id_:<{first}}  {severity:<{second}}  {title}" for id_, severity, title in rows)


def describe(rule: Rule) -> str:
    """One rule in full: what it finds, why that matters, an example, and what to do; no final newline."""
    return "\n".join(
        (
            f"{rule.id} ({rule.severity}): {rule.title}",
            f"what: {rule.what}",
            f"why: {rule.why}",
            f"for example: {rule.example}",
            f"next: {rule.remedy}",
            "All rules: modseal help audits",
        )
    )
