"""Limits of zip archives and depots: just under is taken, just over is refused."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from builders import depots, image_profiles, recalls, signed_depots, zips
from builders.zips import STORED, Part, archive
from limits.cover import bounds
from modseal import limits
from modseal.depot import documents, oci
from modseal.depot import index as depot_index
from modseal.depot.files import in_zip
from modseal.errors import FormatError, ModsealError
from modseal.format import image_profile
from modseal.format import recall as recall_format
from modseal.format import zip as zip_format
from modseal.format.source import BytesSource
from modseal.policy.file import parse


def read(data: bytes) -> int | str:
    """How many entries an archive has, or the code of its refusal."""
    try:
        return len(zip_format.read(BytesSource(data)))
    except FormatError as error:
        return error.failure.code


@bounds("ZIP_ENTRIES")
def test_an_archive_has_at_most_so_many_entries() -> None:
    parts = [Part(f"{number:x}", b"", STORED) for number in range(limits.ZIP_ENTRIES)]
    assert read(archive(parts)) == limits.ZIP_ENTRIES
    assert read(archive([*parts, Part("more", b"", STORED)])) == "limit-exceeded"


@bounds("ZIP_DIRECTORY_SIZE")
def test_a_central_directory_has_at_most_so_many_bytes() -> None:
    def made(more: int) -> bytes:
        names = [f"{number:02}" for number in range(64)]
        sizes = [limits.ZIP_DIRECTORY_SIZE // 64 - 46 - 2] * 63
        sizes.append(limits.ZIP_DIRECTORY_SIZE // 64 - 46 - 2 + more)
        return archive(
            [Part(name, b"", STORED, central={"comment": bytes(size)}) for name, size in zip(names, sizes, strict=True)]
        )

    assert read(made(0)) == 64
    assert read(made(1)) == "limit-exceeded"


@bounds("ZIP_EXTRA_SIZE")
@pytest.mark.parametrize("where", ["local", "central"])
def test_a_header_has_at_most_so_many_bytes_of_extra_fields(where: str) -> None:
    def made(size: int) -> bytes:
        return archive([Part("a", b"x", **{where: {"extra": struct.pack("<HH", 0x5455, size - 4) + bytes(size - 4)}})])

    assert read(made(limits.ZIP_EXTRA_SIZE)) == 1
    assert read(made(limits.ZIP_EXTRA_SIZE + 1)) == "limit-exceeded"


@bounds("ZIP_RATIO")
def test_an_entry_unpacks_to_at_most_so_many_times_its_size() -> None:
    packed = os.urandom(2 * limits.UNPACK_FLOOR // limits.ZIP_RATIO)
    most = limits.ZIP_RATIO * len(packed)
    assert read(archive([Part("a", packed=packed, both={"size": most})])) == 1
    assert read(archive([Part("a", packed=packed, both={"size": most + 1})])) == "limit-exceeded"
    assert read(archive([Part("a", packed=b"x", both={"size": limits.UNPACK_FLOOR})])) == 1
    assert read(archive([Part("a", packed=b"x", both={"size": limits.UNPACK_FLOOR + 1})])) == "limit-exceeded"


@bounds("ZIP_UNPACKED")
def test_an_archive_unpacks_to_at_most_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a smaller limit: at the real one the file itself would have to have 600 MB."""
    monkeypatch.setattr(limits, "ZIP_UNPACKED", 3000)
    parts = [Part("a", bytes(1000)), Part("b", bytes(2000))]
    assert read(archive(parts)) == 2
    assert read(archive([*parts, Part("c", b"x")])) == "limit-exceeded"


@bounds("DEPOT_VENDORS")
def test_an_index_has_at_most_so_many_vendors() -> None:
    def made(count: int) -> bytes:
        start, end = depots.INDEX.index("  <vendor>"), depots.INDEX.index("</vendorList>")
        return (depots.INDEX[:start] + depots.INDEX[start:end] * count + depots.INDEX[end:]).encode()

    assert len(documents.read_index(made(limits.DEPOT_VENDORS))) == limits.DEPOT_VENDORS
    with pytest.raises(FormatError, match="times"):
        documents.read_index(made(limits.DEPOT_VENDORS + 1))


@bounds("DEPOT_CHECKSUMS")
def test_a_listed_bundle_has_at_most_so_many_checksums() -> None:
    def made(count: int) -> bytes:
        one = b"<checksum><checksumType>sha-256</checksumType>"
        text = depots.make()[depots.LISTING]
        start, end = text.index(one), text.index(b"</vibFile>")
        return text[:start] + text[start:end] * count + text[end:]

    [(_, [vib])] = documents.read_listing(made(limits.DEPOT_CHECKSUMS))
    assert len(vib.place.checksums) == limits.DEPOT_CHECKSUMS
    with pytest.raises(FormatError, match="times"):
        documents.read_listing(made(limits.DEPOT_CHECKSUMS + 1))


@bounds("DEPOT_METADATA_TAGS")
def test_metadata_has_at_most_so_many_tags() -> None:
    """Of a document that is nothing but the starts of tags, so that it is the first one that counts."""

    def code(count: int) -> str:
        data = zips.write({"index.xml": b"<" * count})
        [failure] = in_zip(BytesSource(data), "depot").metadata.failures
        return failure.code

    assert code(limits.DEPOT_METADATA_TAGS) == "bad-metadata"
    assert code(limits.DEPOT_METADATA_TAGS + 1) == "limit-exceeded"


@bounds("DEPOT_METADATA_SIZE")
def test_metadata_has_at_most_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a smaller limit: that of one document is 16 MiB."""
    depot = depots.make()
    read_of_it = sum(map(len, depot.documents.values())) + len(depot["index.xml"]) + len(depot["vendor-index.xml"])
    monkeypatch.setattr(limits, "DEPOT_METADATA_SIZE", read_of_it)
    assert depots.failures(depot) == []
    monkeypatch.setattr(limits, "DEPOT_METADATA_SIZE", read_of_it - 1)
    assert depots.metadata(depot).failures[0].code == "limit-exceeded"


# Signed depots and recalls.


@bounds("DEPOT_BUNDLES")
def test_an_index_lists_at_most_so_many_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    data = signed_depots.index().signed
    assert len(depot_index.decode(data).bundles) == 2
    monkeypatch.setattr(depot_index.SHAPE.fields["bundles"], "most", limits.DEPOT_BUNDLES)
    assert depot_index.SHAPE.fields["bundles"].most == limits.DEPOT_BUNDLES  # type: ignore[attr-defined]
    for most, code in ((2, None), (1, "index-invalid")):
        monkeypatch.setattr(depot_index.SHAPE.fields["bundles"], "most", most)
        monkeypatch.setattr(depot_index.SHAPE, "_fits", None)  # what is written of it has the number in it
        monkeypatch.setattr(depot_index.SHAPE, "_asked", False)
        assert code_of(lambda: depot_index.decode(data)) == code


@bounds("DEPOT_INDEX_SIZE")
def test_an_index_has_at_most_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    made = signed_depots.index()
    for size, code in ((len(made.signed), None), (len(made.signed) - 1, "index-invalid")):
        monkeypatch.setattr(limits, "DEPOT_INDEX_SIZE", size)
        assert code_of(lambda: depot_index.decode(made.signed)) == code
        assert code_of(lambda: depot_index.encode(made)) == code


@bounds("DEPOT_ROTATIONS")
def test_an_index_names_at_most_so_many_earlier_ones() -> None:
    made = replace(signed_depots.index(version=2**20))
    digest = "0" * 64
    for count, code in ((limits.DEPOT_ROTATIONS, None), (limits.DEPOT_ROTATIONS + 1, "index-invalid")):
        rotations = tuple((number + 1, digest) for number in range(count))
        assert code_of(lambda rotations=rotations: depot_index.encode(replace(made, rotations=rotations))) == code


@bounds("RECALLS")
def test_a_depot_and_a_policy_have_at_most_so_many_recalls() -> None:
    made = signed_depots.index()
    policy = 'schema = "modseal/policy@1"\nminimum-level = "community"\nallow-unsigned-community = true\n'
    for count, code in ((limits.RECALLS, None), (limits.RECALLS + 1, "index-invalid")):
        listed = tuple(signed_depots.recall_entry(recalls.make(name=f"r{number}", by=[])) for number in range(count))
        assert code_of(lambda listed=listed: depot_index.encode(replace(made, recalls=listed))) == code
        names = ", ".join(f'"{number}"' for number in range(count))
        text = f"{policy}[recall]\nfiles = [{names}]\n"
        found = code_of(lambda text=text: parse(text.encode(), "policy", read_recall))
        assert (found is None) == (code is None)


@bounds("RECALL_SIZE")
def test_a_recall_has_at_most_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    data = recall_format.encode(recalls.make())
    for size, code in ((len(data), None), (len(data) - 1, "recall-invalid")):
        monkeypatch.setattr(limits, "RECALL_SIZE", size)
        assert code_of(lambda: recall_format.decode(data)) == code


def read_recall(_name: str) -> bytes:
    return recall_format.encode(recalls.make())


def code_of(call: Callable[[], object]) -> str | None:
    """Why something is refused; None where it is taken."""
    try:
        call()
    except ModsealError as error:
        return error.failure.code
    return None


@bounds("OCI_ENTRIES")
def test_an_oci_layout_names_at_most_so_many_manifests_and_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two entries, both of which lead to the same manifest without layers."""
    manifest = json.dumps({"layers": []}).encode()
    digest = hashlib.sha256(manifest).hexdigest()
    entry = {"mediaType": oci.MANIFEST_TYPE, "digest": f"sha256:{digest}", "size": len(manifest)}
    files = {
        "oci-layout": json.dumps({"imageLayoutVersion": "1.0.0"}).encode(),
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [entry, entry]}).encode(),
        oci.place(digest): manifest,
    }
    monkeypatch.setattr(limits, "OCI_ENTRIES", 2)
    oci.read(files.__getitem__, {})
    monkeypatch.setattr(limits, "OCI_ENTRIES", 1)
    with pytest.raises(FormatError, match="more than 1 manifests"):
        oci.read(files.__getitem__, {})


@bounds("PROFILE_SIZE")
def test_a_profile_has_at_most_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    data = image_profile.encode(image_profiles.make())
    for size, code in ((len(data), None), (len(data) - 1, "profile-invalid")):
        monkeypatch.setattr(limits, "PROFILE_SIZE", size)
        assert code_of(lambda: image_profile.decode(data)) == code


@bounds("PROFILE_MODULES")
def test_a_profile_has_at_most_so_many_modules() -> None:
    made = image_profiles.make()
    for count, code in ((limits.PROFILE_MODULES, None), (limits.PROFILE_MODULES + 1, "profile-invalid")):
        modules = tuple(replace(made.modules[0], name=f"m{number:05}") for number in range(count))
        assert code_of(lambda held=modules: image_profile.encode(replace(made, modules=held, signed=b""))) == code


@bounds("PROFILE_NAME", "PROFILE_VENDOR")
def test_name_and_vendor_of_a_profile_have_at_most_so_many_characters() -> None:
    made = replace(image_profiles.make(), signed=b"")
    for field, most in (("name", limits.PROFILE_NAME), ("vendor", limits.PROFILE_VENDOR)):
        for length, code in ((most, None), (most + 1, "profile-invalid")):
            changed: Any = {field: "a" * length}
            assert code_of(lambda changed=changed: image_profile.declare(replace(made, **changed))) == code


@bounds("DEPOT_PROFILES")
def test_a_depot_has_at_most_so_many_profiles() -> None:
    made = signed_depots.index()
    entry, _ = signed_depots.profile_entry(image_profiles.make())
    for count, code in ((limits.DEPOT_PROFILES, None), (limits.DEPOT_PROFILES + 1, "index-invalid")):
        listed = tuple(replace(entry, path=f"profiles/{number:05}", name=f"p{number}") for number in range(count))
        assert code_of(lambda listed=listed: depot_index.encode(replace(made, profiles=listed))) == code
