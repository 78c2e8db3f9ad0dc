"""What a depot's metadata says, held against the bundles that are there and against itself. Pure functions.

The metadata is not signed: anybody who repacks a depot can write anything into it (attack DEP-01). So every
sentence of it that a bundle's own manifest also says is compared, and the manifest is right. Whether the manifest
is proved is the examination's to say (`Found.proved`), and each failure tells.

`compare` is the whole. Where bundles are looked at in several processes, `bundle_failures` serves for each and
`depot_failures` for what needs all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from modseal import limits
from modseal.codes import CodeName
from modseal.depot.consistency import CHECKSUM, failure_at, inconsistencies
from modseal.depot.documents import ListedVib, Place, Vendor
from modseal.depot.metadata import Catalog, Metadata
from modseal.depot.values import Values, listed, of_descriptor, of_listing, reordered, unequal
from modseal.errors import Failure, Scalar
from modseal.format import rules
from modseal.format.manifest import Manifest
from modseal.format.shape import quote
from modseal.values import dataclass

VMWARE = frozenset({"vmware", "vmware, inc.", "vmw", "vmx"})
"""The names and codes of one vendor in genuine depots, where bundles say `VMW` and indexes `VMX`."""

_NOBODY = {"", "unknown"}
"""What tools write as the code of a vendor that has none."""


@dataclass(frozen=True, slots=True)
class DepotBundle:
    """A bundle that was found: its path in the depot, and what was measured of it.

    `manifest` is None where it could not be read; `proved` says that a trusted signer has signed it.
    """

    path: str
    size: int
    sha256: str
    manifest: Manifest | None
    proved: bool

    @property
    def origin(self) -> BundleOrigin:
        """What `depot_failures` needs of it."""
        return BundleOrigin(self.path, self.manifest.vendor if self.manifest else None, self.proved)


@dataclass(frozen=True, slots=True)
class BundleOrigin:
    """The path of a bundle that was found, and the vendor that it names; None where it cannot be read."""

    path: str
    vendor: str | None
    proved: bool


def compare(metadata: Metadata, paths: Collection[str], found: Iterable[DepotBundle]) -> Iterator[Failure]:
    """Every disagreement. `paths` are those of all files of the depot, `found` all its bundles."""
    bundles = tuple(found)
    yield from depot_failures(metadata, paths, tuple(one.origin for one in bundles))
    for one in bundles:
        yield from bundle_failures(metadata, one)


def depot_failures(metadata: Metadata, paths: Collection[str], found: Collection[BundleOrigin]) -> Iterator[Failure]:
    """What is wrong with the whole: the metadata alone, what is missing and what is too much, the vendors."""
    yield from metadata.failures
    for catalog in metadata.catalogs:
        yield from inconsistencies(catalog)
    yield from _presence(metadata, paths, {one.path for one in found})
    for catalog in metadata.catalogs:
        yield from _vendors(catalog, found)


def bundle_failures(metadata: Metadata, found: DepotBundle) -> Iterator[Failure]:
    """Where the metadata says something else of a bundle than the bundle."""
    for catalog in metadata.catalogs:
        for document, vib in catalog.by_path.get(found.path, ()):
            yield from _measured(catalog, document, vib.place, found)
            if isinstance(vib, ListedVib):
                yield from _said(catalog, document, found, listed(vib), of_listing)
            else:
                yield from _said(catalog, document, found, of_descriptor(vib.manifest), of_descriptor)


def _said(
    catalog: Catalog, document: str, found: DepotBundle, said: Values, of: Callable[[Manifest], Values]
) -> Iterator[Failure]:
    if found.manifest:
        there = of(found.manifest)
        for field, here, other in unequal(said, there):
            yield _difference(catalog, document, found, field, here, other)
        for field in reordered(said, there):
            detail = (
                f"it lists the {field} of {quote(found.path, limits.PATH_LENGTH)} in another order than its manifest"
            )
            evidence: dict[str, Scalar] = {"bundle": rules.shown(found.path), "field": field, "proved": found.proved}
            yield failure_at(catalog, document, "metadata-order", detail, **evidence)


# The metadata against what is there.


def _presence(metadata: Metadata, paths: Collection[str], found: set[str]) -> Iterator[Failure]:
    """Every listed bundle is present, and no other one."""
    places = metadata.places()
    for path in sorted(places.difference(paths) | (places & metadata.documents)):
        detail = f"the metadata lists {quote(path, limits.PATH_LENGTH)}, which is not a bundle of the depot"
        yield Failure("bundle-missing", detail, {"bundle": rules.shown(path)})
    for path in sorted({*paths, *found} - places - metadata.documents):
        what = "bundle" if path in found else "file"
        code: CodeName = "bundle-unlisted" if path in found else "unknown-member"
        detail = f"the metadata does not list the {what} {quote(path, limits.PATH_LENGTH)}"
        yield Failure(code, detail, {"bundle" if path in found else "path": rules.shown(path)})


def _vendors(catalog: Catalog, found: Collection[BundleOrigin]) -> Iterator[Failure]:
    """The index's vendor is that of its bundles (DEP-02); others' bundles need a proof (docs/depots.md)."""
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


def _measured(catalog: Catalog, document: str, place: Place, found: DepotBundle) -> Iterator[Failure]:
    """The size and the digest of a bundle are those that are listed."""
    if place.size != found.size:
        yield _difference(catalog, document, found, "size", str(place.size), str(found.size))
    for kind, value in place.checksums:
        if kind == CHECKSUM and value != found.sha256:
            yield _difference(catalog, document, found, kind, quote(value, 64), quote(found.sha256, 64))


def _difference(catalog: Catalog, document: str, found: DepotBundle, field: str, listed: str, there: str) -> Failure:
    whose = "its bytes have" if field in ("size", CHECKSUM) else f"its manifest{_proof(found.proved)} says"
    detail = f"it says {field} {listed} of {quote(found.path, limits.PATH_LENGTH)}; {whose} {there}"
    evidence: dict[str, Scalar] = {
        "bundle": rules.shown(found.path),
        "field": field,
        "listed": rules.shown(listed),
        "found": rules.shown(there),
        "proved": found.proved,
    }
    return failure_at(catalog, document, "metadata-mismatch", detail, **evidence)


def _proof(proved: bool) -> str:
    return "" if proved else " (unproved)"
