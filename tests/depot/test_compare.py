"""What the metadata says against what is there: a good depot gives nothing, and each lie gives its failure."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from builders import bundles, depots, zips
from builders.depots import LISTING, METADATA, Depot
from modseal.depot import compare
from modseal.depot.compare import DepotBundle
from modseal.depot.documents import Vendor
from modseal.format import descriptor
from modseal.format.level import Level
from modseal.format.manifest import Constraint, Relationships, VibFields

RICH = bundles.make(
    "vib",
    relationships=Relationships(depends=(Constraint("base", ">=", "2.0"),)),
    vib=VibFields(tags=("driver", "module"), live_install_allowed=True, urls=(("kb", "https://example.test"),)),
)
DEPOT = depots.make(RICH)
SECOND = bundles.make("vib", name="second", files={"opt/second": b"2"})
ID = RICH.manifest.id


def fields(depot: Depot) -> list[tuple[object, object]]:
    """The document and the field of every mismatch; nothing else is wrong."""
    found = depots.failures(depot)
    assert {failure.code for failure in found} <= {"metadata-mismatch"}
    return [(failure.evidence["document"], failure.evidence.get("field")) for failure in found]


def codes(depot: Depot, *, proved: bool = True) -> list[str]:
    return [failure.code for failure in depots.failures(depot, proved=proved)]


@pytest.mark.parametrize("depot", [
    DEPOT,
    depots.make(RICH, last=True),
    depots.make(RICH, SECOND),
    depots.make(RICH, folder=""),
    depots.make(bundles.make("vib", released="2026-01-31T12:00:00")),
    depots.make(bundles.make("vib", vib=VibFields(live_install_allowed=True, live_remove_allowed=True))),
], ids=["usual", "tgz2vib", "two", "flat", "no zone", "live"])  # fmt: skip
def test_a_good_depot_gives_nothing(depot: Depot) -> None:
    assert codes(depot) == codes(depot, proved=False) == []


def test_a_time_without_a_zone_is_the_one_with_that_of_utc() -> None:
    plain = depots.make(bundles.make("vib", released="2026-01-31T12:00:00"))
    depot = plain.edit(plain.described, "12:00:00</release", "12:00:00+00:00</release")
    assert fields(depot) == []
    assert fields(plain.edit(plain.described, "12:00:00</release", "12:00:00+01:00</release")) == [
        (plain.described, "released")
    ]


LIES = [
    ("reboot-required", "<rebootRequired>true", "<rebootRequired>false"),
    ("hostd-restart", "<hostdRestart>false", "<hostdRestart>true"),
    ("maintenance-mode", "<maintenanceMode>false", "<maintenanceMode>true"),
    ("version", "<version>1.2.3-4", "<version>1.2.3-5"),
    ("name", "<name>acme-agent", "<name>acme-other"),
    ("vendor", "</version><vendor>Acme", "</version><vendor>Evil"),
    ("type", "<vibType>bootbank", "<vibType>locker"),
    ("summary", "<summary>Agent</summary><systemReqs>", "<summary>Harmless</summary><systemReqs>"),
    ("depends", '<constraint name="base"', '<constraint name="other"'),
    ("depends", "&gt;=", "&lt;&lt;"),
    ("conflicts", "<conflicts />", '<conflicts><constraint name="a"/></conflicts>'),
    ("software-tags", "<tag>driver</tag>", ""),
    ("software-tags", "<tag>driver</tag>", "<tag>driver</tag><tag>more</tag>"),
]


@pytest.mark.parametrize(("field", "old", "new"), LIES)
def test_a_lie_of_the_listing_is_found_by_the_bundle_and_by_its_description(field: str, old: str, new: str) -> None:
    assert set(fields(DEPOT.edit(LISTING, old, new))) == {(LISTING, field), (DEPOT.described, field)}


DESCRIBED = [
    ("claimed-level", "<acceptance-level>partner", "<acceptance-level>certified"),
    ("files", "<file>opt/acme/conf", "<file>opt/acme/harmless"),
    ("files", "<file>opt/acme/conf</file>", ""),
    ("description", "An agent.", "Nothing."),
    ("released", "2026-01-31", "2025-01-31"),
    ("urls", "https://example.test", "https://evil.test"),
    ("payloads", 'type="vgz"', 'type="tgz"'),
    ("live-remove-allowed", "<live-remove-allowed>false", "<live-remove-allowed>true"),
    ("stateless-ready", "<stateless-ready>true", "<stateless-ready>false"),
    ("overlay", "<overlay>false", "<overlay>true"),
    ("cimom-restart", "<cimom-restart>false", "<cimom-restart>true"),
]


@pytest.mark.parametrize(("field", "old", "new"), DESCRIBED)
def test_a_lie_of_a_description_is_found(field: str, old: str, new: str) -> None:
    assert (DEPOT.described, field) in fields(DEPOT.edit(DEPOT.described, old, new))


def test_the_same_tags_in_another_order_are_no_lie() -> None:
    turned = DEPOT.edit(LISTING, "<tag>driver</tag><tag>module</tag>", "<tag>module</tag><tag>driver</tag>")
    assert set(codes(turned)) == {"metadata-order"}


@pytest.mark.parametrize(("old", "new"), [
    (f'size="{RICH.manifest.payloads[0].size}"', 'size="1"'),
    (RICH.manifest.payloads[0].digests[0].value.hex(), "00" * 32),
])  # fmt: skip
def test_a_lie_about_a_payload_is_found(old: str, new: str) -> None:
    assert fields(DEPOT.edit(DEPOT.described, old, new)) == [(DEPOT.described, "payloads")]


@pytest.mark.parametrize("field", ["size", "sha-256"])
def test_a_size_or_digest_that_is_not_the_bundles_is_found_in_both_places(field: str) -> None:
    old = {"size": str(len(RICH.data)), "sha-256": depots.hashlib.sha256(RICH.data).hexdigest()}[field]
    new = {"size": "7", "sha-256": "0" * 64}[field]
    changed = DEPOT.edit(LISTING, old, new).edit(DEPOT.described, old, new)
    assert fields(changed) == [(LISTING, field), (DEPOT.described, field)]
    assert (DEPOT.described, "place") in fields(DEPOT.edit(LISTING, old, new))


def test_a_digest_in_capitals_is_another_text_and_no_digest_that_modseal_takes() -> None:
    digest = depots.hashlib.sha256(RICH.data).hexdigest()
    assert (LISTING, "sha-256") in fields(DEPOT.edit(LISTING, digest, digest.upper()))


def test_a_checksum_of_another_kind_beside_the_strong_one_is_not_compared() -> None:
    more = "<checksum><checksumType>sha-1</checksumType><checksum>00</checksum></checksum></vibFile>"
    changed = DEPOT.edit(LISTING, "</vibFile>", more)
    assert fields(changed) == [(DEPOT.described, "place")]


@pytest.mark.parametrize("kind", ["sha-1", "md5", "sha1", "SHA-256"])
def test_a_bundle_that_is_listed_by_no_strong_checksum_is_said(kind: str) -> None:
    changed = DEPOT.edit(LISTING, "sha-256", kind)
    changed = changed.edit(DEPOT.described, '<checksum checksum-type="sha-256">' + depots.hashlib.sha256(
        RICH.data).hexdigest(), f'<checksum checksum-type="{kind}">' + "0" * 40)  # fmt: skip
    assert codes(changed).count("weak-digest") == 2


def test_a_mismatch_says_what_was_listed_what_was_found_and_whether_that_is_proved() -> None:
    changed = DEPOT.edit(LISTING, "<version>1.2.3-4", "<version>1.2.3-5")
    for proved in (True, False):
        [failure] = [one for one in depots.failures(changed, proved=proved) if "bundle" in one.evidence]
        assert failure.evidence == {
            "document": LISTING,
            "bundle": DEPOT.bundle,
            "field": "version",
            "listed": "'1.2.3-5'",
            "found": "'1.2.3-4'",
            "proved": proved,
        }
        assert ("(unproved)" in failure.detail) is not proved


NO_PYTHON = re.compile(r"\('|\bb'|\w+\(\w+=|\b(None|True|False)\b")
"""How tuples, bytes, values of classes and constants look in Python, which means nothing to a reader."""


def test_no_message_of_a_comparison_has_a_value_as_python_writes_it() -> None:
    depot = depots.make(RICH, SECOND)
    texts = 0
    for document, data in depot.documents.items():
        for match in re.finditer(rb'>([^<>]+)<|="([^"]*)"', data):
            start, end = match.span(1) if match[1] else match.span(2)
            changed = {"true": b"false", "false": b"true"}.get(data[start:end].decode(), data[start:end] + b"7")
            lie = replace(depot, documents={**depot.documents, document: data[:start] + changed + data[end:]})
            for failure in depots.failures(lie):
                assert not NO_PYTHON.search(failure.detail), (document, match.group(), failure.detail)
                texts += 1
    assert texts > 100


def test_texts_that_differ_are_named_by_their_element() -> None:
    lie = DEPOT.edit(DEPOT.bulletin, "<summary>", "<summary>My ")
    [failure] = depots.failures(lie)
    assert "says texts 'summary: Agent' of" in failure.detail
    assert failure.detail.endswith("this says 'summary: My Agent'")


def test_the_bundle_is_right_and_not_the_metadata_even_where_all_of_it_agrees() -> None:
    changed = DEPOT.edit_all("<version>1.2.3-4", "<version>1.2.3-5").edit_all(f"<vibID>{ID}", f"<vibID>{ID[:-1]}5")
    found = [one for one in depots.failures(changed) if one.evidence.get("field") == "version"]
    assert [one.evidence["document"] for one in found] == [LISTING, DEPOT.described]


def test_a_bundle_whose_manifest_cannot_be_read_is_compared_by_its_bytes() -> None:
    opened = DEPOT.open
    good = depots.found(opened)[0]
    assert list(compare.compare(opened.metadata, opened.paths, [replace(good, manifest=None)])) == []
    changed = replace(good, manifest=None, sha256="0" * 64, size=1)
    assert len(list(compare.compare(opened.metadata, opened.paths, [changed]))) == 4


def test_a_bundle_that_is_listed_and_not_there_is_missing() -> None:
    assert codes(DEPOT.without(DEPOT.bundle)) == ["bundle-missing"]
    assert codes(depots.make(RICH, SECOND).without(DEPOT.bundle)) == ["bundle-missing"]


def test_a_bundle_or_file_that_is_there_and_not_listed_is_said() -> None:
    assert codes(DEPOT.with_file("vib20/more.vib", SECOND.data)) == ["bundle-unlisted"]
    assert codes(DEPOT.with_file("run.sh", b"#!/bin/sh")) == ["unknown-member"]


def test_a_listed_path_that_leaves_the_depot_is_a_failure_and_looked_up_nowhere() -> None:
    for path in (f"../{DEPOT.bundle}", "/etc/passwd", "a\\b.vib", ""):
        changed = DEPOT.edit_all(DEPOT.bundle, path)
        assert sorted(codes(changed)) == ["bundle-unlisted", "unsafe-path", "unsafe-path"]


def test_a_listed_path_that_is_safe_only_by_itself_is_a_failure() -> None:
    """Relative to its archive's folder it is longer than a path may be."""
    path = "v" * 250
    changed = DEPOT.edit_all(DEPOT.bundle, path)
    files = {
        "index.xml": DEPOT["index.xml"].replace(b"<relativePath></", b"<relativePath>folder</"),
        "folder/vendor-index.xml": DEPOT["vendor-index.xml"],
        f"folder/{METADATA}": zips.write(changed.documents),
    }
    opened = depots.in_zip(depots.BytesSource(zips.write(files)), "depot")
    found = compare.compare(opened.metadata, opened.paths, ())
    assert [one.code for one in found] == ["unsafe-path", "unsafe-path"]


def test_a_document_that_is_listed_as_a_bundle_is_a_missing_bundle() -> None:
    changed = DEPOT.edit_all(DEPOT.bundle, "index.xml").without(DEPOT.bundle)
    assert codes(changed) == ["bundle-missing"]


@pytest.mark.parametrize(("name", "old", "new"), [
    (DEPOT.bulletin, "<severity>general", "<severity>critical"),
    (DEPOT.bulletin, '<softwarePlatform version="8.*"', '<softwarePlatform version="7.*"'),
    (DEPOT.bulletin, 'componentVersionSpec version="1.2.3-4"', 'componentVersionSpec version="9"'),
    (DEPOT.bulletin, "<vendor>Acme", "<vendor>Evil"),
])  # fmt: skip
def test_a_bulletin_that_says_two_things_is_found(name: str, old: str, new: str) -> None:
    [(document, _)] = fields(DEPOT.edit(name, old, new))
    assert document == DEPOT.bulletin


def test_a_bulletin_that_names_a_bundle_that_is_not_listed_is_found() -> None:
    changed = DEPOT.edit(DEPOT.bulletin, f"<vibID>{ID}", "<vibID>other")
    assert fields(changed) == [(DEPOT.bulletin, "vibs"), (DEPOT.bulletin, None)]


@pytest.mark.parametrize("name", [DEPOT.bulletin, DEPOT.described])
def test_a_document_that_is_left_out_is_found(name: str) -> None:
    assert fields(DEPOT.without(name)) == [(LISTING, None)]


@pytest.mark.parametrize("name", [DEPOT.bulletin, DEPOT.described])
def test_a_document_that_is_there_twice_is_found(name: str) -> None:
    folder, _, _ = name.rpartition("/")
    assert fields(DEPOT.with_file(f"{folder}/again.xml", DEPOT[name])) == [(METADATA, None)]


def test_a_bundle_and_a_bulletin_that_the_listing_lacks_are_found() -> None:
    text = DEPOT[LISTING].decode()
    start, end = text.index("<bulletin>"), text.index("</metadataResponse>")
    changed = DEPOT.with_file(LISTING, (text[:start] + text[end:]).encode())
    assert {document for document, _ in fields(changed)} == {DEPOT.bulletin, DEPOT.described}


def test_a_bundle_that_is_listed_in_two_ways_is_found() -> None:
    text = DEPOT[LISTING].decode()
    one = text[text.index("<vib>") : text.index("</vibList>")]
    twice = DEPOT.with_file(LISTING, text.replace(one, one + one).encode())
    assert fields(twice) == [(DEPOT.bulletin, "vibs")]
    lie = one.replace("<rebootRequired>true", "<rebootRequired>false")
    changed = DEPOT.with_file(LISTING, text.replace(one, lie + one).encode())
    assert (LISTING, None) in fields(changed)


def test_a_seal_in_the_place_of_a_vib_is_no_match() -> None:
    seal = bundles.make("seal", vendor="Acme")
    opened = DEPOT.with_file(DEPOT.bundle, seal.data).open
    facts = DepotBundle(DEPOT.bundle, len(seal.data), depots.hashlib.sha256(seal.data).hexdigest(), seal.manifest, True)
    found = list(compare.compare(opened.metadata, opened.paths, [facts]))
    assert {"id", "vib", "kind", "size", "sha-256"} <= {one.evidence.get("field") for one in found}


# Vendors.


@pytest.mark.parametrize(("name", "code", "vendor", "expected"), [
    ("Acme", "ACM", "Acme", True),
    ("Acme Inc", "ACM", "acm", True),
    ("VMware", "VMX", "VMW", True),
    ("VMware", "vmw", "vmw", True),
    ("Acme", "ACM", "Evil", False),
    ("Acme", "Unknown", "Unknown", False),
    ("Acme", "", "", False),
    ("Acme", "ACM", "VMW", False),
    ("VMware", "VMX", "Acme", False),
])  # fmt: skip
def test_an_index_and_a_bundle_are_of_one_vendor(name: str, code: str, vendor: str, expected: bool) -> None:
    assert compare.is_of(Vendor(name, code, "", ""), vendor) is expected


def test_an_index_of_a_vendor_of_whom_there_is_no_bundle_is_said_though_they_are_proved() -> None:
    assert codes(depots.make(vendor="Other", code="OTH")) == ["index-vendor-mismatch"]


def test_a_bundle_of_another_vendor_beside_its_own_needs_a_proof() -> None:
    """A vendor ships what its partners' drivers need; whose they are, their signatures say."""
    depot = depots.make(RICH, bundles.make("vib", vendor="Partner", name="driver"))
    assert codes(depot, proved=True) == []
    assert codes(depot, proved=False) == ["index-vendor-mismatch"]


# Genuine metadata.

GENUINE = Path(__file__).parents[2] / ".." / "shared" / "real"


@pytest.mark.skipif(not GENUINE.is_dir(), reason="the genuine depots are not on this machine")
@pytest.mark.parametrize("name", ["bundle-6.7", "component-9.0"])
def test_genuine_metadata_agrees_with_the_genuine_descriptor(name: str) -> None:
    folder = GENUINE / "depot" / name
    inner = {
        str(one.relative_to(folder / "metadata")): one.read_bytes() for one in (folder / "metadata").rglob("*.xml")
    }
    files = {one.name: one.read_bytes() for one in folder.glob("*.xml")} | {METADATA: zips.write(inner)}
    metadata = depots.in_zip(depots.BytesSource(zips.write(files)), name).metadata
    [vib] = metadata.catalogs[0].listed()
    manifest = descriptor.decode((GENUINE / "vib" / vib.id / "descriptor.xml").read_bytes())
    facts = DepotBundle(vib.place.path, vib.place.size, vib.place.checksums[0][1], manifest, False)
    assert list(compare.compare(metadata, [*files, facts.path], [facts])) == []
    lie = replace(facts, manifest=replace(manifest, claimed_level=Level.COMMUNITY))
    assert len(list(compare.compare(metadata, [*files, facts.path], [lie]))) == 1
