"""An audit as text for people: the numbers, the bundles, then the findings that count by rule, most severe first.

It is laid out for 80 columns and is the same in a terminal, a pipe and a file. Only the fixed columns come before a
name, so that names of any length leave it readable. Findings are read once and results once; what is kept of them
is bounded, however many bundles there are.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from modseal.auditing.finding import Finding, Kind, Severity, State
from modseal.auditing.run import Audit
from modseal.report.audit_words import Words, evidence, plural, words
from modseal.report.text import safe

_WIDTH = 80
_ALL = 40
"""Bundles that are all listed: what fits on two screens."""
_LISTED = 200
"""Bundles with findings that are listed where there are more than `_ALL`."""
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

    def add(self, finding: Finding) -> None:
        self.count += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(finding)


def render(audit: Audit, verbose: bool = False) -> Iterator[bytes]:
    """The text in pieces; every bundle is listed if `verbose`, or if they are few."""
    groups, named = _read(audit)
    for lines in (_summary(audit), _bundles(audit, named, verbose=verbose), _findings(groups)):
        for line in lines:
            yield f"{line}\n".encode()


def _read(audit: Audit) -> tuple[list[_Group], dict[str, None]]:
    """The findings that count, by rule, most severe first; and the first bundles that have some."""
    groups: dict[str, _Group] = {}
    named: dict[str, None] = {}
    for finding in audit.findings():
        if finding.state is State.NEW:
            groups.setdefault(finding.rule, _Group(words(finding), finding.kind, finding.severity)).add(finding)
            if len(named) < _LISTED:
                named[finding.bundle] = None
    return sorted(groups.values(), key=_weight), named


def _weight(group: _Group) -> tuple[int, bool, bool, int, str]:
    """Most severe first; then what rejects a bundle before what leaves it undecided, checks in the order of steps."""
    undecided = all(finding.undecided for finding in group.shown)
    step = group.words.step if group.words.step is not None else 10
    return -list(Severity).index(group.severity), group.kind is Kind.RULE, undecided, step, group.words.id


def _summary(audit: Audit) -> Iterator[str]:
    summary, head = audit.summary.plain(), audit.head()
    depots = f"{plural(summary['depots'], 'depot')}, " if summary["depots"] else ""
    yield f"{plural(summary['bundles'], 'bundle')}, {depots}{summary['bytes']:,} bytes, examined as of {head['at']}"
    policy = head["policy"]
    digest = f"sha256 {policy['sha256']}, " if policy["sha256"] else ""
    yield from _field("policy", f"{safe(policy['source'])}, {digest}minimum level {policy['minimum_level']}")
    yield from _field("complete", "yes" if audit.complete else "NO: ended early; only what came before is here")
    yield from _field("verdicts", _counts(summary["verdicts"]))
    yield from _field("proven level", _counts(summary["proven_levels"]))
    yield from _field("findings", _counts(summary["findings"]))
    if any(summary["set_aside"].values()):
        known, allowed = summary["set_aside"][State.KNOWN], summary["set_aside"][State.ALLOWED]
        yield from _field("set aside", f"{known} known to the baseline, {allowed} allowed by the policy")
    if summary["left_out"]:
        yield from _field("left out", f"{summary['left_out']} (no bundles, or links to folders)")


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


def _bundles(audit: Audit, named: Collection[str], *, verbose: bool) -> Iterator[str]:
    total = audit.summary.bundles
    every = verbose or total <= _ALL
    left = total
    yield ""
    yield _COLUMNS.format("VERDICT", "PROVEN") + "BUNDLE; its module and signers below"
    for result in audit.results():
        if every or result["bundle"] in named:
            left -= 1
            yield from _bundle(result)
        if not every and total - left == len(named):
            break
    if left:
        which = "without findings that count" if len(named) < _LISTED else "with and without findings"
        yield f"... and {plural(left, 'more bundle')} {which}; --verbose lists every one"


def _bundle(result: dict[str, Any]) -> Iterator[str]:
    yield _COLUMNS.format(result["verdict"], result["proven_level"] or "none") + safe(result["bundle"])
    error = result.get("error")
    about = f"could not be examined: {error['code']}" if error else f"{_module(result)}; {_signers(result)}"
    yield from _wrapped(about, " " * 6, 6)


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
    yield f"  {safe(finding.bundle) or '(no one bundle)'}{' (undecided)' if finding.undecided else ''}"
    yield from _wrapped(safe(finding.detail), " " * 6, 6)
    for name, value in evidence(finding):
        yield f"        {name}: {value}"
    for other in finding.related:
        yield f"        with: {safe(other)}"
    if finding.next_step != group.words.next_step:
        yield from _wrapped(f"next: {safe(finding.next_step)}", " " * 6, 12)
