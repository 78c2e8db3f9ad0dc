"""TOML with line numbers: what module specs and policies are read with.

tomli reads it, in every Python the same: the grammar of `tomllib` belongs to the interpreter, so one policy would load
on one host and not on another (docs/adr/0013). A parser gives values without places, and a person who has to correct
a file needs the line: `toml_lines` finds it.
"""

from __future__ import annotations

import codecs
from dataclasses import field

import tomli

from modseal import limits
from modseal.errors import foreign
from modseal.format.shape import Problem, Shape, Steps
from modseal.values import dataclass, regex

_SEPARATORS = b"\n,.=[{"
"""What ends or begins a line, a key or a value; also where it stands in a text."""

_TWICE = regex(r"Cannot declare \((.*?),?\) twice|Cannot mutate immutable namespace \((.*?),?\)")
_CURLY = "\u2018\u2019\u201c\u201d\u00ab\u00bb"


class TomlError(ValueError):
    """A text that is not TOML. `line` counts from 1; 0 is for what is wrong with the whole."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line

    def describe(self, name: str) -> str:
        """One line that an editor can jump to."""
        return f"{name}:{self.line}: {self}" if self.line else f"{name}: {self}"


@dataclass(frozen=True, slots=True)
class TomlDocument:
    """The values of a TOML text, and the text."""

    values: dict[str, object]
    text: bytes
    sources: dict[Steps, str] = field(default_factory=dict)
    """Who gave a value that was put in the place of the text's own."""

    def put(self, path: Steps, value: object, source: str) -> None:
        """Put a value in the place of the text's own; a problem with it is one of `source`."""
        table: object = self.values
        for step in path[:-1]:
            table = table.setdefault(str(step), {}) if isinstance(table, dict) else None
        if isinstance(table, dict):  # else the table is something else, which the shape refuses
            table[str(path[-1])] = value
            self.sources[path] = source

    def line(self, path: Steps) -> int:
        """The line (from 1) of a path, or of the nearest table above it; 0 where unknown."""
        from modseal.format.toml_lines import places  # imported here: a file without a mistake needs no line

        return places(self.text).line(path)

    def problems(self, shape: Shape, name: str) -> tuple[str, ...]:
        """One line for each problem of the values with a shape: `name:line: field: what`."""
        return tuple(self.describe(problem, name) for problem in shape.problems(self.values))

    def describe(self, problem: Problem, name: str) -> str:
        """A problem as one line that an editor can jump to."""
        if source := self.sources.get(problem.path):
            return f"{source}: {problem.message}"
        line = self.line(problem.path if problem.key is None else (*problem.path, problem.key))
        text = str(problem) if problem.path else problem.message
        return f"{name}:{line}: {text}" if line else f"{name}: {text}"


def quoted(text: str) -> str:
    """A text as TOML says it, in one line."""
    import json  # of what reads alone, nothing needs it

    # JSON's escapes are TOML's too, and TOML has no bare DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


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
    return TomlDocument(values, data)


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
