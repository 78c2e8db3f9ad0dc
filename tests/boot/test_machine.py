"""What process 1 and its forks do, where that needs no machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modseal.boot import machine, of_root, slots, status, update
from modseal.boot.requests import Running

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
        monkeypatch.setattr(of_root.mapper, one, getattr(kernel, one))
    for one in ("mount", "unmount"):
        monkeypatch.setattr(of_root.syscalls, one, getattr(kernel, one))
    monkeypatch.setattr(of_root.os, "makedirs", lambda *_, **__: None)
    monkeypatch.setattr(of_root, "content", str)
    with of_root._open_root(tmp_path, "0" * 64, 1) as content:
        assert content == PLACE
        assert (kernel.mounted, kernel.devices) == ({PLACE}, {NAME})
    assert (kernel.mounted, kernel.devices) == (set(), set())


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(status, "_LOG", tmp_path / "log.jsonl")
    monkeypatch.setattr(os.path, "ismount", lambda _: True)
    return tmp_path / "log.jsonl"


def test_a_fifo_or_a_link_in_the_place_of_the_log_holds_nobody_and_is_not_written_to(log: Path) -> None:
    os.mkfifo(log)
    status.say("machine", "one")
    log.unlink()
    (log.parent / "other").write_text("other")
    log.symlink_to("other")
    status.say("machine", "two")
    assert (log.parent / "other").read_text() == "other"


def test_a_log_that_cannot_be_put_aside_does_not_grow_for_ever(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status.limits, "BOOT_LOG_SIZE", 300)
    (log.parent / "log.old").mkdir()
    for _ in range(20):
        status.say("machine", "a line")
    assert log.stat().st_size <= 400


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_the_slots_are_written_beside_what_is_there_and_never_into_it(tmp_path: Path, kind: str) -> None:
    found, new = slots.first(1, "0" * 64, 1), tmp_path / f"{slots.FILE}.new"
    (tmp_path / "other").write_text("other")
    {"fifo": os.mkfifo, "link": lambda path: path.symlink_to("other"), "folder": os.mkdir}[kind](new)
    update.save(tmp_path, found)
    assert update.load(tmp_path) == found
    assert not (tmp_path / slots.FILE).is_symlink()
    assert (tmp_path / "other").read_text() == "other"


def test_what_is_no_generation_is_removed_whatever_it_is(tmp_path: Path) -> None:
    place = tmp_path / "generations"
    (place / "1").mkdir(parents=True)
    (place / "7/inside").mkdir(parents=True)
    (tmp_path / "kept").mkdir()
    (place / "notes").write_text("x")
    (place / "link").symlink_to(tmp_path / "kept")
    os.mkfifo(place / "fifo")
    update._tidy(tmp_path, slots.first(1, "0" * 64, 1))
    assert [one.name for one in place.iterdir()] == ["1"]
    assert (tmp_path / "kept").is_dir()


def test_what_cannot_be_noted_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = slots.first(1, "0" * 64, 1)
    update.save(tmp_path, replace(first, trial=slots.Trial("a", "a", Running(1, 2))))
    (tmp_path / "incoming").mkdir()
    state = status.HostStatus("root-a", "0" * 64)
    state.slot = "a"
    monkeypatch.setattr(machine, "DATA", tmp_path)
    with monkeypatch.context() as full:
        full.setattr(update, "_write", raises(OSError(28, "No space left on device")))
        machine._choose(state)
    assert (state.generation, state.trial, (tmp_path / "incoming").exists()) == (1, False, False)
    machine._choose(state)
    assert (state.generation, state.trial) == (2, True)


def raises(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail
