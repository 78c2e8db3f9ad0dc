"""The table of bundles as static HTML: what is there before, or without, the script.

report.js writes the same cells from the same entries (a test compares them); here are only the worst ones. What is
narrowed down by a link works without the script as well: the link leads to a sentence above the table, and while that
is the target the style hides all other rows (`NARROWED`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from modseal.auditing.run import LEVELS
from modseal.report.audit_html.bundles import VERDICTS, BundleRow, Bundles
from modseal.report.audit_html.groups import SEVERITIES
from modseal.report.html import LINE, Markup, element, joined
from modseal.report.text import safe_name

COLUMNS = ("File", "Module", "Verdict", "Proven level", "Findings", "Trusted by", "Size")
NONE_LEVEL = LEVELS.index("none")


class Narrowed(NamedTuple):
    """What the table can be narrowed down to by a link: the filter, its value, and the sentence that says so."""

    filter: str
    value: str
    sentence: str

    @property
    def id(self) -> str:
        """Of the sentence, which links lead to."""
        return f"only-{self.filter}-{self.value}"


NARROWED = (
    *(Narrowed("verdict", name, f"Only bundles that are {name}.") for name in VERDICTS),
    *(Narrowed("severity", str(one), f"Only bundles whose worst finding is {one}.") for one in SEVERITIES),
    *(Narrowed("level", name, f"Only bundles with the proven level {name}.") for name in LEVELS),
)


def link(filter_: str, value: str, *content: Markup | str, **attributes: str) -> Markup:
    """Something that leads to the table, narrowed down."""
    return element("a", *content, href=f"#only-{filter_}-{value}", **attributes)


def sentences() -> Iterator[Markup]:
    """What each link leads to; hidden but for the one that is the target."""
    for one in NARROWED:
        back = element("a", "Show all", href="#bundles")
        yield joined(element("p", one.sentence, " ", back, id=one.id, class_="only"), LINE)


def narrowing() -> str:
    """The style that hides the other rows while no script is there to do so."""
    rules = (
        f':root:not(.live):has(#{one.id}:target) #table tbody tr:not([data-{one.filter}="{one.value}"])'
        for one in NARROWED
    )
    return ",\n".join(rules) + " { display: none; }\n"


def head() -> Markup:
    """The header row; the script makes buttons of the names."""
    return element("tr", *(element("th", name, scope="col", role="columnheader") for name in COLUMNS), role="row")


def body(bundles: Bundles) -> Iterator[Markup]:
    """The worst rows."""
    for place, entry in bundles.worst:
        yield joined(row(entry, place), LINE)


def row(entry: BundleRow, place: int) -> Markup:
    """One row."""
    cells = (_file(entry), _module(entry), _verdict(entry), _level(entry), _findings(entry), _trusted_by(entry))
    return element(
        "tr",
        *map(_cell, COLUMNS, (*cells, size(entry.size))),
        role="row",
        id=f"bundle-{place}",
        data_verdict=VERDICTS[entry.verdict],
        data_severity=str(SEVERITIES[entry.worst]) if entry.worst >= 0 else None,
        data_level=LEVELS[entry.proven],
    )


def _cell(column: str, content: Markup | str) -> Markup:
    return element("td", content, role="cell", data_column=column)


def _file(entry: BundleRow) -> Markup:
    folder, name = parts(entry.file)
    return joined(element("bdi", name, class_="file"), element("bdi", folder, class_="folder") if folder else None)


def parts(file: str) -> tuple[str, str]:
    """The folder of a file with its last slash, and the name in it; the whole is a name where it ends in a slash."""
    whole = safe_name(file)
    folder, slash, name = whole.rpartition("/")
    return (folder + slash, name) if name else ("", whole)


def _module(entry: BundleRow) -> Markup:
    if entry.name is None:
        return element("span", "not readable", class_="dim")
    return joined(
        element("bdi", f"{entry.name} {entry.version}"),
        element(
            "span",
            element("bdi", entry.vendor, class_="vendor"),
            " ",
            None if entry.proved else unproved(),
            class_="dim line",
        ),
    )


def unproved() -> Markup:
    """The word beside everything that nobody whom we trust stands for."""
    return element("span", "unproved", class_="tag unproved")


def _verdict(entry: BundleRow) -> Markup:
    name = VERDICTS[entry.verdict]
    return element("span", name, class_=f"pill {name}")


def _level(entry: BundleRow) -> Markup:
    claims = entry.claimed not in (entry.proven, NONE_LEVEL)
    return joined(
        LEVELS[entry.proven],
        element("span", f"claims {LEVELS[entry.claimed]} ", unproved(), class_="dim line") if claims else None,
    )


def _findings(entry: BundleRow) -> Markup:
    worst = SEVERITIES[entry.worst] if entry.worst >= 0 else None
    return joined(
        element("span", f"{worst} · {entry.counted:,}", class_=f"pill {worst}") if worst else None,
        element("span", f"{entry.aside:,} set aside", class_="dim line") if entry.aside else None,
        element("span", "none", class_="dim") if worst is None and not entry.aside else None,
    )


def _trusted_by(entry: BundleRow) -> Markup:
    return element("bdi", entry.anchors) if entry.anchors else element("span", "nobody", class_="dim")


def size(count: int) -> str:
    """Bytes for people, in powers of 1000."""
    value, units = float(count), ["B", "kB", "MB", "GB"]
    while value >= 1000 and len(units) > 1:
        value, _ = value / 1000, units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"
