"""Offline bundles that modseal writes: what ESXi's tools look for is there, and our own reader agrees."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from builders import bundles, depots
from builders.bundles import Bundle
from modseal.depot import compare
from modseal.depot.files import open_depot
from modseal.depot.offline_plan import Choices
from modseal.errors import InputError, RefusedError, UsageError
from modseal.format.manifest import Platform
from modseal.packing.offline_bundle import WrittenOfflineBundle, build


def vib(**changes: Any) -> Bundle:
    return bundles.make("vib", **changes)


TWICE = vib()


def write(folder: Path, *made: Bundle) -> list[Path]:
    paths = []
    for number, bundle in enumerate(made):
        paths.append(folder / f"{number}.vib")
        paths[-1].write_bytes(bundle.data)
    return paths


def built(folder: Path, *made: Bundle, **choices: Any) -> Path:
    output = folder / "out.zip"
    build(write(folder, *(made or (vib(),))), output, Choices(**choices), None)
    return output


def test_the_reader_finds_no_difference_to_the_bundles(tmp_path: Path) -> None:
    output = built(tmp_path, vib(name="one"), vib(name="two"))
    with open_depot(output) as depot:
        assert not list(compare.compare(depot.metadata, depot.paths, depots.found(depot)))
        assert len(depot.bundles) == 2


def test_the_same_bundles_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    one, two = write(tmp_path, vib(name="one"), vib(name="two"))
    first = build([one, two], tmp_path / "a.zip", Choices(), None)
    second = build([two, one], tmp_path / "b.zip", Choices(), None)
    assert first.sha256 == second.sha256
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_each_bundle_is_a_component_of_its_own(tmp_path: Path) -> None:
    with open_depot(built(tmp_path, vib(name="one", version="1-2"), vib(name="two"))) as depot:
        [catalog] = depot.metadata.catalogs
        found = [(bulletin.component, len(vibs)) for bulletin, vibs in catalog.listing]
    assert all(component and count == 1 for component, count in found)
    assert found[0][0]
    assert found[0][0][0::2] == ("Acme-one", "1-2")


def test_several_bundles_can_be_one_component(tmp_path: Path) -> None:
    with open_depot(built(tmp_path, vib(name="one"), vib(name="two"), component=("Acme-tools", "3.1"))) as depot:
        [catalog] = depot.metadata.catalogs
        [(bulletin, vibs)] = catalog.listing
    assert bulletin.id == "Acme-tools_3.1"
    assert bulletin.component
    assert bulletin.component[0::2] == ("Acme-tools", "3.1")
    assert len(vibs) == 2


@pytest.mark.parametrize(("form", "platform", "category"), [("5", "5.*", "general"), ("6", "6.*", "enhancement")])
def test_older_forms_have_no_component(tmp_path: Path, form: str, platform: str, category: str) -> None:
    with open_depot(built(tmp_path, form=form)) as depot:
        [catalog] = depot.metadata.catalogs
        [(bulletin, _)] = catalog.listing
    assert bulletin.component is None
    assert bulletin.platforms == (Platform(platform),)
    assert dict(bulletin.texts)["category"] == category


def test_platforms_are_those_that_were_asked_for(tmp_path: Path) -> None:
    with open_depot(built(tmp_path, platforms=("8.0", "9.0"))) as depot:
        [catalog] = depot.metadata.catalogs
        [(bulletin, [listed])] = catalog.listing
    assert bulletin.platforms == listed.platforms == (Platform("8.0"), Platform("9.0"))


def test_other_tools_unpack_it(tmp_path: Path) -> None:
    if not shutil.which("unzip"):
        pytest.skip("unzip is not installed")
    output = built(tmp_path)
    subprocess.run(["unzip", "-q", str(output), "-d", str(tmp_path / "out")], check=True)
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {"index.xml", "vendor-index.xml", "metadata.zip"} < names
    with open_depot(tmp_path / "out") as depot:
        assert not list(compare.compare(depot.metadata, depot.paths, depots.found(depot)))


def refused(call: Any) -> str:
    with pytest.raises(RefusedError) as caught:
        call()
    return caught.value.failure.code


def test_one_id_with_two_contents_is_refused_and_both_digests_are_named(tmp_path: Path) -> None:
    one, two = write(tmp_path, vib(), vib(files={"opt/acme/other": b"x"}))
    with pytest.raises(RefusedError) as caught:
        build([one, two], tmp_path / "out.zip", Choices(), None)
    failure = caught.value.failure
    assert failure.code == "bundle-conflict"
    assert str(failure.evidence["sha256"]) in failure.detail
    assert str(failure.evidence["other"]) in failure.detail
    assert not (tmp_path / "out.zip").exists()


def test_a_damaged_bundle_is_not_shipped(tmp_path: Path) -> None:
    good = vib()
    payload = good.members[2]
    bad = good.with_member(payload.name, data=payload.data[:-1] + bytes([payload.data[-1] ^ 1]))
    assert refused(lambda: built(tmp_path, bad)) == "payload-digest-mismatch"


def test_a_bundle_that_changes_meanwhile_is_seen(tmp_path: Path) -> None:
    [path] = write(tmp_path, vib())

    def change(done: int, _count: int, what: str) -> None:
        if what.startswith("vib20/"):
            path.write_bytes(vib(files={"opt/acme/other": b"x"}).data)

    with pytest.raises(InputError, match="changed while"):
        build([path], tmp_path / "out.zip", Choices(), None, change)
    assert not (tmp_path / "out.zip").exists()


@pytest.mark.parametrize(
    ("made", "choices", "why"),
    [
        ((bundles.make("seal"),), {}, "is a .seal"),
        ((vib(vendor="One", name="one"), vib(vendor="Two", name="two")), {}, "--vendor"),
        ((vib(),), {"platforms": ("8",)}, "not a version of ESXi"),
        ((vib(),), {"form": "6", "component": ("a", "1")}, "no components"),
        ((vib(),), {"component": ("a b", "1")}, "'a b'"),
        ((TWICE, TWICE), {}, "twice"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, made: tuple[Bundle, ...], choices: Any, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        built(tmp_path, *made, **choices)


def test_its_time_is_the_newest_release_or_what_the_caller_says(tmp_path: Path) -> None:
    paths = write(tmp_path, vib())
    results: list[WrittenOfflineBundle] = [
        build(paths, tmp_path / f"{epoch}.zip", Choices(), epoch) for epoch in (None, 0, 86400)
    ]
    assert len({one.sha256 for one in results}) == 3
