"""The state file of one depot: its newest proved index, kept so that no older one is ever taken again.

It is a Unix `ar` with `state.json` (the newest time of all checks), `depot.json` and `sig.pkcs7` as they were proved,
and `recall-1` and so on, the files of the recalls that counted. It is replaced by one rename after its bytes are on the
disk: a process that is killed leaves the old state or the new one.

Only root and the user may be able to write it: a state that others can write would protect nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from stat import S_IWGRP, S_IWOTH, filemode
from typing import Any

from modseal import limits
from modseal.depot import index as depot_index
from modseal.depot.index import INDEX, DepotIndex
from modseal.depot.proved import ProvedIndex, Seen
from modseal.errors import FormatError, UndecidedError
from modseal.files import folder
from modseal.files.output import output_file
from modseal.files.small import read_small
from modseal.format import ar, canonical_json, recall, rooted
from modseal.format.manifest import SIGNATURE_MEMBER
from modseal.format.recall import Recall
from modseal.format.rooted import TIME
from modseal.format.shape import Table, Text
from modseal.format.source import BytesSource
from modseal.format.times import time_text

SCHEMA = "modseal/depot-state@1"
MEMBER = "state.json"
_SHAPE = Table({"schema": Text(choices=(SCHEMA,)), "newest": TIME})
_SIZE = (
    limits.DEPOT_INDEX_SIZE
    + limits.SIGNATURE_MEMBER_SIZE
    + limits.RECALLS * (limits.RECALL_SIZE + limits.KIB)
    + limits.KIB
)


def read(path: Path) -> Seen | None:
    """What was seen of a depot; None where there is no state file. Raises `UndecidedError` (depot-state-invalid)."""
    if not os.path.lexists(path):
        return None
    data, status = read_small(path, _SIZE, lambda why: _unusable(path, why), follow=False)
    if status.st_uid not in (0, os.geteuid()):
        raise _unusable(path, f"it belongs to user {status.st_uid}, neither to root nor to this user")
    if status.st_mode & (S_IWGRP | S_IWOTH):
        raise _unusable(path, f"it can be written by others ({filemode(status.st_mode)})")
    try:
        return decode(data)
    except FormatError as error:
        raise _unusable(path, error.failure.detail) from error


def write(path: Path, proved: ProvedIndex, seen: Seen | None, at: datetime, recalls: tuple[Recall, ...] = ()) -> None:
    """Remember a proved index, `at` as the newest time, and the recalls that count from now on. Raises as `keep`."""
    keep(path, Seen(proved.index, max(at, seen.newest) if seen else at, recalls))


def keep(path: Path, seen: Seen) -> None:
    """Make or replace a state file: for who has proved the index, or has signed it.

    Raises `InputError`, `UsageError`, `UndecidedError` (depot-state-invalid).
    """
    parent, _ = folder.open_parent(path)
    try:
        if folder.is_shared(parent):
            raise _unusable(path, "it is in a folder in which others can exchange it")
    finally:
        os.close(parent)
    with output_file(path, 0o600) as file:
        file.write(encode(seen))


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Between reading a state and writing it nobody else does: else the older of two could win."""
    with folder.locked(path.parent):
        yield


def encode(seen: Seen) -> bytes:
    """The bytes of a state file."""
    about = canonical_json.dump({"schema": SCHEMA, "newest": time_text(seen.newest)})
    members = [(MEMBER, about), (INDEX, seen.index.signed), (SIGNATURE_MEMBER, seen.index.signature)]
    members += [(f"recall-{number}", recall.encode(one)) for number, one in enumerate(seen.recalls, 1)]
    return ar.MAGIC + b"".join(
        ar.encode_header(name, len(content)) + content + ar.padding(len(content)) for name, content in members
    )


def decode(data: bytes) -> Seen:
    """What some bytes say. Raises `FormatError`."""
    source = BytesSource(data)
    members = ar.read(source)
    recalls = [f"recall-{number}" for number in range(1, len(members) - 2)]
    if [member.name for member in members] != [MEMBER, INDEX, SIGNATURE_MEMBER, *recalls]:
        raise _bad(f"its members are not {MEMBER}, {INDEX} and {SIGNATURE_MEMBER}, and recall-1 and so on")
    about, signed, signature, *kept = (source.read(member.offset, member.size) for member in members)
    plain: Any = canonical_json.load(about, MEMBER)
    for problem in _SHAPE.problems(plain):
        raise _bad(str(problem))
    index: DepotIndex = depot_index.decode(signed, signature)
    return Seen(index, rooted.parse_time(plain["newest"], _bad), tuple(map(recall.decode, kept)))


def _bad(detail: str) -> FormatError:
    return FormatError("bad-manifest", detail)


def _unusable(path: Path, why: str) -> UndecidedError:
    return UndecidedError("depot-state-invalid", f"{path}: {why}", path=str(path))
