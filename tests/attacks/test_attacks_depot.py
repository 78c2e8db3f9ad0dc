"""Attack catalogue, section 4: zip archives and depots. Each test is named by the id of its row.

Whoever repacks a depot can change everything in it but the signed manifests of its bundles.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from builders import bundles, depots, zips
from builders.depots import LISTING, METADATA
from builders.zips import DESCRIPTOR, STORED, Part, archive
from modseal.depot.files import open_depot
from modseal.errors import FormatError
from modseal.format.level import Level

DEPOT = depots.make()
FILES = [Part(name, data) for name, data in DEPOT.contents.items()]


def refusal(tmp_path: Path, data: bytes) -> str:
    """The code with which a depot is refused: before anything of it is handed out, and with nothing left behind."""
    folder = tmp_path / "only this"
    folder.mkdir()
    (folder / "depot.zip").write_bytes(data)
    with pytest.raises(FormatError) as caught, open_depot(folder / "depot.zip"):
        pass
    assert [one.name for one in folder.iterdir()] == ["depot.zip"]
    assert list(tmp_path.iterdir()) == [folder]
    return caught.value.failure.code


def test_the_depot_is_good_before_it_is_attacked(tmp_path: Path) -> None:
    assert depots.failures(DEPOT) == []
    (tmp_path / "depot.zip").write_bytes(archive(FILES))
    with open_depot(tmp_path / "depot.zip") as depot:
        assert depot.bundles == (DEPOT.bundle,)


@pytest.mark.parametrize("name", ["../evil.vib", "vib20/../../evil.vib", "/tmp/evil.vib", "..\\evil.vib", "C:\\evil"])
def test_ZIP_01_an_entry_that_climbs_out_is_refused(tmp_path: Path, name: str) -> None:
    assert refusal(tmp_path, archive([*FILES, Part(name, b"evil")])) == "unsafe-path"


@pytest.mark.parametrize(("name", "code"), [(DEPOT.bundle, "duplicate-member"), ("INDEX.XML", "unsafe-path")])
def test_ZIP_01_an_entry_that_is_there_twice_is_refused(tmp_path: Path, name: str, code: str) -> None:
    assert refusal(tmp_path, archive([*FILES, Part(name, b"evil")])) == code


@pytest.mark.parametrize("changes", [
    {"name": b"other.vib"}, {"size": 3}, {"packed": 3}, {"crc": 3}, {"method": STORED}, {"flags": 2},
], ids=lambda changes: next(iter(changes)))  # fmt: skip
def test_ZIP_01_a_local_header_that_disagrees_with_the_directory_is_refused(
    tmp_path: Path, changes: dict[str, int | bytes]
) -> None:
    assert refusal(tmp_path, archive([*FILES, Part("more.vib", b"more", local=changes)])) == "malformed-archive"


def test_ZIP_01_a_data_descriptor_that_disagrees_with_the_directory_is_refused(tmp_path: Path) -> None:
    after = struct.pack("<4s3L", b"PK\x07\x08", 1, 2, 3)
    part = Part("more.vib", b"more", flags=DESCRIPTOR, after=after)
    assert refusal(tmp_path, archive([*FILES, part])) == "malformed-archive"


def test_ZIP_01_bytes_before_the_first_entry_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, archive(FILES, prefix=b"#!/bin/sh\n")) == "malformed-archive"


@pytest.mark.parametrize("suffix", [b"\n", b"PK\x05\x06", bytes(100_000)], ids=["newline", "start", "long"])
def test_ZIP_01_bytes_after_the_end_are_refused(tmp_path: Path, suffix: bytes) -> None:
    assert refusal(tmp_path, archive(FILES, suffix=suffix)) in ("trailing-bytes", "truncated", "malformed-archive")


def test_ZIP_01_an_entry_between_the_listed_ones_is_refused(tmp_path: Path) -> None:
    listed = [index for index in range(len(FILES) + 1) if index != 1]
    parts = [FILES[0], Part("hidden.vib", b"hidden"), *FILES[1:]]
    assert refusal(tmp_path, archive(parts, order=listed)) == "malformed-archive"


def test_ZIP_01_two_entries_over_the_same_bytes_are_refused(tmp_path: Path) -> None:
    again = Part("more.vib", FILES[0].data, central={"offset": 0})
    assert refusal(tmp_path, archive([*FILES, again])) == "malformed-archive"


def test_ZIP_01_a_second_directory_in_the_comment_is_refused(tmp_path: Path) -> None:
    other = archive([Part("evil.vib", b"evil")])
    assert refusal(tmp_path, archive(FILES, comment=other[other.index(b"PK\x01\x02") :])) == "malformed-archive"


def test_ZIP_01_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    link = Part("vib20/link.vib", b"/etc/passwd", STORED, central={"attributes": 0o120777 << 16})
    assert refusal(tmp_path, archive([*FILES, link])) == "unsafe-type"


def test_ZIP_01_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    assert refusal(tmp_path, archive([*FILES, Part("bomb.vib", bytes(50_000_000))])) == "limit-exceeded"


def test_ZIP_01_the_metadata_archive_is_judged_like_the_depot() -> None:
    inner = archive([Part("vmware.xml", DEPOT[LISTING]), Part("../evil.xml", b"evil")])
    depot = depots.Depot({**DEPOT.files, METADATA: inner}, {})
    assert [one.code for one in depots.failures(depot)] == ["unsafe-path", "bundle-unlisted"]


@pytest.mark.parametrize(("old", "new"), [
    ("<version>1.2.3-4", "<version>9.9.9-9"),
    ("<vibID>Acme", "<vibID>Evil"),
    ("<rebootRequired>true", "<rebootRequired>false"),
    ("<packedSize>", "<packedSize>1"),
    ("</checksumType><checksum>", "</checksumType><checksum>0"),
    ("<softwareTags>", "<softwareTags><tag>driver</tag>"),
    ("<depends />", '<depends><constraint name="x"/></depends>'),
])  # fmt: skip
def test_DEP_01_a_listing_that_disagrees_with_the_signed_descriptor_is_a_mismatch(old: str, new: str) -> None:
    found = depots.failures(DEPOT.edit(LISTING, old, new))
    assert "metadata-mismatch" in [one.code for one in found if one.evidence.get("bundle") == DEPOT.bundle]


def test_DEP_01_metadata_that_is_changed_everywhere_alike_is_still_a_mismatch() -> None:
    changed = DEPOT.edit_all("<acceptance-level>partner", "<acceptance-level>certified")
    [failure] = depots.failures(changed)
    assert (failure.code, failure.evidence["field"]) == ("metadata-mismatch", "claimed-level")


def test_DEP_01_a_bundle_that_is_exchanged_for_another_genuine_one_is_a_mismatch() -> None:
    older = bundles.make("vib", version="1.2.2-1")
    found = depots.failures(DEPOT.with_file(DEPOT.bundle, older.data))
    assert {"sha-256", "version", "id"} <= {one.evidence.get("field") for one in found}


def test_DEP_01_a_community_bundle_that_is_listed_as_certified_is_a_mismatch() -> None:
    depot = depots.make(bundles.make("vib", claimed_level=Level.COMMUNITY).unsigned())
    changed = depot.edit(depot.described, "<acceptance-level>community", "<acceptance-level>certified")
    [failure] = depots.failures(changed, proved=False)
    assert failure.code == "metadata-mismatch"
    assert (failure.evidence["listed"], failure.evidence["found"]) == ("'certified'", "'community'")


def test_DEP_01_a_bundle_that_is_taken_out_or_put_in_is_said() -> None:
    assert [one.code for one in depots.failures(DEPOT.without(DEPOT.bundle))] == ["bundle-missing"]
    more = DEPOT.with_file("vib20/evil/evil.vib", bundles.make("vib", name="evil").data)
    assert [one.code for one in depots.failures(more)] == ["bundle-unlisted"]


def test_DEP_01_a_listed_path_that_climbs_out_is_never_opened(tmp_path: Path) -> None:
    folder = DEPOT.edit_all(DEPOT.bundle, "../secret.vib").unpack(tmp_path / "depot")
    (tmp_path / "secret.vib").write_bytes(DEPOT[DEPOT.bundle])
    with open_depot(folder) as depot:
        assert depot.bundles == (DEPOT.bundle,)
        assert depot.metadata.places() == frozenset()


def test_DEP_02_the_index_of_another_vendor_is_a_mismatch() -> None:
    other = depots.make(vendor="Evil", code="EVL")
    [failure] = depots.failures(DEPOT.with_file("index.xml", other["index.xml"]))
    assert failure.code == "index-vendor-mismatch"
    assert failure.evidence["vendor"] == "Acme"
    assert (failure.evidence["name"], failure.evidence["code"]) == ("Evil", "EVL")


def test_DEP_02_the_index_of_vmware_before_bundles_of_another_vendor_is_a_mismatch() -> None:
    depot = depots.make(vendor="VMware", code="VMX")
    assert [one.code for one in depots.failures(depot)] == ["index-vendor-mismatch"]


def test_DEP_02_a_bundle_of_another_vendor_that_nobody_vouches_for_is_a_mismatch() -> None:
    depot = depots.make(bundles.make("vib"), bundles.make("vib", vendor="VMware", name="esx-base").unsigned())
    assert [one.code for one in depots.failures(depot, proved=False)] == ["index-vendor-mismatch"]


def test_DEP_02_the_index_of_a_vendor_and_its_aliases_is_none() -> None:
    for name, code in (("VMware", "VMW"), ("VMware", "VMX"), ("VMware", "vmw")):
        depot = depots.make(bundles.make("vib", vendor="VMW"), vendor=name, code=code)
        assert depots.failures(depot) == []


def test_DEP_02_the_metadata_of_another_depot_is_a_mismatch() -> None:
    other = depots.make(bundles.make("vib", vendor="Evil"), vendor="Evil", code="EVL")
    changed = DEPOT.with_file(METADATA, zips.write(other.documents)).with_file("index.xml", other["index.xml"])
    assert {one.code for one in depots.failures(changed)} >= {"bundle-missing", "bundle-unlisted"}
