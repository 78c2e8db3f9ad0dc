"""The disk of a host image, as the programs see it that others wrote for disks."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from modseal.boot import fat
from modseal.errors import RefusedError
from modseal.image import data, disk

PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
PROGRAM = bytes(range(256)) * 5000
SIZE = 32 << 20


def tool(name: str) -> str:
    found = shutil.which(name, path=PATH)
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


def run(name: str, *words: object) -> str:
    done = subprocess.run([tool(name), *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def boot_partition(path: Path, before: bytes = b"") -> None:
    """Write a boot partition over what was there before."""
    path.write_bytes(before.ljust(SIZE, b"\0"))
    with path.open("r+b") as file:
        for at, content in fat.boot_partition(PROGRAM, SIZE):
            file.seek(at)
            file.write(content)


def made(folder: Path) -> Path:
    boot_partition(folder / "boot")
    parts = [
        disk.Partition("boot-a", disk.EFI_SYSTEM, SIZE, folder / "boot"),
        disk.Partition("root-a", disk.LINUX_ROOT, 5 << 20),
        disk.Partition("data", disk.LINUX_DATA, (3 << 20) + 1),
    ]
    with (folder / "disk").open("wb") as file:
        disk.write(file, parts, b"seed")
    return folder / "disk"


def test_the_partitions_are_those_that_were_named(tmp_path: Path) -> None:
    found = json.loads(run("sfdisk", "--json", made(tmp_path)))["partitiontable"]
    assert found["label"] == "gpt"
    assert [one["name"] for one in found["partitions"]] == ["boot-a", "root-a", "data"]
    assert [one["start"] % 2048 for one in found["partitions"]] == [0, 0, 0]
    assert [one["size"] * 512 for one in found["partitions"]] == [SIZE, 5 << 20, 4 << 20]


def test_sfdisk_finds_nothing_wrong(tmp_path: Path) -> None:
    assert "No errors detected" in run("sfdisk", "--verify", made(tmp_path))


def test_the_same_partitions_give_the_same_bytes(tmp_path: Path) -> None:
    first = made(tmp_path).read_bytes()
    assert made(tmp_path).read_bytes() == first


@pytest.mark.parametrize("before", [b"", b"\xff" * SIZE], ids=["zeros", "anything"])
def test_the_firmware_s_file_system_has_the_program_whatever_was_there(tmp_path: Path, before: bytes) -> None:
    boot_partition(tmp_path / "boot", before)
    run("fsck.vfat", "-n", tmp_path / "boot")
    tool("mcopy")
    run("mcopy", "-i", tmp_path / "boot", "::/EFI/BOOT/BOOTX64.EFI", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == PROGRAM
    with (tmp_path / "boot").open("rb") as file:
        assert fat.read_program(file, SIZE) == PROGRAM


def test_a_program_that_does_not_fit_is_refused() -> None:
    with pytest.raises(RefusedError, match="do not fit"):
        fat.boot_partition(bytes(SIZE), SIZE)
    with pytest.raises(RefusedError, match="do not fit"):
        fat.boot_partition(b"", 1 << 20)


def test_a_data_partition_says_neither_who_made_it_nor_when(tmp_path: Path) -> None:
    tool("mke2fs")
    images = []
    for number in range(2):
        folder = tmp_path / str(number)
        (folder / "a/b").mkdir(parents=True)
        (folder / "a/b/c").write_bytes(b"content" * 999)
        (folder / "a/link").symlink_to("b/c")
        data.write(folder, tmp_path / f"{number}.img", 16 << 20, 1769860800 + 0, "11111111-2222-5333-8444-555555555555")
        images.append((tmp_path / f"{number}.img").read_bytes())
    run("e2fsck", "-fn", tmp_path / "0.img")
    assert images[0] == images[1]
    status = run("debugfs", "-R", "stat /a/b/c", tmp_path / "0.img")
    assert status.count("2026-01-31") + status.count("Jan 31") == 4
    assert "User:     0   Group:     0" in status
