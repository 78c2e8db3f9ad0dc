"""Where each key of a TOML text stands: its line, for a person who has to correct or to understand it.

A parser gives values without places. So a text that is known to be TOML is gone through a second time, and only when
a line is asked for: a policy or spec without a mistake needs none.
"""

from __future__ import annotations

import functools
import json
import re

from modseal.format.shape import Steps, location
from modseal.values import regex

_BASIC = r'"(?:[^"\\\n]|\\.)*"'
_LITERAL = r"'[^'\n]*'"
_PART = rf"(?:[A-Za-z0-9_-]+|{_BASIC}|{_LITERAL})"
_KEY = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_ONE_PART = regex(_PART)
_TOKEN = regex(
    rf"""
    (?P<blank>[ \t\r\n]+|\#[^\n]*)
  | (?P<assignment>{_KEY})[ \t]*=
  | \[\[[ \t]*(?P<item>{_KEY})[ \t]*\]\]
  | \[[ \t]*(?P<table>{_KEY})[ \t]*\]
    """,
    re.VERBOSE,
)
"""What stands where a statement begins."""

_VALUE = regex(
    rf"""
    (?P<text>\"\"\"(?:[^\\]|\\.)*?\"{{3,5}} | '''.*?'{{3,5}} | {_BASIC} | {_LITERAL})
  | (?P<open>[\[{{])
  | (?P<close>[\]}}])
  | (?P<comma>,)
  | (?P<comment>\#[^\n]*)
  | (?P<newline>\n)
  | (?P<other>[^\[\]{{}},\#"'\n]+)
    """,
    re.VERBOSE | re.DOTALL,
)
"""The parts of a value. A text over several lines may end with up to two quotes of its own before the closing three."""

_INLINE_KEY = regex(rf"({_KEY})[ \t]*=")


@functools.lru_cache(maxsize=4)
def places(data: bytes) -> Places:
    """The places of a text that is TOML; remembered, because each problem of a text asks for its line."""
    return Places(data.decode("utf-8").replace("\r\n", "\n"))


class Places:
    """The line of every table, key and item of an array in a text that is TOML."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Steps, int] = {}
        self._inside: dict[Steps, int] = {}
        """The lines of what lies inside an array that is a value, which `lines` leaves out."""
        self._text = text
        self._items: dict[Steps, int] = {}
        self._position = 0
        self._line = 1
        table: Steps = ()
        while found := _TOKEN.match(text, self._position):
            self._go_to(found.end())
            key = found["assignment"] or found["item"] or found["table"]
            if found["assignment"]:
                self._value((*table, *_parts(key)), len(table))
            elif key:
                table = self._table(_parts(key), one_of_many=bool(found["item"]))

    def line(self, path: Steps) -> int:
        """The line (from 1) of a path, or of the nearest table above it; 0 where unknown."""
        while path and path not in self._lines and path not in self._inside:
            path = path[:-1]
        return self._lines.get(path) or self._inside.get(path, 0)

    @functools.cached_property
    def lines(self) -> dict[str, int]:
        """The line of every key, by its location as `shape.location` writes it."""
        return {location(path): line for path, line in self._lines.items()}

    def _go_to(self, position: int) -> None:
        self._line += self._text.count("\n", self._position, position)
        self._position = position

    def _table(self, parts: Steps, *, one_of_many: bool) -> Steps:
        """The path of a table's header: below an array, that of the item that was opened last."""
        path: Steps = ()
        for part in parts[:-1]:
            path = (*path, part)
            if path in self._items:
                path = (*path, self._items[path])
        path = (*path, parts[-1])
        if one_of_many:
            self._items[path] = self._items.get(path, -1) + 1
            path = (*path, self._items[path])
        self._lines.setdefault(path, self._line)
        return path

    def _value(self, path: Steps, above: int) -> None:
        """Note the key at `path`, of which `above` parts are its table's, and what lies inside its value."""
        for end in range(above + 1, len(path) + 1):
            self._lines.setdefault(path[:end], self._line)
        holders: list[tuple[Steps, int | None]] = []
        """Open arrays (with the number of the item) and inline tables (None), the innermost last."""
        while found := _VALUE.match(self._text, self._position):
            if found["newline"] and not holders:
                return
            starts = self._line
            self._go_to(found.end())
            if found["open"]:
                if holders and holders[-1][1] is not None:
                    path = (*holders[-1][0], holders[-1][1])
                    self._inside.setdefault(path, starts)
                holders.append((path, 0 if found["open"] == "[" else None))
            elif found["close"]:
                path, _ = holders.pop()
            elif found["comma"] and holders[-1][1] is not None:
                holders[-1] = (holders[-1][0], holders[-1][1] + 1)
            if holders and holders[-1][1] is None and (found["open"] or found["comma"]):
                known = self._lines if all(number is None for _, number in holders) else self._inside
                path = self._inline_key(holders[-1][0], known)
            elif holders and holders[-1][1] is not None and (found["text"] or (found["other"] or "").strip()):
                self._inside.setdefault((*holders[-1][0], holders[-1][1]), starts)

    def _inline_key(self, table: Steps, known: dict[Steps, int]) -> Steps:
        """The path of the next key of an inline table, added to `known`; that of the table where it ends."""
        while blank := _TOKEN.match(self._text, self._position):
            if not blank["blank"]:
                break
            self._go_to(blank.end())
        found = _INLINE_KEY.match(self._text, self._position)
        if not found:
            return table
        path = (*table, *_parts(found[1]))
        for end in range(len(table) + 1, len(path) + 1):
            known.setdefault(path[:end], self._line)
        self._go_to(found.end())
        return path


def _parts(key: str) -> Steps:
    """The parts of a dotted key, without quotes and escapes."""
    return tuple(map(_plain, _ONE_PART.findall(key)))


def _plain(part: str) -> str:
    if part[0] == "'":
        return part[1:-1]
    if part[0] != '"':
        return part
    try:
        return str(json.loads(part))  # its escapes are JSON's, but for a few that no key of ours has
    except ValueError:
        return part[1:-1]
