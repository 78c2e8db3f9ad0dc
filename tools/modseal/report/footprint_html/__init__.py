"""How much room modules take, as one HTML page: a treemap and tables, without any script.

It looks like an audit's page and has the same rules: nothing is loaded or sent, and every text of a bundle is escaped
(`report.html`). The same modules give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources

import modseal
from modseal import limits
from modseal.format.level import Level
from modseal.profile.footprint import ModuleSize, SizeGroup, by_level, by_vendor
from modseal.report import audit_html
from modseal.report.footprint import share_text, size_text, unmeasured
from modseal.report.footprint_html.treemap import Box, squarified
from modseal.report.html import Child, Markup, element, joined, prose
from modseal.report.text import plural

_SLOT = re.compile(r"\{\{ ([a-z]+) \}\}")
_LEAST_WIDE, _LEAST_HIGH = 6.0, 7.0
"""Percent of the drawing from which a box has its name in it; smaller ones are in the table, and name themselves."""


def render(modules: Sequence[ModuleSize]) -> bytes:
    """The page."""
    style = _file("report.css", audit_html.__name__) + _file("footprint.css", __name__)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    whole = SizeGroup("", tuple(modules))
    note = unmeasured(modules)
    slots: dict[str, Child] = {
        "policy": f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        "style": Markup(style),
        "lead": f"{plural(len(modules), 'module')}: {size_text(whole.installed)} installed, "
        f"{size_text(whole.packed)} packed",
        "note": element("p", prose(f"{note[0].upper()}{note[1:]}."), class_="warning") if note else None,
        "legend": joined(*(_key(level) for level in sorted(Level, reverse=True))),
        "treemap": _treemap(by_vendor(modules), whole.installed),
        "vendors": _groups("Vendor", by_vendor(modules), whole),
        "levels": _groups("Claimed level", by_level(modules), whole),
        "modules": joined(*(_row(one, whole.installed) for one in modules)),
        "version": modseal.__version__,
    }
    pieces = _SLOT.split(_file("footprint.html", __name__))
    return "".join(piece if number % 2 == 0 else joined(slots[piece]) for number, piece in enumerate(pieces)).encode()


def _file(name: str, package: str) -> str:
    return resources.files(package).joinpath(name).read_text("ascii")


def _key(level: Level) -> Markup:
    return element("li", element("span", class_=f"swatch {level}"), str(level))


def _treemap(vendors: Sequence[SizeGroup], total: int) -> Markup:
    """A box for each vendor, and in it one for each module; the smallest of a vendor share one."""
    boxes = squarified([one.installed for one in vendors], Box(0, 0, 100, 100))
    room = limits.HTML_BOXES
    drawn = list[Markup]()
    for vendor, box in zip(vendors, boxes, strict=True):
        if not box.area:
            continue
        shown, rest = vendor.modules[: max(room - 1, 0)], vendor.modules[max(room - 1, 0) :]
        if len(rest) == 1:
            shown, rest = vendor.modules, ()
        room -= len(shown)
        sizes = [*(one.room for one in shown), *([sum(one.room for one in rest)] if rest else [])]
        inner = squarified(sizes, box)
        drawn += [_module(one, each, total) for one, each in zip(shown, inner, strict=False)]
        if rest:
            drawn.append(_box(inner[-1], "rest", (f"{len(rest):,} more",), vendor.label, sizes[-1], total))
        drawn.append(_frame(box))
    label = (
        "Treemap: the area of each box is the room that a module takes once it is installed; the tables say the same"
    )
    return element("svg", *drawn, class_="treemap", role="img", aria_label=label)


def _module(one: ModuleSize, box: Box, total: int) -> Markup:
    return _box(box, str(one.level), (one.name, one.version), one.vendor, one.room, total)


def _box(box: Box, kind: str, named: tuple[str, ...], vendor: str, size: int, total: int) -> Markup:
    said = f"{size_text(size)}, {share_text(size, total)}"
    texts: Iterable[Markup] = ()
    if box.width >= _LEAST_WIDE and box.height >= _LEAST_HIGH:
        more = (*named[1:], vendor) if box.height >= 2 * _LEAST_HIGH else ()
        lines = [(named[0], "name"), (said, "size"), *((text, "size") for text in more)]
        texts = (
            element("text", text, x=8, y=20 + 17 * number, class_=class_) for number, (text, class_) in enumerate(lines)
        )
    return element(
        "svg",
        element("title", f"{' '.join(named)} of {vendor}: {said}"),
        element("rect", width="100%", height="100%", class_=f"box {kind}"),
        *texts,
        **_place(box),
    )


def _frame(box: Box) -> Markup:
    return element("rect", **_place(box), class_="frame")


def _place(box: Box) -> dict[str, str]:
    values = {"x": box.x, "y": box.y, "width": box.width, "height": box.height}
    return {name: f"{value:.3f}%" for name, value in values.items()}


def _groups(title: str, groups: Sequence[SizeGroup], whole: SizeGroup) -> Markup:
    heads = zip((title, "Modules", "Packed", "Installed", "Share"), (None, *_CLASSES), strict=True)
    head = element("tr", *(element("th", text, scope="col", class_=class_) for text, class_ in heads))
    rows = (
        element(
            "tr",
            element("th", element("bdi", one.label), scope="row"),
            *(element("td", text, class_=class_) for text, class_ in zip(_numbers(one, whole), _CLASSES, strict=True)),
        )
        for one in groups
    )
    return element("table", element("thead", head), element("tbody", *rows), class_="small")


_CLASSES = ("more", "more", None, None)
"""Of the columns with numbers: a phone has no room for `more`."""


def _numbers(one: SizeGroup, whole: SizeGroup) -> Iterator[str]:
    yield f"{len(one.modules):,}"
    yield size_text(one.packed)
    yield size_text(one.installed)
    yield share_text(one.installed, whole.installed)


def _row(one: ModuleSize, total: int) -> Markup:
    installed = "unknown" if one.installed is None else size_text(one.installed)
    return element(
        "tr",
        element("th", element("bdi", one.name), " ", element("bdi", one.version, class_="dim"), scope="row"),
        element("td", element("bdi", one.vendor), class_="text more"),
        element("td", str(one.level), class_="text more"),
        element("td", size_text(one.packed), class_="more"),
        element("td", installed),
        element("td", share_text(one.room, total)),
    )
