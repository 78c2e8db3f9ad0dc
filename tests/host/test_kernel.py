"""Calls of Linux that Python has no function for."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from modseal.host.kernel import open_below


@pytest.fixture
def root(tmp_path: Path) -> int:
    return os.open(tmp_path, os.O_PATH | os.O_CLOEXEC)


def test_a_path_is_followed_below_its_root(tmp_path: Path, root: int) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sh").touch()
    (tmp_path / "link").symlink_to("/bin/../../bin/sh")
    assert os.path.samestat(os.fstat(open_below(root, "/link")), (tmp_path / "bin/sh").stat())


def test_a_link_that_was_just_made_is_followed_too(tmp_path: Path, root: int) -> None:
    """Who follows it first writes that down in it, and the kernel does not do so from its memory alone."""
    (tmp_path / "sh").touch()
    (tmp_path / "link").symlink_to("sh")
    os.utime(tmp_path / "link", ns=(0, time.time_ns()), follow_symlinks=False)
    assert os.path.samestat(os.fstat(open_below(root, "/link")), (tmp_path / "sh").stat())


def test_what_is_not_there_is_an_error_and_a_nul_a_mistake(root: int) -> None:
    with pytest.raises(FileNotFoundError):
        open_below(root, "/sh")
    with pytest.raises(ValueError, match="NUL"):
        open_below(root, "/sh\0")
