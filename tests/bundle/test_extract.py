"""Extraction: verified and unpacked in one pass; all of it or nothing. Attacks are in tests/attacks."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.bundles import FILES, KINDS, Bundle, make, snapshot
from builders.pki import NOW, leaf, root
from builders.policies import trusting
from modseal.bundle.extract import TreeWriter, extract
from modseal.errors import FormatError, InputError, UsageError
from modseal.files.tree import Tree
from modseal.format.level import Level
from modseal.format.manifest import Entry, FileType, Kind
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy

kinds = pytest.mark.parametrize("kind", KINDS)
TREE = {"opt": "folder", "opt/acme": "folder", "opt/acme/agent": b"\x7fELF agent", "opt/acme/conf": b"level = 1\n"}


def run(folder: Path, bundle: Bundle, policy: Policy | None) -> Verdict:
    (folder / "b").write_bytes(bundle.data)
    return extract(folder / "b", folder / "out", policy, NOW).verdict


@kinds
def test_an_accepted_bundle_is_unpacked(kind: Kind, tmp_path: Path) -> None:
    assert run(tmp_path, make(kind), trusting()) is Verdict.ACCEPTED
    assert snapshot(tmp_path / "out") == TREE


@pytest.mark.parametrize("payload_type", ["tar+zstd", "tar+gzip", "vgz", "tgz", "vzstd"])
def test_every_type_of_payload_gives_the_same_files(payload_type: str, tmp_path: Path) -> None:
    kind: Kind = "seal" if payload_type.startswith("tar") else "vib"
    assert run(tmp_path, make(kind, payload_type=payload_type), trusting()) is Verdict.ACCEPTED
    assert snapshot(tmp_path / "out") == TREE


def test_links_modes_and_empty_folders_are_restored(tmp_path: Path) -> None:
    files = {**FILES, "opt/closed": None, "opt/closed/inside": b"x", "opt/link": "acme/agent", "opt/up": "acme/../acme"}
    files["opt/up"] = "./acme"
    bundle = make("seal", files=files, modes={"opt/closed": 0o500, "opt/acme/agent": 0o4755, "opt/acme/conf": 0o400})
    assert run(tmp_path, bundle, trusting()) is Verdict.ACCEPTED
    out = tmp_path / "out" / "opt"
    modes = {name: stat.S_IMODE((out / name).stat().st_mode) for name in ("closed", "acme/agent", "acme/conf")}
    assert modes == {"closed": 0o500, "acme/agent": 0o4755, "acme/conf": 0o400}
    assert os.readlink(out / "link") == "acme/agent"
    (out / "closed").chmod(0o700)


@kinds
@pytest.mark.parametrize("policy", [trusting(), None])
def test_damage_gives_nothing_at_all(kind: Kind, policy: Policy | None, tmp_path: Path) -> None:
    good = make(kind)
    name = good.members[2].name
    for bundle in (
        good.with_member(name, data=good[name].data[:-1] + b"!"),
        good.with_manifest_bytes(b"{}"),
        good.without(name),
    ):
        assert run(tmp_path, bundle, policy) is Verdict.REJECTED
        assert list(snapshot(tmp_path)) == ["b"]


@kinds
def test_an_untrusted_bundle_gives_nothing_unless_unverified(kind: Kind, tmp_path: Path) -> None:
    for bundle in (
        make(kind).unsigned(),
        make(kind, leaf("Stranger", issuer=root(7))),
        make(kind).with_signature(b"x"),
    ):
        assert run(tmp_path, bundle, trusting()) is Verdict.REJECTED
        assert list(snapshot(tmp_path)) == ["b"]
    assert run(tmp_path, make(kind).unsigned(), None) is Verdict.ACCEPTED
    assert snapshot(tmp_path / "out") == TREE


@kinds
def test_an_unsigned_community_module_is_unpacked_where_the_policy_accepts_it(kind: Kind, tmp_path: Path) -> None:
    community = make(kind, claimed_level=Level.COMMUNITY).unsigned()
    assert run(tmp_path, community, trusting(allow_unsigned_community=True)) is Verdict.ACCEPTED
    assert snapshot(tmp_path / "out") == TREE


def test_a_module_without_payloads_gives_an_empty_folder(tmp_path: Path) -> None:
    good = make("seal")
    empty = good.without("base").with_manifest(payloads=(), files=())
    assert run(tmp_path, empty, trusting()) is Verdict.ACCEPTED
    assert snapshot(tmp_path / "out") == {}


def test_a_destination_in_the_way_is_usage_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(UsageError):
        extract(tmp_path / "absent", tmp_path / "out", trusting(), NOW)
    with pytest.raises(InputError):
        extract(tmp_path / "absent", tmp_path / "new", trusting(), NOW)
    assert snapshot(tmp_path) == {"out": b"mine"}


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> int:
        raise OSError(28, "No space left on device")

    (tmp_path / "b").write_bytes(make("seal").data)
    monkeypatch.setattr(os, "write", write)
    with pytest.raises(InputError, match="No space"):
        extract(tmp_path / "b", tmp_path / "out", trusting(), NOW)
    assert list(snapshot(tmp_path)) == ["b"]


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Tree]:
    """What writes below `in`."""
    (tmp_path / "in").mkdir()
    descriptor = os.open(tmp_path / "in", os.O_RDONLY)
    tree = Tree(descriptor)
    yield tree
    tree.close()
    os.close(descriptor)


def file(path: str, mode: int = 0o644) -> Entry:
    return Entry(path, FileType.FILE, mode, 1)


@pytest.mark.parametrize(
    "entry", [file("../up"), file("/abs"), file("a/../b"), Entry("l", FileType.SYMLINK, 0o777, target="/etc")]
)
def test_the_writer_itself_refuses_unsafe_entries(entry: Entry, inside: Tree, tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        TreeWriter(inside).begin(entry)
    assert snapshot(tmp_path) == {"in": "folder"}


@pytest.mark.parametrize("second", [file("a"), file("a/b"), Entry("a", FileType.DIRECTORY, 0o755)])
def test_the_writer_refuses_a_path_that_is_taken(second: Entry, inside: Tree, tmp_path: Path) -> None:
    writer = TreeWriter(inside)
    writer.begin(file("a"))
    writer.write(b"1")
    writer.end(file("a"))
    with pytest.raises(FormatError) as raised:
        writer.begin(second)
    assert raised.value.failure.code == "unsafe-path"
    assert snapshot(tmp_path / "in") == {"a": b"1"}


def test_the_writer_follows_no_link_that_somebody_put_there(inside: Tree, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "in" / "f").symlink_to(outside / "f")
    (tmp_path / "in" / "d").symlink_to(outside)
    for path in ("f", "d/f"):
        with pytest.raises(FormatError):
            TreeWriter(inside).begin(file(path))
    assert snapshot(outside) == {}


def test_links_are_made_last(inside: Tree, tmp_path: Path) -> None:
    writer = TreeWriter(inside)
    link = Entry("l", FileType.SYMLINK, 0o777, target="d")
    writer.begin(link)
    writer.end(link)
    assert snapshot(tmp_path / "in") == {}
    writer.finish()
    assert snapshot(tmp_path / "in") == {"l": "-> d"}
