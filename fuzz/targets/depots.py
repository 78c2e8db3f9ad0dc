"""Depots: zip archives, and the documents of their metadata in the place of a good one."""

from __future__ import annotations

import functools
import io
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace

from modseal.depot import compare, documents, metadata
from modseal.depot.compare import DepotBundle
from modseal.depot.documents import DescribedVib
from modseal.errors import FormatError
from modseal.format import rules
from modseal.format import zip as zip_format
from modseal.format.manifest import FileType
from modseal.format.source import BytesSource, Source
from targets.base import SEEDS, Target, attempt


def archive(data: bytes) -> None:
    """Python's reader sees the same entries with the same bytes where we read anything."""
    found = attempt(_contents, data)
    if found is None:
        return
    with zipfile.ZipFile(io.BytesIO(data)) as other:
        assert other.namelist() == [name for name, _ in found]
        assert [other.read(name) for name in other.namelist()] == [content for _, content in found]


def _contents(data: bytes) -> list[tuple[str, bytes]]:
    source = BytesSource(data)
    return [
        (one.path + "/" * (one.type is FileType.DIRECTORY), b"".join(zip_format.blocks(source, one)))
        for one in zip_format.read(source)
    ]


_PLACES = {
    b"<vendorList": "index.xml",
    b"<metaList": "vendor-index.xml",
    b"<metadataResponse": "vmware.xml",
    b"<bulletin": "bulletins/a.xml",
    b"<vib": "vibs/a.xml",
}


def document(data: bytes) -> None:
    """In its place among good ones: reading and comparing give failures, and none only where nothing else is said."""
    name = next((place for start, place in _PLACES.items() if data.startswith(start)), "vmware.xml")
    found = metadata.read(_Depot({**_good(), name: data}))
    for catalog in found.catalogs:
        assert not any(rules.check_path(path) for path in catalog.by_path)
    facts = _facts()
    failures = [*compare.compare(found, [*_good(), facts.path], [facts])]
    assert all(one.detail for one in failures)
    if not failures and name == "bulletins/a.xml":
        assert documents.read_bulletin(data) == documents.read_bulletin(_good()[name])
    if not failures and name == "vibs/a.xml":
        assert _without_platforms(documents.read_described(data)) == _without_platforms(_described())


def read_document(data: bytes) -> object:
    """What its own reader makes of a document."""
    readers = (
        documents.read_index,
        documents.read_vendor_index,
        documents.read_listing,
        documents.read_bulletin,
        documents.read_described,
    )
    return next(read for start, read in zip(_PLACES, readers, strict=True) if data.startswith(start))(data)


def _without_platforms(found: DescribedVib) -> tuple[object, object]:
    """A description, but for what the maker of a depot says. A time without a zone is that of UTC."""
    assert found.manifest.vib
    vib = replace(found.manifest.vib, platforms=())
    return replace(found.manifest, vib=vib, released=found.manifest.released.removesuffix("+00:00")), (
        found.place.path,
        found.place.size,
        [one for one in found.place.checksums if one[0] == "sha-256"],
    )


class _Depot:
    """The documents as a depot, the last three of them in an archive."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as inner:
            for name in ("vendor-index.xml", "vmware.xml", "bulletins/a.xml", "vibs/a.xml"):
                source = _good() if name == "vendor-index.xml" else contents
                inner.writestr(zipfile.ZipInfo(name), source[name])
        self._files = {name: contents[name] for name in ("index.xml", "vendor-index.xml")}
        self._files["metadata.zip"] = out.getvalue()

    @property
    def paths(self) -> Collection[str]:
        return self._files.keys()

    @contextmanager
    def open(self, path: str) -> Iterator[Source]:
        if path not in self._files:
            raise FormatError("missing-member", "a file was asked for that is not there")
        yield BytesSource(self._files[path])


@functools.cache
def _good() -> dict[str, bytes]:
    seeds = (path.read_bytes() for path in (SEEDS / "depot-metadata").iterdir())
    return {next(place for start, place in _PLACES.items() if data.startswith(start)): data for data in seeds}


@functools.cache
def _described() -> DescribedVib:
    return documents.read_described(_good()["vibs/a.xml"])


@functools.cache
def _facts() -> DepotBundle:
    place = _described().place
    return DepotBundle(place.path, place.size, dict(place.checksums)["sha-256"], _described().manifest, True)


TARGETS = (
    Target("zip", archive, 2048, mutator="zip"),
    Target("depot-metadata", document, 8192, dictionary="depot.dict"),
)
