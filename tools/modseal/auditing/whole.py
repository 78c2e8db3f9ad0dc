"""A whole audit that the cache has: it is the same again where just the same is found."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any

from modseal.auditing.cache import Cache
from modseal.auditing.choice import RuleChoice
from modseal.auditing.discover import Found
from modseal.auditing.finding import Severity
from modseal.auditing.inventory import Inventory
from modseal.auditing.run import Audit
from modseal.auditing.target import FileTarget

_HOLDS = "SELECT * FROM wholes WHERE key = :key AND after < :at AND :at < before AND run >= :since"
_PAGES = "SELECT spool, page FROM pages WHERE whole = ? ORDER BY number"
_KEEP = """
INSERT OR REPLACE INTO wholes (key, context, run, after, before, bundles, inventory, head, digest)
VALUES (:key, :context, :run, :after, :before, :bundles, :inventory, :head, x'')"""


def key_of(paths: str, choice: RuleChoice, *, strict_coverage: bool) -> str:
    """What a whole audit is known by: the key of its paths under the policy, and all that decides what counts."""
    allowances = list(map(repr, choice.allowances))
    values = [paths, strict_coverage, sorted(choice.ids), sorted(choice.known), allowances]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def replay(cache: Cache, key: str, found: Callable[[], Iterable[Found]], audit: Audit) -> Audit | None:
    """`audit`, a new one, with what the cache has under `key`, where just that is `found` now; else None."""
    kept = cache.one(_HOLDS, {"key": key})
    if kept is None:
        return None
    now = Inventory(cache.device)
    for one in found():
        now.add(one, one.identity() if isinstance(one, FileTarget) else None)
        if not now.recognisable:
            return None
    same = now.digest == kept["inventory"] and cache.attempt(lambda connection: _fill(audit, kept, connection))
    return audit if same else None


def keep(cache: Cache, key: str, audit: Audit) -> None:
    """Keep a finished audit as a whole, where all of it is recognisable."""
    found = cache.inventory
    if found.recognisable and audit.summary.bundles:
        values = {
            "key": key,
            "context": cache.context,
            "run": cache.run,
            "after": found.after,
            "before": found.before,
            "bundles": audit.summary.bundles,
            "inventory": found.digest,
            "head": _head(audit),
        }
        cache.attempt(lambda connection: _write(connection, values, audit))


def _write(connection: sqlite3.Connection, values: dict[str, Any], audit: Audit) -> None:
    # Imported here, as in `_fill`: an audit without a cache does not need it.
    import zstandard

    compressor, digest = zstandard.ZstdCompressor(level=1), _digest(values)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM pages WHERE whole IN (SELECT number FROM wholes WHERE key = :key)", values)
    whole = connection.execute(_KEEP, values).lastrowid
    for name in ("result_spool", "finding_spool", "late_spool"):
        for page in map(compressor.compress, getattr(audit, name).blocks()):
            digest.update(b"%b %d " % (name.encode(), len(page)) + page)
            connection.execute("INSERT INTO pages (whole, spool, page) VALUES (?, ?, ?)", (whole, name, page))
    connection.execute("UPDATE wholes SET digest = ? WHERE number = ?", (digest.digest(), whole))
    connection.execute("COMMIT")


def _fill(audit: Audit, kept: sqlite3.Row, connection: sqlite3.Connection) -> bool:
    """Fill `audit`, unless something is not as it was written, as after damage to the cache."""
    import zstandard

    digest, pages = _digest(kept), connection.execute(_PAGES, (kept["number"],)).fetchall()
    for name, page in pages:
        digest.update(b"%b %d " % (str(name).encode(), len(page)) + page)
    if digest.digest() != kept["digest"]:
        return False
    decompressor, head = zstandard.ZstdDecompressor(), json.loads(kept["head"])
    for name, page in pages:
        getattr(audit, name).extend(decompressor.decompress(page))
    audit.finding_spool.counted, audit.late_spool.counted = map(Counter, head["counted"])
    for name, number in head["summary"].items():
        setattr(audit.summary, name, Counter(number) if isinstance(number, dict) else number)
    audit.worst, audit.doubt = Severity(head["worst"]) if head["worst"] else None, head["doubt"]
    audit.complete = True
    return True


def _head(audit: Audit) -> str:
    """All of it but the lines, as JSON; an audit that is kept has no hosts."""
    head = {
        "summary": {field.name: getattr(audit.summary, field.name) for field in fields(audit.summary)},
        "counted": [audit.finding_spool.counted, audit.late_spool.counted],
        "worst": str(audit.worst) if audit.worst else None,
        "doubt": audit.doubt,
    }
    return json.dumps(head)


def _digest(values: Mapping[str, Any] | sqlite3.Row) -> Any:
    """The beginning of the digest of all that is kept: SQLite does not notice damage within a value."""
    names = ("key", "context", "run", "after", "before", "inventory", "head")
    return hashlib.sha256(json.dumps([str(values[name]) for name in names]).encode())
