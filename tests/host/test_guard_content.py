"""Which files count, and what is remembered of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from builders import guards
from modseal import limits
from modseal.errors import UndecidedError
from modseal.files.identity import has_no_writer, identity_of
from modseal.files.mounts import Mount
from modseal.host import guard_content
from modseal.host.guard_content import FoundContent, GuardedContents, require_leases
from modseal.host.stacks import is_starting

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="nothing counts that does not belong to root")


def read(path: Path) -> FoundContent:
    path.write_bytes(b"program")
    path.chmod(0o755)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return GuardedContents().read(descriptor, os.getpid())
    finally:
        os.close(descriptor)


@ROOT
@pytest.mark.parametrize(("options", "why"), [(("rw", "idmapped"), "idmapped"), (None, "nobody can see")])
def test_a_file_counts_only_through_a_mount_that_shows_its_real_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...] | None, why: str
) -> None:
    found = Mount("1", "0:1", "/", options, "ext4", ("rw",)) if options else None
    monkeypatch.setattr(guard_content, "mount_of", lambda *_given: found)
    trouble = read(tmp_path / "file").trouble
    assert trouble is not None
    assert why in trouble.detail


@ROOT
def test_a_mount_that_only_the_thread_that_opens_the_file_has_is_seen_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Mount("1", "0:1", "/", ("rw",), "ext4", ("rw",))
    seen = {str(os.getpid()): found}
    monkeypatch.setattr(guard_content, "mount_of", lambda _number, process: seen.get(process))
    assert read(tmp_path / "file").trouble is None


def test_a_kernel_without_leases_is_no_place_for_a_guard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    require_leases()
    (tmp_path / "switch").write_text("0\n")
    opened = open
    monkeypatch.setattr("builtins.open", lambda _path, **named: opened(tmp_path / "switch", **named))
    with pytest.raises(UndecidedError, match=r"fs\.leases-enable is 0"):
        require_leases()


@pytest.mark.skipif(bool(guards.why_impossible()), reason="it takes root to see a stack of the kernel")
def test_a_thread_that_runs_its_program_is_in_no_start() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert guards.eventually(lambda: not is_starting(process.pid))
    assert not is_starting(process.pid)


@ROOT
@pytest.mark.skipif(not hasattr(os, "O_NOATIME"), reason="leases are Linux's")
def test_what_starts_again_and_again_is_read_again_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root can have writes under way that no lease shows: what was read once may not count for as long as it starts."""
    path = tmp_path / "file"
    path.write_bytes(b"program")
    path.chmod(0o755)
    now = 1000.0
    monkeypatch.setattr("modseal.host.guard_content.time.monotonic", lambda: now)
    contents, content = GuardedContents(), FoundContent(0o100755, identity=identity_of(path.stat()))
    contents.keep(leased(path), content, os.getpid())
    for _ in range(3):
        again = os.open(path, os.O_RDONLY)
        assert contents.known(again) is content
        contents.keep(again, content, os.getpid())
        now += 0.3
    now += 0.2
    again = os.open(path, os.O_RDONLY)
    assert contents.known(again) is None
    os.close(again)
    contents.end_leases(float("inf"))


@ROOT
@pytest.mark.parametrize("same_time", [False, True])
@pytest.mark.parametrize(("owner", "mode"), [(65534, 0o755), (0, 0o4755)])
def test_what_was_found_does_not_count_for_the_owner_and_mode_that_a_file_has_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same_time: bool, owner: int, mode: int
) -> None:
    """A start is answered before its lease is kept, and an older kernel's clock stands still for some milliseconds."""
    path = tmp_path / "file"
    path.write_bytes(b"program")
    path.chmod(0o755)
    identity = identity_of(path.stat())
    if same_time:
        monkeypatch.setattr(guard_content, "identity_of", lambda _status: identity)
    contents, descriptor = GuardedContents(), leased(path)
    os.chown(path, owner, owner)
    path.chmod(mode)
    contents.keep(descriptor, FoundContent(0o100755, identity=identity), os.getpid())
    with path.open("rb") as again:
        assert contents.known(again.fileno()) is None
    contents.end_leases(float("inf"))


@ROOT
def test_a_lease_is_kept_for_a_start_that_came_while_another_thread_looked_at_those_before(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"program")
    content, contents = FoundContent(0o100644, identity=identity_of(path.stat())), GuardedContents()
    contents.keep(leased(path), content, os.getpid())
    (due,) = contents.end_leases(time.monotonic() + limits.GUARD_LEASE_TIME)
    contents.keep(leased(path), content, os.getpid())
    contents.end_lease(due, [])
    assert not has_no_lease(path)
    (due,) = contents.end_leases(time.monotonic() + limits.GUARD_LEASE_TIME)
    contents.end_lease(due, [])
    assert has_no_lease(path)


def has_no_lease(path: Path) -> bool:
    """Whether a file can be opened for writing at once."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except BlockingIOError:
        return False
    return True


def leased(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY)
    assert has_no_writer(descriptor, keep=True)
    return descriptor
