"""How much room modules take: as text, as JSON, and as an HTML page with a treemap."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from modseal.limits import GIB, KIB, MIB
from modseal.profile.footprint import ModuleSize, SizeGroup, by_level, by_vendor
from modseal.report.text import plural, safe

SCHEMA = "modseal/footprint@1"
_SHOWN = 20
"""Modules in the text; the other forms have them all."""


def footprint_text(modules: Sequence[ModuleSize]) -> str:
    """Tables by vendor, by level and by module."""
    return "\n".join(_lines(modules))


def footprint_json(modules: Sequence[ModuleSize]) -> str:
    """The same for programs, in bytes."""
    whole = SizeGroup("", tuple(modules))
    document = {
        "schema": SCHEMA,
        "packed": whole.packed,
        "installed": whole.installed,
        "vendors": [_group(one, "vendor") for one in by_vendor(modules)],
        "levels": [_group(one, "level") for one in by_level(modules)],
        "modules": [
            {
                "vendor": one.vendor,
                "name": one.name,
                "version": one.version,
                "claimed_level": str(one.level),
                "packed": one.packed,
                "installed": one.installed,
                "bundle": one.place,
                "manifest_sha256": one.manifest,
            }
            for one in modules
        ],
    }
    return json.dumps(document, indent=2)


def size_text(size: int) -> str:
    """A size for people."""
    if size < KIB:
        return f"{size} B"
    unit, name = (GIB, "GiB") if size >= GIB else (MIB, "MiB") if size >= MIB else (KIB, "KiB")
    return f"{size / unit:.1f} {name}"


def share_text(part: int, whole: int) -> str:
    """A share in percent."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def unmeasured(modules: Sequence[ModuleSize]) -> str | None:
    """What has to be said where sizes are missing."""
    count = sum(one.installed is None for one in modules)
    if not count:
        return None
    are = plural(count, "module")
    return f"{are} could not be unpacked, and counted as packed; `modseal verify` says why"


def _group(group: SizeGroup, kind: str) -> dict[str, Any]:
    return {kind: group.label, "modules": len(group.modules), "packed": group.packed, "installed": group.installed}


def _lines(modules: Sequence[ModuleSize]) -> Iterator[str]:
    whole = SizeGroup("", tuple(modules))
    count = plural(len(modules), "module")
    yield f"{count}: {size_text(whole.packed)} packed, {size_text(whole.installed)} installed (unproved)"
    for title, groups in (("VENDOR", by_vendor(modules)), ("LEVEL", by_level(modules))):
        rows = [(title, "MODULES", "PACKED", "INSTALLED", "SHARE")]
        for one in groups:
            share = share_text(one.installed, whole.installed)
            sizes = (size_text(one.packed), size_text(one.installed))
            rows.append((safe(one.label), str(len(one.modules)), *sizes, share))
        yield from ("", *_table(rows))
    rows = [("MODULE", "VERSION", "PACKED", "INSTALLED", "SHARE")]
    for module in modules[:_SHOWN]:
        installed = "unknown" if module.installed is None else size_text(module.installed)
        share = share_text(module.room, whole.installed)
        rows.append((safe(module.name), safe(module.version), size_text(module.packed), installed, share))
    yield from ("", *_table(rows))
    if len(modules) > _SHOWN:
        yield f"and {len(modules) - _SHOWN} smaller ones; --format json and html have them all"
    if note := unmeasured(modules):
        yield f"note: {note}"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
