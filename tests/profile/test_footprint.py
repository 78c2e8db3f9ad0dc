"""How much room modules take: what is counted, and what cannot be."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from builders import depots, signed_depots
from builders.bundles import Bundle, make
from modseal.errors import FormatError, InputError, UndecidedError, UsageError
from modseal.format import image_profile
from modseal.format.image_profile import ImageProfile, module_of
from modseal.format.level import Level
from modseal.profile.footprint import by_level, by_vendor, measure

SEAL = make("seal", name="acme-small", files={"opt/a": b"a" * 1000, "opt/b": b"b" * 500})
VIB = make("vib", name="acme-large", files={"opt/c": b"c" * 70_000})


def put(folder: Path, *bundles: Bundle) -> list[str]:
    """The bundles as files; their paths."""
    paths = [folder / f"{number}.{one.manifest.kind}" for number, one in enumerate(bundles)]
    for path, one in zip(paths, bundles, strict=True):
        path.write_bytes(one.data)
    return list(map(str, paths))


def test_installed_is_the_size_of_all_files_and_packed_that_of_the_bundle(tmp_path: Path) -> None:
    large, small = measure(put(tmp_path, SEAL, VIB))
    assert (large.name, large.installed, large.packed) == ("acme-large", 70_000, len(VIB.data))
    assert (small.name, small.installed, small.packed) == ("acme-small", 1500, len(SEAL.data))


def test_a_depot_has_the_room_of_all_its_bundles(tmp_path: Path) -> None:
    zipped = depots.make(VIB).write(tmp_path / "d.zip")
    assert [one.name for one in measure([str(zipped)])] == ["acme-large"]
    held = signed_depots.contents(signed_depots.index(SEAL, VIB), held=[SEAL, VIB])
    assert [one.name for one in measure([str(signed_depots.write(tmp_path / "site", held))])] == [
        "acme-large",
        "acme-small",
    ]


def test_one_content_counts_once_wherever_it_lies(tmp_path: Path) -> None:
    zipped = depots.make(VIB).write(tmp_path / "d.zip")
    assert len(measure([*put(tmp_path, VIB, VIB), str(zipped)])) == 1


def test_groups_are_by_vendor_and_by_claimed_level_the_largest_first(tmp_path: Path) -> None:
    other = make("seal", vendor="Beta", claimed_level=Level.CERTIFIED, files={"opt/d": b"d" * 90_000})
    modules = measure(put(tmp_path, SEAL, VIB, other))
    assert [(one.label, one.installed) for one in by_vendor(modules)] == [("Beta", 90_000), ("Acme", 71_500)]
    assert [one.label for one in by_level(modules)] == ["certified", "partner"]


def profile(folder: Path, *bundles: Bundle) -> str:
    """An image profile of these, in a file."""
    modules = sorted((module_of(one.manifest, digest(one)) for one in bundles), key=lambda one: one.name)
    path = folder / "web.profile"
    path.write_bytes(image_profile.encode(ImageProfile("web", "Acme", 1, Level.PARTNER, tuple(modules))))
    return str(path)


def digest(bundle: Bundle) -> str:
    return hashlib.sha256(bundle.manifest_bytes).hexdigest()


def test_an_image_profile_has_the_room_of_its_modules_alone(tmp_path: Path) -> None:
    held = signed_depots.contents(signed_depots.index(SEAL, VIB), held=[SEAL, VIB])
    site = str(signed_depots.write(tmp_path / "site", held))
    assert [one.name for one in measure([profile(tmp_path, SEAL)], [site])] == ["acme-small"]


def test_a_profile_whose_bundles_are_nowhere_is_not_measured(tmp_path: Path) -> None:
    zipped = str(depots.make(VIB).write(tmp_path / "d.zip"))
    with pytest.raises(UndecidedError, match="no bundle of acme-small") as refused:
        measure([profile(tmp_path, SEAL, VIB)], [zipped])
    assert refused.value.failure.code == "profile-module-missing"
    with pytest.raises(UsageError, match="--depot"):
        measure([profile(tmp_path, SEAL)])


def test_a_payload_that_cannot_be_unpacked_leaves_the_size_unknown(tmp_path: Path) -> None:
    payload = VIB.manifest.payloads[0].name
    broken = VIB.with_member(payload, data=b"\0" * 40)
    [found] = measure(put(tmp_path, broken))
    assert found.installed is None
    assert found.room == found.packed == len(broken.data)


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.seal").write_bytes(b"nothing")
    with pytest.raises(FormatError):
        measure([str(tmp_path / "a.seal")])
    with pytest.raises(InputError):
        measure([str(tmp_path / "none.seal")])
