"""The firmware's boot options: what is written, as `efibootmgr` would read it, and what of it is believed."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from builders.slots import GLOBAL, PARTITIONS
from modseal.boot import boot_variables
from modseal.errors import UndecidedError

LOADER = "LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"


def noted(folder: Path, slot: str, attributes: int = 6) -> None:
    text = str(PARTITIONS[slot].identifier).upper() + "\0"
    (folder / LOADER).write_bytes(struct.pack("<I", attributes) + text.encode("utf-16-le"))


@pytest.mark.parametrize("slot", ["a", "b"])
def test_the_slot_is_the_one_whose_partition_was_started(tmp_path: Path, slot: str) -> None:
    noted(tmp_path, slot)
    assert boot_variables.started(PARTITIONS, str(tmp_path)) == slot


def test_a_note_that_outlives_a_restart_is_not_the_firmware_s(tmp_path: Path) -> None:
    noted(tmp_path, "a", attributes=7)
    with pytest.raises(UndecidedError, match="which slot"):
        boot_variables.started(PARTITIONS, str(tmp_path))


def test_without_a_note_no_slot_is_guessed(tmp_path: Path) -> None:
    with pytest.raises(UndecidedError, match="which slot"):
        boot_variables.started(PARTITIONS, str(tmp_path))


def test_the_preferred_slot_comes_first_and_what_else_there_was_stays(tmp_path: Path) -> None:
    (tmp_path / f"BootOrder-{GLOBAL}").write_bytes(b"\7\0\0\0\1\0\2\0")
    boot_variables.prefer("b", PARTITIONS, str(tmp_path))
    assert boot_variables.order(str(tmp_path)) == [0x4D42, 0x4D41, 1, 2]
    boot_variables.prefer("a", PARTITIONS, str(tmp_path))
    assert boot_variables.order(str(tmp_path)) == [0x4D41, 0x4D42, 1, 2]


def test_an_option_names_the_partition_and_the_program(tmp_path: Path) -> None:
    boot_variables.prefer("a", PARTITIONS, str(tmp_path))
    data = (tmp_path / f"Boot4D42-{GLOBAL}").read_bytes()
    assert data[:8] == struct.pack("<II", 7, 1)
    (length,) = struct.unpack_from("<H", data, 8)
    path = data[-length:]
    assert path[:4] == b"\4\1\x2a\0"
    one = PARTITIONS["b"]
    assert struct.unpack_from("<IQQ", path, 4) == (one.number, one.start, one.size)
    assert path[24:42] == one.identifier.bytes_le + b"\2\2"
    assert path[46:-6].decode("utf-16-le") == "\\EFI\\BOOT\\BOOTX64.EFI"
    assert path[-4:] == b"\x7f\xff\4\0"


def test_a_slot_is_tried_once(tmp_path: Path) -> None:
    boot_variables.try_once("b", str(tmp_path))
    assert (tmp_path / f"BootNext-{GLOBAL}").read_bytes() == b"\7\0\0\0\x42\x4d"


def test_variables_of_shim_are_deleted_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot_variables.fcntl, "ioctl", lambda *_: 0)  # immutable files are efivarfs's own
    for name in (f"MokListRT-{boot_variables._SHIM}", f"MokIgnoreDB-{boot_variables._SHIM}", "db-d719b2cb"):
        (tmp_path / name).write_bytes(b"\7\0\0\0x")
    assert boot_variables.remove_shims(str(tmp_path)) == ["MokIgnoreDB", "MokListRT"]
    assert [one.name for one in tmp_path.iterdir()] == ["db-d719b2cb"]
    assert boot_variables.remove_shims(str(tmp_path)) == []
