"""Streams in the place of files: copied into a file without a name, and bounded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from modseal.errors import InputError
from modseal.files.stream import descriptor_of, open_file_or_stream


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)


def test_the_names_of_streams() -> None:
    assert [descriptor_of(name) for name in ("-", "/dev/stdin", "/dev/fd/63")] == [0, 0, 63]
    assert [descriptor_of(name) for name in ("/dev/fd/x", "a.seal", "/dev/fd/", "/tmp/-")] == [None] * 4


def test_a_stream_is_copied_into_a_file_that_has_no_name(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.write(writer, b"bundle")
    os.close(writer)
    with open_file_or_stream(f"/dev/fd/{reader}") as descriptor:
        assert os.pread(descriptor, 100, 0) == b"bundle"
        status = os.fstat(descriptor)
        assert (status.st_nlink, status.st_mode & 0o077) == (0, 0)


def test_a_descriptor_that_is_not_open_is_said_so() -> None:
    with pytest.raises(InputError) as caught, open_file_or_stream("/dev/fd/999999"):
        pass
    assert caught.value.failure.evidence["cause"] == "stream-closed"


def test_a_file_is_opened_as_ever(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with open_file_or_stream(tmp_path / "a") as descriptor:
        assert os.pread(descriptor, 2, 0) == b"a"
