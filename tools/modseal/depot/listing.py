"""What a depot says that it has, one row for each bundle: read from its metadata alone, and no bundle is opened.

Nothing in it is proved. `depot.proved` proves an index, and `bundle.verify` a bundle.
"""

from __future__ import annotations

from dataclasses import replace

from modseal.depot.files import DepotFiles
from modseal.depot.index import DepotIndex
from modseal.depot.metadata import Metadata
from modseal.depot.signed import is_signed_depot, read_index
from modseal.errors import Failure
from modseal.format.level import Level
from modseal.format.times import time_text
from modseal.values import dataclass


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


def listing_of(files: DepotFiles) -> Listing:
    """The rows of a depot of either kind. Raises `FormatError`, `InputError`."""
    found = of_index(read_index(files)) if is_signed_depot(files) else of_metadata(files.metadata)
    return replace(found, failures=(*files.failures, *found.failures))


def of_index(index: DepotIndex) -> Listing:
    """The rows of a signed depot, whose signature nobody has asked for here."""
    rows = [
        DepotRow(
            one.vendor,
            one.name,
            one.version,
            one.level,
            one.path,
            one.size,
            one.sha256,
            platforms=tuple(platform.version for platform in one.platforms),
        )
        for one in index.bundles
    ]
    about = (
        ("name", index.name),
        ("version", str(index.version)),
        ("issued", time_text(index.issued)),
        ("expires", time_text(index.expires)),
        *(("recall", f"{one.name}, version {one.version}") for one in index.recalls),
        *(("profile", f"{one.name}, version {one.version}") for one in index.profiles),
        ("signatures", "not asked for" if index.signature else "none"),
    )
    return Listing("signed depot", tuple(sorted(rows, key=_order)), about)


@dataclass(frozen=True, slots=True)
class DepotDifference:
    """How one depot differs from another: rows that came, that went, and pairs of one module that changed.

    `about` are facts of the depot that changed: label, before, after.
    """

    added: tuple[DepotRow, ...]
    removed: tuple[DepotRow, ...]
    changed: tuple[tuple[DepotRow, DepotRow], ...]
    about: tuple[tuple[str, str, str], ...]


def compare(before: Listing, after: Listing) -> DepotDifference:
    """What changed. A module that has one version in each is changed; with several, versions come and go."""
    old, new = _by_module(before), _by_module(after)
    added, removed, changed = [], [], []
    for module in sorted(old.keys() | new.keys()):
        there = {row.sha256 for row in new.get(module, ())}
        was = {row.sha256 for row in old.get(module, ())}
        gone = [row for row in old.get(module, ()) if row.sha256 not in there]
        come = [row for row in new.get(module, ()) if row.sha256 not in was]
        if len(gone) == len(come) == 1:
            changed.append((gone[0], come[0]))
        else:
            removed += gone
            added += come
    facts = dict(before.about), dict(after.about)
    about = tuple(
        (label, facts[0].get(label, "none"), facts[1].get(label, "none"))
        for label in dict.fromkeys((*facts[0], *facts[1]))
        if facts[0].get(label) != facts[1].get(label)
    )
    return DepotDifference(tuple(added), tuple(removed), tuple(changed), about)


def _by_module(listing: Listing) -> dict[tuple[str, str], list[DepotRow]]:
    found: dict[tuple[str, str], list[DepotRow]] = {}
    for row in listing.rows:
        found.setdefault((row.vendor, row.name), []).append(row)
    return found


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
    profiles = [one for catalog in metadata.catalogs for _, one in catalog.profiles]
    about = (*about, *(("profile", one.name) for one in profiles))
    unread = sum(len(catalog.unread) for catalog in metadata.catalogs)
    if unread:
        about = (*about, ("not read", f"{unread} documents of other kinds"))
    about = (*about, ("components", str(components)))
    return Listing("offline bundle", tuple(sorted(rows, key=_order)), about, metadata.failures)


def _order(row: DepotRow) -> tuple[str, str, str]:
    return row.name, row.version, row.path
