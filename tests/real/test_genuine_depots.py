"""Genuine offline bundles: read completely, and what modseal writes for them differs only where docs/depots.md says so.

The metadata of two is in the folder of genuine files. Whole ones, which are other people's, are taken from the folder
that MODSEAL_DEPOTS names: every zip file in it.
"""

from __future__ import annotations

import io
import os
import re
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from builders import depots
from modseal.depot import compare, documents
from modseal.depot import documents_writer as write
from modseal.depot.files import DepotFiles, open_depot
from modseal.depot.offline_plan import Choices
from modseal.errors import Failure
from modseal.format.manifest import Platform
from modseal.packing.offline_bundle import build

GENUINE = Path(__file__).parents[2] / ".." / "shared" / "real" / "depot"
WHOLE = sorted(Path(os.environ.get("MODSEAL_DEPOTS") or "/nonexistent").glob("*.zip"))
METADATA = sorted(GENUINE.glob("*")) if GENUINE.is_dir() else []

here = pytest.mark.skipif(not METADATA, reason="the genuine metadata is not on this machine")
whole = pytest.mark.skipif(not WHOLE, reason="MODSEAL_DEPOTS names no folder with genuine offline bundles")

EXPLAINED = {
    *("vendor/name", "vendor/code", "bulletin/vendor", "bulletin/id", "bulletin/summary", "bulletin/description"),
    *("bulletin/category", "bulletin/urgency", "bulletin/releaseType", "bulletin/kbUrl", "bulletin/contact"),
    *("bulletin/releaseDate", "metadataResponse/timestamp"),
    *("componentNameSpec/@name", "componentNameSpec/@uiString", "bulletin/componentNameSpec"),
    *("componentVersionSpec/@version", "componentVersionSpec/@uiString", "bulletin/componentVersionSpec"),
    *("platforms/softwarePlatform", "softwarePlatform/@version", "softwarePlatform/@locale"),
    *("softwarePlatform/@productLineID", "systemReqs/swPlatform", "swPlatform/@version", "swPlatform/@locale"),
    *("swPlatform/@productLineID", "metadata/version", "metadata/productId", "metadata/locale", "metadata/url"),
    *("metadata/channelName", "metadata/patchUrl", "vib/relative-path", "vibFile/relativePath"),
    *("systemReqs/maintenanceMode", "systemReqs/maintenance-mode", "system-requires/maintenanceMode"),
    *("system-requires/maintenance-mode", "vib/softwareTags", "vib/release-date", "file-list/file"),
}
"""The fields of the table in docs/depots.md, by their last two elements, in which ours may differ."""


@here
@pytest.mark.parametrize("folder", METADATA, ids=lambda path: path.name)
def test_genuine_metadata_is_read_completely_and_written_again(folder: Path) -> None:
    """Byte for byte where nothing but white space and the order of attributes is the writer's choice."""
    index = (folder / "index.xml").read_bytes()
    assert write.write_index(documents.read_index(index)) == index
    vendor_index = (folder / "vendor-index.xml").read_bytes()
    [url] = documents.read_vendor_index(vendor_index)
    version = re.search(rb"<version>(.*?)</version>", vendor_index)
    assert version
    assert write.write_vendor_index([Platform(version[1].decode())], url) == vendor_index
    listing = (folder / "metadata" / "vmware.xml").read_bytes()
    values = documents.read_listing(listing)
    timestamp = re.search(rb"<timestamp>(.*?)</timestamp>", listing)
    assert timestamp
    assert same_xml(write.write_listing(timestamp[1].decode(), values), listing)
    for path in (folder / "metadata" / "bulletins").iterdir():
        assert same_xml(write.write_bulletin(documents.read_bulletin(path.read_bytes())), path.read_bytes())
    for path in (folder / "metadata" / "vibs").iterdir():
        assert same_xml(write.write_described(documents.read_described(path.read_bytes())), path.read_bytes())


def same_xml(one: bytes, other: bytes) -> bool:
    return ET.canonicalize(one, strip_text=True) == ET.canonicalize(other, strip_text=True)


@whole
@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.name[:40])
def test_a_genuine_offline_bundle_is_read_without_a_failure(path: Path) -> None:
    with open_depot(path) as files:
        found = [*files.failures, *compare.compare(files.metadata, files.paths, depots.found(files))]
    assert [one for one in found if not harmless(one)] == []


def harmless(failure: Failure) -> bool:
    """Sorted lists, and the one vendor whose index and bundles have other names."""
    return failure.code == "metadata-order"


@whole
@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.name[:40])
def test_what_is_written_for_its_bundles_differs_only_in_what_is_explained(path: Path, tmp_path: Path) -> None:
    with open_depot(path) as files:
        before = dict(leaves(files))
        bundles = []
        for number, name in enumerate(files.bundles):
            with files.open(name) as source:
                bundles.append(tmp_path / f"{number}.vib")
                bundles[-1].write_bytes(source.read(0, source.size))
    build(bundles, tmp_path / "out.zip", Choices(vendor="A vendor"), None)
    with open_depot(tmp_path / "out.zip") as files:
        after = dict(leaves(files))
    different = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert {"/".join(name.partition(":")[2].split("/")[-2:]) for name in different} - EXPLAINED == set()


def leaves(files: DepotFiles) -> Iterator[tuple[str, list[str]]]:
    """Every text and attribute of all documents by its path, with all its values in order."""
    found: dict[str, list[str]] = {}
    for name, data in contents(files).items():
        root = ET.fromstring(data)
        for where, value in texts(root, f"{name}:{root.tag}"):
            found.setdefault(where, []).append(value)
    yield from found.items()


def texts(node: ET.Element, path: str) -> Iterator[tuple[str, str]]:
    yield from ((f"{path}/@{name}", value) for name, value in node.attrib.items())
    if not len(node) and not node.attrib:
        yield path, (node.text or "").strip()
    for child in node:
        yield from texts(child, f"{path}/{child.tag}")


def unpacked(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def contents(files: DepotFiles) -> Mapping[str, bytes]:
    """The documents by the names that all depots have in common."""
    found = {}
    for path in files.metadata.documents:
        with files.open(path) as source:
            data = source.read(0, source.size)
        if not path.endswith(".zip"):
            found[path] = data
            continue
        for name, inner in unpacked(data).items():
            folder = name.rpartition("/")[0]
            found[folder or name] = inner
    return {name: data for name, data in found.items() if data.startswith(b"<")}
