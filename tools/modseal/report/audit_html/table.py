"""The table of bundles as static HTML: what is there before, or without, the script.

report.js writes the same cells from the same entries (a test compares them); here are only the worst ones.
"""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.run import LEVELS
from modseal.report.audit_html.bundles import VERDICTS, BundleRow, Bundles
from modseal.report.audit_html.escape import LINE, Markup, element, joined
from modseal.report.audit_html.groups import SEVERITIES

COLUMNS = ("File", "Module", "Verdict", "Proven level", "Findings", "Trusted by", "Size")
NONE_LEVEL = LEVELS.index("none")


def head() -> Markup:
    """The header row; the script makes buttons of the names."""
    return element("tr", *(element("th", name, scope="col", role="columnheader") for name in COLUMNS), role="row")


def body(bundles: Bundles) -> Iterator[Markup]:
    """The worst rows."""
    for entry in bundles.worst:
        yield joined(row(entry), LINE)


def row(entry: BundleRow) -> Markup:
    """One row."""
    cells = (_file(entry), _module(entry), _verdict(entry), _level(entry), _findings(entry), _trusted_by(entry))
    return element("tr", *map(_cell, COLUMNS, (*cells, size(entry.size))), role="row")


def _cell(column: str, content: Markup | str) -> Markup:
    return element("td", content, role="cell", data_column=column)


def _file(entry: BundleRow) -> Markup:
    folder, slash, name = entry.file.rpartition("/")
    return joined(
        element("bdi", name or entry.file, class_="file"),
        element("bdi", folder + slash, class_="folder") if name and folder + slash else None,
    )


def _module(entry: BundleRow) -> Markup:
    if entry.name is None:
        return element("span", "not readable", class_="dim")
    return joined(
        element("bdi", f"{entry.name} {entry.version}"),
        element("span", element("bdi", entry.vendor), " ", None if entry.proved else unproved(), class_="dim line"),
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
