"""What a depot says that it has, one row for each bundle: read from its metadata alone, and no bundle is opened.

Nothing in it is proved. `depot.proved` proves an index, and `bundle.verify` a bundle.
"""

from __future__ import annotations

from dataclasses import dataclass

from modseal.depot.metadata import Metadata
from modseal.errors import Failure
from modseal.format.level import Level


@dataclass(frozen=True, slots=True)
class DepotRow:
    """One bundle as the depot lists it. `level` is claimed, None where nothing says it; `component` may be empty."""

    vendor: str
    name: str
    version: str
    level: Level | None
    path: str
    size: int
    sha256: str
    component: str = ""
    platforms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """All rows, in the order of names; `about` are further facts by their labels, `failures` what is wrong."""

    kind: str
    rows: tuple[DepotRow, ...]
    about: tuple[tuple[str, str], ...] = ()
    failures: tuple[Failure, ...] = ()


def of_metadata(metadata: Metadata) -> Listing:
    """The rows of an offline bundle: each bundle once for each bulletin that has it."""
    rows = []
    components = 0
    for catalog in metadata.catalogs:
        levels = {one.manifest.id: one.manifest.claimed_level for _, one in catalog.described}
        for bulletin, vibs in catalog.listing:
            components += bulletin.component is not None
            component = " ".join((bulletin.component[0], bulletin.component[2])) if bulletin.component else ""
            platforms = tuple(platform.version for platform in bulletin.platforms)
            rows += [
                DepotRow(
                    vib.vendor,
                    vib.name,
                    vib.version,
                    levels.get(vib.id),
                    catalog.locate(vib.place),
                    vib.place.size,
                    dict(vib.place.checksums).get("sha-256", ""),
                    component,
                    platforms,
                )
                for vib in vibs
            ]
    about = tuple(("vendor", f"{vendor.name} ({vendor.code})") for vendor in metadata.vendors)
    unread = sum(len(catalog.unread) for catalog in metadata.catalogs)
    if unread:
        about = (*about, ("not read", f"{unread} documents of other kinds"))
    about = (*about, ("components", str(components)))
    return Listing("offline bundle", tuple(sorted(rows, key=_order)), about, metadata.failures)


def _order(row: DepotRow) -> tuple[str, str, str]:
    return row.name, row.version, row.path
