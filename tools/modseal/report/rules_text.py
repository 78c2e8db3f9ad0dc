"""The rules of an audit as a table for people: id, severity, title. docs/audits.md says more of each."""

from __future__ import annotations

from modseal.auditing.rules import RULES


def render() -> str:
    """One line for each rule, in the order of docs/audits.md, below a line of headings; no final newline."""
    rows = [("rule", "severity", "finds"), *((rule.id, str(rule.severity), rule.title) for rule in RULES)]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{id_:<{first}}  {severity:<{second}}  {title}" for id_, severity, title in rows)
