"""What a depot's metadata says, held against the bundles that are there and against itself. Pure functions.

The metadata is not signed, and whoever repacks a depot can write anything into it (attack DEP-01). So every
sentence of it that a bundle's own manifest also says is compared, and the manifest is right. Whether the manifest
is proved is the examination's to say (`Found.proved`), and each failure tells.

`compare` is the whole. Where bundles are looked at in several processes, `bundle_failures` serves for each and
`depot_failures` for what needs all of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import zip_longest

from modseal import limits
from modseal.depot.documents import Bulletin, ListedVib, Place, Vendor
from modseal.depot.metadata import LISTING, Catalog, Metadata
from modseal.errors import Failure, Scalar
from modseal.format import rules
from modseal.format.manifest import Constraint, Entry, Manifest, VibFields
from modseal.format.shape import quote

VMWARE = frozenset({"vmware", "vmware, inc.", "vmw", "vmx"})
"""The names and codes of one vendor in genuine depots, where bundles say `VMW` and indexes `VMX`."""

_NOBODY = {"", "unknown"}
"""What tools write as the code of a vendor that has none."""

_DEPOT_MAKERS = {"platforms"}
"""What the maker of a depot says, not the bundle: a third of all genuine depots name other platforms."""

_CHECKSUM = "sha-256"
"""The one checksum that genuine metadata has, and the one that is compared."""

_ZONE = re.compile(r"(?:Z|[+-]\d\d:\d\d)$", re.ASCII)

_Values = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Found:
    """A bundle that was found: its path in the depot, and what was measured of it.

    `manifest` is None where it could not be read; `proved` says that a trusted signer stands for it.
    """

    path: str
    size: int
    sha256: str
    manifest: Manifest | None
    proved: bool

    @property
    def origin(self) -> Origin:
        """What `depot_failures` needs of it."""
        return Origin(self.path, self.manifest.vendor if self.manifest else None, self.proved)


@dataclass(frozen=True, slots=True)
class Origin:
    """The path of a bundle that was found, and the vendor that it names; None where it cannot be read."""

    path: str
    vendor: str | None
    proved: bool


def compare(metadata: Metadata, paths: Collection[str], found: Iterable[Found]) -> Iterator[Failure]:
    """Every disagreement. `paths` are those of all files of the depot, `found` all its bundles."""
    bundles = tuple(found)
    yield from depot_failures(metadata, paths, tuple(one.origin for one in bundles))
    for one in bundles:
        yield from bundle_failures(metadata, one)


def depot_failures(metadata: Metadata, paths: Collection[str], found: Collection[Origin]) -> Iterator[Failure]:
    """What is wrong with the whole: the metadata alone, what is missing and what is too much, the vendors."""
    yield from metadata.failures
    for catalog in metadata.catalogs:
        yield from _inside(catalog)
    yield from _presence(metadata, paths, {one.path for one in found})
    for catalog in metadata.catalogs:
        yield from _vendors(catalog, found)


def bundle_failures(metadata: Metadata, found: Found) -> Iterator[Failure]:
    """Where the metadata says something else of a bundle than the bundle."""
    for catalog in metadata.catalogs:
        for document, vib in catalog.by_path.get(found.path, ()):
            yield from _measured(catalog, document, vib.place, found)
            if isinstance(vib, ListedVib):
                yield from _said(catalog, document, found, _listed(vib), _of_listing)
            else:
                yield from _said(catalog, document, found, _of_descriptor(vib.manifest), _of_descriptor)


def _said(
    catalog: Catalog, document: str, found: Found, listed: _Values, of: Callable[[Manifest], _Values]
) -> Iterator[Failure]:
    if found.manifest:
        for field, here, there in _unequal(listed, of(found.manifest)):
            yield _difference(catalog, document, found, field, here, there)


# The metadata against itself.


def _inside(catalog: Catalog) -> Iterator[Failure]:
    """The places of one metadata archive that say the same, and what can be said of a place alone."""
    yield from _repeated(catalog)
    yield from _documents(catalog)
    yield from _bulletins(catalog)
    for document, place in ((document, vib.place) for document, vib in catalog.mentions()):
        failure = rules.check_path(place.path)
        if failure:
            yield _at(catalog, document, failure.code, failure.detail, **failure.evidence)
        if _CHECKSUM not in dict(place.checksums):
            kinds = ", ".join(kind for kind, _ in place.checksums)
            detail = f"it gives no {_CHECKSUM} of {quote(place.path)}, only {quote(kinds)}"
            yield _at(catalog, document, "weak-digest", detail, bundle=rules.shown(place.path))


def _repeated(catalog: Catalog) -> Iterator[Failure]:
    """A bundle of several bulletins is listed alike each time; bulletins and documents have ids of their own."""
    vibs: dict[str, ListedVib] = {}
    for vib in catalog.listed():
        if vibs.setdefault(vib.id, vib) != vib:
            yield _mismatch(catalog, LISTING, f"it lists {quote(vib.id)} in two ways", id=rules.shown(vib.id))
    bulletins = (bulletin.id for bulletin, _ in catalog.listing)
    documents = ((one.id for _, one in catalog.bulletins), (one.manifest.id for _, one in catalog.described))
    for ids in (bulletins, *documents):
        for id_, count in Counter(ids).items():
            if count > 1:
                yield _mismatch(catalog, "", f"{quote(id_)} is there {count} times", id=rules.shown(id_))


def _documents(catalog: Catalog) -> Iterator[Failure]:
    """`vmware.xml` and `vibs/` have the same bundles, and say the same of each."""
    listed = {vib.id: vib for vib in catalog.listed()}
    described = {one.manifest.id: (document, one) for document, one in catalog.described}
    for id_ in listed.keys() - described.keys():
        yield _mismatch(catalog, LISTING, f"{quote(id_)} has no document in vibs/", id=rules.shown(id_))
    for id_, (document, one) in described.items():
        vib = listed.get(id_)
        if vib is None:
            yield _mismatch(catalog, document, f"{LISTING} does not list {quote(id_)}", id=rules.shown(id_))
            continue
        values = {**_of_listing(one.manifest), "place": one.place}
        for name, here, there in _unequal({**_listed(vib), "place": vib.place}, values):
            detail = f"{LISTING} says {name} {here} of {quote(id_)}, this says {there}"
            yield _mismatch(catalog, document, detail, id=rules.shown(id_), field=name)


def _bulletins(catalog: Catalog) -> Iterator[Failure]:
    """`vmware.xml` and `bulletins/` have the same bulletins, which name bundles that are listed."""
    listed = {bulletin.id: bulletin for bulletin, _ in catalog.listing}
    for id_ in listed.keys() - {one.id for _, one in catalog.bulletins}:
        yield _mismatch(catalog, LISTING, f"bulletin {quote(id_)} has no document in bulletins/", id=rules.shown(id_))
    ids = {vib.id for vib in catalog.listed()}
    for document, bulletin in catalog.bulletins:
        if bulletin.id not in listed:
            detail = f"{LISTING} has no bulletin {quote(bulletin.id)}"
            yield _mismatch(catalog, document, detail, id=rules.shown(bulletin.id))
        elif bulletin != listed[bulletin.id]:
            [first, *_] = _unequal(_plain(listed[bulletin.id]), _plain(bulletin))
            detail = f"{LISTING} says {first[0]} {first[1]} of {quote(bulletin.id)}, this says {first[2]}"
            yield _mismatch(catalog, document, detail, id=rules.shown(bulletin.id), field=first[0])
        for id_ in bulletin.vibs:
            if id_ not in ids:
                yield _mismatch(catalog, document, f"it names {quote(id_)}, which is not listed", id=rules.shown(id_))


# The metadata against what is there.


def _presence(metadata: Metadata, paths: Collection[str], found: set[str]) -> Iterator[Failure]:
    """What is listed is there, and nothing else is."""
    listed = metadata.places()
    for path in sorted(listed.difference(paths)):
        detail = f"the metadata lists {quote(path, limits.PATH_LENGTH)}, which is not there"
        yield Failure("bundle-missing", detail, {"bundle": rules.shown(path)})
    for path in sorted({*paths, *found} - listed - metadata.documents):
        code, what = ("bundle-unlisted", "bundle") if path in found else ("unknown-member", "file")
        detail = f"the metadata does not list the {what} {quote(path, limits.PATH_LENGTH)}"
        yield Failure(code, detail, {"bundle" if path in found else "path": rules.shown(path)})


def _vendors(catalog: Catalog, found: Collection[Origin]) -> Iterator[Failure]:
    """The index's vendor is that of its bundles (DEP-02); others' bundles are there only with a proof (see docs)."""
    named = [(one, one.vendor) for one in found if one.path in catalog.by_path and one.vendor is not None]
    foreign = [(one, vendor) for one, vendor in named if not is_of(catalog.vendor, vendor)]
    index = f"{quote(catalog.vendor.name)} ({quote(catalog.vendor.code)})"
    all_foreign = len(foreign) == len(named)
    for one, vendor in foreign:
        if all_foreign or not one.proved:
            detail = f"the index is of {index}, and its bundle {quote(one.path)} of {quote(vendor)}{_proof(one.proved)}"
            values = (catalog.vendor.name, catalog.vendor.code, vendor, one.path)
            keys = ("name", "code", "vendor", "bundle")
            evidence: dict[str, Scalar] = dict(zip(keys, map(rules.shown, values), strict=True))
            yield Failure("index-vendor-mismatch", detail, {**evidence, "proved": one.proved})


def is_of(index: Vendor, vendor: str) -> bool:
    """Whether a vendor of an index and the vendor that a bundle names are one.

    A bundle names either the index's name or its code; case does not matter. Of VMware both have several.
    """
    names = {index.name.casefold(), index.code.casefold()} - _NOBODY
    name = vendor.casefold()
    return name in names or (name in VMWARE and not VMWARE.isdisjoint(names))


def _measured(catalog: Catalog, document: str, place: Place, found: Found) -> Iterator[Failure]:
    """The size and the digest of a bundle are those that are listed."""
    if place.size != found.size:
        yield _difference(catalog, document, found, "size", str(place.size), str(found.size))
    for kind, value in place.checksums:
        if kind == _CHECKSUM and value != found.sha256:
            yield _difference(catalog, document, found, kind, quote(value, 64), quote(found.sha256, 64))


def _difference(catalog: Catalog, document: str, found: Found, field: str, listed: str, there: str) -> Failure:
    whose = "its bytes have" if field in ("size", _CHECKSUM) else f"its manifest{_proof(found.proved)} says"
    detail = f"it says {field} {listed} of {quote(found.path, limits.PATH_LENGTH)}; {whose} {there}"
    evidence: dict[str, Scalar] = {
        "bundle": rules.shown(found.path),
        "field": field,
        "listed": rules.shown(listed),
        "found": rules.shown(there),
        "proved": found.proved,
    }
    return _at(catalog, document, "metadata-mismatch", detail, **evidence)


def _proof(proved: bool) -> str:
    return "" if proved else " (unproved)"


def _mismatch(catalog: Catalog, document: str, detail: str, **evidence: Scalar) -> Failure:
    return _at(catalog, document, "metadata-mismatch", detail, **evidence)


def _at(catalog: Catalog, document: str, code: str, detail: str, **evidence: Scalar) -> Failure:
    name = f"{catalog.path}/{document}".rstrip("/")
    return Failure(code, f"{quote(name, limits.PATH_LENGTH)}: {detail}", {"document": rules.shown(name), **evidence})


# Values by the names that messages have for them.


def _listed(vib: ListedVib) -> _Values:
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


def _of_listing(manifest: Manifest) -> _Values:
    """What `vmware.xml` must say of a manifest. A host that cannot take a bundle in or out while it runs, reboots."""
    vib = manifest.vib or VibFields()
    return {
        "id": manifest.id,
        "type": vib.type,
        "name": manifest.name,
        "version": manifest.version,
        "vendor": manifest.vendor,
        "summary": manifest.summary,
        "maintenance-mode": vib.maintenance_mode,
        "reboot-required": not (vib.live_install_allowed and vib.live_remove_allowed),
        "hostd-restart": vib.cimom_restart,
        "software-tags": vib.tags,
        **dict(manifest.relationships.by_label()),
    }


def _of_descriptor(manifest: Manifest) -> _Values:
    """All of a manifest, the fields of a `.vib` beside the others. A time without a zone gets that of UTC."""
    vib = {name: value for name, value in _plain(manifest.vib or VibFields()).items() if name not in _DEPOT_MAKERS}
    released = manifest.released if _ZONE.search(manifest.released) else f"{manifest.released}+00:00"
    return {**_plain(manifest), **vib, "vib": manifest.vib is not None, "released": released}


def _plain(value: Manifest | VibFields | Bulletin) -> dict[str, object]:
    return {field.name.replace("_", "-"): getattr(value, field.name) for field in fields(value)}


def _unequal(listed: _Values, found: _Values) -> Iterator[tuple[str, str, str]]:
    """The names of all values that differ, with both as text; of lists what first differs."""
    for name, value in listed.items():
        other = found.get(name)
        if value != other:
            both = (value, other)
            if isinstance(value, tuple) and isinstance(other, tuple):
                both = next(pair for pair in zip_longest(value, other) if pair[0] != pair[1])
            yield name, _word(both[0]), _word(both[1])


def _word(value: object) -> str:
    """A value for a message: quoted, cut."""
    if value is None:
        return "nothing"
    if isinstance(value, Entry):
        return quote(value.path)
    if isinstance(value, Constraint):
        return quote(" ".join(filter(None, (value.name, value.relation, value.version))))
    return quote(value if isinstance(value, str) else ascii(value))
