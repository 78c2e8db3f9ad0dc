"""An index of a host in SQLite, for questions: whose a path is, and where a content is. It decides nothing.

It is made from the generations' documents and the modules' manifests, and can be thrown away: it names the state that
it was made of, and one of another state is made again. What it answers is recorded, not proved.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from typing import NamedTuple

from modseal import limits
from modseal.errors import Failure, InputError, UndecidedError
from modseal.files import folder, left_behind
from modseal.host.installed import Installed, prove
from modseal.host.store import INDEX, Store, remove_tree

_VERSION = 1
_TABLES = """
CREATE TABLE made (version INTEGER NOT NULL, state INTEGER NOT NULL, event TEXT NOT NULL);
CREATE TABLE file (generation INTEGER NOT NULL, path TEXT NOT NULL, module TEXT NOT NULL, module_version TEXT NOT NULL,
  type TEXT NOT NULL, mode INTEGER NOT NULL, sha256 TEXT, PRIMARY KEY (generation, path, module)) WITHOUT ROWID;
CREATE INDEX file_sha256 ON file (sha256) WHERE sha256 IS NOT NULL;
"""


_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
_TYPES = (int, str, str, str, str, int, str | None)
"""Of the columns of `file`."""


class IndexedFile(NamedTuple):
    """A path of a generation, and the module that brings it, as recorded."""

    generation: int
    path: str
    module: str
    version: str
    type: str
    mode: int
    sha256: str | None


def rebuild(store: Store, at: datetime) -> int:
    """Make the index anew, of every generation that can be read; gives the number of its rows.

    It is written beside the old one and renamed. Raises `InputError`.
    """
    name = left_behind.new_name()
    path = f"/proc/self/fd/{store.descriptor}/{name}"
    try:
        with (
            folder.locked(store.path, "another change of this host is running"),
            closing(sqlite3.connect(path)) as index,
        ):
            _fill(index, store, at)
            count = int(index.execute("SELECT count(*) FROM file").fetchone()[0])
            os.chmod(name, 0o600, dir_fd=store.descriptor)
            if not stat.S_ISREG((folder.status_of(INDEX, store.descriptor) or os.stat(path)).st_mode):
                remove_tree(INDEX, store.descriptor)  # a folder, which a file does not replace
            os.replace(name, INDEX, src_dir_fd=store.descriptor, dst_dir_fd=store.descriptor)
    except sqlite3.Error as error:
        raise InputError(f"{store.path}/{INDEX}: {error}", path=INDEX).because("index-unusable") from error
    return count


def _fill(index: sqlite3.Connection, store: Store, at: datetime) -> None:
    index.executescript(_TABLES)
    state = store.state.event
    index.execute("INSERT INTO made VALUES (?, ?, ?)", (_VERSION, state.number, state.previous or ""))
    index.executemany("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?)", _rows(store, at))
    index.commit()


def _is_writable(store: Store) -> bool:
    try:
        store.require_writable()
    except OSError:
        return False
    return True


def owners(store: Store, path: str, at: datetime) -> list[IndexedFile]:
    """Whose a path is, or whose a content is by its SHA-256, in all generations: as recorded. Raises `InputError`."""
    wanted = path.lstrip("/")
    with _current(store, at) as index:
        rows = index.execute(
            "SELECT * FROM file WHERE path = ? OR sha256 = ? ORDER BY generation, module", (wanted, path.lower())
        ).fetchall()
        if any(not isinstance(one, kind) for row in rows for one, kind in zip(row, _TYPES, strict=True)):
            raise sqlite3.DatabaseError("it has rows that modseal does not write")  # columns of SQLite take any type
        return [IndexedFile(*row) for row in rows]


@contextmanager
def _current(store: Store, at: datetime) -> Iterator[sqlite3.Connection]:
    """The index of the state that holds, made anew where it is of another one, or cannot be read.

    Where nothing can be written to the store it is made in memory, for this answer.
    """
    try:
        if not _is_current(store) and not _is_writable(store):
            with closing(sqlite3.connect(":memory:")) as index:
                _fill(index, store, at)
                yield index
            return
        if not _is_current(store):
            rebuild(store, at)
        with _opened(store) as index:
            yield index
    except sqlite3.Error as error:
        raise InputError(f"{store.path}/{INDEX}: {error}", path=INDEX).because("index-unusable") from error


def _is_current(store: Store) -> bool:
    try:
        with _opened(store) as index:
            return _is_made_of(store, index)
    except (sqlite3.Error, UndecidedError):
        return False


@contextmanager
def _opened(store: Store) -> Iterator[sqlite3.Connection]:
    """The index that is there; SQLite would follow a link, and wait for whoever writes to a pipe.

    It has our own tables alone: a view with their names could compute rows without an end. Pages could be in a circle,
    so each question ends after so many steps. Raises `UndecidedError` (host-invalid) where it is no file,
    `sqlite3.Error`.
    """
    with (
        store.open(INDEX, sys.maxsize) as file,
        closing(sqlite3.connect(f"file:/proc/self/fd/{file.fileno()}?mode=ro&immutable=1", uri=True)) as index,
        closing(sqlite3.connect(":memory:")) as empty,
    ):
        index.set_progress_handler(lambda: 1, limits.HOST_INDEX_STEPS)
        empty.executescript(_TABLES)
        wanted = empty.execute(_SCHEMA).fetchall()
        if index.execute(_SCHEMA).fetchmany(len(wanted) + 1) != wanted:
            raise sqlite3.DatabaseError("it has other tables than modseal makes")
        yield index


def _is_made_of(store: Store, index: sqlite3.Connection) -> bool:
    state = store.state.event
    made = index.execute("SELECT version, state, event FROM made").fetchmany(2)
    return bool(made == [(_VERSION, state.number, state.previous or "")])


def index_failures(store: Store, modules: Sequence[Installed]) -> Iterator[Failure]:
    """What is wrong with the index that is there: it cannot be read, or says something else of the active generation.

    One of another state is made anew before anybody is answered from it, and is not looked at.
    """
    number = store.state.generation.number
    wanted = {row for module in modules for row in _rows_of(number, module)}
    try:
        with _opened(store) as index:
            if not _is_made_of(store, index):
                return
            found = index.execute("SELECT * FROM file WHERE generation = ?", (number,)).fetchmany(len(wanted) + 1)
    except (sqlite3.Error, UndecidedError) as error:
        yield _damaged(str(error))
        return
    if set(found) != wanted:
        yield _damaged(f"it says something else of generation {number} than the modules' manifests do")


def _damaged(why: str) -> Failure:
    return Failure("index-damaged", f"{INDEX!r} is damaged: {why}", {"path": INDEX})


def _rows(store: Store, at: datetime) -> Iterator[tuple[object, ...]]:
    for kept in store.state.kept:
        number = kept.number
        try:
            generation = store.generation(kept)
            modules = [prove(store, module, store.policy, at) for module in generation.modules]
        except UndecidedError:
            continue  # what cannot be read is not in the index; `host verify` says what is wrong with it
        for module in modules:
            yield from _rows_of(number, module)


def _rows_of(number: int, module: Installed) -> Iterator[tuple[object, ...]]:
    for entry in module.entries:
        digest = entry.sha256.hex() if entry.sha256 else None
        yield number, entry.path, module.name, module.version, str(entry.type), entry.mode or 0, digest
