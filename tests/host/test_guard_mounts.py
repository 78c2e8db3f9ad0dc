"""What can be guarded, and what becomes of it when the guard cannot look: without a kernel that holds anything."""

from __future__ import annotations

import errno
import os
from io import StringIO
from pathlib import Path
from typing import NoReturn
from unittest.mock import Mock

import pytest

from builders.pki import NOW
from modseal.errors import UsageError
from modseal.files.mounts import Mount, mount_number, mount_of
from modseal.host import guard_mounts
from modseal.host.guard_log import GuardLog
from modseal.host.guard_mounts import GuardedMounts


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GuardedMounts:
    """Of a folder where something is mounted, as it seems. `kind` of the fixture's mount can be changed."""
    place(monkeypatch, tmp_path, "ext4")
    monkeypatch.setattr(guard_mounts, "mount_of_our_own", os.dup)
    found = GuardedMounts(Mock(), [str(tmp_path)], GuardLog(StringIO(), lambda: NOW), audit=True, libraries=False)
    found.hold()
    return found


def place(monkeypatch: pytest.MonkeyPatch, folder: Path, kind: str) -> None:
    found = Mount("1", "0:1", str(folder), ("rw",), kind, ("rw",))
    monkeypatch.setattr(guard_mounts, "_mount_of", lambda _: found)


@pytest.mark.parametrize("kind", ["fuse.sshfs", "fuseblk", "nfs4", "9p", "cifs", "virtiofs", "proc"])
def test_a_file_system_whose_server_can_lie_is_not_guarded(
    mounts: GuardedMounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    place(monkeypatch, tmp_path, kind)
    with pytest.raises(UsageError, match=f"of the kind {kind} cannot be guarded"):
        GuardedMounts(Mock(), [str(tmp_path)], GuardLog(StringIO(), lambda: NOW), audit=True, libraries=False)
    mounts.follow()
    assert mounts.unguarded == [str(tmp_path)]


def test_what_is_held_stays_so_where_no_more_files_can_be_opened(
    mounts: GuardedMounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_given: object) -> NoReturn:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(guard_mounts, "mount_number", full)
    monkeypatch.setattr(guard_mounts, "_mount_of", full)
    mounts.follow()
    assert (mounts.unguarded, mounts.unsettled) == ([], True)
    place(monkeypatch, tmp_path, "ext4")
    mounts.follow()
    assert (mounts.unguarded, mounts.unsettled) == ([], False)


def test_a_mount_of_nothing_named_is_read_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is mounted can be an empty text: there are two blanks then."""
    line = "40 1 0:9 / /tmp/a\\040b rw,relatime shared:1 - tmpfs  rw,size=9\n"
    monkeypatch.setattr("builtins.open", lambda *_given, **_named: StringIO(line))
    found = Mount("40", "0:9", "/tmp/a b", ("rw", "relatime"), "tmpfs", ("rw", "size=9"))
    assert mount_of("40") == found
    assert mount_of("41") is None


def test_the_mount_of_an_open_file_is_one_of_this_process(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        found = mount_of(mount_number(descriptor))
    finally:
        os.close(descriptor)
    assert found is not None
    assert str(tmp_path).startswith(found.point)
