"""The findings of an audit by their rules: the first of each, the number of all, and which bundles they mark.

What is kept is bounded: some findings of each rule as HTML, and a few numbers for each bundle that a rule about more
than one bundle marks (their findings come last, so they must wait for their rows).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from modseal import limits
from modseal.auditing.finding import Finding, Kind, Severity, State
from modseal.auditing.run import Audit
from modseal.report.audit_words import words_of
from modseal.report.html import Markup, element, joined, prose, shown
from modseal.report.text import safe_name
from modseal.trust.examination import STEPS

SEVERITIES = tuple(Severity)


class Note(NamedTuple):
    """One finding that no step of its bundle tells."""

    rule: str
    detail: str
    state: str


@dataclass(slots=True)
class Marks:
    """What the findings of one bundle come to."""

    worst: int = -1
    """The highest severity that counts, by its place in `SEVERITIES`; -1 where none does."""
    counted: int = 0
    aside: int = 0
    rules: set[str] = field(default_factory=set)
    notes: list[Note] = field(default_factory=list)
    cause: str | None = None
    """The rule of the first check that did not pass."""

    def __bool__(self) -> bool:
        return bool(self.rules)

    def add(self, finding: Finding, *, noted: bool = True) -> None:
        """One more finding; `noted` where its sentence is wanted too."""
        self.rules.add(finding.rule)
        if self.cause is None and finding.kind is Kind.CHECK:
            self.cause = finding.rule
        if finding.state is State.NEW:
            self.counted += 1
            self.worst = max(self.worst, SEVERITIES.index(finding.severity))
        else:
            self.aside += 1
        if noted and finding.step is None:
            self.notes.append(Note(finding.rule, shown(finding.detail), str(finding.state)))


@dataclass(slots=True)
class Group:
    """All findings of one rule."""

    rule: str
    kind: Kind
    severity: Severity
    counted: int = 0
    aside: int = 0
    bundles: int = 0
    """In how many bundles; those that are named more than once in a row count once."""
    first: list[Markup] = field(default_factory=list)
    """The first ones that count, ready to be shown."""
    first_aside: list[Markup] = field(default_factory=list)
    _last: str | None = None

    def add(self, finding: Finding) -> None:
        """One more finding."""
        self.bundles += finding.bundle != self._last
        self.severity = max(self.severity, finding.severity)
        if finding.state is State.NEW:
            self.counted += 1
            chosen = self.first
        else:
            self.aside += 1
            chosen = self.first_aside
        if len(chosen) < limits.HTML_FINDINGS:
            chosen.append(_item(finding, named=finding.bundle != self._last or not chosen))
        self._last = finding.bundle

    @property
    def title(self) -> str:
        """What the rule is called, or what the code means."""
        words = words_of(self.rule)
        return words.title.removesuffix(".") if words else self.rule

    @property
    def words(self) -> Iterator[tuple[str, str]]:
        """What it is, why it matters and what to do."""
        words = words_of(self.rule)
        if words and self.kind is Kind.RULE:
            yield from (("What", words.what), ("Why", words.why), ("Remedy", words.next_step))
        elif words:
            step = words.step
            where = "The bundle could not be examined" if step is None else f"Step {step}, {STEPS[step]}"
            yield from (("What", words.title), ("Why", f"{where}. {_WHY}"), ("Next step", words.next_step))


_WHY = "It blocks the bundle: a check that does not pass can be neither ignored nor allowed."


@dataclass(slots=True)
class Groups:
    """Every rule that found something, and what marks bundles from afar."""

    by_rule: dict[str, Group] = field(default_factory=dict)
    late: dict[str, Marks] = field(default_factory=dict)
    """By the names of bundles: what rules about more than one bundle found."""

    def listed(self) -> list[Group]:
        """What counts first, the worst first, then the most frequent."""
        groups = self.by_rule.values()
        return sorted(groups, key=lambda g: (not g.counted, -SEVERITIES.index(g.severity), -g.counted, g.rule))


def group(audit: Audit) -> Groups:
    """The findings by rule."""
    found = Groups()
    for finding in audit.findings():
        known = found.by_rule.setdefault(finding.rule, Group(finding.rule, finding.kind, finding.severity))
        known.add(finding)
    for number, finding in enumerate(audit.late_findings()):
        found.late.setdefault(finding.bundle, Marks()).add(finding, noted=number < limits.HTML_STEPS)
    return found


_RELATED = 5
"""Other bundles that are named beside one finding."""


def _item(finding: Finding, *, named: bool) -> Markup:
    """One finding in the list of its rule; `named` where the one above is of another bundle."""
    related = [element("li", "also ", path(one)) for one in finding.related[:_RELATED]]
    if len(finding.related) > _RELATED:
        related.append(element("li", f"and {len(finding.related) - _RELATED:,} more"))
    return element(
        "li",
        element("div", path(finding.bundle), class_="where") if named else None,
        element("p", *_tags(finding), finding.detail),
        evidence(finding.evidence.items()),
        _follows(finding),
        element("ul", *related, class_="plain") if related else None,
        _own_next_step(finding),
        class_=None if named else "same",
    )


def _tags(finding: Finding) -> Iterator[Markup]:
    if finding.undecided:
        yield joined(element("span", "undecided", class_="tag undecided"), " ")
    if finding.state is not State.NEW:
        yield joined(element("span", f"{finding.state}: {finding.reason}", class_="tag"), " ")


def _follows(finding: Finding) -> Markup | None:
    if not finding.consequences:
        return None
    names = (joined(", " if number else None, element("code", one)) for number, one in enumerate(finding.consequences))
    return element("p", "From this follows: ", *names, class_="dim")


def _own_next_step(finding: Finding) -> Markup | None:
    """The next step, where it is not the one that the rule gives for all."""
    words = words_of(finding.rule)
    return (
        None
        if words and finding.next_step == words.next_step
        else element("p", element("b", "Next: "), prose(finding.next_step))
    )


def evidence(items: Iterable[tuple[str, object]]) -> Markup | None:
    """Names and values as a list."""
    pairs = [
        element("div", element("dt", key.replace("_", " "), ": "), element("dd", element("bdi", said(value))))
        for key, value in items
    ]
    return element("dl", *pairs, class_="evidence") if pairs else None


def said(value: object) -> str:
    """A value of some evidence as text."""
    return _WORDS.get(id(value), str(value))


_WORDS = {id(None): "none", id(True): "yes", id(False): "no"}


def path(name: str) -> Markup:
    """A file's name, kept apart from the text around it."""
    return element("bdi", safe_name(name), class_="path")
