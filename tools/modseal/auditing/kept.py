"""A record as the cache keeps it: texts and bytes with a digest over them, and the record again."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from modseal.auditing.finding import FindingText
from modseal.auditing.record import Kept, Record
from modseal.auditing.rule import Row
from modseal.format.level import Level
from modseal.format.together import Footprint
from modseal.trust.examination import Verdict

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def seconds(at: datetime) -> int:
    """A time as the cache has it: whole seconds since 1970."""
    return (at - _EPOCH) // timedelta(seconds=1)


def values_of(record: Record, context: str) -> dict[str, Any]:
    """A record that holds between two moments, by the names of its columns."""
    after, before = map(seconds, record.holds or (_EPOCH, _EPOCH))
    values = {
        "sha256": record.row.sha256,
        "salt": record.salt,
        "context": context,
        "size": record.row.size,
        "after": after,
        "before": before,
        "row": _row_text(record.row),
        "findings": "\n".join(map(_line, record.texts)),
        "result": record.values,
    }
    return values | {"digest": _digest(values)}


def record_of(kept: Mapping[str, Any] | sqlite3.Row, name: str, at: datetime, how: Kept) -> Record | None:
    """A kept record, under the name and as of the time of today; None where it is not as it was written: damaged."""
    with suppress(ValueError, TypeError, KeyError, OverflowError):
        if kept["digest"] != _digest(kept):
            return None
        plain = json.loads(kept["row"])
        links, directories, files = plain["footprint"]
        plain |= {
            "bundle": name,
            "verdict": Verdict(plain["verdict"]),
            "claimed": _level(plain["claimed"]),
            "proven": _level(plain["proven"]),
            "keys": tuple(plain["keys"]),
            "footprint": Footprint(tuple(map(tuple, links)), tuple(directories), files),
        }
        row = Row(**plain)
        holds = _EPOCH + timedelta(seconds=kept["after"]), _EPOCH + timedelta(seconds=kept["before"])
        if row.sha256 == kept["sha256"]:
            texts = tuple(_texts(kept["findings"]))
            return Record(row, kept["result"], at, texts, holds, kept=how, salt=kept["salt"])
    return None


def _row_text(row: Row) -> str:
    """A row as JSON, without the file's name."""
    levels = {"claimed": _text(row.claimed), "proven": _text(row.proven)}
    return json.dumps(row._asdict() | {"bundle": "", "verdict": str(row.verdict)} | levels)


def _text(level: Level | None) -> str | None:
    return str(level) if level else None


def _level(text: object) -> Level | None:
    return Level.parse(str(text)) if text else None


def _digest(values: Mapping[str, Any] | sqlite3.Row) -> bytes:
    """What a kept result is recognised by as it was written: SQLite does not notice damage within a value."""
    names = ("context", "sha256", "salt", "after", "before", "row", "findings")
    texts = [str(values[name]).encode("utf-8", "surrogatepass") for name in names]
    parts = [b"%d %b" % (len(text), text) for text in texts]
    return hashlib.sha256(b"".join([*parts, values["result"]])).digest()


def _line(text: FindingText) -> str:
    """A finding in a line; no part but the last has a tab in it, and none a line feed."""
    return "\t".join((text.rule, text.severity, "undecided" if text.undecided else "", text.kind, text.body))


def _texts(lines: str) -> Iterator[FindingText]:
    for line in lines.split("\n") if lines else ():
        rule, severity, undecided, kind, body = line.split("\t", 4)
        yield FindingText(rule, severity, bool(undecided), kind, body)
