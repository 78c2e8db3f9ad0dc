"""What process 1 and its forks do, where that needs no machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from modseal.boot import machine

NAME, PLACE = "new-root", "/run/modseal/root"


class Kernel:
    """What is mounted and which devices there are, as the kernel keeps them when a process is killed."""

    def __init__(self) -> None:
        self.mounted: set[str] = set()
        self.devices: set[str] = set()

    def open_verity(self, device: str, name: str, root: str, blocks: int) -> str:
        del device, root, blocks
        if name in self.devices:
            raise OSError(16, "Device or resource busy")
        self.devices.add(name)
        return "/dev/dm-0"

    def close(self, name: str) -> None:
        if name not in self.devices or self.mounted:
            raise OSError(6, "No such device, or it is mounted")
        self.devices.remove(name)

    def mount(self, device: str, place: str, *_: object) -> None:
        del device
        self.mounted.add(place)

    def unmount(self, place: str) -> None:
        if place not in self.mounted:
            raise OSError(22, "Invalid argument")
        self.mounted.remove(place)


@pytest.mark.parametrize(("mounted", "device"), [(True, True), (False, True), (False, False)])
def test_a_receiver_that_was_killed_in_the_midst_keeps_the_next_one_from_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounted: bool, device: bool
) -> None:
    kernel = Kernel()
    if mounted:
        kernel.mounted.add(PLACE)
    if device:
        kernel.devices.add(NAME)
    for one in ("open_verity", "close"):
        monkeypatch.setattr(machine.mapper, one, getattr(kernel, one))
    for one in ("mount", "unmount"):
        monkeypatch.setattr(machine.syscalls, one, getattr(kernel, one))
    monkeypatch.setattr(machine.os, "makedirs", lambda *_, **__: None)
    monkeypatch.setattr(machine, "_content", str)
    with machine._open_root(tmp_path, "0" * 64, 1) as content:
        assert content == PLACE
        assert (kernel.mounted, kernel.devices) == ({PLACE}, {NAME})
    assert (kernel.mounted, kernel.devices) == (set(), set())
