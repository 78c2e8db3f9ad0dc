"""An audit as text for people: what is not accepted, the findings that count by rule, and the numbers at the end.

A terminal shows the end first. The text is laid out for 80 columns and is the same in a terminal, a pipe and a file.
Only the fixed columns come before a name, so that names of any length leave it readable. What is kept of findings and
results is bounded, however many bundles there are.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from modseal.auditing.finding import Finding, Kind, Severity, State
from modseal.auditing.run import Audit
from modseal.report import colour
from modseal.report.audit_words import BY_DEFAULT, Words, conclusion, evidence, host_line, words
from modseal.report.text import Mark, plural, safe, safe_name
from modseal.trust.examination import WORST_LAST, Verdict

_WIDTH = 80
_LISTED = 200
"""Bundles of one verdict that are listed."""
_SHOWN = 20
"""Findings of one rule that are shown in full; the count says how many there are."""
_COLUMNS = "{:<11}{:<11}"


@dataclass(slots=True)
class _Group:
    """The findings of one rule: how many, and the first of them."""

    words: Words
    kind: Kind
    severity: Severity
    count: int = 0
    shown: list[Finding] = field(default_factory=list)


def render(audit: Audit, verbose: bool = False, in_colour: bool = False) -> Iterator[bytes]:
    """The text in pieces; `verbose` lists every bundle, those that are accepted too."""
    groups = _groups(audit)
    mark = colour.paint if in_colour else colour.plain
    for lines in (_first(audit), _bundles(audit, mark, verbose=verbose), _findings(groups), _summary(audit)):
        for line in lines:
            yield f"{line}\n".encode()


def _first(audit: Audit) -> Iterator[str]:
    """What changes the meaning of all that follows."""
    if audit.by_default:
        yield from _wrapped(BY_DEFAULT, "", 0)
        yield ""


def _groups(audit: Audit) -> list[_Group]:
    """The findings that count, by rule, most severe first."""
    groups: dict[str, _Group] = {}
    for spool in (audit.finding_spool, audit.late_spool):
        unread = Counter({rule: min(count, _SHOWN) for rule, count in spool.counted.items()})
        new = (finding for finding in spool.findings() if finding.state is State.NEW)
        while unread.total():  # all that will be shown, and no more: there may be a hundred thousand
            finding = next(new)
            group = groups.setdefault(finding.rule, _Group(words(finding), finding.kind, finding.severity))
            if unread[finding.rule]:
                unread[finding.rule] -= 1
                group.shown = [*group.shown, finding][:_SHOWN]
        for rule, count in spool.counted.items():
            if count:
                groups[rule].count += count
    return sorted(groups.values(), key=_weight)


def _weight(group: _Group) -> tuple[int, bool, bool, int, str]:
    """Most severe first; then what rejects a bundle before what leaves it undecided, checks in the order of steps."""
    undecided = all(finding.undecided for finding in group.shown)
    step = group.words.step if group.words.step is not None else 10
    return -list(Severity).index(group.severity), group.kind is Kind.RULE, undecided, step, group.words.id


def _counts(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in numbers.items())


def _field(name: str, value: str) -> Iterator[str]:
    yield from _wrapped(value, f"  {name:<14}", 16)


def _wrapped(text: str, first: str, indent: int) -> Iterator[str]:
    """A text in lines that hang below its beginning. No word is broken: paths and digests stay whole."""
    rest = " " * indent
    yield from textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    ) or [first.rstrip()]


def _bundles(audit: Audit, mark: Mark, *, verbose: bool) -> Iterator[str]:
    """Those that are not accepted, the rejected first; accepted ones if `verbose`, else their number."""
    yield _COLUMNS.format("VERDICT", "PROVEN") + "BUNDLE; why, its module and its signers below"
    for verdict in reversed(WORST_LAST):
        total = audit.summary.verdicts[verdict]
        if not total:
            continue
        listed = total if verbose else 0 if verdict is Verdict.ACCEPTED else _LISTED
        left = total
        if listed:
            for result, findings in audit.results_with_findings():
                if result["verdict"] == verdict:
                    left -= 1
                    yield from _bundle(result, findings, mark)
                    if total - left == listed:
                        break
        if left:
            more = f"{left:,} more bundles" if listed else plural(left, "bundle")
            yield f"{mark(verdict, f'{verdict:<11}')}{more}; --verbose lists every one"


def _bundle(result: dict[str, Any], findings: Iterable[Finding], mark: Mark) -> Iterator[str]:
    columns = _COLUMNS.format(result["verdict"], result["proven_level"] or "none")
    yield mark(Verdict(result["verdict"]), columns[:11]) + columns[11:] + safe_name(result["bundle"])
    error = result.get("error")
    causes = Counter(one.rule for one in findings if one.kind is Kind.CHECK)
    why = ", ".join(code if count == 1 else f"{code} ({count:,} times)" for code, count in causes.items())
    if error:
        yield from _wrapped(f"could not be examined: {error['code']}", " " * 6, 6)
        return
    if why:
        yield from _wrapped(f"why: {why}", " " * 6, 11)
    yield from _wrapped(f"{_module(result)}; {_signers(result)}", " " * 6, 6)


def _module(result: dict[str, Any]) -> str:
    module = result["module"]
    if module is None:
        return "module unknown"
    name = safe(f"{module['vendor']} {module['name']} {module['version']}")
    return name if module["proved"] else f"unproved: {name}, claims {result['claimed_level']}"


def _signers(result: dict[str, Any]) -> str:
    """Who signed, as far as the signatures verify; a name that nobody vouches for is marked."""
    names = [f"signed by {safe(one['subject'])} ({_trust(one)})" for one in result["signers"]]
    return ", ".join(names) or "no signature that verifies"


def _trust(signer: dict[str, Any]) -> str:
    return f"trusted: {safe(signer['anchor'])}" if signer["trusted"] else "not trusted: unproved"


def _findings(groups: list[_Group]) -> Iterator[str]:
    if not groups:
        yield ""
        yield "No findings that count."
        return
    yield ""
    yield "FINDINGS (what they quote from a bundle that is unproved is its own word)"
    for group in groups:
        yield from _group(group)


def _group(group: _Group) -> Iterator[str]:
    yield ""
    of_step = f" (step {group.words.step})" if group.words.step is not None else ""
    title = f"{group.words.id}{of_step}: {safe(group.words.title)}"
    yield from _wrapped(title, f"{str(group.severity).upper():<8}", 8)
    yield from _wrapped(f"next: {safe(group.words.next_step)}", " " * 8, 14)
    for finding in group.shown:
        yield from _finding(finding, group)
    if group.count > len(group.shown):
        yield f"  ... and {group.count - len(group.shown):,} more; --format json has them all"


def _finding(finding: Finding, group: _Group) -> Iterator[str]:
    yield f"  {safe_name(finding.bundle) or '(no one bundle)'}{' (undecided)' if finding.undecided else ''}"
    yield from _wrapped(safe(finding.detail), " " * 6, 6)
    for name, value in evidence(finding):
        yield f"        {name}: {value}"
    for other in finding.related:
        yield f"        with: {safe_name(other)}"
    if finding.consequences:
        yield from _wrapped(f"from this follows: {', '.join(map(safe, finding.consequences))}", " " * 8, 10)
    if finding.next_step != group.words.next_step:
        yield from _wrapped(f"next: {safe(finding.next_step)}", " " * 6, 12)


def _summary(audit: Audit) -> Iterator[str]:
    summary, head = audit.summary.plain(), audit.head()
    depots = f"{plural(summary['depots'], 'depot')}, " if summary["depots"] else ""
    policy = head["policy"]
    yield ""
    yield "SUMMARY"
    yield from _field("policy", f"{safe_name(audit.policy.source)}, minimum level {policy['minimum_level']}")
    if policy["sha256"]:
        yield from _field("", f"sha256 {policy['sha256']}")
    audited = f"{plural(summary['bundles'], 'bundle')}, {depots}{summary['bytes']:,} bytes"
    yield from _field("audited", f"{audited}, as of {head['at']}")
    for host in head["hosts"]:
        yield from _field("host", host_line(host))
    if summary["left_out"]:
        yield from _field("left out", f"{summary['left_out']:,} (no bundles, or links to folders)")
    yield from _field("proven level", _counts(summary["proven_levels"]))
    if any(summary["set_aside"].values()):
        known, allowed = summary["set_aside"][State.KNOWN], summary["set_aside"][State.ALLOWED]
        yield from _field("set aside", f"{known:,} known to the baseline, {allowed:,} allowed by the policy")
    yield from _field("findings", _counts(summary["findings"]))
    if not audit.complete:
        yield from _field("interrupted", "the audit ended early; only what came before is here")
    yield from _field("verdicts", conclusion(audit.summary))
