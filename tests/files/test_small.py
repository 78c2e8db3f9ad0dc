"""Small files are read whole or not at all, whatever stands in their place."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from modseal.errors import InputError, SpecError
from modseal.files.small import read_small


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "file"
    made.write_bytes(b"twelve bytes")
    return made


def test_a_file_at_its_limit_is_read_whole(path: Path) -> None:
    small = read_small(path, 12)
    assert small.data == b"twelve bytes"
    assert small.status.st_ino == path.stat().st_ino


@pytest.mark.parametrize("limit", [0, 11])
def test_one_byte_more_is_refused_as_the_caller_says_it(path: Path, limit: int) -> None:
    with pytest.raises(InputError, match=f"^{path}: over {limit} bytes$"):
        read_small(path, limit)
    with pytest.raises(SpecError, match=f"^it is over {limit} bytes$"):
        read_small(path, limit, too_large=lambda why: SpecError(f"it is {why}"))


def test_nothing_endless_is_read_to_its_end() -> None:
    with pytest.raises(InputError, match="over 10 bytes"):
        read_small(Path("/dev/zero"), 10, pipes=True)


@pytest.mark.parametrize("name", ["fifo", ".", "/dev/zero"])
def test_what_is_no_regular_file_is_refused_without_waiting(path: Path, name: str) -> None:
    os.mkfifo(path.parent / "fifo")
    with pytest.raises(InputError, match="not a regular file"):
        read_small(path.parent / name, 10)


@pytest.mark.parametrize("name", ["absent", "file/below", "nul\0"])
def test_what_cannot_be_opened_is_told_in_plain_words(path: Path, name: str) -> None:
    with pytest.raises(SpecError, match=r"^why: .*(No such file|Not a directory|NUL)"):
        read_small(path.parent / name, 10, lambda why: SpecError(f"why: {why}"))


def test_a_folder_is_no_pipe(path: Path) -> None:
    with pytest.raises(InputError, match="Is a directory"):
        read_small(path.parent, 10, pipes=True)


def test_a_link_is_followed_unless_the_caller_says_not(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    assert read_small(link, 12).data == b"twelve bytes"
    with pytest.raises(InputError, match="symbolic links"):
        read_small(link, 12, follow=False)


def test_a_pipe_is_waited_for_where_the_caller_takes_pipes(path: Path) -> None:
    fifo = path.with_name("fifo")
    os.mkfifo(fifo)
    with subprocess.Popen(["sh", "-c", 'printf "%070000d" 7 > "$1"', "sh", fifo]) as writer:
        assert read_small(fifo, 70_000, pipes=True).data == b"0" * 69_999 + b"7"
    assert writer.returncode == 0
    with pytest.raises(InputError, match="not a regular file"):
        read_small(fifo, 70_000)
