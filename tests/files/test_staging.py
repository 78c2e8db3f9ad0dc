"""A tree is all there or not there at all, whatever fails in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.bundles import snapshot
from modseal.errors import InputError, UsageError
from modseal.files.staging import StagingFolder, require_free


def test_a_tree_appears_at_its_commit(tmp_path: Path) -> None:
    with StagingFolder(tmp_path / "out") as staging:
        staging.tree.write("f", b"x", 0o644)
        [staged] = tmp_path.iterdir()
        assert staged.stat().st_mode & 0o777 == 0o700
        assert not (tmp_path / "out").exists()
        staging.commit()
    assert snapshot(tmp_path) == {"out": "folder", "out/f": b"x"}
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt])
def test_a_tree_without_a_commit_never_was(tmp_path: Path, error: type[BaseException] | None) -> None:
    def build() -> None:
        with StagingFolder(tmp_path / "out") as staging:
            staging.tree.write("closed/f", b"x", 0o644)
            staging.tree.link("closed/link", "/")
            staging.tree.set_mode("closed", 0)
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
