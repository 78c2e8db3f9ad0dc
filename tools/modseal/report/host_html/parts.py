"""What the pages have in common: tables, facts, words for levels, warnings, the numbered steps of a verification."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from modseal import limits
from modseal.report.html import Child, Markup, element, joined, prose
from modseal.report.text import plain
from modseal.trust.examination import STEPS, Status

Values = Mapping[str, Any]
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_BAD = (Status.FAILED, Status.INCONCLUSIVE)


class HostPage(NamedTuple):
    """A page's title, and what is in it. One that `changes` is loaded again after two seconds."""

    title: str
    main: Markup
    changes: bool = False


class TableRow(NamedTuple):
    """A row of a table; one that is `bad` stands out."""

    cells: Sequence[Child]
    bad: bool = False


def table(columns: Sequence[str], rows: Iterable[TableRow], label: str) -> Markup:
    """A table, the first column of which names its rows. A phone shows each row as a card, with the columns' names."""
    head = element("tr", *(element("th", name, scope="col", role="columnheader") for name in columns), role="row")
    body = (
        element(
            "tr",
            *(
                _cell(name, cell, first=not place)
                for place, (name, cell) in enumerate(zip(columns, row.cells, strict=True))
            ),
            role="row",
            class_="bad" if row.bad else None,
        )
        for row in rows
    )
    return element(
        "table",
        element("thead", head, role="rowgroup"),
        element("tbody", *body, role="rowgroup"),
        role="table",
        class_="rows",
        aria_label=label,
    )


def _cell(column: str, content: Child, *, first: bool) -> Markup:
    # A role of their own: without it, what is laid out as cards would be no table to a screen reader.
    if first:
        return element("th", content, scope="row", role="rowheader", data_column=column)
    return element("td", content, role="cell", data_column=column)


def facts(pairs: Iterable[tuple[str, Child]]) -> Markup:
    """Names and values."""
    return element(
        "dl",
        *(element("div", element("dt", name), element("dd", value)) for name, value in pairs if value is not None),
        class_="card facts",
    )


def pill(word: str, kind: str) -> Markup:
    """A word that counts: `kind` is accepted, rejected, undecided or info."""
    return element("span", word, class_=f"pill {kind}")


def text(value: str | int) -> Markup:
    """A text of somebody else's, which must not turn the direction of what is around it."""
    return element("bdi", value)


def time(value: str | None) -> Child:
    """A time, as the documents have it."""
    if value is None or not _TIME.fullmatch(value):
        return value
    return element("time", value.replace("T", " ").replace("Z", " UTC"), datetime=value)


def alarm(*children: Child) -> Markup:
    """What nobody may miss."""
    return element("div", *children, class_="alarm", role="alert")


def warning(*children: Child) -> Markup:
    """What should be read first."""
    return element("div", *children, class_="warning")


def next_step(step: str | None) -> Markup | None:
    """The one next step of a failure."""
    return element("p", element("b", "Next: "), prose(step), class_="next") if step else None


def failure(found: Values) -> Markup:
    """What was found: detail, code, next step."""
    code = joined(" ", element("code", found["code"])) if found.get("code") else None
    return joined(element("p", text(found["detail"]), code), next_step(found.get("next_step")))


def name_link(name: str) -> Markup:
    """The name of an installed module, which leads to its page."""
    return element("a", text(name), href=f"/modules/{quote(name, safe='', errors='replace')}")


def task_link(id_: str, *content: Child) -> Markup:
    """Leads to the page of a task."""
    return element("a", *content, href=f"/tasks/{quote(id_, safe='', errors='replace')}")


def generation_link(number: int | None) -> Markup:
    """Leads to a generation."""
    if number is None:
        return text("none")
    return element("a", f"generation {number}", href=f"/generations?before={number + 1}")


def levels(module: Values) -> tuple[Markup, Markup]:
    """The level that a module claims, and the one that is proved of it: what is not the same cannot be overlooked."""
    claimed, proven = module["claimed_level"], module["proven_level"]
    if proven != claimed:
        kind = ("not proved", "rejected") if proven is None else (proven, "undecided")
        return joined(claimed or "unknown", " ", tag("unproved")), pill(*kind)
    if proven is None:  # of what could not be read
        return element("span", "unknown", class_="dim"), pill("not proved", "rejected")
    return element("span", claimed), pill(proven, "accepted" if module["verdict"] == "accepted" else "info")


def is_proved(module: Values) -> bool:
    """Whether a module is accepted, and proved at the level that it claims."""
    return (
        module["proven_level"] is not None
        and module["proven_level"] == module["claimed_level"]
        and module["verdict"] == "accepted"
    )


def tag(word: str) -> Markup:
    """A mark beside what nobody stands for."""
    return element("span", word, class_=f"tag {word}")


def signers(found: Sequence[Values]) -> Markup:
    """Who signed, and whether that one is trusted."""
    if not found:
        return element("span", "nobody", class_="dim")
    items = (element("li", text(one["subject"]), " ", _trust(one["anchor"])) for one in found[: limits.HTML_ITEMS])
    return element("ul", *items, more(len(found)), class_="plain")


def _trust(anchor: str | None) -> Markup:
    if anchor is None:
        return element("span", "not trusted", class_="tag unproved")
    return element("span", "trusted by ", text(anchor), class_="tag trusted")


def more(total: int, noun: str = "more") -> Markup | None:
    """Of a list that is cut: how many are elsewhere."""
    left = total - limits.HTML_ITEMS
    return element("li", f"and {left:,} {noun}", class_="dim") if left > 0 else None


def steps(checks: Sequence[Values]) -> Markup:
    """The numbered steps of a verification, with the checks of each."""
    bad = [one for one in checks if one["status"] in _BAD]
    kept = [*bad, *(one for one in checks if one["status"] not in _BAD)][: limits.HTML_CHECKS]
    left = len(checks) - len(kept)
    return joined(
        element("ol", *(_step(number, name, kept) for number, name in enumerate(STEPS)), class_="steps", start=0),
        element("p", f"{left:,} more checks are in the JSON of the API.", class_="note") if left else None,
    )


def _step(number: int, name: str, checks: Sequence[Values]) -> Markup:
    own = [one for one in checks if one["step"] == number]
    worst = next((str(one) for one in (*_BAD, Status.PASSED) if any(check["status"] == one for check in own)), "none")
    listed = element("ul", *map(_check, own), class_="plain") if own else element("p", "no check", class_="dim")
    return element("li", element("h4", element("span", number, class_="number"), f" {name}"), listed, class_=worst)


def _check(check: Values) -> Markup:
    evidence = [
        element("div", element("dt", f"{name.replace('_', ' ')}: "), element("dd", text(plain(value))))
        for name, value in check["evidence"].items()
    ]
    values = element("dl", *evidence, class_="evidence") if evidence else None
    if values and check["status"] not in _BAD:
        values = element("details", element("summary", "Evidence"), values)
    code = joined(" ", element("code", check["code"])) if check["code"] else None
    return element(
        "li",
        element("span", check["status"], class_="status"),
        " ",
        text(check["detail"]),
        code,
        values,
        next_step(check["next_step"]),
        class_=f"check {check['status']}",
    )


def turn(path: str, shown: Sequence[int], oldest: int | None, before: int | None) -> Markup | None:
    """Links to the newest and to older entries, of which those with the numbers `shown` are on this page."""
    newest = element("a", "Newest", href=path) if before is not None else None
    has_older = bool(shown) and oldest is not None and min(shown) > oldest
    older = element("a", "Older", href=f"{path}?before={min(shown)}") if has_older else None
    return element("nav", newest, older, class_="pages", aria_label="Other entries") if newest or older else None
