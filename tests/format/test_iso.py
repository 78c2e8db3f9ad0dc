"""ISO 9660 images: every file that any tree of names shows is found once, where its bytes are."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import isos
from modseal import limits
from modseal.errors import FormatError
from modseal.files.part import within
from modseal.format import iso
from modseal.format.source import BytesSource

pytestmark = pytest.mark.skipif(not iso.is_available(), reason="pycdlib, which the test group has, is not installed")

FILES = {"a.txt": b"first", "folder/a long name of a file.vib": b"second" * 999, "folder/deep/er/empty": b""}


def contents(data: bytes) -> dict[str, bytes]:
    source = BytesSource(data)
    found = {}
    for file in iso.read(source):
        if file.runs is not None:
            content = within(source, file.runs)
            found[file.path] = content.read(0, content.size)
    return found


@pytest.mark.parametrize("trees", [{}, {"joliet": True}, {"joliet": True, "udf": True}])
def test_files_have_their_rock_ridge_names_and_bytes(trees: dict[str, bool]) -> None:
    found = contents(isos.make(FILES, **trees))
    assert {path: data for path, data in found.items() if data} == {path: data for path, data in FILES.items() if data}


def test_without_rock_ridge_joliet_names_count_and_without_both_the_plain_ones() -> None:
    assert contents(isos.make(FILES, rock_ridge=False, joliet=True)).items() >= {("a.txt", b"first")}
    assert sorted(contents(isos.make(FILES, rock_ridge=False)).values()) == sorted(FILES.values())
    assert all(";" not in path for path in contents(isos.make(FILES, rock_ridge=False)))


def test_a_file_that_one_tree_of_names_hides_is_found_under_another_name() -> None:
    data = bytearray(isos.make({"seen.vib": b"seen", "hidden.vib": b"hidden"}))
    at = data.index(b"hidden.vib")
    data[at : at + 10] = b"seen.vib\0\0"  # now two files have one Rock Ridge name
    assert {b"seen", b"hidden"} <= set(contents(bytes(data)).values())


@pytest.mark.parametrize("program", ["xorriso", "genisoimage"])
@pytest.mark.parametrize("options", [[], ["-R"], ["-J"], ["-R", "-J"], ["-R", "-udf"]])
def test_images_of_other_tools_are_read(tmp_path: Path, program: str, options: list[str]) -> None:
    found = {"xorriso": isos.XORRISO, "genisoimage": isos.GENISOIMAGE}[program]
    if not found or (program == "xorriso" and "-udf" in options):
        pytest.skip(f"{program} is not here, or cannot write that")
    for path, data in FILES.items():
        (tmp_path / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / path).write_bytes(data)
    (tmp_path / "tree" / "link").symlink_to("a.txt")
    image = isos.of_folder(found, tmp_path / "tree", tmp_path / "x.iso", *options)
    assert {data for data in contents(image.read_bytes()).values() if data} == {data for data in FILES.values() if data}


def test_a_file_that_mounts_read_otherwise_is_not_read_and_said() -> None:
    data = bytearray(isos.make({"a.vib": b"content"}, rock_ridge=False))
    record = data.index(b"F1.;1") - 33
    data[record + 1] = 1  # an extended attribute record of one block comes first
    [file] = iso.read(BytesSource(bytes(data)))
    assert (file.runs, file.is_hiding) == (None, True)


@pytest.mark.parametrize("size", [0, 100, 0x8000, 0x8800, 0x9000])
def test_an_image_that_ends_early_is_malformed(size: int) -> None:
    with pytest.raises(FormatError, match="ISO image"):
        iso.read(BytesSource(isos.make(FILES)[:size]))


def test_directories_and_files_are_bounded() -> None:
    data = isos.make(FILES)
    with mock.patch.object(limits, "ISO_DIRECTORIES_SIZE", 20_000), pytest.raises(FormatError) as caught:
        iso.read(BytesSource(data))
    assert caught.value.failure.code == "limit-exceeded"
    with mock.patch.object(limits, "ISO_ENTRIES", 2), pytest.raises(FormatError) as caught:
        iso.read(BytesSource(data))
    assert caught.value.failure.code == "limit-exceeded"


def test_a_folder_that_contains_itself_ends() -> None:
    data = bytearray(isos.make({"folder/a": b"x"}, rock_ridge=False))
    root = struct.unpack_from("<L", data, 0x8000 + 156 + 2)[0]
    record = data.index(b"\x02D1") - 32
    struct.pack_into("<L", data, record + 2, root)
    struct.pack_into(">L", data, record + 6, root)
    with pytest.raises(FormatError):
        iso.read(BytesSource(bytes(data)))


GOOD = isos.make(FILES, joliet=True) if iso.is_available() else bytes(0x9000)
USED = [at for at in range(0x8000, len(GOOD)) if GOOD[at]] or [0]


@given(st.lists(st.tuples(st.sampled_from(USED), st.integers(0, 255)), min_size=1, max_size=4))
def test_any_damage_gives_files_or_a_format_error(changes: list[tuple[int, int]]) -> None:
    data = bytearray(GOOD)
    for at, value in changes:
        data[at] = value
    try:
        iso.read(BytesSource(bytes(data)))
    except FormatError as error:
        assert error.failure.code in {"malformed-archive", "limit-exceeded", "truncated"}  # noqa: PT017


def test_the_library_is_loaded_by_nothing_else() -> None:
    import subprocess
    import sys

    code = "import sys; import modseal.cli.audit, modseal.format.iso; sys.exit('pycdlib' in sys.modules)"
    environ = {**os.environ, "PYTHONPATH": str(Path(iso.__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", code], env=environ, check=False).returncode == 0
