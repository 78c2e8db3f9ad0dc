"""OCI image layouts: `oras` reads ours and carries them to a registry and back, and we read what it writes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import recalls, registry
from builders import signed_depots as depots
from builders.pki import NOW, signer
from builders.policies import trusting
from modseal import limits
from modseal.depot import oci
from modseal.depot.check import Checked, check
from modseal.depot.files import open_depot
from modseal.depot.signed import read_index
from modseal.errors import FormatError
from modseal.packing.signed_depot import Issue, Item, copy, publish
from modseal.trust.examination import Verdict

RECALL = recalls.make(recalls.entry("other"))
INDEX = depots.index(recalls=[RECALL])


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A depot of two bundles and a recall, as modseal writes it."""
    held = depots.files(depots.contents(INDEX, recalls=[RECALL]))
    copy(held, INDEX, tmp_path / "layout", "oci")
    return tmp_path / "layout"


def checked(path: Path) -> Checked:
    with open_depot(path) as files:
        return check(files, trusting(), NOW)


def test_it_is_read_back(layout: Path) -> None:
    assert checked(layout).verdict is Verdict.ACCEPTED
    with open_depot(layout) as files:
        assert read_index(files) == INDEX


def test_each_bundle_is_an_artifact_and_every_blob_has_its_digest(layout: Path) -> None:
    for path in (layout / "blobs/sha256").iterdir():
        assert registry.digest_of(path.read_bytes()) == f"sha256:{path.name}"
    [entry] = json.loads((layout / "index.json").read_bytes())["manifests"]
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "acme"}
    inner = json.loads(blob(layout, entry["digest"]))
    kinds = [one["artifactType"] for one in inner["manifests"]]
    assert sorted(kinds) == sorted([oci.DEPOT_TYPE, oci.BUNDLE_TYPES["seal"], oci.BUNDLE_TYPES["vib"]])


def blob(layout: Path, digest: str) -> bytes:
    return (layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()


def test_oras_reads_ours_and_we_read_its(layout: Path, tmp_path: Path) -> None:
    """By its layout mode: validated, walked, pushed, and pulled into a layout of its own."""
    pytest.importorskip("oras", reason="oras is not installed")
    from oras.layout import NewLayout, NewLayoutFromRegistry
    from oras.provider import Registry

    ours = NewLayout(str(layout))
    ordered = ours.get_ordered_blobs("acme")
    assert {path.name for path in (layout / "blobs/sha256").iterdir()} == {one.partition(":")[2] for one in ordered}
    with registry.registry() as there:
        provider = Registry(hostname=there.host, insecure=True)
        ours.push_to_registry(provider, f"{there.host}/acme/depot:v1", tag="acme")
        assert there.manifests.keys() > {"v1"}
        (tmp_path / "pulled").mkdir()
        NewLayoutFromRegistry(
            path=str(tmp_path / "pulled"), provider=provider, target=f"{there.host}/acme/depot:v1", tag="acme"
        )
    assert checked(tmp_path / "pulled").verdict is Verdict.ACCEPTED
    with open_depot(tmp_path / "pulled") as files:
        assert read_index(files) == INDEX


def test_a_layout_is_brought_up_to_date(layout: Path) -> None:
    with open_depot(layout) as files:
        index = read_index(files)
        [one, _] = index.bundles
        issue = Issue([signer().signer()], NOW, NOW, expires=NOW + depots.DAY)
        items = [Item(one, lambda: files.open(one.path))]
        publish(layout, "oci", items, [], issue, (files, index))
    found = checked(layout)
    assert found.verdict is Verdict.ACCEPTED
    assert found.index
    assert (found.index.version, len(found.index.bundles)) == (2, 1)


# What is wrong with a layout.


def test_an_exchanged_blob_is_seen(layout: Path) -> None:
    path = layout / "blobs/sha256" / depots.entry(depots.SEAL).sha256
    path.write_bytes(depots.VIB.data)
    assert [one.code for one in checked(layout).failures] == ["bundle-digest-mismatch"]


def test_a_missing_blob_is_missed_and_a_strange_file_is_seen(layout: Path) -> None:
    (layout / "blobs/sha256" / depots.entry(depots.SEAL).sha256).unlink()
    (layout / "blobs/sha256" / ("0" * 64)).write_bytes(b"x")
    assert sorted(one.code for one in checked(layout).failures) == ["bundle-missing", "bundle-unlisted"]


@pytest.mark.parametrize(
    "change",
    [
        lambda index: [],
        lambda index: {**index, "manifests": 1},
        lambda index: {**index, "manifests": [1]},
        lambda index: {**index, "manifests": [{"digest": "sha512:00"}]},
        lambda index: {**index, "manifests": [{"digest": "sha256:../../../../etc/passwd"}]},
        lambda index: {**index, "manifests": [{"digest": "sha256:" + "0" * 64}]},
    ],
)
def test_an_index_that_cannot_be_followed_is_refused(layout: Path, change: Any) -> None:
    path = layout / "index.json"
    path.write_text(json.dumps(change(json.loads(path.read_bytes()))))
    with pytest.raises(FormatError) as caught, open_depot(layout):
        pass
    assert caught.value.failure.code == "index-invalid"


def test_two_layers_of_one_name_are_refused() -> None:
    one = oci.Blob("bundles/a.seal", 1, "0" * 64)
    documents, last = oci.layout("acme", [one, replace(one, sha256="1" * 64)])
    held = dict([*documents, last])
    with pytest.raises(FormatError, match="two layers are called"):
        oci.read(held.__getitem__, {})


def put(layout: Path, document: object) -> dict[str, object]:
    """A document as a blob of the layout, and the entry that leads to it."""
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    digest = registry.digest_of(data)
    (layout / "blobs/sha256" / digest.removeprefix("sha256:")).write_bytes(data)
    return {"mediaType": oci.MANIFEST_TYPE, "digest": digest, "size": len(data)}


def add_entries(layout: Path, *entries: dict[str, object]) -> None:
    path = layout / "index.json"
    index = json.loads(path.read_bytes())
    index["manifests"] += entries
    path.write_text(json.dumps(index))


def test_a_bundle_without_a_title_is_unlisted_however_it_is_listed(layout: Path) -> None:
    more = put(layout, depots.bundles.make("seal", name="other").data)
    manifest = put(layout, {"schemaVersion": 2, "layers": [more]})
    add_entries(layout, manifest)
    failures = checked(layout).failures
    assert {one.code for one in failures} == {"bundle-unlisted"}
    digests = {str(one["digest"]).removeprefix("sha256:") for one in (more, manifest)}
    assert {one.evidence["bundle"] for one in failures} == {oci.place(digest) for digest in digests}


def test_a_config_or_an_empty_manifest_or_index_hides_nothing(layout: Path) -> None:
    more = put(layout, depots.bundles.make("seal", name="other").data)
    add_entries(
        layout,
        put(layout, {"schemaVersion": 2, "config": more, "layers": []}),
        put(layout, {"schemaVersion": 2, "mediaType": oci.INDEX_TYPE, "manifests": []}),
    )
    assert [one.code for one in checked(layout).failures] == ["bundle-unlisted"] * 3


def test_a_document_that_is_listed_many_times_is_read_once(layout: Path) -> None:
    leaf = put(layout, {"layers": []})
    inner = put(layout, {"mediaType": oci.INDEX_TYPE, "manifests": [leaf] * 400})
    outer = put(layout, {"mediaType": oci.INDEX_TYPE, "manifests": [inner] * 400})
    add_entries(layout, *[outer] * 400)
    read: list[str] = []

    def content(path: str) -> bytes:
        read.append(path)
        return (layout / path).read_bytes()

    oci.read(content, {})
    assert len(read) == len(set(read))
    assert {one.code for one in checked(layout).failures} == {"bundle-unlisted"}


def test_the_entries_of_a_layout_are_bounded_repeated_ones_too(layout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OCI_ENTRIES", 20)
    assert checked(layout).verdict is Verdict.ACCEPTED
    add_entries(layout, *[put(layout, {"layers": []})] * 20)
    with pytest.raises(FormatError, match="more than 20 manifests and layers"), open_depot(layout):
        pass


def test_a_document_that_leads_to_itself_is_read_once(layout: Path) -> None:
    """Digests are not believed, so that a file may be called as it likes."""
    entry = {"mediaType": oci.INDEX_TYPE, "digest": "sha256:" + "0" * 64, "size": 1}
    circle = {"mediaType": oci.INDEX_TYPE, "manifests": [entry]}
    (layout / oci.place("0" * 64)).write_text(json.dumps(circle))
    add_entries(layout, entry)
    assert [one.code for one in checked(layout).failures] == ["bundle-unlisted"]


@pytest.mark.parametrize(
    "data",
    [b'{"manifests":' + b"[" * 200_000, b'{"manifests":' + b"9" * 6_000 + b"}", b"\xff\xfe{\x00}\x00", b"{,}", b""],
    ids=["deep", "number", "UTF-16", "broken", "empty"],
)
def test_what_is_no_json_is_told_in_our_words(layout: Path, data: bytes) -> None:
    (layout / "index.json").write_bytes(data)
    with (
        pytest.raises(FormatError, match=r"index\.json is not JSON in UTF-8, or nested too deeply$"),
        open_depot(layout),
    ):
        pass
