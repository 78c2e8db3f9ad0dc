"""An audit's JSON report, read back: a baseline, one side of a comparison, or a claim to be checked.

What it says is a claim: nobody signs a report by itself. It can change what counts as new, never a verdict.

A report as `modseal audit` writes it has a line for each result and finding. It is read line by line, as often as
its reader wants, so that its size costs no memory. One that was written anew in another layout is read at once.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import field
from datetime import datetime
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO

from modseal import limits
from modseal.auditing import report_shape
from modseal.auditing.finding import Finding, from_plain
from modseal.auditing.report_shape import Misshapen
from modseal.errors import InputError
from modseal.files.identity import Identity, identity_of
from modseal.files.names import native
from modseal.format.times import parse_time
from modseal.values import dataclass

LISTS = ("results", "findings")
"""The two long parts of a report, in their order; the rest of it is its head."""


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A report whose every value has been looked at once. `sha256` is the file's; `head` all but the two lists."""

    name: str
    sha256: str
    head: dict[str, Any]
    _rows: Callable[[str], Iterator[Any]] = field(repr=False)

    @property
    def at(self) -> datetime:
        """The time at which validity was judged."""
        return parse_time(self.head["at"])

    @property
    def policy(self) -> dict[str, Any]:
        """What it says of the policy: `source`, `sha256`, `minimum_level`."""
        values: dict[str, Any] = self.head["policy"]
        return values

    @property
    def complete(self) -> bool:
        """Whether it says that the audit was not interrupted."""
        return bool(self.head["complete"])

    def results(self) -> Iterator[dict[str, Any]]:
        """Every bundle's result. Raises `InputError` where the file changed since it was loaded."""
        for values in self._rows("results"):
            yield {**values, "bundle": native(values["bundle"])}

    def findings(self) -> Iterator[Finding]:
        """Every finding. Raises `InputError` as `results` does."""
        return map(from_plain, self._rows("findings"))


def load(path: Path) -> ReportFile:
    """A report from its file. Raises `InputError` where it is none, with the place that is wrong."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if S_ISREG(status.st_mode):
                own = _Own(path, identity_of(status))
                try:
                    return own.load(file)
                except _OtherLayoutError:
                    file.seek(0)
            return _load_at_once(path, file)
    except OSError as error:
        raise InputError.of(path, error) from None
    except Misshapen as error:
        wrong = InputError(f"{path}: not a JSON report of `modseal audit`: {error}", path=str(path))
        raise wrong.because("report-unreadable") from None


class _OtherLayoutError(Exception):
    """The lines are not those that `modseal audit` writes."""


class _Own:
    """A report in our own layout (report.audit_json): where its lists start, and what is in them."""

    def __init__(self, path: Path, identity: Identity) -> None:
        self._path, self._identity = path, identity
        self._starts: dict[str, int] = {}

    def load(self, file: BinaryIO) -> ReportFile:
        """Look at every value once. Raises `_OtherLayoutError`, `Misshapen`."""
        digest = hashlib.sha256()
        lines = _Lines(file, digest.update)
        head = _with_names(report_shape.head(_value(_head(lines), "the head")))
        if not head.keys().isdisjoint(LISTS):  # of two with one name JSON takes the last
            raise _OtherLayoutError
        for name in LISTS:
            self._starts[name] = lines.position
            for _ in self._list(lines, name):
                pass
        if lines.next() != b"}\n" or lines.next():
            raise Misshapen("something follows its findings")
        return ReportFile(str(self._path), digest.hexdigest(), head, self.rows)

    def rows(self, name: str) -> Iterator[Any]:
        """The values of a list, from the file. Raises `InputError`."""
        try:
            with self._path.open("rb") as file:
                self._require_same(file)
                file.seek(self._starts[name])
                yield from self._list(_Lines(file, lambda _line: None, self._starts[name]), name)
        except OSError as error:
            raise InputError.of(self._path, error) from None
        except (Misshapen, _OtherLayoutError) as error:
            raise InputError(f"{self._path}: {error}", path=str(self._path)).because("report-unreadable") from None

    def _require_same(self, file: BinaryIO) -> None:
        if identity_of(os.fstat(file.fileno())) != self._identity:
            raise Misshapen("it changed while it was read")

    def _list(self, lines: _Lines, name: str) -> Iterator[Any]:
        """The values of the list that starts with the next line."""
        end = b"  ],\n" if name == LISTS[0] else b"  ]\n"
        opening = b'  "%b": [' % name.encode()
        line = lines.next()
        if line == opening + end.lstrip():
            return
        if line != opening + b"\n":
            raise Misshapen(f"where {name} should start it is something else")
        index, more = 0, True
        while (line := lines.next()) != end:
            if not line.startswith(_ROW):
                raise _OtherLayoutError if index == 0 and line else Misshapen(f"it ends, or breaks, in {name}[{index}]")
            if not more:
                raise Misshapen(f"{name}[{index}] follows no comma")
            more = line.endswith(b",\n")
            place = f"{name}[{index}]"
            yield report_shape.row(name, _value(line.rstrip(b"\n").removesuffix(b","), place), place)
            index += 1
        if more:
            raise Misshapen(f"{name} ends with a comma")


_ROW = b'    {"'


class _Lines:
    """The lines of a file, none longer than it may be, not more than there may be."""

    def __init__(self, file: BinaryIO, see: Callable[[bytes], None], position: int = 0) -> None:
        self._file, self._see, self.position = file, see, position
        self._unread: bytes | None = None

    def next(self) -> bytes:
        """The next line with its line feed; nothing at the end."""
        line, self._unread = self._unread, None
        if line is None:
            line = self._file.readline(limits.REPORT_LINE + 1)
            self._see(line)
        self.position += len(line)
        if len(line) > limits.REPORT_LINE:
            raise _OtherLayoutError  # all on one line, which is read at once if it is short enough
        if self.position > limits.REPORT_SIZE:
            raise Misshapen(f"it is over {limits.REPORT_SIZE} bytes")
        return line

    def put_back(self, line: bytes) -> None:
        """Have `next` give this line again."""
        self._unread = line
        self.position -= len(line)


def _head(lines: _Lines) -> bytes:
    """All that stands before the results, closed as an object of its own."""
    parts: list[bytes] = []
    size = 0
    while not (line := lines.next()).startswith(b'  "results": ['):
        parts.append(line)
        size += len(line)
        if not line or size > limits.REPORT_LINE:
            raise _OtherLayoutError
    lines.put_back(line)
    head = b"".join(parts)
    if not head.startswith(b"{\n") or not head.endswith(b",\n"):
        raise _OtherLayoutError
    return head.removesuffix(b",\n") + b"}"


def _load_at_once(path: Path, file: BinaryIO) -> ReportFile:
    data = file.read(limits.REPORT_REFORMATTED + 1)
    if len(data) > limits.REPORT_REFORMATTED:
        raise Misshapen(
            f"its lines are not those that modseal writes, and it is over {limits.REPORT_REFORMATTED} bytes"
        )
    values = _with_names(report_shape.head(_value(data, "it")))
    lists: dict[str, list[Any]] = {}
    for name in LISTS:
        rows = values.pop(name, None)
        if not isinstance(rows, list):
            raise Misshapen(f"{name} is missing, or is not an array")
        lists[name] = [report_shape.row(name, row, f"{name}[{index}]") for index, row in enumerate(rows)]
    return ReportFile(str(path), hashlib.sha256(data).hexdigest(), values, lambda name: iter(lists[name]))


def _with_names(head: dict[str, Any]) -> dict[str, Any]:
    """A head with the names of files as this machine has them (`files.names`)."""
    policy = {**head["policy"], "source": native(head["policy"]["source"])}
    return {**head, "policy": policy, "paths": list(map(native, head["paths"]))}


def _value(data: bytes, place: str) -> Any:
    """The value of some JSON. Raises `Misshapen`."""
    try:
        return _DECODER.decode(data.decode("utf-8"))
    except RecursionError:
        raise Misshapen(f"{place} is nested too deeply") from None
    except UnicodeDecodeError:
        raise Misshapen(f"{place} is not JSON: not UTF-8") from None
    except ValueError as error:
        raise Misshapen(f"{place} is not JSON: {error}") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
