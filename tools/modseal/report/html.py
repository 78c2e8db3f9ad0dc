"""How text gets into a page: everything through `shown`, as HTML by `element`, as data for the script by `data`.

Names, subjects and paths are written by whoever made the bundle. `shown` makes what is not printable visible (so no
text can turn the reading direction or hide in a line break) and cuts what is too long; `element` escapes every child
that is not itself made by `element`, and `data` leaves nothing that could end a script.
"""

from __future__ import annotations

import html
import json
from typing import Any

from modseal import limits
from modseal.report.text import safe


class Markup(str):
    """HTML that is ready: made by `element`, or written by us."""

    __slots__ = ()


LINE = Markup("\n")
Child = Markup | str | int | None
Attribute = str | int | bool | None
_VOID = frozenset({"input", "rect", "line", "br", "col"})


def shown(text: object) -> str:
    """A text as a reader may see it: printable, and of bounded length."""
    whole = str(text)
    cut = whole[: limits.HTML_TEXT]
    more = len(whole) - len(cut)
    return safe(cut) + (f" … ({more:,} more characters)" if more else "")


def escaped(text: object) -> Markup:
    """The same, with every character that has a meaning in HTML escaped; also fit for a quoted attribute."""
    return Markup(html.escape(shown(text), quote=True))


def element(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """An element without what is None. Of attributes, `class_` loses its underscore and `aria_label` gets a dash."""
    start = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{name}{start}>" if name != "rect" and name != "line" else f"<{name}{start}/>")
    return Markup(f"<{name}{start}>{joined(*children)}</{name}>")


def joined(*children: Child) -> Markup:
    """Children one after another."""
    return Markup("".join(c if isinstance(c, Markup) else escaped(c) for c in children if c is not None))


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escaped(value)}"'


def prose(text: str) -> Markup:
    """One of our own sentences, in which what stands between two backticks is code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one that has no partner is a backtick
        return escaped(text)
    return joined(*(element("code", part) if number % 2 else part for number, part in enumerate(parts)))


_IN_SCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
"""What could end a script or begin a comment in it. All that is not ASCII is escaped as well, U+2028 among it."""


def data(value: Any) -> str:
    """Plain values as JSON for a `<script type="application/json">`, every text in it as `shown`."""
    return json.dumps(_shown(value), ensure_ascii=True, separators=(",", ":")).translate(_IN_SCRIPT)


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, dict):
        return {shown(key): _shown(each) for key, each in value.items()}
    return [_shown(each) for each in value] if isinstance(value, list | tuple) else value
