"""The documents of a depot's metadata: every form that genuine ones have is read, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import bundles, depots
from modseal.depot import documents
from modseal.errors import FormatError
from modseal.format.manifest import Constraint, Relationships, VibFields

RICH = bundles.make(
    "vib",
    relationships=Relationships(depends=(Constraint("vmkapi_2_13_0_0"), Constraint("zstd", "<<", "2.0"))),
    vib=VibFields(tags=("module", "driver"), maintenance_mode=True, live_install_allowed=True),
)
DEPOT = depots.make(RICH)
READERS: dict[str, Callable[[bytes], Any]] = {
    "index.xml": documents.read_index,
    "vendor-index.xml": documents.read_vendor_index,
    depots.LISTING: documents.read_listing,
    DEPOT.bulletin: documents.read_bulletin,
    DEPOT.described: documents.read_described,
}


def refusal(read: Callable[[bytes], Any], data: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        read(data)
    assert caught.value.failure.code in ("bad-manifest", "unsafe-path")
    return caught.value.failure.detail


def test_an_index_names_its_vendors() -> None:
    assert documents.read_index(DEPOT["index.xml"]) == (documents.Vendor("Acme", "ACM", "", "vendor-index.xml"),)


def test_a_comment_of_tgz2vib_stands_after_the_vendor() -> None:
    text = DEPOT["index.xml"].replace(b"</vendor>", b"</vendor><!-- made by -->")
    assert documents.read_index(text) == documents.read_index(DEPOT["index.xml"])
    assert "comment" in refusal(documents.read_index, DEPOT["index.xml"].replace(b"<name>", b"<!-- x --><name>"))


def test_a_vendor_index_names_each_archive_once() -> None:
    text = depots.VENDOR_INDEX
    platform = text[text.index("  <metadata>") : text.index("</metaList>")]
    more = platform.replace("8.*", "7.0").replace("<url>", "<patchUrl/><url>") + platform.replace(
        "metadata.zip", "o.zip"
    )
    assert documents.read_vendor_index(text.replace("</metaList>", more + "</metaList>").encode()) == (
        "metadata.zip",
        "o.zip",
    )


def test_a_listing_has_all_that_it_says_of_a_bundle() -> None:
    [(bulletin, [vib])] = documents.read_listing(DEPOT[depots.LISTING])
    assert bulletin.component == ("Acme-acme-agent", "A component", "1.2.3-4", "1")
    assert bulletin.vibs == (vib.id,) == ("Acme_bootbank_acme-agent_1.2.3-4",)
    assert (vib.name, vib.version, vib.vendor, vib.type) == ("acme-agent", "1.2.3-4", "Acme", "bootbank")
    assert (vib.maintenance_mode, vib.reboot_required, vib.hostd_restart) == (True, True, False)
    assert vib.relationships == RICH.manifest.relationships
    assert vib.tags == ("module", "driver")
    assert vib.place.path == DEPOT.bundle
    assert vib.place.size == len(RICH.data)


def test_a_bulletin_of_its_own_says_the_same_as_the_listing() -> None:
    [(bulletin, _)] = documents.read_listing(DEPOT[depots.LISTING])
    assert documents.read_bulletin(DEPOT[DEPOT.bulletin]) == bulletin


def test_a_bulletin_before_7_0_is_no_component() -> None:
    text = DEPOT[DEPOT.bulletin].decode()
    start, end = text.index("<componentNameSpec"), text.index("<releaseDate>")
    assert documents.read_bulletin((text[:start] + text[end:]).encode()).component is None
    half = text[:start] + text[text.index("<componentVersionSpec") :]
    assert "component" in refusal(documents.read_bulletin, half.encode())


@pytest.mark.parametrize("last", [False, True])
def test_a_description_is_the_descriptor_and_a_place(last: bool) -> None:
    depot = depots.make(RICH, last=last)
    found = documents.read_described(depot[depot.described])
    assert found.manifest == RICH.manifest
    assert (found.place.path, found.place.size) == (depot.bundle, len(RICH.data))


def test_tgz2vib_mixes_up_two_spellings_of_maintenance_mode() -> None:
    listing = DEPOT[depots.LISTING].replace(b"maintenanceMode", b"maintenance-mode")
    assert documents.read_listing(listing) == documents.read_listing(DEPOT[depots.LISTING])
    described = DEPOT[DEPOT.described].replace(b"maintenance-mode", b"maintenanceMode")
    assert documents.read_described(described).manifest == RICH.manifest


@pytest.mark.parametrize(("name", "right", "wrong"), [
    (depots.LISTING, "maintenanceMode", "maintenance-mode"),
    (DEPOT.described, "maintenance-mode", "maintenanceMode"),
])  # fmt: skip
def test_maintenance_mode_is_said_once(name: str, right: str, wrong: str) -> None:
    element = f"<{right}>true</{right}>"
    for replacement in ("", f"{element}<{wrong}>true</{wrong}>"):
        detail = refusal(READERS[name], DEPOT[name].replace(element.encode(), replacement.encode()))
        assert "must say once" in detail or "must stand before" in detail


@pytest.mark.parametrize(("name", "old", "new"), [
    ("index.xml", "<code>", "<code/><code>"),
    ("index.xml", "<code>ACM</code>", ""),
    ("vendor-index.xml", "<url>", "<uri>x</uri><url>"),
    (depots.LISTING, "<packedSize>", "<packedSize>0"),
    (depots.LISTING, "<packedSize>", "<packedSize>-"),
    (depots.LISTING, "<rebootRequired>true", "<rebootRequired>True"),
    (depots.LISTING, "<vibID>", "<vibID>a<!-- -->"),
    (depots.LISTING, "<metadataResponse>", "<!DOCTYPE a [<!ENTITY b 'c'>]><metadataResponse>"),
    (depots.LISTING, "<vibType>", "<vibtype/><vibType>"),
    (DEPOT.bulletin, "<vibList>", "<vibList><vib/>"),
    (DEPOT.described, "<packed-size>", "<packed-size> "),
    (DEPOT.described, "<acceptance-level>partner", "<acceptance-level>highest"),
    (DEPOT.described, "<file>opt", "<file>../opt"),
    (DEPOT.described, 'version="5.0"', 'version="6.0"'),
])  # fmt: skip
def test_a_document_is_refused_for(name: str, old: str, new: str) -> None:
    assert old.encode() in DEPOT[name]
    text = DEPOT[name].replace(old.encode(), new.encode(), 1)
    assert refusal(READERS[name], text)


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=40)
@given(st.data())
def test_a_changed_document_is_a_value_or_a_format_error(name: str, data: st.DataObject) -> None:
    good = DEPOT[name]
    start, length = data.draw(st.integers(0, len(good))), data.draw(st.integers(0, 12))
    junk = st.sampled_from([b"", b"<", b">", b"&lt;", b"<!--", b"-1", b"</vib>", b"\xff"]) | st.binary(max_size=4)
    changed = good[:start] + data.draw(junk) + good[start + length :]
    try:
        READERS[name](changed)
    except FormatError as error:
        refused = error
        assert refused.failure.detail
