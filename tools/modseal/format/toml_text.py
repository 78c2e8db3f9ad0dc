"""TOML with line numbers: what module specs and policies are read with.

tomli reads it, in every Python the same: the grammar of `tomllib` belongs to the interpreter, so one policy would load
on one host and not on another (docs/adr/0013). A parser gives values without places, and a person who has to correct
a file needs the line. So the text, once it is known to be TOML, is gone through again for where each key stands.
"""

from __future__ import annotations

import codecs
import json
import re

import tomli

from modseal import limits
from modseal.errors import foreign
from modseal.format.shape import Problem, Shape, Steps, location

_BASIC = r'"(?:[^"\\\n]|\\.)*"'
_LITERAL = r"'[^'\n]*'"
_PART = rf"(?:[A-Za-z0-9_-]+|{_BASIC}|{_LITERAL})"
_KEY = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_ONE_PART = re.compile(_PART)
_TOKEN = re.compile(
    rf"""
    (?P<blank>[ \t\r\n]+|\#[^\n]*)
  | (?P<assignment>{_KEY})[ \t]*=
  | \[\[[ \t]*(?P<item>{_KEY})[ \t]*\]\]
  | \[[ \t]*(?P<table>{_KEY})[ \t]*\]
    """,
    re.VERBOSE,
)
"""What stands where a statement begins."""

_VALUE = re.compile(
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

_SEPARATORS = b"\n,.=[{"
"""What ends or begins a line, a key or a value; also where it stands in a text."""

_INLINE_KEY = re.compile(rf"({_KEY})[ \t]*=")


_TWICE = re.compile(r"Cannot declare \((.*?),?\) twice|Cannot mutate immutable namespace \((.*?),?\)")
_CURLY = "\u2018\u2019\u201c\u201d\u00ab\u00bb"


class TomlError(ValueError):
    """A text that is not TOML. `line` counts from 1; 0 is for what is wrong with the whole."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line

    def describe(self, name: str) -> str:
        """One line that an editor can jump to."""
        return f"{name}:{self.line}: {self}" if self.line else f"{name}: {self}"


class TomlDocument:
    """The values of a TOML text, and where each key stands."""

    def __init__(self, values: dict[str, object], lines: dict[Steps, int], inside: dict[Steps, int]) -> None:
        self.values = values
        self._lines = lines
        self._inside = inside
        """The lines of what lies inside an array that is a value, which `lines` leaves out."""

    def line(self, path: Steps) -> int:
        """The line (from 1) of a path, or of the nearest table above it; 0 where unknown."""
        while path and path not in self._lines and path not in self._inside:
            path = path[:-1]
        return self._lines.get(path) or self._inside.get(path, 0)

    @property
    def lines(self) -> dict[str, int]:
        """The line of every key, by its location as `shape.location` writes it."""
        return {location(path): line for path, line in self._lines.items()}

    def problems(self, shape: Shape, name: str) -> tuple[str, ...]:
        """One line for each problem of the values with a shape: `name:line: field: what`."""
        return tuple(self.describe(problem, name) for problem in shape.problems(self.values))

    def describe(self, problem: Problem, name: str) -> str:
        """A problem as one line that an editor can jump to."""
        line = self.line(problem.path if problem.key is None else (*problem.path, problem.key))
        text = str(problem) if problem.path else problem.message
        return f"{name}:{line}: {text}" if line else f"{name}: {text}"


def parse(data: bytes) -> TomlDocument:
    """Parse TOML 1.1. Raises `TomlError`."""
    if len(data) > limits.SPEC_SIZE:
        raise TomlError(f"the file is over {limits.SPEC_SIZE} bytes")
    if data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise TomlError("the file starts with a byte order mark; save it as UTF-8 without one")
    if sum(map(data.count, _SEPARATORS)) > limits.SPEC_PARTS:
        raise TomlError(f"the file has more than {limits.SPEC_PARTS} lines, keys and values")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TomlError(f"the file is not UTF-8 (byte {error.start})") from None
    _require_short_keys(text)
    values: dict[str, object] = {}
    problem: TomlError | None = None
    with foreign(TomlError):
        try:
            values = tomli.loads(text)
        except tomli.TOMLDecodeError as error:
            problem = _in_words(error)
        except RecursionError:
            problem = TomlError("the file is nested too deep")
    if problem:
        raise problem
    places = _Places(text.replace("\r\n", "\n"))
    return TomlDocument(values, places.lines, places.inside)


def _in_words(error: tomli.TOMLDecodeError) -> TomlError:
    """The parser's message without Python in it, and with what people most often meant."""
    message = error.msg
    if twice := _TWICE.fullmatch(message):
        name = ".".join(part.strip().strip("'") for part in (twice[1] or twice[2]).split(","))
        message = f"the table [{name}] is there twice; each of several is written [[{name}]]"
    elif error.doc[error.pos : error.pos + 1] in _CURLY and error.pos < len(error.doc):
        message = f'{error.doc[error.pos]!r} is not a quote of TOML; write "'
    return TomlError(f"{message} (column {error.colno})", error.lineno)


def _require_short_keys(text: str) -> None:
    """Dotted keys cost a parser time and memory in the square of their parts."""
    for number, line in enumerate(text.splitlines(), 1):
        *keys, _ = line.split("=")
        keys += [line] if line.lstrip().startswith("[") else []
        if any(key.count(".") >= limits.KEY_PARTS for key in keys):
            raise TomlError(f"a key has more than {limits.KEY_PARTS} parts", number)


class _Places:
    """The line of every table, key and item of an array in a text that is TOML."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Steps, int] = {}
        self.inside: dict[Steps, int] = {}
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
        self.lines.setdefault(path, self._line)
        return path

    def _value(self, path: Steps, above: int) -> None:
        """Note the key at `path`, of which `above` parts are its table's, and what lies inside its value."""
        for end in range(above + 1, len(path) + 1):
            self.lines.setdefault(path[:end], self._line)
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
                    self.inside.setdefault(path, starts)
                holders.append((path, 0 if found["open"] == "[" else None))
            elif found["close"]:
                path, _ = holders.pop()
            elif found["comma"] and holders[-1][1] is not None:
                holders[-1] = (holders[-1][0], holders[-1][1] + 1)
            if holders and holders[-1][1] is None and (found["open"] or found["comma"]):
                known = self.lines if all(number is None for _, number in holders) else self.inside
                path = self._inline_key(holders[-1][0], known)
            elif holders and holders[-1][1] is not None and (found["text"] or (found["other"] or "").strip()):
                self.inside.setdefault((*holders[-1][0], holders[-1][1]), starts)

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
