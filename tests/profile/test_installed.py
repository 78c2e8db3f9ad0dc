"""What a target has, from the places where it is kept: hosts, their databases, and the depots they were made from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from builders import depots, esxi_hosts, signed_depots
from builders.bundles import make
from modseal.errors import InputError, UndecidedError
from modseal.format.manifest import Constraint, Relationships
from modseal.profile.installed import read_installed

RELATED = Relationships(provides=(Constraint("vmkapi", "=", "2.8"),))
BASE = make("vib", name="esx-base", version="8.0.2-0.0.1", relationships=RELATED)
NET = make("vib", name="acme-net", files={"opt/acme/net": b"net"})
HOST = esxi_hosts.make(BASE, NET)
DEPOT = depots.make(BASE, NET)


def archive(folder: Path) -> Path:
    HOST.write_bank(folder)
    return folder / "imgdb.tgz"


def described(folder: Path) -> Path:
    """A depot of which the bundles were taken away: its metadata alone."""
    DEPOT.unpack(folder)
    shutil.rmtree(folder / "vib20")
    return folder


@pytest.mark.parametrize(
    "put",
    [
        HOST.write,
        lambda folder: HOST.write(folder) / "var/db/esximg",
        HOST.write_bank,
        archive,
        DEPOT.unpack,
        lambda folder: DEPOT.write(folder / "d.zip"),
        described,
    ],
    ids=["root", "database", "boot bank", "imgdb.tgz", "depot folder", "depot zip", "metadata alone"],
)
def test_hosts_and_depots_say_what_each_module_offers(tmp_path: Path, put: Callable[[Path], Path]) -> None:
    found = read_installed(put(tmp_path))
    assert {one.name: one.version for one in found.modules} == {"esx-base": "8.0.2-0.0.1", "acme-net": "1.2.3-4"}
    assert next(one for one in found.modules if one.name == "esx-base").relationships == RELATED
    assert all(one.is_installed for one in found.modules)
    assert found.platform == "8.0.2"
    assert found.notes == ()


def test_the_index_of_a_signed_depot_is_enough(tmp_path: Path) -> None:
    held = signed_depots.contents(signed_depots.index(signed_depots.SEAL))
    assert [one.name for one in read_installed(signed_depots.write(tmp_path, held)).modules] == ["acme-agent"]


def test_of_several_versions_in_a_depot_the_newest_counts_and_that_is_said(tmp_path: Path) -> None:
    old = make("vib", name="acme-net", version="0.9")
    found = read_installed(depots.make(NET, old).write(tmp_path / "d.zip"))
    assert [one.version for one in found.modules] == [NET.manifest.version]
    assert found.notes == ("the depot has several versions of acme-net: the newest counts",)


def test_what_the_image_profile_does_not_list_is_not_installed(tmp_path: Path) -> None:
    stale = make("vib", name="acme-stale")
    host = HOST.with_document(esxi_hosts.document(stale.manifest), stale.manifest_bytes)
    found = read_installed(host.write(tmp_path))
    assert sorted(one.name for one in found.modules) == ["acme-net", "esx-base"]
    assert found.notes == ("1 VIBs of the database are not in the image profile: none counts",)


def test_without_an_image_profile_everything_counts_and_that_is_said(tmp_path: Path) -> None:
    found = read_installed(HOST.with_document("profiles/Test-1.0", None).write(tmp_path / "a") / "var/db/esximg")
    assert len(found.modules) == 2
    assert "0 image profiles" in found.notes[0]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda host: host.with_document(esxi_hosts.document(NET.manifest, 1), b"<vib/>"), "bad-manifest"),
        (lambda host: host.with_document(esxi_hosts.document(NET.manifest, 1), None), "list-invalid"),
        (lambda host: host.with_document("profiles/Test-1.0", b"<x/>"), "bad-metadata"),
    ],
    ids=["descriptor", "missing", "profile"],
)
def test_a_database_that_is_not_whole_decides_nothing(tmp_path: Path, change: Callable, code: str) -> None:
    with pytest.raises(UndecidedError) as refused:
        read_installed(change(HOST).write(tmp_path))
    assert refused.value.failure.code == code


def test_a_damaged_archive_decides_nothing(tmp_path: Path) -> None:
    (tmp_path / "imgdb.tgz").write_bytes(b"\x1f\x8b no")
    with pytest.raises(UndecidedError):
        read_installed(tmp_path / "imgdb.tgz")


def test_a_metadata_archive_by_itself_is_told_to_belong_to_a_depot(tmp_path: Path) -> None:
    (tmp_path / "metadata").write_bytes(DEPOT.contents["metadata.zip"])
    with pytest.raises(UndecidedError, match="neither a depot with its index"):
        read_installed(tmp_path / "metadata")


def test_a_folder_that_is_nothing_of_this_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a depot, nor has it a host's database"):
        read_installed(tmp_path)


def test_what_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read_installed(tmp_path / "none")
