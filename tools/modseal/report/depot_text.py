"""Depots as text for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from modseal.depot.listing import DepotRow, Listing
from modseal.report.text import safe

_MIB = 1024 * 1024
LISTING_SCHEMA = "modseal/depot-listing@1"


def listing_text(name: str, listing: Listing) -> str:
    """A depot and its bundles. It says that nothing of it is proved."""
    return "\n".join(_listing(name, listing))


def listing_json(name: str, listing: Listing) -> str:
    """The same for programs."""
    document = {
        "schema": LISTING_SCHEMA,
        "depot": safe(name),
        "kind": listing.kind,
        "proved": False,
        "about": dict(listing.about),
        "bundles": [_values(row) for row in listing.rows],
        "problems": [
            {"code": one.code, "detail": one.detail, "evidence": dict(one.evidence)} for one in listing.failures
        ],
    }
    return json.dumps(document, indent=2)


def _values(row: DepotRow) -> dict[str, Any]:
    return {
        "vendor": row.vendor,
        "name": row.name,
        "version": row.version,
        "claimed_level": str(row.level) if row.level else None,
        "path": row.path,
        "size": row.size,
        "sha256": row.sha256,
        "component": row.component or None,
        "platforms": list(row.platforms),
    }


def _listing(name: str, listing: Listing) -> Iterator[str]:
    count, size = len(listing.rows), sum(row.size for row in listing.rows)
    yield f"{safe(name)}: {listing.kind}, {count} bundle{'' if count == 1 else 's'}, {size / _MIB:.1f} MiB (unproved)"
    for label, text in listing.about:
        yield f"  {label:<14} {safe(text)}"
    for row in listing.rows:
        more = [safe(row.vendor), str(row.level or "no level"), safe(row.path)]
        yield f"  {safe(row.name)} {safe(row.version)}  {'  '.join(more)}"
    for failure in listing.failures:
        yield f"  {failure.code}: {safe(failure.detail)}"
