"""What a killed run left is removed by a later one; what a living one writes is not, nor anything of others."""

from __future__ import annotations

import fcntl
import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from builders.bundles import make, snapshot
from builders.pki import NOW
from builders.policies import trusting
from modseal.bundle.extract import TreeWriter, extract
from modseal.files import left_behind
from modseal.files.output import output_file
from modseal.files.staging import StagingFolder


def killed(call: Callable[[], object]) -> None:
    """A child process makes the call, and kills itself in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            call()
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def grow_old(folder: Path, seconds: int = left_behind.AGE + 1) -> list[str]:
    """Everything that is staged, as if it had been there for a while. Gives the names."""
    staged = list(folder.glob(".modseal-*"))
    for each in staged:
        then = each.stat().st_mtime - seconds
        os.utime(each, (then, then))
    return [each.name for each in staged]


def write(path: Path) -> None:
    with output_file(path) as file:
        file.write(b"x")


def test_what_killed_runs_left_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.seal").write_bytes(make("seal").data)

    def unpack() -> None:
        extract(tmp_path / "a.seal", tmp_path / "out", trusting(), NOW)

    def write_half() -> None:
        with output_file(tmp_path / "f") as file:
            file.write(b"half")
            die()

    with monkeypatch.context() as patch:
        patch.setattr(TreeWriter, "end", die)
        killed(unpack)
    killed(write_half)
    assert len(grow_old(tmp_path)) == 2
    write(tmp_path / "g")
    assert sorted(snapshot(tmp_path)) == ["a.seal", "g"]
    with monkeypatch.context() as patch:
        patch.setattr(TreeWriter, "finish", die)
        killed(unpack)
    assert len(grow_old(tmp_path)) == 1
    unpack()
    assert sorted(os.listdir(tmp_path)) == ["a.seal", "g", "out"]


def test_what_is_young_stays(tmp_path: Path) -> None:
    killed(lambda: StagingFolder(tmp_path / "out") and die())
    [name] = grow_old(tmp_path, left_behind.AGE - 30)
    write(tmp_path / "g")
    assert sorted(os.listdir(tmp_path)) == [name, "g"]


def test_what_a_living_run_writes_stays_however_old_it_is(tmp_path: Path) -> None:
    with StagingFolder(tmp_path / "out") as staging, output_file(tmp_path / "f") as file:
        staging.tree.write("inside", b"x", 0o644)
        file.write(b"x")
        assert len(grow_old(tmp_path)) == 2
        write(tmp_path / "g")
        staging.commit()
    assert sorted(snapshot(tmp_path)) == ["f", "g", "out", "out/inside"]


def left(folder: Path, name: str = ".modseal-0123456789abcdef") -> Path:
    (folder / name).mkdir()
    (folder / name / "precious").write_bytes(b"x")
    grow_old(folder)
    return folder / name


@pytest.mark.parametrize("name", [".modseal-notes", ".modseal-0123456789abcdeF", ".modseal-0123456789abcdef0"])
def test_another_name_stays(tmp_path: Path, name: str) -> None:
    left(tmp_path, name)
    write(tmp_path / "g")
    assert (tmp_path / name / "precious").exists()


def test_OUT_05_where_others_can_rename_a_name_proves_nothing(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    found = left(tmp_path)
    write(tmp_path / "g")
    assert (found / "precious").exists()
    tmp_path.chmod(0o700)
    write(tmp_path / "g")
    assert not found.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_what_belongs_to_another_user_stays(tmp_path: Path) -> None:
    found = left(tmp_path)
    os.chown(found, 65534, -1)
    write(tmp_path / "g")
    assert (found / "precious").exists()


def test_a_link_with_the_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "precious").write_bytes(b"x")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / ".modseal-0123456789abcdef").symlink_to(tmp_path / "victim")
    then = 0
    os.utime(tmp_path / "here" / ".modseal-0123456789abcdef", (then, then), follow_symlinks=False)
    write(tmp_path / "here" / "g")
    assert (tmp_path / "victim" / "precious").exists()


def test_where_there_are_no_locks_nothing_is_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(37, "No locks available")

    found = left(tmp_path)
    monkeypatch.setattr(fcntl, "flock", none)
    write(tmp_path / "g")
    assert (found / "precious").exists()
