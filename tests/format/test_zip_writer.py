"""What modseal writes as a zip archive, its strict reader and other tools read to the same files."""

from __future__ import annotations

import io
import subprocess
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modseal import limits
from modseal.errors import FormatError
from modseal.format import zip as zip_format
from modseal.format import zip_writer
from modseal.format.source import BytesSource
from modseal.format.zip_writer import ZipWriter

NAMES = st.text("abcXYZ019._-\xe9", min_size=1, max_size=12).filter(lambda name: name not in (".", ".."))
FILES = st.dictionaries(NAMES, st.binary(max_size=300), max_size=6)


def written(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    archive = ZipWriter(out)
    for path, data in files.items():
        archive.add(path, [data[:7], data[7:]])
    archive.close()
    return out.getvalue()


def read(data: bytes) -> dict[str, bytes]:
    source = BytesSource(data)
    return {entry.path: b"".join(zip_format.blocks(source, entry)) for entry in zip_format.read(source)}


@given(FILES)
def test_every_archive_is_read_back(files: dict[str, bytes]) -> None:
    distinct = {name: data for name, data in files.items() if sum(n.casefold() == name.casefold() for n in files) == 1}
    data = written(distinct)
    assert read(data) == distinct
    with zipfile.ZipFile(io.BytesIO(data)) as other:
        assert {name: other.read(name) for name in other.namelist()} == distinct


def test_an_archive_past_four_gibibytes_has_the_wide_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_writer, "WIDE", 40)  # as if a field could hold no more
    data = written({"a": b"1" * 30, "b": b"2"})
    assert zip_writer.END64_MAGIC in data
    assert zip_writer.LOCATOR_MAGIC in data


@pytest.mark.slow
def test_a_truly_large_archive_is_read_by_others(tmp_path: Path) -> None:
    """Sparse files, so that nothing is written to the disk but headers."""
    path = tmp_path / "large.zip"
    block = bytes(64 * limits.MIB)
    with path.open("w+b") as file:
        sparse = _Sparse(file)
        archive = ZipWriter(sparse)  # type: ignore[arg-type]
        for name in ("a", "b"):
            archive.add(name, (block for _ in range(40)))
        archive.add("c", [b"the last"])
        archive.close()
    with zipfile.ZipFile(path) as other:
        assert other.read("c") == b"the last"
    listed = subprocess.run(["unzip", "-p", str(path), "c"], capture_output=True, check=True)
    assert listed.stdout == b"the last"


class _Sparse:
    """A file in which blocks of zeros become holes."""

    def __init__(self, file: io.BufferedRandom) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        if len(data) > limits.MIB:
            self._file.seek(len(data), io.SEEK_CUR)
            return len(data)
        return self._file.write(data)

    def seek(self, offset: int) -> int:
        return self._file.seek(offset)


@pytest.mark.parametrize("path", ["../a", "/a", "a//b", ""])
def test_an_unsafe_path_is_not_written(path: str) -> None:
    with pytest.raises(FormatError) as caught:
        written({path: b""})
    assert caught.value.failure.code == "unsafe-path"


def test_no_more_entries_are_written_than_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ZIP_ENTRIES", 2)
    written({"a": b"", "b": b""})
    with pytest.raises(FormatError, match="at most 2 entries"):
        written({"a": b"", "b": b"", "c": b""})
