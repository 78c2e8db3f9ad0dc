"""Limits of images: those of ISO 9660 that are read, and those that an IPE policy lists."""

from __future__ import annotations

from bisect import bisect_left

import pytest

from builders import isos
from limits.cover import bounds
from modseal import limits
from modseal.errors import FormatError, RefusedError
from modseal.format import iso
from modseal.format.source import BytesSource
from modseal.host.export import ipe_policy

needs_pycdlib = pytest.mark.skipif(not iso.is_available(), reason="pycdlib, which the test group has, is not installed")
FILES = {"a": b"first", "folder/b": b"second", "folder/c": b"third"}


@needs_pycdlib
@bounds("ISO_ENTRIES")
def test_an_image_has_at_most_so_many_files(monkeypatch: pytest.MonkeyPatch) -> None:
    source = BytesSource(isos.make(FILES))
    monkeypatch.setattr(limits, "ISO_ENTRIES", len(FILES))
    assert len(iso.read(source)) == len(FILES)
    monkeypatch.setattr(limits, "ISO_ENTRIES", len(FILES) - 1)
    with pytest.raises(FormatError, match="more than 2 files"):
        iso.read(source)


@needs_pycdlib
@bounds("ISO_DIRECTORIES_SIZE")
def test_so_many_bytes_of_directories_are_read_and_not_one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    source = BytesSource(isos.make(FILES))

    def is_read(limit: int) -> bool:
        monkeypatch.setattr(limits, "ISO_DIRECTORIES_SIZE", limit)
        try:
            return len(iso.read(source)) == len(FILES)
        except FormatError:
            return False

    needed = bisect_left(range(source.size), True, key=is_read)
    assert 2048 < needed < source.size
    assert is_read(needed)
    monkeypatch.setattr(limits, "ISO_DIRECTORIES_SIZE", needed - 1)
    with pytest.raises(FormatError, match=f"have more than {needed - 1} bytes"):
        iso.read(source)


@needs_pycdlib
@bounds("ISO_RUNS")
def test_a_file_in_more_pieces_is_not_read_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    source = BytesSource(isos.make({"a": b"content"}))
    monkeypatch.setattr(limits, "ISO_RUNS", 1)
    [file] = iso.read(source)
    assert (file.runs is not None, file.is_hiding) == (True, False)
    monkeypatch.setattr(limits, "ISO_RUNS", 0)
    assert {(file.runs, file.is_hiding) for file in iso.read(source)} == {(None, True)}


@bounds("IPE_POLICY_SIZE")
def test_an_ipe_policy_has_at_most_so_many_bytes() -> None:
    roots = [number.to_bytes(32, "big") for number in range(1, 1000)]
    empty = len(ipe_policy(1, []))
    each = len(ipe_policy(1, roots[:1])) - empty
    most = (limits.IPE_POLICY_SIZE - empty) // each
    assert len(ipe_policy(1, roots[:most])) <= limits.IPE_POLICY_SIZE
    with pytest.raises(RefusedError, match=f"for {most + 1} images"):
        ipe_policy(1, roots[: most + 1])
