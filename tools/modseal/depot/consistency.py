"""A depot's metadata held against itself: the three places of one archive that say the same (attack DEP-01)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from modseal import limits
from modseal.codes import CodeName
from modseal.depot.documents import ListedVib
from modseal.depot.metadata import LISTING, Catalog
from modseal.depot.values import listed, of_listing, plain, unequal
from modseal.errors import Failure, Scalar
from modseal.format import rules
from modseal.format.shape import quote

CHECKSUM = "sha-256"
"""The one checksum that genuine metadata has, and the one that is compared."""


def inconsistencies(catalog: Catalog) -> Iterator[Failure]:
    """The places of one metadata archive that say the same, and what can be said of a place alone."""
    yield from _repeated(catalog)
    yield from _documents(catalog)
    yield from _bulletins(catalog)
    yield from _profiles(catalog)
    for document, place in ((document, vib.place) for document, vib in catalog.mentions()):
        failure = rules.check_path(catalog.locate(place))
        if failure:
            yield failure_at(catalog, document, failure.code, failure.detail, **failure.evidence)
        if CHECKSUM not in dict(place.checksums):
            kinds = ", ".join(kind for kind, _ in place.checksums)
            detail = f"it gives no {CHECKSUM} of {quote(place.path)}, only {quote(kinds)}"
            yield failure_at(catalog, document, "weak-digest", detail, bundle=rules.shown(place.path))


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
    by_id = {vib.id: vib for vib in catalog.listed()}
    described = {one.manifest.id: (document, one) for document, one in catalog.described}
    for id_ in sorted(by_id.keys() - described.keys()):
        yield _mismatch(catalog, LISTING, f"{quote(id_)} has no document in vibs/", id=rules.shown(id_))
    for id_, (document, one) in described.items():
        vib = by_id.get(id_)
        if vib is None:
            yield _mismatch(catalog, document, f"{LISTING} does not list {quote(id_)}", id=rules.shown(id_))
            continue
        values = {**of_listing(one.manifest), "place": one.place}
        for name, here, there in unequal({**listed(vib), "place": vib.place}, values):
            detail = f"{LISTING} says {name} {here} of {quote(id_)}, this says {there}"
            yield _mismatch(catalog, document, detail, id=rules.shown(id_), field=name)


def _bulletins(catalog: Catalog) -> Iterator[Failure]:
    """`vmware.xml` and `bulletins/` have the same bulletins, which name bundles that are listed."""
    by_id = {bulletin.id: bulletin for bulletin, _ in catalog.listing}
    for id_ in sorted(by_id.keys() - {one.id for _, one in catalog.bulletins}):
        yield _mismatch(catalog, LISTING, f"bulletin {quote(id_)} has no document in bulletins/", id=rules.shown(id_))
    ids = {vib.id for vib in catalog.listed()}
    for document, bulletin in catalog.bulletins:
        if bulletin.id not in by_id:
            detail = f"{LISTING} has no bulletin {quote(bulletin.id)}"
            yield _mismatch(catalog, document, detail, id=rules.shown(bulletin.id))
        elif bulletin != by_id[bulletin.id]:
            [first, *_] = unequal(plain(by_id[bulletin.id]), plain(bulletin))
            detail = f"{LISTING} says {first[0]} {first[1]} of {quote(bulletin.id)}, this says {first[2]}"
            yield _mismatch(catalog, document, detail, id=rules.shown(bulletin.id), field=first[0])
        for id_ in bulletin.vibs:
            if id_ not in ids:
                yield _mismatch(catalog, document, f"it names {quote(id_)}, which is not listed", id=rules.shown(id_))


def _profiles(catalog: Catalog) -> Iterator[Failure]:
    """An image profile names bundles that the archive has, and none that claims less than the profile."""
    listed_ids = {vib.id for vib in catalog.listed()}
    levels = {one.manifest.id: one.manifest.claimed_level for _, one in catalog.described}
    for document, profile in catalog.profiles:
        for id_ in profile.vibs:
            if id_ not in listed_ids | levels.keys():
                detail = f"it names {quote(id_)}, which is not listed"
                yield _mismatch(catalog, document, detail, id=rules.shown(id_))
            elif profile.level and id_ in levels and levels[id_] < profile.level:
                detail = f"it says level {profile.level}, and {quote(id_)} claims {levels[id_]}"
                yield _mismatch(catalog, document, detail, id=rules.shown(id_), field="acceptancelevel")


def _mismatch(catalog: Catalog, document: str, detail: str, **evidence: Scalar) -> Failure:
    return failure_at(catalog, document, "metadata-mismatch", detail, **evidence)


def failure_at(catalog: Catalog, document: str, code: CodeName, detail: str, **evidence: Scalar) -> Failure:
    """A failure of a document in a metadata archive; without a document's name it is about the archive itself."""
    name = f"{catalog.path}/{document}".rstrip("/")
    return Failure(code, f"{quote(name, limits.PATH_LENGTH)}: {detail}", {"document": rules.shown(name), **evidence})
