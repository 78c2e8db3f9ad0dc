"""Output is all there or not there at all, whatever fails in between."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builders.bundles import snapshot
from modseal.bundle.staging import StagingFolder, atomic_file, require_free
from modseal.errors import InputError, UsageError


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_file_is_there_with_its_mode_whatever_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    old = os.umask(umask)
    try:
        with atomic_file(tmp_path / "f", mode) as file:
            file.write(b"data")
            assert not (tmp_path / "f").exists()
    finally:
        os.umask(old)
    assert snapshot(tmp_path) == {"f": b"data"}
    assert (tmp_path / "f").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, OSError])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "f").write_bytes(b"old")

    def write() -> None:
        with atomic_file(tmp_path / "f") as file:
            file.write(b"new")
            raise error

    with pytest.raises(InputError if error is OSError else error):
        write()
    assert snapshot(tmp_path) == {"f": b"old"}


def test_a_file_cannot_be_written_where_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"), atomic_file(tmp_path / "absent" / "f"):
        pass


def test_a_file_does_not_replace_a_folder(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(InputError), atomic_file(tmp_path / "d") as file:
        file.write(b"x")
    assert snapshot(tmp_path) == {"d": "folder"}


def test_a_tree_appears_at_its_commit(tmp_path: Path) -> None:
    with StagingFolder(tmp_path / "out") as staging:
        (staging.path / "f").write_bytes(b"x")
        assert staging.path.stat().st_mode & 0o777 == 0o700
        assert not (tmp_path / "out").exists()
        staging.commit()
    assert snapshot(tmp_path) == {"out": "folder", "out/f": b"x"}
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt])
def test_a_tree_without_a_commit_never_was(tmp_path: Path, error: type[BaseException] | None) -> None:
    def build() -> None:
        with StagingFolder(tmp_path / "out") as staging:
            (staging.path / "closed").mkdir()
            (staging.path / "closed" / "f").write_bytes(b"x")
            (staging.path / "closed" / "link").symlink_to("/")
            (staging.path / "closed").chmod(0)
            if error:
                raise error

    if error:
        with pytest.raises(error):
            build()
    else:
        build()
    assert snapshot(tmp_path) == {}


def test_trouble_with_the_disk_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No space"), StagingFolder(tmp_path / "out"):
        raise OSError(28, "No space left on device")
    assert snapshot(tmp_path) == {}


def test_an_empty_folder_is_replaced_and_a_full_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with StagingFolder(tmp_path / "empty") as staging:
        staging.commit()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "f").write_bytes(b"x")
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("empty")
    for name in ("full", "file", "link"):
        with pytest.raises(UsageError):
            require_free(tmp_path / name)
    require_free(tmp_path / "new")


def test_a_destination_that_fills_up_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    def build() -> None:
        with StagingFolder(tmp_path / "out") as staging:
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "theirs").write_bytes(b"x")
            staging.commit()

    with pytest.raises(InputError):
        build()
    assert snapshot(tmp_path) == {"out": "folder", "out/theirs": b"x"}
