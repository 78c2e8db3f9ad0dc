"""An audit as one HTML page, for people: it needs no network, and trusts nothing that a bundle says.

`render` reads top to bottom in the order of the page. The page works without its script (the numbers, the charts,
the worst rows and the findings are HTML); the script pages, sorts and searches all rows, and opens their steps. Its
Content-Security-Policy allows this one style and this one script, by their digests, and nothing else.

Whatever the size of the audit, memory stays flat and a browser can open the page: see `limits.HTML_STEPS` and its
neighbours. The same audit gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from importlib import resources

import modseal
from modseal import limits
from modseal.auditing.run import LEVELS, Audit
from modseal.report.audit_html import overview, table
from modseal.report.audit_html.bundles import STATUSES, VERDICTS, BundleRow, Bundles, collect
from modseal.report.audit_html.groups import SEVERITIES, Group, Groups, group
from modseal.report.html import LINE, Child, Markup, data, element, joined, prose
from modseal.report.text import plural
from modseal.trust.examination import STEPS

_SLOT = re.compile(r"\{\{ ([a-z]+) \}\}")


def render(audit: Audit) -> Iterator[bytes]:
    """The page in pieces."""
    # (1) Findings by their rules; (2) bundles, with what was found in them; (3) the page, from top to bottom.
    groups = group(audit)
    bundles = collect(audit, groups)
    style, script = _file("report.css") + table.narrowing(), _file("report.js")
    slots: dict[str, Callable[[], Iterator[Child]]] = {
        "policy": lambda: iter([_content_policy(style, script)]),
        "style": lambda: iter([Markup(style)]),
        "conclusion": lambda: iter([overview.first(audit)]),
        "bad": lambda: iter([overview.not_accepted(audit, bundles, groups.listed())]),
        "verdicts": lambda: iter([overview.verdicts(audit)]),
        "severities": lambda: iter([overview.severities(audit)]),
        "facts": lambda: iter([overview.facts(audit)]),
        "charts": lambda: overview.drawings(audit, bundles.signers),
        "notes": lambda: _notes(audit, bundles),
        "head": lambda: iter([table.head()]),
        "only": table.sentences,
        "rows": lambda: table.body(bundles),
        "findings": lambda: _findings(groups),
        "legend": lambda: iter([Markup(data(_legend(groups)))]),
        "data": lambda: _listed(bundles.rows.lines()),
        "steps": lambda: _steps(bundles),
        "version": lambda: iter([modseal.__version__]),
        "script": lambda: iter([Markup(script)]),
    }
    for number, piece in enumerate(_SLOT.split(_file("report.html"))):
        if number % 2 == 0:
            yield piece.encode("ascii")
        else:
            yield from (joined(child).encode() for child in slots[piece]())


def _file(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text("ascii")


def _content_policy(style: str, script: str) -> str:
    """CSP level 3: nothing may be loaded or sent; of what is inline, these two run; no text becomes HTML."""
    return (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _notes(audit: Audit, bundles: Bundles) -> Iterator[Markup]:
    """What the page leaves out, said."""
    total = audit.summary.bundles
    if total > limits.HTML_ROWS:
        text = f"Without its script this page lists the {limits.HTML_ROWS:,} worst of {total:,} bundles."
        yield element("noscript", element("p", text, class_="note"))
    yield element("noscript", element("p", _NO_SCRIPT, class_="note"))
    left_out, with_findings = bundles.steps.left_out()
    if left_out:
        kind = "of the lowest severities" if with_findings else "without findings"
        bundles_are = "1 bundle {} is" if left_out == 1 else f"{left_out:,} bundles {{}} are"
        text = f"{bundles_are.format(kind)} listed without their steps; the JSON report has them."
        yield element("p", text, class_="note", id="left-out")


_NO_SCRIPT = "Sorting, searching and the steps of each bundle need this page's script. Each check that failed is below."


def _findings(groups: Groups) -> Iterator[Markup]:
    for number, one in enumerate(groups.listed()):
        yield joined(_group(number, one), LINE)
    if not groups.by_rule:
        yield element("p", "Nothing was found.", class_="card")


def _group(number: int, group: Group) -> Markup:
    """One rule's findings, its words first."""
    items = [*group.first, *group.first_aside][: limits.HTML_FINDINGS]
    total = group.counted + group.aside
    count = plural(group.counted, "finding") if group.counted else "none counts"
    where = f" in {plural(group.bundles, 'bundle')}" if group.bundles < total else None
    summary = element(
        "summary",
        element("span", str(group.severity), class_=f"pill {group.severity}" if group.counted else "pill info"),
        element("span", element("b", prose(group.title)), element("code", group.rule), class_="name"),
        element("span", count, where, f", {group.aside:,} set aside" if group.aside else None, class_="dim count"),
    )
    words = (element("div", element("dt", name), element("dd", prose(text))) for name, text in group.words)
    return element(
        "details",
        summary,
        element("dl", *words, class_="words"),
        element("p", class_="filter", data_rule=number),
        element("ol", *items, class_="found"),
        element("p", f"{total - len(items):,} more are in the JSON report.", class_="note")
        if total > len(items)
        else None,
        class_="card rule",
        id=f"rule-{number}",
    )


def _legend(groups: Groups) -> dict[str, object]:
    """The words that the rows' numbers stand for."""
    return {
        "fields": BundleRow._fields,
        "verdicts": VERDICTS,
        "levels": LEVELS,
        "severities": [str(severity) for severity in SEVERITIES],
        "statuses": STATUSES,
        "steps": STEPS,
        "columns": table.COLUMNS,
        "rules": [(one.rule, one.title) for one in groups.listed()],
    }


def _listed(lines: Iterator[bytes]) -> Iterator[Markup]:
    """JSON values as one list."""
    separator = ""
    for line in lines:
        yield Markup(separator + line.decode("ascii"))
        separator = ",\n"


def _steps(bundles: Bundles) -> Iterator[Markup]:
    """Each bundle's steps as data of its own, so that only what is opened is read."""
    for line in bundles.steps.lines():
        place, _, text = line.decode("ascii").partition(" ")
        yield joined(element("script", Markup(text), type="application/json", id=f"steps-{place}"), LINE)
