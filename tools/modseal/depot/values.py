"""What metadata and manifests say of a bundle, by the names that messages have for it: both sides of a comparison."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields
from itertools import zip_longest

from modseal.depot.documents import Bulletin, ListedVib, Place
from modseal.format.manifest import Constraint, Entry, Manifest, Payload, Platform, VibFields
from modseal.format.shape import quote

Values = Mapping[str, object]

NOWHERE = Place("", 0, ())
"""The place of a bundle that is in no depot yet."""

_DEPOT_MAKERS = {"platforms", "packed-size", "has-version", "lists-files", "unknown"}
"""What the maker of a depot says, not the bundle: more than a third of all genuine depots name other platforms, and the
packed size in a depot is that of the whole bundle."""

_SETS = {
    "files",
    "software-tags",
    "tags",
    "urls",
    "depends",
    "conflicts",
    "replaces",
    "provides",
    "compatibleWith",
}
"""Lists whose order means nothing. Tools that write depots sort them, and tools that write bundles do not."""

_ZONE = re.compile(r"(?:Z|[+-]\d\d:\d\d)$", re.ASCII)


def listed(vib: ListedVib) -> Values:
    """What `vmware.xml` says of a bundle."""
    return {
        "id": vib.id,
        "type": vib.type,
        "name": vib.name,
        "version": vib.version,
        "vendor": vib.vendor,
        "summary": vib.summary,
        "maintenance-mode": vib.maintenance_mode,
        "reboot-required": vib.reboot_required,
        "hostd-restart": vib.hostd_restart,
        "software-tags": vib.tags,
        **dict(vib.relationships.by_label()),
    }


def of_listing(manifest: Manifest) -> Values:
    """What `vmware.xml` must say of a manifest."""
    return listed(listed_vib(manifest, NOWHERE, ()))


def listed_vib(manifest: Manifest, place: Place, platforms: tuple[Platform, ...]) -> ListedVib:
    """A bundle as `vmware.xml` lists it. A host that cannot take it both in and out while it runs, reboots."""
    vib = manifest.vib or VibFields()
    return ListedVib(
        id=manifest.id,
        type=vib.type,
        name=manifest.name,
        version=manifest.version,
        vendor=manifest.vendor,
        summary=manifest.summary,
        maintenance_mode=vib.maintenance_mode,
        platforms=platforms,
        relationships=manifest.relationships,
        reboot_required=not (vib.live_install_allowed and vib.live_remove_allowed),
        hostd_restart=vib.cimom_restart,
        tags=vib.tags,
        place=place,
    )


def of_descriptor(manifest: Manifest) -> Values:
    """All of a manifest, the fields of a `.vib` beside the others. A time without a zone gets that of UTC."""
    vib = {name: value for name, value in plain(manifest.vib or VibFields()).items() if name not in _DEPOT_MAKERS}
    relationships = dict(manifest.relationships.by_label())
    values = {name: value for name, value in plain(manifest).items() if name != "relationships"}
    return {**values, **vib, **relationships, "vib": manifest.vib is not None, "released": released_with_zone(manifest)}


def of_form(manifest: Manifest) -> Values:
    """What `of_descriptor` leaves out: what does not say what the bundle is, and what modseal does not know."""
    vib = manifest.vib or VibFields()
    return {
        "version of the format": "5.0" if vib.has_version else None,
        "list of files": "present" if vib.lists_files else None,
        "packed size": vib.packed_size,
        "platforms": vib.platforms,
        "unknown parts": tuple(
            f"{failure.evidence['name']} in <{failure.evidence['holder']}> {failure.evidence['text']}".rstrip()
            for failure in vib.unknown
        ),
    }


def released_with_zone(manifest: Manifest) -> str:
    """The time of release; one without a zone is that of UTC."""
    return manifest.released if _ZONE.search(manifest.released) else f"{manifest.released}+00:00"


def plain(value: Manifest | VibFields | Bulletin | Payload) -> dict[str, object]:
    """All fields of a value."""
    return {field.name.replace("_", "-"): getattr(value, field.name) for field in fields(value)}


def reordered(said: Values, found: Values) -> Iterator[str]:
    """The names of all sets that have the same members in another order."""
    return (name for name, value in said.items() if value != found.get(name) and _is_same(name, value, found.get(name)))


def _is_same(name: str, value: object, other: object) -> bool:
    """Whether two values are equal, as sets where the order means nothing."""
    if name in _SETS and isinstance(value, tuple) and isinstance(other, tuple):
        return Counter(value) == Counter(other)
    return value == other


def unequal(said: Values, found: Values) -> Iterator[tuple[str, str, str]]:
    """The names of all values that differ, with both as text; of lists what first differs."""
    for name, value in said.items():
        other = found.get(name)
        if not _is_same(name, value, other):
            both = (value, other)
            if isinstance(value, tuple) and isinstance(other, tuple):
                lists = [sorted(one, key=ascii) if name in _SETS else one for one in (value, other)]
                both = next(pair for pair in zip_longest(*lists) if pair[0] != pair[1])
            yield name, *_words(*both)


def _words(value: object, other: object) -> tuple[str, str]:
    """Two values that differ, for a message: of two payloads the first thing that differs."""
    if isinstance(value, Payload) and isinstance(other, Payload):
        one, two = _of_payload(value), _of_payload(other)
        name = next(name for name in {**one, **two} if one.get(name) != two.get(name))
        texts = (f"{here.name}: {name} {values.get(name, 'none')}" for here, values in ((value, one), (other, two)))
        return quote(next(texts)), quote(next(texts))
    return _word(value), _word(other)


def _of_payload(payload: Payload) -> Mapping[str, str]:
    """All that a descriptor says of a payload, by the names that it has there."""
    values = {name: value for name, value in plain(payload).items() if name != "digests" and value not in (None, ())}
    digests = {f"{one.algorithm} of the {one.view} bytes": one.value.hex() for one in payload.digests}
    order = {"order of checksums": ", ".join(digests)}
    return {**{name: str(value) for name, value in values.items()}, **digests, **order}


def _word(value: object) -> str:
    """A value for a message: quoted, cut, and as the document has it."""
    match value:
        case None:
            return "nothing"
        case Entry():
            return quote(value.path)
        case Payload():
            return quote(value.name)
        case Constraint():
            return quote(" ".join(filter(None, (value.name, value.relation, value.version))))
        case Place():
            return quote(f"{value.path}, {value.size} bytes, {', '.join(map(' '.join, value.checksums))}")
        case Platform():
            return quote(f"{value.product} {value.version}")
        case bool():
            return quote(str(value).lower())
        case tuple():
            return quote(": ".join(map(str, value)))  # such as the name and the text of an element
        case _:
            return quote(str(value))
