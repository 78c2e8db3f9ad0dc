"""Partitions by name, from a tree like sysfs and a disk that was built here."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from modseal.boot import partitions
from modseal.errors import UndecidedError
from modseal.image import disk

NAMES = ("boot-a", "boot-b", "root-a", "root-b", "data")


def system(folder: Path, names: tuple[str, ...] = NAMES) -> tuple[str, str]:
    """A folder as /sys/class/block, and one as /dev, with a disk of these partitions of 1 MiB."""
    block, devices, own = folder / "class", folder / "dev", folder / "devices/vda"
    for path in (block, devices, own / "queue"):
        path.mkdir(parents=True)
    with (devices / "vda").open("wb") as file:
        disk.write(file, [disk.Partition(name, disk.LINUX_DATA, 1 << 20) for name in names], b"seed")
    (own / "queue/logical_block_size").write_text("512\n")
    (own / "uevent").write_text("MAJOR=254\nDEVTYPE=disk\n")
    (block / "vda").symlink_to(own)
    for number, name in enumerate(names, 1):
        part = own / f"vda{number}"
        part.mkdir()
        values = {"uevent": f"DEVTYPE=partition\nPARTN={number}\nPARTNAME={name}\n", "partition": number}
        for key, value in {**values, "start": 2048 * number, "size": 2048}.items():
            (part / key).write_text(f"{value}\n")
        (block / part.name).symlink_to(part)
    return str(block), str(devices)


def test_each_partition_has_its_place_and_identifier(tmp_path: Path) -> None:
    block, devices = system(tmp_path)
    found = partitions.found(block, devices)
    assert list(found) == list(NAMES)
    assert found["root-a"].device == f"{devices}/vda3"
    place = found["root-a"].place
    assert (place.number, place.start, place.size) == (3, 3 * 2048, 2048)
    assert isinstance(place.identifier, uuid.UUID)
    assert len({one.place.identifier for one in found.values()}) == len(NAMES)


@pytest.mark.parametrize(
    ("names", "said"),
    [((*NAMES, "data"), "two partitions are called data"), (NAMES[:4], "no partition is called data")],
)
def test_a_partition_that_is_missing_or_there_twice_ends_the_start(
    tmp_path: Path, names: tuple[str, ...], said: str
) -> None:
    block, devices = system(tmp_path, names)
    with pytest.raises(UndecidedError, match=said):
        partitions.found(block, devices)


def test_a_table_that_says_another_thing_than_the_kernel_is_refused(tmp_path: Path) -> None:
    block, devices = system(tmp_path)
    (Path(block) / "vda2" / "start").write_text("4097\n")
    with pytest.raises(UndecidedError, match="has no partition boot-b"):
        partitions.found(block, devices)
