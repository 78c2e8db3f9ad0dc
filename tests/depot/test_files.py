"""Offline bundles: the same depot out of a zip file and out of a folder, and nothing from anywhere else."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from builders import bundles, depots, zips
from builders.zips import DEFLATED, STORED, Part
from modseal import limits
from modseal.depot import files as depot_files
from modseal.depot.files import in_zip, looks_like_depot, open_depot
from modseal.errors import FormatError, InputError
from modseal.format.source import BytesSource, FileSource, Span

DEPOT = depots.make()
VIB = DEPOT.bundle


def everything(path: Path) -> dict[str, bytes]:
    found = {}
    with open_depot(path) as depot:
        for name in depot.paths:
            with depot.open(name) as source:
                assert source.size == depot.sizes[name]
                found[name] = source.read(0, source.size)
        assert depot.failures == ()
    return found


@pytest.mark.parametrize("method", [STORED, DEFLATED])
def test_a_zip_file_and_the_folder_that_it_unpacks_to_are_the_same_depot(tmp_path: Path, method: int) -> None:
    depot = depots.make(method=method)
    packed, folder = depot.write(tmp_path / "depot.zip"), depot.unpack(tmp_path / "folder")
    assert everything(packed) == everything(folder) == depot.contents
    with open_depot(packed) as one, open_depot(folder) as other:
        assert one.metadata == other.metadata
        assert one.metadata.failures == ()
        assert one.bundles == other.bundles == (VIB,)


def test_a_large_deflated_file_is_unpacked_to_a_file_that_has_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(1000) * 100
    monkeypatch.setattr(depot_files, "_IN_MEMORY", 1000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    depot = in_zip(BytesSource(zips.write({"a.vib": data})), "depot")
    with depot.open("a.vib") as source:
        assert isinstance(source, FileSource)
        assert source.read(5, 2000) == data[5:2005]
        assert list(tmp_path.iterdir()) == []


def test_a_stored_file_is_not_copied_and_a_small_deflated_one_needs_no_file() -> None:
    for method, kind in ((STORED, Span), (DEFLATED, BytesSource)):
        with in_zip(BytesSource(zips.write({"a.vib": b"x"}, method)), "depot").open("a.vib") as source:
            assert isinstance(source, kind)


@pytest.mark.parametrize("method", [STORED, DEFLATED])
def test_a_file_whose_crc_is_wrong_is_not_handed_out(method: int) -> None:
    depot = in_zip(BytesSource(zips.archive([Part("a.vib", b"x" * 50, method, both={"crc": 1})])), "depot")
    with pytest.raises(FormatError, match="CRC"), depot.open("a.vib"):
        pass


@pytest.mark.parametrize("size", [100, 5 * limits.MIB])
def test_a_damaged_file_is_not_handed_out(size: int) -> None:
    part = Part("a.vib", bytes(size), packed=zips.deflate(os.urandom(size // 50)), both={"size": size})
    depot = in_zip(BytesSource(zips.archive([part])), "depot")
    with pytest.raises(FormatError), depot.open("a.vib"):
        pass


def test_only_files_of_the_depot_are_opened(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    folder = DEPOT.unpack(tmp_path / "depot")
    for path in (DEPOT.write(tmp_path / "depot.zip"), folder):
        with open_depot(path) as depot:
            for name in ("../secret", "/etc/passwd", "none", "", "vib20", "vib20/../index.xml"):
                with pytest.raises(InputError), depot.open(name):
                    pass


@pytest.mark.parametrize("what", ["file", "folder", "index"])
def test_no_symbolic_link_of_a_folder_is_followed(tmp_path: Path, what: str) -> None:
    folder = DEPOT.unpack(tmp_path / "depot")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.vib").write_bytes(bundles.make("vib").data)
    link = folder / {"file": "more.vib", "folder": "more", "index": "index.xml"}[what]
    link.unlink(missing_ok=True)
    link.symlink_to(outside if what == "folder" else outside / "a.vib")
    with open_depot(folder) as depot:
        [failure] = depot.failures
        assert (failure.code, failure.evidence["path"]) == ("unsafe-link", link.name)
        assert not any(path.startswith(link.name) for path in depot.paths)
        assert bool(depot.metadata.failures) == (what == "index")


def test_a_folder_that_is_exchanged_for_a_link_meanwhile_is_not_followed(tmp_path: Path) -> None:
    folder = DEPOT.unpack(tmp_path / "depot")
    outside = DEPOT.unpack(tmp_path / "outside")
    with open_depot(folder) as depot:
        (folder / "vib20").rename(tmp_path / "gone")
        (folder / "vib20").symlink_to(outside / "vib20")
        with pytest.raises(InputError), depot.open(VIB):
            pass


def test_a_file_that_is_exchanged_for_a_fifo_meanwhile_is_not_read(tmp_path: Path) -> None:
    folder = DEPOT.unpack(tmp_path / "depot")
    with open_depot(folder) as depot:
        (folder / VIB).unlink()
        os.mkfifo(folder / VIB)
        with pytest.raises(InputError, match="no regular file"), depot.open(VIB):
            pass


def test_a_fifo_and_an_unsafe_name_in_a_folder_are_failures(tmp_path: Path) -> None:
    folder = DEPOT.unpack(tmp_path / "depot")
    os.mkfifo(folder / "pipe.vib")
    (folder / "a\nb.vib").write_bytes(b"x")
    (folder / os.fsdecode(b"\xff.vib")).write_bytes(b"x")
    with open_depot(folder) as depot:
        assert sorted(failure.code for failure in depot.failures) == ["unsafe-path", "unsafe-path", "unsafe-type"]
        assert depot.bundles == (VIB,)


def test_a_folder_has_at_most_so_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = DEPOT.unpack(tmp_path / "depot")
    monkeypatch.setattr(limits, "ZIP_ENTRIES", len(DEPOT.contents))
    assert everything(folder)
    (folder / "more").touch()
    with pytest.raises(FormatError, match="more than"), open_depot(folder):
        pass


def test_bundles_are_found_by_name_by_the_metadata_and_by_how_they_begin() -> None:
    vib = bundles.make("vib").data
    depot = depots.make().with_file("b.SEAL", b"no bundle").with_file("c.txt", vib).with_file("d.txt", b"text")
    assert depot.open.bundles == ("b.SEAL", "c.txt", VIB)
    listed = depots.make().edit(depots.LISTING, VIB, "hidden.txt").with_file("hidden.txt", b"x").open
    assert listed.bundles == ("hidden.txt", VIB)


def test_a_damaged_file_of_any_name_counts_as_a_bundle() -> None:
    part = Part("readme", b"x" * 50, STORED, both={"crc": 1})
    assert in_zip(BytesSource(zips.archive([part])), "depot").bundles == ("readme",)


def test_a_depot_is_told_by_its_index(tmp_path: Path) -> None:
    assert looks_like_depot(DEPOT.write(tmp_path / "anything"))
    assert looks_like_depot(DEPOT.unpack(tmp_path / "folder"))
    assert not looks_like_depot(tmp_path)
    other = tmp_path / "other.zip"
    other.write_bytes(zips.write({"readme": b"x"}))
    assert not looks_like_depot(other)
    for content in (b"no archive", b""):
        other.write_bytes(content)
        assert looks_like_depot(other), "so that its refusal is seen"
        (tmp_path / "other.bin").write_bytes(content)
        assert not looks_like_depot(tmp_path / "other.bin")
    with pytest.raises(InputError):
        looks_like_depot(tmp_path / "none")


def test_a_folder_with_another_tools_index_is_no_depot(tmp_path: Path) -> None:
    (tmp_path / "index.xml").write_text("<rss/>")
    assert not looks_like_depot(tmp_path)
    (tmp_path / "vendor-index.xml").touch()
    assert looks_like_depot(tmp_path)


def test_an_index_that_is_a_link_is_not_read_to_tell_what_it_is(tmp_path: Path) -> None:
    folder = DEPOT.unpack(tmp_path / "depot")
    (folder / "index.xml").rename(tmp_path / "index.xml")
    (folder / "index.xml").symlink_to(tmp_path / "index.xml")
    assert looks_like_depot(folder)  # so that its refusal is seen
    (folder / "vendor-index.xml").unlink()
    assert not looks_like_depot(folder)


def test_a_zip_file_that_is_not_well_formed_is_a_depot_by_its_name(tmp_path: Path) -> None:
    for name, expected in (("depot.ZIP", True), ("library.jar", False)):
        (tmp_path / name).write_bytes(DEPOT.data + b"!")
        assert looks_like_depot(tmp_path / name) is expected


def test_a_path_that_is_not_there_or_no_zip_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError), open_depot(tmp_path / "none"):
        pass
    (tmp_path / "text").write_text("text")
    with pytest.raises(FormatError), open_depot(tmp_path / "text"):
        pass
