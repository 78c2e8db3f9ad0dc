"""Limits of images: those of ISO 9660 that are read, those that an IPE policy lists, and what a host is sent."""

from __future__ import annotations

import io
from bisect import bisect_left

import pytest

from builders import isos
from builders.slots import OWNER
from limits.cover import bounds
from modseal import limits
from modseal.boot import requests
from modseal.boot.requests import Running, UpdatePart, UpdateRequest
from modseal.errors import FormatError, RefusedError
from modseal.format import iso
from modseal.format.source import BytesSource
from modseal.host.export import ipe_policy
from modseal.image.update import signed

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


def _read(parts: tuple[UpdatePart, ...], host: str = "edge") -> None:
    request = UpdateRequest(host, Running(1, 1), "0" * 64, "0" * 64, 1, parts)
    requests.read(io.BytesIO(signed(request, OWNER.signer())).read, OWNER.certificate)


@bounds("UPDATE_SIZE")
def test_an_update_has_at_most_so_many_bytes() -> None:
    names = ("boot.efi", "root.img", "generation.json")
    sizes = [1, 1, limits.UPDATE_SIZE - 2]
    _read(tuple(UpdatePart(name, size, "0" * 64) for name, size in zip(names, sizes, strict=True)))
    sizes[0] += 1
    with pytest.raises(RefusedError, match=f"over {limits.UPDATE_SIZE} bytes"):
        _read(tuple(UpdatePart(name, size, "0" * 64) for name, size in zip(names, sizes, strict=True)))


@bounds("REQUEST_SIZE")
def test_a_request_has_at_most_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = tuple(UpdatePart(name, 1, "0" * 64) for name in ("boot.efi", "root.img", "generation.json"))
    head = signed(UpdateRequest("edge", Running(1, 1), "0" * 64, "0" * 64, 1, parts), OWNER.signer())
    size = int(head.split()[1])
    monkeypatch.setattr(limits, "REQUEST_SIZE", size)
    _read(parts)
    monkeypatch.setattr(limits, "REQUEST_SIZE", size - 1)
    with pytest.raises(RefusedError, match="does not begin as a request"):
        _read(parts)
