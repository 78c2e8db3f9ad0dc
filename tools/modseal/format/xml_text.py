"""Writes XML as VMware's tools do: on one line, or indented by two spaces; never with a declaration.

An element has a text, an empty one too (`<patchUrl></patchUrl>`), or children, or neither (`<conflicts/>`). What is
written here `strict_xml` reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field

from modseal.values import dataclass


@dataclass(frozen=True, slots=True)
class Element:
    """An element with a text, or with children where `text` is None. Attributes are written in their order."""

    name: str
    children: tuple[Element, ...] = ()
    text: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


def leaf(name: str, text: str, **attributes: str) -> Element:
    """An element with a text."""
    return Element(name, (), text, attributes)


def branch(name: str, *children: Element) -> Element:
    """An element with children, or with none."""
    return Element(name, children)


def one_line(element: Element) -> str:
    """An element without white space between its parts."""
    inside = escape(element.text or "") + "".join(map(one_line, element.children))
    if not element.children and element.text is None:
        return f"<{element.name}{_attributes(element)}/>"
    return f"<{element.name}{_attributes(element)}>{inside}</{element.name}>"


def indented(element: Element) -> str:
    """An element with each child on a line of its own, and a line feed at the end."""
    return "".join(f"{line}\n" for line in _lines(element, ""))


def escape(text: str) -> str:
    """A text as content of an element."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def quoted(text: str) -> str:
    """A text as an attribute's value, with its quotation marks."""
    return f'"{escape(text).replace(chr(34), "&quot;")}"'


def _attributes(element: Element) -> str:
    return "".join(f" {name}={quoted(value)}" for name, value in element.attributes.items())


def _lines(element: Element, space: str) -> Iterator[str]:
    if not element.children:
        yield space + one_line(element)
        return
    yield f"{space}<{element.name}{_attributes(element)}>"
    for child in element.children:
        yield from _lines(child, f"{space}  ")
    yield f"{space}</{element.name}>"
