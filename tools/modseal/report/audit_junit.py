"""An audit as JUnit XML, for services that show tests: a bundle is a test case, and passes where nothing counts.

There is no standard; this is the part that Jenkins, GitLab and others read alike. A test case has one outcome:

- `failure` where a check rejects the bundle, or a rule has found something of severity medium or high (what
  `--fail-on` begins with if it is not given); its type is the worst severity.
- `error` where something could not be decided.
- `skipped` where it would be one of these, had the baseline or the policy not set that aside.

All other findings are in `system-out`. What is about a depot, or was found by comparing bundles, has a suite of its
own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from modseal.auditing.finding import Finding, Severity, State
from modseal.auditing.run import Audit
from modseal.report.audit_words import sentence
from modseal.report.text import safe, safe_name
from modseal.trust.examination import Verdict

_FAILS = Severity.MEDIUM


class _Case(NamedTuple):
    """A test case: its name, and its one outcome, if it did not pass."""

    name: str
    outcome: str | None = None
    type: str = ""
    message: str = ""
    lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def render(audit: Audit) -> Iterator[bytes]:
    """The document in pieces. Reads everything once to count, because numbers come first, and once to write."""
    suites: dict[str, Callable[[], Iterator[_Case]]] = {
        "bundles": lambda: _bundles(audit),
        "collections": lambda: _collections(audit),
    }
    counts = {
        name: Counter(one for case in cases() for one in ("tests", case.outcome)) for name, cases in suites.items()
    }
    total = sum(counts.values(), Counter[str | None]())
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="modseal audit"{_numbers(total)}>\n'.encode()
    for number, (name, cases) in enumerate(suites.items()):
        numbers = f'{_numbers(counts[name])} skipped="{counts[name]["skipped"]}"'
        head = f'<testsuite id="{number}" name="modseal {name}"{numbers} timestamp="{audit.at:%Y-%m-%dT%H:%M:%S}">'
        yield f"{head}\n{_properties(audit)}".encode()
        yield from (_element(name, case).encode() for case in cases())
        yield b"</testsuite>\n"
    yield b"</testsuites>\n"


def _numbers(counts: Counter[str | None]) -> str:
    return f' tests="{counts["tests"]}" failures="{counts["failure"]}" errors="{counts["error"]}"'


def _bundles(audit: Audit) -> Iterator[_Case]:
    """A case for each bundle."""
    for result, findings in audit.results_with_findings():
        yield _bundle(result["bundle"], result["verdict"], findings)


def _collections(audit: Audit) -> Iterator[_Case]:
    """A case for each finding that did not come with a bundle; and one where the audit ended early."""
    for finding in audit.late_findings():
        yield _case(f"{finding.rule}: {safe_name(finding.bundle)}", [finding])
    if not audit.complete:
        message = "bundles that the audit had not come to are missing"
        yield _Case("the audit came to its end", "error", "incomplete", message, (message,))


def _bundle(name: str, verdict: str, findings: list[Finding]) -> _Case:
    case = _case(safe_name(name), findings)
    if case.outcome is None and verdict != Verdict.ACCEPTED:  # that nothing says why is no reason to pass it
        message = f"{verdict}, and no finding says why"
        return case._replace(outcome="error", type="undecided", message=message, lines=(message,))
    return case


def _case(name: str, findings: Iterable[Finding]) -> _Case:
    """The case of these findings: the ones that fail it say why; others are only noted."""
    matter = [finding for finding in findings if finding.undecided or finding.severity >= _FAILS]
    told = sorted((finding for finding in matter if finding.state is State.NEW), key=lambda finding: finding.undecided)
    said = set(map(id, told))
    notes = tuple(_line(finding) for finding in findings if id(finding) not in said)
    if not told:
        message = f"set aside: {len(matter)} of the findings" if matter else ""
        return _Case(name, "skipped" if matter else None, message=message, notes=notes)
    first = told[0]
    outcome, type_ = ("error", "undecided") if first.undecided else ("failure", str(_worst(told)))
    return _Case(name, outcome, type_, f"{first.rule}: {safe(first.detail)}", tuple(map(_line, told)), notes)


def _worst(findings: Iterable[Finding]) -> Severity:
    return max(finding.severity for finding in findings if not finding.undecided)


def _line(finding: Finding) -> str:
    aside = f", {finding.state}: {safe(finding.reason)}" if finding.state is not State.NEW else ""
    mark = ", undecided" if finding.undecided else ""
    return f"{finding.severity}{mark}{aside} {finding.rule}: {sentence(finding)}"


def _properties(audit: Audit) -> str:
    """What was audited under; every value is printable, so nothing in it is foreign to XML."""
    head = audit.head()
    values = {"policy": head["policy"]["source"], "policy sha256": head["policy"]["sha256"], "at": head["at"]}
    rows = "".join(
        f"<property name={_quoted(name)} value={_quoted(value)}/>\n" for name, value in values.items() if value
    )
    return f"<properties>\n{rows}</properties>\n"


def _quoted(value: object) -> str:
    return quoteattr(safe(value))


def _element(suite: str, case: _Case) -> str:
    inside = ""
    if case.outcome == "skipped":
        inside += f"<skipped message={_quoted(case.message)}/>\n"
    elif case.outcome:
        text = escape("\n".join(case.lines))
        inside += f"<{case.outcome} message={_quoted(case.message)} type={_quoted(case.type)}>{text}</{case.outcome}>\n"
    if case.notes:
        inside += f"<system-out>{escape(chr(10).join(case.notes))}</system-out>\n"
    return f"<testcase classname={_quoted(f'modseal.{suite}')} name={_quoted(case.name)}>\n{inside}</testcase>\n"
