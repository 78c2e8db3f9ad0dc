"""Charts as inline SVG, drawn by us: bars across and columns over time, as wide as the page, their text unscaled.

Each chart says its numbers three times: beside the bars, in the text alternative, and in a table. What distinguishes
bars (trusted or not, accepted or not) is a pattern or a word as well as a colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from modseal.report.audit_html.signers import Period
from modseal.report.audit_html.table import link
from modseal.report.html import Markup, element, joined

_ROW = 42
_HEIGHT = 210
_LABEL = 38
"""Characters of a bar's label that fit beside its number on a phone."""


class Bar(NamedTuple):
    """One bar: a label, a number, what kind it is (a class of report.css), and a word on it.

    `whole` is what the table and the text alternative say, where that is more than the label and the word.
    """

    label: str
    value: int
    kind: str = "trusted"
    note: str = ""
    whole: str = ""


def figure(title: str, explanation: str, drawing: Markup, table: Markup) -> Markup:
    """A chart with its title and its numbers."""
    numbers = element(
        "details", element("summary", "Numbers"), element("div", table, class_="scroll"), class_="numbers"
    )
    caption = element("figcaption", element("h3", title), element("p", explanation, class_="dim"))
    return element("figure", caption, drawing, numbers, class_="card chart")


def bars(
    id_: str, title: str, explanation: str, rows: Sequence[Bar], columns: tuple[str, str], filter_: str | None = None
) -> Markup:
    """Bars across, one below another; their numbers lead to the table where it can be narrowed down by a filter."""
    most = max((bar.value for bar in rows), default=0) or 1
    drawn = joined(*(part for number, bar in enumerate(rows) for part in _bar(bar, number, most, filter_)))
    alternative = "; ".join(f"{_whole(bar)}: {bar.value:,}" for bar in rows) or "nothing to show"
    return figure(
        title, explanation, _svg(id_, title, alternative, drawn, len(rows) * _ROW or 1), _table(rows, columns)
    )


def _bar(bar: Bar, number: int, most: int, filter_: str | None) -> Iterator[Markup]:
    top = number * _ROW
    note = f" · {bar.note}" if bar.note else ""
    room = _LABEL - len(note)
    label = (bar.label if len(bar.label) <= room else bar.label[: room - 1] + "…") + note
    yield element("text", label, x=0, y=top + 15, class_="label")
    value = element("text", f"{bar.value:,}", x="100%", y=top + 15, class_="value")
    yield link(filter_, bar.label, value) if filter_ and bar.value else value
    yield element("rect", x=0, y=top + 23, width="100%", height=9, rx=4, class_="track")
    if bar.value:
        share = max(100 * bar.value / most, 1.5)
        yield element("rect", x=0, y=top + 23, width=f"{share:.2f}%", height=9, rx=4, class_=f"bar {bar.kind}")


def _whole(bar: Bar) -> str:
    return bar.whole or (f"{bar.label} ({bar.note})" if bar.note else bar.label)


def _table(rows: Sequence[Bar], columns: tuple[str, str]) -> Markup:
    lines = [element("tr", element("th", _whole(bar), scope="row"), element("td", f"{bar.value:,}")) for bar in rows]
    return _whole_table([element("tr", *(element("th", name, scope="col") for name in columns))], lines)


def _whole_table(head: Sequence[Markup], body: Sequence[Markup]) -> Markup:
    return element("table", element("thead", *head), element("tbody", *body), class_="small")


def timeline(id_: str, title: str, explanation: str, periods: Sequence[Period]) -> Markup:
    """Columns over time, in two parts each: trusted, and on top of it not trusted."""
    most = max((period.all for period in periods), default=0) or 1
    drawn = [element("line", x1=0, x2="100%", y1=_HEIGHT, y2=_HEIGHT, class_="axis")]
    for number, period in enumerate(periods):
        drawn += _column(period, number, len(periods), most)
        if period.year and periods[number - 1].year != period.year and periods[number + 1].year == period.year:
            # A year of which one quarter is shown has no room for its own number beside the next one's.
            drawn.append(element("text", period.year, x=_across(number, len(periods)), y=_HEIGHT + 32, class_="tick"))
    alternative = "; ".join(f"{_when(period)}: {period.all:,}" for period in periods if period.all)
    drawing = _svg(id_, title, alternative or "no certificates", joined(*drawn), _HEIGHT + 38)
    return figure(title, explanation, drawing, _period_table(periods))


def _column(period: Period, number: int, count: int, most: int) -> Iterator[Markup]:
    left, width = f"{100 * (number + 0.18) / count:.2f}%", f"{64 / count:.2f}%"
    bottom = _HEIGHT
    due = " due" if number == 0 else " soon" if number == 1 else ""
    for value, kind in ((period.trusted, f"bar trusted{due}"), (period.untrusted, "bar untrusted")):
        if value:
            height = max(round((_HEIGHT - 22) * value / most), 3)
            bottom -= height
            yield element("rect", x=left, y=bottom, width=width, height=height, rx=2, class_=kind)
    if period.all:
        yield element("text", f"{period.all:,}", x=_across(number, count), y=bottom - 6, class_="count")
    kind = "tick quarter" if period.year else "tick"
    yield element("text", period.name, x=_across(number, count), y=_HEIGHT + 16, class_=kind)


def _across(number: int, count: int) -> str:
    return f"{100 * (number + 0.5) / count:.2f}%"


def _when(period: Period) -> str:
    return {"past": "expired", "later": "later"}.get(period.name) or f"{period.year} {period.name}"


def _period_table(periods: Sequence[Period]) -> Markup:
    head = element("tr", *(element("th", name, scope="col") for name in ("Expiry", "Trusted", "Not trusted")))
    lines = [
        element(
            "tr",
            element("th", _when(period), scope="row"),
            element("td", f"{period.trusted:,}"),
            element("td", f"{period.untrusted:,}"),
        )
        for period in periods
    ]
    return _whole_table([head], lines)


def share(id_: str, title: str, parts: Sequence[Bar]) -> Markup:
    """One bar in parts, which together are all."""
    total = sum(part.value for part in parts)
    drawn, start = [], 0.0
    for part in parts:
        width = 100 * part.value / (total or 1)
        if part.value:
            drawn.append(
                element("rect", x=f"{start:.3f}%", y=0, width=f"{width:.3f}%", height=14, class_=f"bar {part.kind}")
            )
        start += width
    alternative = "; ".join(f"{part.label}: {part.value:,}" for part in parts)
    return _svg(id_, title, alternative, joined(*drawn), 14, "share")


def _svg(id_: str, title: str, alternative: str, drawn: Markup, height: int, class_: str = "") -> Markup:
    return element(
        "svg",
        element("title", title, id=f"{id_}-name"),
        element("desc", alternative, id=f"{id_}-text"),
        drawn,
        role="img",
        aria_labelledby=f"{id_}-name {id_}-text",
        class_=class_ or None,
        width="100%",
        height=height,
    )
