"""What a builder writes and a host reads: both come back as they were, and nothing else is taken."""

from __future__ import annotations

import pytest

from modseal.boot import documents
from modseal.boot.documents import HostDocument, ImageGeneration, ImageRecord, Network
from modseal.errors import FormatError
from modseal.format.level import Level

RECORD = ImageRecord("a-1.0.seal", "a-1.0.erofs", "0" * 64, 7)
HOST = HostDocument("edge", 3, Level.PARTNER, Network("10.0.2.15", 24, "10.0.2.2"), 9090, ("anchors/a.pem",))


@pytest.mark.parametrize("host", [HOST, HostDocument("edge", 1, Level.COMMUNITY, None, None, ())])
def test_a_host_comes_back_as_it_was(host: HostDocument) -> None:
    assert documents.decode_host(documents.encode_host(host), "host.json") == host


def test_a_generation_comes_back_as_it_was() -> None:
    generation = ImageGeneration(5, (RECORD, ImageRecord("b-1:2~x.vib", "b-1:2~x.erofs", "f" * 64, 1)))
    assert documents.decode_generation(documents.encode_generation(generation), "x") == generation


@pytest.mark.parametrize("name", ["../a", "a/b", "", ".hidden", "a\nb"])
def test_a_generation_names_files_of_its_own_folder_alone(name: str) -> None:
    data = documents.encode_generation(ImageGeneration(1, (ImageRecord(name, "x", "0" * 64, 1),)))
    with pytest.raises(FormatError):
        documents.decode_generation(data, "x")


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"schema":"modseal/image-generation@1"}'])
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        documents.decode_generation(data, "x")
    with pytest.raises(FormatError):
        documents.decode_host(data, "x")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"address": "10.0.2.15", "prefix": 24}, None),
        ({"address": "10.0.2.15", "prefix": 24, "gateway": "10.0.2.2"}, None),
        ({"address": "10.0.2.15", "prefix": 24, "gateway": "10.0.3.2"}, "not in the network"),
        ({"address": "10.0.2.999", "prefix": 24}, "255"),
    ],
)
def test_a_network_must_be_one(values: dict[str, object], why: str | None) -> None:
    found = documents.network_problem(values)
    assert found is None if why is None else why in str(found)
