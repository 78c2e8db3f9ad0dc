"""What the reports of an audit say of a check or a rule, whatever their form: title, reason, next step, severity.

A finding names its rule by id; a check's id is its code. A report that was read back may name a rule that this
version does not know, which then has its id for a title.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modseal.auditing import rules
from modseal.auditing.finding import Finding, Severity
from modseal.auditing.rule import Rule
from modseal.auditing.run import Summary
from modseal.codes import CODES, is_code
from modseal.report.text import plain, plural, safe, safe_name
from modseal.trust.examination import STEPS, Verdict


@dataclass(frozen=True, slots=True)
class Words:
    """What is to be said of a check or a rule once, however many findings it has.

    `what` says in full what was found, `why` why it matters (nothing for a check: its step says it).
    """

    id: str
    title: str
    what: str
    why: str
    next_step: str
    severity: Severity
    step: int | None = None


def words(finding: Finding) -> Words:
    """The words for the check or the rule of a finding."""
    return words_of(finding.rule) or Words(
        finding.rule, finding.rule, finding.rule, "", finding.next_step, finding.severity, finding.step
    )


def words_of(id_: str) -> Words | None:
    """The words for a rule's id or a check's code; None where there is neither."""
    if rule := rules.BY_ID.get(id_):
        return _of_rule(rule)
    if is_code(id_):
        code = CODES[id_]
        return Words(
            id_, code.meaning, _in_step(code.step, code.meaning), "", code.next_step, Severity(code.severity), code.step
        )
    return None


def _of_rule(rule: Rule) -> Words:
    return Words(rule.id, rule.title, rule.what, rule.why, rule.remedy, rule.severity)


def _in_step(step: int | None, meaning: str) -> str:
    return meaning if step is None else f"{meaning} This is step {step} of the verification, {STEPS[step]}."


BY_DEFAULT = (
    "No policy was named (--policy), so the built-in policy strict is used: it trusts no signer and accepts no bundle."
)
"""What a report says first where nobody named a policy."""


def conclusion(summary: Summary) -> str:
    """An audit in one sentence, without its full stop."""
    counts, total = summary.verdicts, summary.bundles
    accepted = counts[Verdict.ACCEPTED]
    if total and accepted == total:
        return "the one bundle is accepted" if total == 1 else f"all {total:,} bundles are accepted"
    others = (f"{counts[one]:,} {one}" for one in (Verdict.REJECTED, Verdict.UNDECIDED) if counts[one])
    return "; ".join([f"{accepted:,} of {plural(total, 'bundle')} accepted", *others])


def evidence(finding: Finding) -> Iterator[tuple[str, str]]:
    """What shows the finding: names and values, as text that is safe to print."""
    for name, value in finding.evidence.items():
        yield safe(name.replace("_", " ")), plain(value)


def host_line(host: Mapping[str, Any]) -> str:
    """An installed host in one sentence: what it claims, what is proven, and what that rests on."""
    vibs, payloads = plural(host["vibs"], "VIB"), plural(host["payloads"], "payload")
    return (
        f"{safe(host['host'])}: claims {host['claimed_level'] or 'no level'}, proven {host['proven_level'] or 'none'};"
        f" {host['vibs_as_claimed']:,} of {vibs} proven as claimed, {host['payloads_present']:,} of {payloads} there"
    )


def sentence(finding: Finding) -> str:
    """A finding in one line: detail, evidence, what belongs to it or follows from it, next step."""
    parts = [safe(finding.detail)]
    parts += ["; ".join(f"{name}: {value}" for name, value in evidence(finding))]
    parts += [f"With: {', '.join(map(safe_name, finding.related))}" if finding.related else ""]
    parts += [f"From this follows: {', '.join(map(safe, finding.consequences))}" if finding.consequences else ""]
    parts += [f"Next: {safe(finding.next_step)}"]
    return " | ".join(part for part in parts if part)
