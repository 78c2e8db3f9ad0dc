"""The metadata of a depot as a whole: what it leads to is read, and what is wrong on the way is said."""

from __future__ import annotations

import pytest

from builders import depots, zips
from builders.depots import METADATA, Depot
from builders.zips import Part
from modseal.depot.metadata import Metadata

DEPOT = depots.make()


def codes(metadata: Metadata) -> list[tuple[str, object]]:
    return [(failure.code, failure.evidence.get("document")) for failure in metadata.failures]


def test_a_good_depot_has_one_catalog_and_no_failure() -> None:
    found = depots.metadata(DEPOT)
    [catalog] = found.catalogs
    assert found.failures == ()
    assert (catalog.vendor.name, catalog.path, catalog.unread) == ("Acme", METADATA, ())
    assert found.places() == {DEPOT.bundle}
    assert found.documents == {"index.xml", "vendor-index.xml", METADATA}


def test_documents_of_unknown_kinds_are_named_and_not_refused() -> None:
    more = {f"{METADATA}/{name}": b"<x/>" for name in ("addons/a.xml", "baseimages/b.xml", "manifests/c/d.xml")}
    depot = DEPOT
    for name, data in more.items():
        depot = depot.with_file(name, data)
    [catalog] = depots.metadata(depot).catalogs
    assert catalog.unread == ("addons/a.xml", "baseimages/b.xml", "manifests/c/d.xml")
    assert depots.failures(depot) == []


def test_the_metadata_may_lie_in_a_folder_with_the_bundles_beside_it() -> None:
    files = {
        "index.xml": DEPOT["index.xml"].replace(b"<relativePath></", b"<relativePath>acme</"),
        "acme/vendor-index.xml": DEPOT["vendor-index.xml"],
        f"acme/{METADATA}": zips.write(DEPOT.documents),
        f"acme/{DEPOT.bundle}": DEPOT[DEPOT.bundle],
    }
    moved = depots.in_zip(depots.BytesSource(zips.write(files)), "moved")
    assert moved.metadata.failures == ()
    assert moved.bundles == (f"acme/{DEPOT.bundle}",)


def test_an_index_of_two_vendors_leads_to_two_catalogs() -> None:
    other = depots.make(vendor="Other", code="OTH")
    first, second = DEPOT["index.xml"].decode(), other["index.xml"].decode().replace("vendor-index", "other-index")
    index = first.replace("</vendorList>\n", second[second.index("  <vendor>") :])
    files = {
        "index.xml": index.encode(),
        "vendor-index.xml": DEPOT["vendor-index.xml"],
        "other-index.xml": DEPOT["vendor-index.xml"].replace(b"metadata.zip", b"other.zip"),
        METADATA: zips.write(DEPOT.documents),
        "other.zip": zips.write({k: v for k, v in other.documents.items() if k != "vendor-index.xml"}),
    }
    found = depots.in_zip(depots.BytesSource(zips.write(files)), "two").metadata
    assert [(one.vendor.name, one.path) for one in found.catalogs] == [("Acme", METADATA), ("Other", "other.zip")]
    assert found.failures == ()


@pytest.mark.parametrize(("name", "code"), [
    ("index.xml", "bad-metadata"),
    ("vendor-index.xml", "bad-metadata"),
    (METADATA, "malformed-archive"),
    (f"{METADATA}/vmware.xml", "bad-metadata"),
    (DEPOT.bulletin, "bad-metadata"),
    (DEPOT.described, "bad-metadata"),
])  # fmt: skip
def test_a_document_that_is_not_well_formed_is_named(name: str, code: str) -> None:
    found = depots.metadata(DEPOT.with_file(name, b"<broken"))
    assert (code, name) in codes(found)


@pytest.mark.parametrize("name", ["index.xml", "vendor-index.xml"])
def test_a_document_that_is_missing_is_named(name: str) -> None:
    assert codes(depots.metadata(DEPOT.without(name))) == [("missing-member", name)]


def test_a_metadata_archive_that_is_missing_is_named() -> None:
    depot = DEPOT.edit("vendor-index.xml", "metadata.zip", "other.zip")
    assert codes(depots.metadata(depot)) == [("missing-member", "other.zip")]


def test_a_listing_that_is_missing_is_named() -> None:
    assert ("missing-member", METADATA) in codes(depots.metadata(DEPOT.without(f"{METADATA}/vmware.xml")))


def test_the_other_documents_are_read_all_the_same() -> None:
    [catalog] = depots.metadata(DEPOT.with_file(f"{METADATA}/vmware.xml", b"<broken")).catalogs
    assert catalog.listing == ()
    assert len(catalog.bulletins) == len(catalog.described) == 1


def test_two_different_copies_of_the_vendor_index_are_a_mismatch() -> None:
    changed = DEPOT.edit(f"{METADATA}/vendor-index.xml", "8.*", "7.*")
    assert codes(depots.metadata(changed)) == [("metadata-mismatch", METADATA)]


@pytest.mark.parametrize(("name", "old", "new"), [
    ("index.xml", "<indexfile>vendor-index.xml", "<indexfile>../vendor-index.xml"),
    ("index.xml", "<indexfile>vendor-index.xml", "<indexfile>/etc/passwd"),
    ("index.xml", "<relativePath>", "<relativePath>../.."),
    ("vendor-index.xml", "<url>metadata.zip", "<url>https://example.test/metadata.zip"),
    ("vendor-index.xml", "<url>metadata.zip", "<url>../metadata.zip"),
    ("vendor-index.xml", "<url>metadata.zip", "<url>"),
])  # fmt: skip
def test_a_path_that_leaves_the_depot_is_a_failure_and_leads_nowhere(name: str, old: str, new: str) -> None:
    found = depots.metadata(DEPOT.edit(name, old, new))
    assert codes(found) == [("unsafe-path", name)]
    assert found.catalogs == ()


def test_a_metadata_archive_is_read_as_strictly_as_the_depot() -> None:
    parts = [Part("vmware.xml", DEPOT[depots.LISTING])] * 2
    depot = Depot({**DEPOT.files, METADATA: zips.archive(parts)}, {})
    assert codes(depots.metadata(depot)) == [("duplicate-member", METADATA)]
    assert depots.metadata(depot).catalogs == ()


def test_a_damaged_copy_of_the_vendor_index_is_named_and_no_mismatch() -> None:
    parts = [Part("vendor-index.xml", b"x", both={"crc": 1}), Part("vmware.xml", DEPOT[depots.LISTING])]
    depot = Depot({**DEPOT.files, METADATA: zips.archive(parts)}, {})
    assert codes(depots.metadata(depot)) == [("bad-payload", f"{METADATA}/vendor-index.xml")]


def test_a_damaged_document_of_the_archive_is_named() -> None:
    part = Part("vmware.xml", DEPOT[depots.LISTING], both={"crc": 1})
    depot = Depot({**DEPOT.files, METADATA: zips.archive([part])}, {})
    assert codes(depots.metadata(depot))[0] == ("bad-payload", depots.LISTING)
