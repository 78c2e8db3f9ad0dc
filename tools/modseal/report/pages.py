"""The documentation that is installed with the program: pages by name, and JSON Schemas.

A wheel has them beside the package's modules. In a checkout they are read where they are written.
"""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

HOW_TO = "how-to"
_CHECKOUT = Path(__file__).parents[3]
_NOT_SHIPPED = ("mutation", "performance")
"""Pages for those alone who work on modseal itself."""


class Page(NamedTuple):
    """A page: its heading, where it is, and whether it is a how-to."""

    title: str
    place: Traversable
    is_how_to: bool

    def text(self) -> str:
        """All of it, in Markdown."""
        return self.place.read_text("utf-8")


def pages() -> dict[str, Page]:
    """The pages by name, in the order of the names: first the reference, then the how-tos."""
    installed = resources.files("modseal") / "pages"
    folder = installed if installed.is_dir() else _CHECKOUT / "docs"
    readme = folder / "readme.md" if folder is installed else _CHECKOUT / "README.md"
    found = {"readme": _page(readme, is_how_to=False)}
    for place, is_how_to in ((folder, False), (folder / HOW_TO, True)):
        for each in sorted(place.iterdir(), key=lambda one: one.name):
            name = each.name.removesuffix(".md")
            if each.name.endswith(".md") and name not in _NOT_SHIPPED:
                found.setdefault(name, _page(each, is_how_to=is_how_to))
    return found


def _page(place: Traversable, *, is_how_to: bool) -> Page:
    with place.open(encoding="utf-8") as file:
        return Page(file.readline().removeprefix("# ").strip(), place, is_how_to)


def schemas() -> dict[str, Traversable]:
    """The JSON Schemas by the name of what they are of: module, policy, report and so on."""
    installed = resources.files("modseal") / "schemas"
    folder = installed if installed.is_dir() else _CHECKOUT / "schemas"
    return {each.name.partition(".")[0]: each for each in sorted(folder.iterdir(), key=lambda one: one.name)}


def listing() -> str:
    """All pages with their headings, without a final newline."""
    found = pages()
    width = max(map(len, found)) + 2
    lines = ["modseal help TOPIC shows one of these pages; TOPIC may also be a command, a code, or a rule of audits."]
    for heading, is_how_to in (("Reference", False), ("How to", True)):
        lines += ["", f"{heading}:"]
        lines += [f"  {name:<{width}}{page.title}" for name, page in found.items() if page.is_how_to is is_how_to]
    return "\n".join(lines)
