"""Zip: what real tools write is read, and nothing that two readers could take differently."""

from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.zips import DEFLATED, DESCRIPTOR, STORED, TIMES, UTF8, WIDE, Part, archive, deflate, end64, write
from modseal import limits
from modseal.errors import FormatError
from modseal.format import zip as zip_format
from modseal.format.manifest import FileType
from modseal.format.source import BLOCK, BytesSource, FileSource

TREE = {
    "index.xml": b"<a/>" * 500,
    "vib20/": b"",
    "vib20/a/": b"",
    "vib20/a/b.vib": bytes(range(256)) * 40,
    "empty": b"",
}
Contents = dict[str, bytes | None]


def contents(data: bytes) -> Contents:
    """Every path with its bytes; None for a directory."""
    source = BytesSource(data)
    return {
        one.path: b"".join(zip_format.blocks(source, one)) if one.type is FileType.FILE else None
        for one in zip_format.read(source)
    }


def files(found: Contents) -> dict[str, bytes]:
    return {path: data for path, data in found.items() if data is not None}


def code(data: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        contents(data)
    assert caught.value.failure.detail
    return caught.value.failure.code


# What real tools write.


def python(method: int, *, stream: bool = False, wide: bool = False) -> bytes:
    """As Python writes it, into a file or into a pipe; `wide` asks for zip64 fields."""
    out = io.BytesIO()
    if stream:
        out.seekable = lambda: False  # type: ignore[method-assign]
        out.tell = _no_position  # type: ignore[method-assign]
    with zipfile.ZipFile(out, "w", method) as made:
        for name, data in TREE.items():
            if name.endswith("/") or not wide:
                made.writestr(name, data)
            else:
                with made.open(name, "w", force_zip64=True) as file:
                    file.write(data)
    return out.getvalue()


def _no_position() -> int:
    raise OSError("a pipe has none")


def seven_zip() -> bytes:
    """As 7-Zip on Windows writes: system 0, made by 63, the archive bit, NTFS times in the directory alone."""
    times = struct.pack("<HHIHH24s", 0x000A, 32, 0, 1, 24, bytes(24))
    made = {"made": 63, "extra": times}
    return archive([
        Part(name, data, STORED if name.endswith("/") else DEFLATED,
             central={**made, "attributes": 0x10 if name.endswith("/") else 0x20})
        for name, data in TREE.items()
    ])  # fmt: skip


def dot_net() -> bytes:
    """As .NET writes: system 0, no attributes, deflate's level among the flags, folders without attributes."""
    return archive([
        Part(name, data, STORED if name.endswith("/") else DEFLATED, 0 if name.endswith("/") else 2,
             central={"made": 20, "attributes": 0})
        for name, data in TREE.items()
    ])  # fmt: skip


WRITTEN: dict[str, Callable[[], bytes]] = {
    **{
        f"Python, method {method}{', into a pipe' * stream}{', zip64' * wide}": partial(
            python, method, stream=stream, wide=wide
        )
        for method in (STORED, DEFLATED)
        for stream in (False, True)
        for wide in (False, True)
    },
    "7-Zip": seven_zip,
    ".NET": dot_net,
    "our builder": lambda: write(TREE),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_a_library_writes_is_read(name: str) -> None:
    data = WRITTEN[name]()
    assert files(contents(data)) == {path: one for path, one in TREE.items() if not path.endswith("/")}
    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None


COMMANDS = {
    "zip": "zip -qr OUT index.xml vib20 empty",
    "zip, stored": "zip -qr0 OUT index.xml vib20 empty",
    "zip into a pipe": "zip -qr - index.xml vib20 empty | cat > OUT",
    "zip, without extra fields": "zip -qrX OUT index.xml vib20 empty",
    "zip, zip64": "zip -qr -fz OUT index.xml vib20 empty",
    "zip, with a comment": "echo comment | zip -qrz OUT index.xml vib20 empty",
    "zip, updated": "zip -q OUT index.xml empty && zip -qr OUT vib20 && zip -q OUT index.xml",
    "bsdtar": "bsdtar -cf OUT --format zip index.xml vib20 empty",
    "bsdtar, stored": "bsdtar -cf OUT --format zip --options zip:compression=store index.xml vib20 empty",
    "bsdtar, zip64": "bsdtar -cf OUT --format zip --options zip:zip64 index.xml vib20 empty",
    "python -m zipfile": "python3 -m zipfile -c OUT index.xml vib20 empty",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_program_writes_is_read(tmp_path: Path, name: str) -> None:
    program = COMMANDS[name].removeprefix("echo comment | ").split()[0]
    if not shutil.which(program):
        pytest.skip(f"not on this machine: {program}")
    folder, out = tmp_path / "tree", tmp_path / "out.zip"
    for path, data in TREE.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if not path.endswith("/"):
            (folder / path).write_bytes(data)
    command = COMMANDS[name].replace("OUT", str(out))
    subprocess.run(["sh", "-c", command], cwd=folder, check=True, capture_output=True, timeout=60)
    found = contents(out.read_bytes())
    assert files(found) == {path: data for path, data in TREE.items() if not path.endswith("/")}
    assert {path for path, data in found.items() if data is None} == {"vib20", "vib20/a"}


def test_an_archive_without_entries_is_read(tmp_path: Path) -> None:
    assert contents(archive([])) == {}
    (tmp_path / "empty.zip").write_bytes(archive([]))
    with (tmp_path / "empty.zip").open("rb") as file:
        assert zip_format.read(FileSource(file.fileno())) == ()


def test_a_stored_archive_in_an_archive_is_a_file_like_any_other() -> None:
    inner = archive([A, B], comment=b"inner")
    assert contents(archive([Part("metadata.zip", inner, STORED)])) == {"metadata.zip": inner}


def test_a_name_marked_as_utf8_is_read() -> None:
    assert contents(archive([Part("é", b"x", flags=UTF8)])) == {"é": b"x"}


def test_a_stored_file_is_a_span_of_the_archive() -> None:
    source = BytesSource(archive([Part("a", b"x"), Part("b", b"content", STORED)]))
    span = zip_format.read(source)[1].packed(source)
    assert (span.size, span.read(3, 4)) == (7, b"tent")


def test_an_entry_with_zip64_fields_in_both_headers_is_read() -> None:
    wide = struct.pack("<HHQQ", 1, 16, 2, 2)
    part = Part("a", b"ab", STORED, both={"size": WIDE, "packed": WIDE, "extra": wide})
    assert contents(archive([part])) == {"a": b"ab"}
    far = struct.pack("<HHQ", 1, 8, 0)
    assert contents(archive([Part("a", b"ab", central={"offset": WIDE, "extra": far})])) == {"a": b"ab"}


def test_an_archive_with_a_zip64_end_is_read() -> None:
    parts = [Part("a", b"ab", STORED)]
    plain = archive(parts)
    start, size = plain.index(b"PK\x01\x02"), plain.index(b"PK\x05\x06") - plain.index(b"PK\x01\x02")
    more = end64(1, size, start)
    assert contents(archive(parts, zip64=more)) == {"a": b"ab"}
    assert contents(archive(parts, zip64=more, start=WIDE, size=WIDE, entries=0xFFFF, here=0xFFFF)) == {"a": b"ab"}


# What is refused: a good archive with one thing wrong.

A, B = Part("a", b"alpha" * 20), Part("b", b"beta", STORED)
SYMLINK = {"attributes": 0o120777 << 16}


def wide_end(narrow: int = 1, magic: bytes = b"PK\x06\x06", **changes: Any) -> bytes:
    """An archive with both ends; `narrow` is how many entries the other one says."""
    plain = archive([B])
    start, end = plain.index(b"PK\x01\x02"), plain.index(b"PK\x05\x06")
    wide = end64(1, end - start, start, **changes).replace(b"PK\x06\x06", magic)
    return archive([B], zip64=wide, here=narrow, entries=narrow)


def two_ends() -> bytes:
    """An end whose comment is a whole second archive's directory and end."""
    inner = archive([B])
    return archive([A, B], comment=inner[inner.index(b"PK\x01\x02") :])


def hidden_end() -> bytes:
    """A stored file that holds an end of its own, whose comment reaches to the end of the archive."""
    for _ in range(2):
        hidden = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, 0, 0, 0)
        made = archive([Part("a", hidden, STORED)])
        at = made.index(b"PK\x05\x06")
        hidden = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, 0, 0, len(made) - at - 22)
    return archive([Part("a", hidden, STORED)])


def extra(field: int, data: bytes = b"") -> dict[str, int | bytes]:
    return {"extra": struct.pack("<HH", field, len(data)) + data}


REFUSED: dict[str, tuple[str, bytes]] = {
    # names
    "a name that climbs": ("unsafe-path", archive([Part("../a", b"x")])),
    "a name that climbs further in": ("unsafe-path", archive([Part("a/../../b", b"x")])),
    "an absolute name": ("unsafe-path", archive([Part("/etc/a", b"x")])),
    "a name with backslashes": ("unsafe-path", archive([Part("..\\a", b"x")])),
    "a name with a control": ("unsafe-path", archive([Part("a\nb", b"x")])),
    "a name with NUL": ("unsafe-path", archive([Part("a\0.vib", b"x")])),
    "no name": ("unsafe-path", archive([Part("", b"x")])),
    "only a slash": ("unsafe-path", archive([Part("/", b"", STORED)])),
    "a name of another character set": ("unsafe-path", archive([Part("é", b"x")])),
    "a name that is not UTF-8": ("unsafe-path", archive([Part("", b"x", flags=UTF8, both={"name": b"\xff"})])),
    "a name twice": ("duplicate-member", archive([A, A])),
    "a name in two cases": ("unsafe-path", archive([A, Part("A", b"x")])),
    "a file and a folder of one name": ("duplicate-member", archive([A, Part("a/", b"", STORED)])),
    "a file below a file": ("unsafe-path", archive([A, Part("a/b", b"x")])),
    "a folder in two cases": ("unsafe-path", archive([Part("d/a", b"x"), Part("D/b", b"x")])),
    # one header against the other
    "two names": ("malformed-archive", archive([Part("a", b"x", central={"name": b"b"})])),
    "two methods": ("malformed-archive", archive([Part("a", b"x", STORED, local={"method": DEFLATED})])),
    "two CRCs": ("malformed-archive", archive([Part("a", b"x", local={"crc": 1})])),
    "two sizes": ("malformed-archive", archive([Part("a", b"x", local={"size": 2})])),
    "two packed sizes": ("malformed-archive", archive([Part("a", b"x", local={"packed": 2})])),
    "two flags": ("malformed-archive", archive([Part("a", b"x", local={"flags": 2})])),
    "two times": ("malformed-archive", archive([Part("a", b"x", local={"time": 2})])),
    "sizes that are not there yet, without a descriptor": (
        "malformed-archive", archive([Part("a", b"x", local={"crc": 0, "size": 0, "packed": 0})])),
    "no descriptor": ("malformed-archive", archive([Part("a", b"x", flags=DESCRIPTOR, after=b"")])),
    "another descriptor": (
        "malformed-archive", archive([Part("a", b"x", flags=DESCRIPTOR, after=b"PK\x07\x08" + bytes(12))])),
    "a descriptor without its magic": (
        "malformed-archive",
        archive([Part("a", b"x", flags=DESCRIPTOR, after=struct.pack("<3L", zlib.crc32(b"x"), 3, 1))])),
    "another size in the descriptor's header": (
        "malformed-archive", archive([Part("a", b"x", flags=DESCRIPTOR, local={"size": 7})])),
    # the place of everything
    "bytes before": ("malformed-archive", archive([A, B], prefix=b"#!/bin/sh\n")),
    "bytes before, with the offsets put right": (
        "malformed-archive",
        archive([Part("a", b"x", STORED, central={"offset": 3})], prefix=b"abc", start=35)),
    "bytes after": ("trailing-bytes", archive([A, B], suffix=b"\0")),
    "many bytes after": ("truncated", archive([A, B], suffix=bytes(70_000))),
    "another archive after": ("malformed-archive", archive([A, B]) + archive([A])),
    "no local header where there must be one": ("malformed-archive", b"PK\x03\x05" + archive([A])[4:]),
    "a gap between entries": ("malformed-archive", archive([Part("a", b"x", gap=b"hidden"), B])),
    "a gap before the directory": ("malformed-archive", archive([A, B], before_directory=b"hidden")),
    "an entry that is not listed": ("malformed-archive", archive([A, B], order=[0])),
    "the last entry listed alone": ("malformed-archive", archive([A, B], order=[1])),
    "entries in another order": ("malformed-archive", archive([A, B], order=[1, 0])),
    "an entry listed twice": ("malformed-archive", archive([A], order=[0, 0])),
    "two entries in one place": (
        "malformed-archive", archive([A, Part("a", b"alpha" * 20, central={"offset": 0, "name": b"b"})])),
    "an entry that reaches into the directory": (
        "malformed-archive", archive([Part("a", b"x", STORED, both={"size": 60, "packed": 60})])),
    "an entry that starts in the directory": (
        "malformed-archive", archive([A, Part("b", b"x", central={"offset": 200})])),
    "bytes in the directory after its entries": ("malformed-archive", archive([A], after_directory=b"PK\x05\x05\0\0")),
    "bytes between the directory and the end": ("malformed-archive", archive([A, B], zip64=b"hidden")),
    "an entry in the directory that is cut": (
        "malformed-archive", archive([A], after_directory=b"PK\x01\x02 and no more", here=2, entries=2)),
    "fewer entries than there are": ("malformed-archive", archive([A, B], here=1, entries=1)),
    "more entries than there are": ("malformed-archive", archive([A, B], here=3, entries=3)),
    "a directory that starts later": ("malformed-archive", archive([A, B], start=40)),
    # the end
    "nothing": ("malformed-archive", b""),
    "no archive": ("malformed-archive", b"#!/bin/sh\nexit\n"),
    "an archive that is cut": ("truncated", archive([A, B])[:-30]),
    "an end that is cut": ("truncated", archive([A, B])[:-1]),
    "a comment that is shorter than it says": ("truncated", archive([A], comment=b"abc", comment_size=4)),
    "a comment that is longer than it says": ("trailing-bytes", archive([A], comment=b"abc", comment_size=2)),
    "a second end in the comment": ("malformed-archive", two_ends()),
    "a second end in a stored file": ("malformed-archive", hidden_end()),
    "several disks": ("malformed-archive", archive([A], disk=1)),
    "a directory on another disk": ("malformed-archive", archive([A], directory_disk=1)),
    "entries on another disk": ("malformed-archive", archive([A], here=0)),
    "an entry on another disk": ("malformed-archive", archive([Part("a", b"x", central={"disk": 1})])),
    "an end that waits for zip64": ("malformed-archive", archive([A], start=WIDE)),
    "a zip64 end of another magic": ("malformed-archive", wide_end(magic=b"PK\x06\x05")),
    "a zip64 end with its directory on another disk": ("malformed-archive", wide_end(directory_disk=1)),
    "a zip64 end with entries on another disk": ("malformed-archive", wide_end(here=2)),
    "an end that disagrees with its zip64 form": ("malformed-archive", wide_end(narrow=2)),
    "two ends that disagree": ("malformed-archive", wide_end(entries=2, here=2)),
    "a zip64 end of another length": ("malformed-archive", wide_end(length=45)),
    "a zip64 end of a newer version": ("malformed-archive", wide_end(needed=46)),
    "a zip64 end on another disk": ("malformed-archive", wide_end(disk=1)),
    "a zip64 locator to another disk": ("malformed-archive", wide_end(on_disk=1)),
    "a zip64 locator of several disks": ("malformed-archive", wide_end(disks=2)),
    "a gap after the zip64 end": ("malformed-archive", wide_end(gap=b"hidden")),
    "a zip64 end somewhere else": ("malformed-archive", wide_end(at=3)),
    # features
    "an encrypted entry": ("malformed-archive", archive([Part("a", b"x", flags=1)])),
    "a strongly encrypted entry": ("malformed-archive", archive([Part("a", b"x", flags=0x41)])),
    "a hidden local header": ("malformed-archive", archive([Part("a", b"x", flags=0x2000)])),
    "a patch": ("malformed-archive", archive([Part("a", b"x", flags=0x20)])),
    "a newer version": ("malformed-archive", archive([Part("a", b"x", both={"needed": 46})])),
    "a version that needs VMS": ("malformed-archive", archive([Part("a", b"x", both={"needed": 0x0214})])),
    "an entry made by VMS": ("malformed-archive", archive([Part("a", b"x", central={"made": 0x0214})])),
    "an unknown method": ("malformed-archive", archive([Part("a", b"x", method=12, packed=b"x")])),
    "deflate64": ("malformed-archive", archive([Part("a", b"x", method=9, packed=deflate(b"x"))])),
    "a symbolic link": ("unsafe-type", archive([Part("a", b"/etc/passwd", STORED, central=SYMLINK)])),
    "a symbolic link of another system": (
        "unsafe-type", archive([Part("a", b"/etc", STORED, central={**SYMLINK, "made": 20})])),
    "a FIFO": ("unsafe-type", archive([Part("a", b"", STORED, central={"attributes": 0o010644 << 16})])),
    "a device": ("unsafe-type", archive([Part("a", b"", STORED, central={"attributes": 0o060644 << 16})])),
    "a reparse point": ("unsafe-type", archive([Part("a", b"", STORED, central={"attributes": 0x400})])),
    "a volume label": ("unsafe-type", archive([Part("a", b"", STORED, central={"attributes": 0x08})])),
    "a file that is a folder": ("unsafe-type", archive([Part("a", b"x", central={"attributes": 0o040755 << 16})])),
    "a file with a folder's attribute": ("unsafe-type", archive([Part("a", b"x", central={"attributes": 0x10})])),
    "a folder that is a file": (
        "unsafe-type", archive([Part("a/", b"", STORED, central={"attributes": 0o100644 << 16})])),
    "a folder with content": ("malformed-archive", archive([Part("a/", b"x", STORED)])),
    "a folder with deflated content": ("malformed-archive", archive([Part("a/", b"x")])),
    "a folder with hidden content": ("malformed-archive", archive([Part("a/", b"", packed=b"\x01\x00")])),
    # extra fields
    "another name in an extra field": (
        "malformed-archive", archive([Part("a", b"x", both=extra(0x7075, b"\x01" + bytes(4) + b"../b"))])),
    "a link in an extra field": ("malformed-archive", archive([Part("a", b"x", both=extra(0x756E, bytes(14)))])),
    "AES in an extra field": ("malformed-archive", archive([Part("a", b"x", both=extra(0x9901, bytes(7)))])),
    "an extra field that is cut": ("malformed-archive", archive([Part("a", b"x", both={"extra": TIMES[:-1]})])),
    "the start of an extra field": ("malformed-archive", archive([Part("a", b"x", both={"extra": b"UT"})])),
    "an extra field twice": ("malformed-archive", archive([Part("a", b"x", both={"extra": TIMES * 2})])),
    "a zip64 field for one size of a local header": (
        "malformed-archive",
        archive([Part("a", b"x", STORED, local={"size": WIDE, **extra(1, struct.pack("<Q", 1))})])),
    "a needless zip64 field": ("malformed-archive", archive([Part("a", b"x", local=extra(1, bytes(16)))])),
    "a needless zip64 field in the directory": ("malformed-archive", archive([Part("a", b"x", central=extra(1, b""))])),
    "a zip64 field that is too long": (
        "malformed-archive",
        archive([Part("a", b"x", STORED, central={"size": WIDE, **extra(1, struct.pack("<QQ", 1, 1))})])),
    "a size without its zip64 field": ("malformed-archive", archive([Part("a", b"x", central={"size": WIDE})])),
    # content
    "a wrong CRC": ("bad-payload", archive([Part("a", b"x", both={"crc": 1})])),
    "a wrong CRC of a stored file": ("bad-payload", archive([Part("a", b"x", STORED, both={"crc": 1})])),
    "more than it declares": ("bad-payload", archive([Part("a", b"alpha", both={"size": 4})])),
    "less than it declares": ("bad-payload", archive([Part("a", b"alpha", both={"size": 6})])),
    "a stored file of two sizes": ("malformed-archive", archive([Part("a", b"alpha", STORED, both={"size": 6})])),
    "bytes after the deflated data": ("trailing-bytes", archive([Part("a", b"x", packed=deflate(b"x") + b"!")])),
    "deflated data that ends early": ("bad-payload", archive([Part("a", b"alpha", packed=deflate(b"alpha")[:-2])])),
    "no deflated data": ("bad-payload", archive([Part("a", b"", packed=b"")])),
    "damaged deflated data": ("bad-payload", archive([Part("a", b"x", packed=b"\xff\xff\xff")])),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_an_archive_is_refused_with(name: str) -> None:
    expected, data = REFUSED[name]
    assert code(data) == expected


def test_the_archives_above_are_good_but_for_one_thing() -> None:
    assert contents(archive([A, B])) == {"a": b"alpha" * 20, "b": b"beta"}
    assert contents(archive([Part("a", b"x", flags=DESCRIPTOR), B])) == {"a": b"x", "b": b"beta"}
    assert contents(archive([Part("a", b"x", both={"extra": TIMES})], comment=b"abc")) == {"a": b"x"}
    assert contents(archive([Part("a/", b""), Part("a/b", b"x")])) == {"a": None, "a/b": b"x"}
    assert contents(wide_end()) == {"b": b"beta"}


def test_bytes_after_deflated_data_are_found_in_a_later_block() -> None:
    data = os.urandom(300_000)
    assert code(archive([Part("a", data, packed=deflate(data) + bytes(300_000))])) == "trailing-bytes"


def test_bytes_after_deflated_data_that_ends_with_a_block_are_found() -> None:
    """Deflated by not compressing: its length can be chosen."""
    for size in range(BLOCK - 100, BLOCK):
        packer = zlib.compressobj(0, zlib.DEFLATED, -15)
        packed = packer.compress(bytes(size)) + packer.flush()
        if len(packed) == BLOCK:
            break
    assert len(packed) == BLOCK
    assert contents(archive([Part("a", bytes(size), packed=packed)])) == {"a": bytes(size)}
    assert code(archive([Part("a", bytes(size), packed=packed + b"!")])) == "trailing-bytes"


def test_no_more_is_unpacked_than_is_declared() -> None:
    """One block beyond at the most, of an archive that unpacks to 8 MiB."""
    source = BytesSource(archive([Part("a", bytes(8 * limits.MIB), both={"size": 1000})]))
    [entry] = zip_format.read(source)
    given_out: list[int] = []
    with pytest.raises(FormatError):
        given_out.extend(len(block) for block in zip_format.blocks(source, entry))
    assert sum(given_out) <= 1000


def test_blocks_are_small_whatever_they_unpack_to() -> None:
    source = BytesSource(archive([Part("a", os.urandom(64 * limits.KIB) * 16)]))
    [entry] = zip_format.read(source)
    sizes = [len(block) for block in zip_format.blocks(source, entry)]
    assert sum(sizes) == entry.size
    assert max(sizes) <= 256 * limits.KIB


# Any bytes.


@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_or_a_format_error(data: bytes) -> None:
    with suppress(FormatError):
        contents(data)


SEED = archive([
    Part("a", b"alpha" * 9, flags=DESCRIPTOR), Part("d/", b"", STORED),
    Part("d/b", b"beta", STORED, both={"extra": TIMES}),
], comment=b"c")  # fmt: skip


@settings(max_examples=300)
@given(st.data())
def test_a_changed_archive_is_a_value_or_a_format_error(data: st.DataObject) -> None:
    start, length = data.draw(st.integers(0, len(SEED))), data.draw(st.integers(0, 8))
    changed = SEED[:start] + data.draw(st.binary(max_size=8)) + SEED[start + length :]
    with suppress(FormatError):
        contents(changed)


def test_every_flipped_bit_is_refused_or_changes_nothing() -> None:
    good, harmless = contents(SEED), 0
    for at in range(len(SEED)):
        for bit in range(8):
            changed = bytearray(SEED)
            changed[at] ^= 1 << bit
            try:
                assert contents(bytes(changed)) == good, (at, bit)
                harmless += 1
            except FormatError:
                pass
    # Versions, permissions, internal attributes, owners and times that only one header has, the comment.
    assert harmless < len(SEED) * 8 // 5


def test_every_archive_that_is_cut_is_refused() -> None:
    for end in range(len(SEED)):
        assert code(SEED[:end]) in ("truncated", "malformed-archive")
