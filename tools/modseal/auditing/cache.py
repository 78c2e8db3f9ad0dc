"""Results of earlier audits, private to the user: what has not changed is not examined again.

A result is kept under the SHA-256 of the bundle and the *context*: the digest of the policy and of the modseal that
examined it. It counts for times of verification between the moments that it holds for (`trust.moments`). A bundle is
found again by its file's identity (device, inode, size, mtime, ctime), without reading it, or by its digest.

An identity is kept only for a file that settled before it was read and that nobody had open for writing
(`audit.target`), because only then does every later change show in it; and only on the file system that the cache
itself is on. Other numbers name other things tomorrow: an image that is mounted in the place of another has its device
number, and whatever inodes and times its maker likes. Who can exchange the cache's file system has the cache, too.

The folder must be the user's own, and closed to others: who can write there can make an audit say anything. Trouble
with the cache never stops an audit.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Self, TypeVar

from modseal import __version__, limits
from modseal.auditing.inventory import Inventory
from modseal.auditing.kept import record_of, seconds, values_of
from modseal.auditing.record import Record
from modseal.files.identity import Identity
from modseal.files.names import portable
from modseal.trust.policy import PolicyBytes

_PATIENCE = 10
"""Seconds to wait while another audit writes, which takes it milliseconds."""

_COMMIT_EVERY = 256
"""Records between two commits: what a crash can cost."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
  number INTEGER PRIMARY KEY, sha256 TEXT NOT NULL, salt TEXT NOT NULL, context TEXT NOT NULL, size INTEGER NOT NULL,
  after INTEGER NOT NULL, before INTEGER NOT NULL, run INTEGER NOT NULL,
  row TEXT NOT NULL, findings TEXT NOT NULL, result BLOB NOT NULL, digest BLOB NOT NULL,
  UNIQUE (sha256, salt, context));
CREATE INDEX IF NOT EXISTS by_size ON results (size, context);
CREATE TABLE IF NOT EXISTS files (
  device INTEGER, inode INTEGER, part TEXT, size INTEGER, mtime INTEGER, ctime INTEGER, salt TEXT, sha256 TEXT NOT NULL,
  PRIMARY KEY (device, inode, part, salt)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
  number INTEGER PRIMARY KEY, key TEXT NOT NULL, context TEXT NOT NULL, at TEXT NOT NULL,
  complete INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS wholes (
  number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, context TEXT NOT NULL, run INTEGER NOT NULL,
  after INTEGER NOT NULL, before INTEGER NOT NULL, bundles INTEGER NOT NULL,
  inventory TEXT NOT NULL, head TEXT NOT NULL, digest BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS pages (
  number INTEGER PRIMARY KEY, whole INTEGER NOT NULL, spool TEXT NOT NULL, page BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS by_whole ON pages (whole);
"""
FILE = f"audit-{hashlib.sha256(_SCHEMA.encode()).hexdigest()[:8]}.sqlite"
"""The name says the form: another form has another name."""

_COUNTS = "context = :context AND after < :at AND :at < before AND run >= :since"
_BY_FILE = f"""
SELECT results.* FROM files JOIN results ON results.sha256 = files.sha256 AND results.salt = files.salt
WHERE device = :device AND inode = :inode AND part = :part AND files.salt = :salt AND files.size = :size
  AND mtime = :mtime AND ctime = :ctime AND {_COUNTS}"""  # noqa: S608 - no value from outside
_BY_CONTENT = f"SELECT * FROM results WHERE sha256 = :sha256 AND salt = :salt AND {_COUNTS}"  # noqa: S608
_BY_SIZE = "SELECT 1 FROM results WHERE size = :size AND context = :context AND run >= :since LIMIT 1"
_KEEP_RESULT = """
INSERT OR REPLACE INTO results (sha256, salt, context, size, after, before, run, row, findings, result, digest)
VALUES (:sha256, :salt, :context, :size, :after, :before, :run, :row, :findings, :result, :digest)"""
_KEEP_FILE = """
INSERT OR REPLACE INTO files (device, inode, part, size, mtime, ctime, salt, sha256)
VALUES (:device, :inode, :part, :size, :mtime, :ctime, :salt, :sha256)"""
_TOO_MANY = """
DELETE FROM wholes WHERE number IN (
  SELECT number FROM (SELECT number, sum(bundles) OVER (ORDER BY number DESC) AS newer FROM wholes) WHERE newer > ?)"""

T = TypeVar("T")
Complain = Callable[[str], None]

_DAMAGE = (sqlite3.Error, ValueError, TypeError, LookupError)
"""What a damaged file leads to: SQLite notices most of it, and gives values of other types or no text for the rest."""


class Cache:
    """An open cache. `since` is the run from which on results count: 0 for all, more than there are for none."""

    def __init__(
        self, connection: sqlite3.Connection, path: str, context: str, at: datetime, complain: Complain
    ) -> None:
        self._connection, self.path, self.context = connection, path, context
        connection.row_factory = sqlite3.Row
        self._at = at
        self._complain = complain
        self._usable = True
        self.device = os.stat(path).st_dev
        self.inventory = Inventory(self.device)
        self._waiting: list[Record] = []
        self.since = 0
        self.run = 0

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, context: str, at: datetime, complain: Complain) -> Iterator[Self | None]:
        """The cache in a folder of the user's own, made where it is not there; None where it cannot be used."""
        try:
            path = _private(folder)
            connection = sqlite3.connect(path, isolation_level=None, timeout=_PATIENCE)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
            cache = cls(connection, str(path), context, at, complain)
        except (OSError, *_DAMAGE) as error:
            complain(f"no cache, everything is examined: {error}")
            yield None
            return
        try:
            yield cache
        finally:
            cache.attempt(lambda _connection: cache._finish())
            connection.close()

    @classmethod
    def reading(cls, path: str, context: str, at: datetime, since: int) -> Self | None:
        """The same cache in another process, for reading alone."""
        try:
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_PATIENCE)
            cache = cls(connection, path, context, at, lambda _text: None)
        except (OSError, sqlite3.Error):
            return None
        cache.since = since
        return cache

    # Runs.

    def begin(self, key: str) -> None:
        """Note that an audit with this key begins."""
        self.attempt(lambda _connection: self._begin(key))

    def _begin(self, key: str) -> None:
        values = {"key": key, "context": self.context, "at": self._at.isoformat()}
        cursor = self._connection.execute("INSERT INTO runs (key, context, at) VALUES (:key, :context, :at)", values)
        self.run = cursor.lastrowid or 0

    def unfinished(self, key: str) -> tuple[int, datetime] | None:
        """The last run with this key, where it was interrupted: its number and its time of verification."""
        query = "SELECT number, at, complete FROM runs WHERE key = :key ORDER BY number DESC LIMIT 1"
        row = self.one(query, {"key": key})
        return (row["number"], datetime.fromisoformat(row["at"])) if row and not row["complete"] else None

    def at_time(self, at: datetime) -> None:
        """Judge by another time of verification from here on: that of the run that is resumed."""
        self._at = at

    def complete(self) -> None:
        """Note that the run came to its end."""
        done = "UPDATE runs SET complete = 1 WHERE number = ?"
        self.attempt(lambda connection: connection.execute(done, (self.run,)))

    # Results.

    def by_file(self, identity: Identity, salt: str, name: str) -> Record | None:
        """The result of a file that looks the same, under its name of today."""
        if identity.device != self.device:
            return None
        row = self.one(_BY_FILE, {**_place(identity), "salt": salt})
        record = record_of(row, name, self._at, "file") if row else None
        return replace(record, identity=identity) if record else None

    def by_content(self, sha256: str, salt: str, name: str) -> Record | None:
        """The result of these bytes."""
        row = self.one(_BY_CONTENT, {"sha256": sha256, "salt": salt})
        return record_of(row, name, self._at, "content") if row else None

    def may_have(self, size: int) -> bool:
        """Whether there is a result of a bundle of this size, so that it may be worth while to hash it first."""
        return bool(self.one(_BY_SIZE, {"size": size}))

    def keep(self, record: Record) -> None:
        """Keep a result that may be kept."""
        self.inventory.hold(record.holds)
        new = not record.kept and record.row.sha256 is not None and record.holds is not None
        if new or (record.kept == "content" and record.identity):
            self._waiting.append(record)
            if len(self._waiting) >= _COMMIT_EVERY:
                self.attempt(lambda _connection: self._commit())

    def one(self, query: str, values: Mapping[str, object]) -> sqlite3.Row | None:
        """The first row of a query, which may ask for the context, the time of verification, and `since`."""
        asked = {"context": self.context, "at": seconds(self._at), "since": self.since, **values}
        return self.attempt(lambda connection: connection.execute(query, asked).fetchone())

    def _commit(self) -> None:
        """Write what waits, in one short transaction: another audit may be writing too."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        self._connection.execute("BEGIN IMMEDIATE")
        for record in waiting:
            if not record.kept:
                self._connection.execute(_KEEP_RESULT, values_of(record, self.context) | {"run": self.run})
            if record.identity and record.identity.device == self.device:
                what = {"salt": record.salt, "sha256": record.row.sha256}
                self._connection.execute(_KEEP_FILE, _place(record.identity) | what)
        self._connection.execute("COMMIT")

    def _finish(self) -> None:
        """Commit, and forget what will not be asked for again, and the oldest where there is more than may be."""
        self._commit()
        before = self._connection.total_changes
        lately = "SELECT context FROM runs GROUP BY context ORDER BY max(number) DESC LIMIT ?"
        for table in ("results", "wholes"):
            self._connection.execute(
                f"DELETE FROM {table} WHERE context != ? AND context NOT IN ({lately})",  # noqa: S608
                (self.context, limits.CACHED_CONTEXTS),
            )
        newest = self._connection.execute("SELECT max(number) FROM results").fetchone()[0] or 0
        self._connection.execute("DELETE FROM results WHERE number <= ?", (newest - limits.CACHED_RESULTS,))
        self._connection.execute(_TOO_MANY, (limits.CACHED_RESULTS,))
        if self._connection.total_changes > before:
            self._connection.execute("DELETE FROM files WHERE sha256 NOT IN (SELECT sha256 FROM results)")
            self._connection.execute("DELETE FROM pages WHERE whole NOT IN (SELECT number FROM wholes)")
        self._connection.execute("DELETE FROM runs WHERE number <= ?", (self.run - limits.CACHED_RUNS,))

    def attempt(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Do it unless the cache has failed before; when it fails, go on without it."""
        if not self._usable:
            return None
        try:
            return work(self._connection)
        except _DAMAGE as error:
            self._usable = False
            self._complain(f"the cache failed, and is not used any more: {error}")
            return None
        except KeyboardInterrupt:
            self._connection.rollback()  # of a transaction that was under way: what is kept at the end needs its own
            raise


def default_folder() -> Path:
    """Where this user's caches are."""
    import platformdirs

    return platformdirs.user_cache_path("modseal", appauthor=False)


_LIBRARIES = ("cryptography", "zlib_ng", "zstandard", "rfc3161_client")
"""Those that a verdict rests on."""


@functools.cache
def engine_digest() -> str:
    """What examined: modseal and its libraries, by their files' sizes and times, so that an edit counts; and Python."""
    digest = hashlib.sha256(f"{__version__} {sys.version}".encode())
    package = os.path.dirname(os.path.dirname(__file__))
    own = (os.path.join(folder, name) for folder, _, names in os.walk(package) for name in names)
    # Found, not imported: the first file of each is written anew with every version.
    specs = (importlib.util.find_spec(name) for name in _LIBRARIES)
    libraries = (spec.origin for spec in specs if spec and spec.origin)
    for path in (*sorted(path for path in own if path.endswith((".py", ".toml"))), *libraries):
        status = os.stat(path)
        digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def context_of(origin: PolicyBytes, source: str = "") -> str:
    """The context that results under a policy are kept for; `source` is its name, which results may have."""
    return hashlib.sha256(f"{origin.digest} {engine_digest()} {portable(source)}".encode()).hexdigest()


def _private(folder: Path) -> Path:
    """The file of the cache, in a folder that only this user can write to. Raises `OSError`."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = folder / FILE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        for what, status in ((folder, os.stat(folder)), (path, os.fstat(descriptor))):
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
                raise PermissionError(f"{what} is not this user's own, or others may write to it")
    finally:
        os.close(descriptor)
    return path


def _place(identity: Identity) -> dict[str, int | str]:
    """An identity by the names of its columns."""
    return identity._asdict() | {"device": _signed(identity.device), "inode": _signed(identity.inode)}


def _signed(number: int) -> int:
    """An unsigned number of 64 bits (some file systems count inodes so) as SQLite has the same bits."""
    return number - (1 << 64) if number >> 63 else number
