"""TOML with line numbers: what module specs and policies are read with.

`tomllib` gives values without places. A person who has to correct a file needs the line, so the
keys' places are found again by a scan of the text; where the scan is unsure it says no line.
"""

from __future__ import annotations

import re
import tomllib

from modseal import limits
from modseal.format.shape import Path, Problem, Shape, location

_HEADER = re.compile(r"\s*(\[\[?)([A-Za-z0-9_.\-\"' \t]+)\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_\-]+|\"[^\"]*\"|'[^']*')\s*[.=]")


class TomlDocument:
    """The values of a TOML text, and where each key stands."""

    def __init__(self, values: dict[str, object], lines: dict[Path, int]) -> None:
        self.values = values
        self._lines = lines

    def line(self, path: Path) -> int:
        """The line (from 1) of a path, or of the nearest table above it; 0 where unknown."""
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[:-1]
        return 0

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
    """Parse TOML. Raises `ValueError` with a sentence that has the line."""
    if len(data) > limits.SPEC_SIZE:
        raise ValueError(f"the file is over {limits.SPEC_SIZE} bytes")
    try:
        text = data.decode("utf-8")
        _require_short_keys(text)
        values = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ValueError(f"the file is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise ValueError("the file is nested too deep") from None
    return TomlDocument(values, _scan(text))


def _require_short_keys(text: str) -> None:
    """Dotted keys cost `tomllib` time and memory in the square of their parts."""
    for number, line in enumerate(text.splitlines(), 1):
        *keys, _ = line.split("=")
        keys += [line] if line.lstrip().startswith("[") else []
        if any(key.count(".") >= limits.KEY_PARTS for key in keys):
            raise ValueError(f"line {number}: a key has more than {limits.KEY_PARTS} parts")


def _scan(text: str) -> dict[Path, int]:
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        header, key = _HEADER.match(line), _KEY.match(line)
        if header:
            table = tuple(part.strip().strip("\"'") for part in header[2].split("."))
            # A table below an array's item belongs to the item that was opened last.
            table = _inside_arrays(table, counts)
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            lines.setdefault(table, number)
        elif key:
            lines.setdefault((*table, key[1].strip("\"'")), number)
    return lines


def _inside_arrays(table: Path, counts: dict[Path, int]) -> Path:
    path: Path = ()
    for part in table[:-1]:
        path = (*path, part)
        if path in counts:
            path = (*path, counts[path])
    return (*path, table[-1])
