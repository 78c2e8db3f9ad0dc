"""A zip archive is refused, or Python, Info-ZIP and libarchive see in it what modseal sees."""

from __future__ import annotations

import io
import subprocess
import zipfile
from pathlib import Path
from random import Random
from typing import Any

from builders.zips import DEFLATED, DESCRIPTOR, STORED, TIMES, UTF8, Part, archive
from differential.views import COUNT, ENVIRONMENT, needs
from modseal.errors import FormatError
from modseal.format import zip as zip_format
from modseal.format.manifest import FileType
from modseal.format.source import BytesSource

SEEDS = COUNT or 1500
PROGRAMS = 5
"""With every so many accepted archives other programs are asked, too; Python is with each."""

NAMES = ("a", "b", "A", "d/", "d/a", "d/b", "D/c", "é", "../x", "/x", "d\\a", "a b", "a\tb", "-", "index.xml")
VALUES = (0, 1, 2, 3, 8, 20, 0x41ED0010, 0o100644 << 16, 0o120777 << 16, 0xFFFF)
END = ("disk", "directory_disk", "here", "entries", "size", "start", "comment_size")
FIELDS = ("needed", "flags", "method", "time", "crc", "packed", "size")
CENTRAL = (*FIELDS, "made", "disk", "internal", "attributes", "offset")


def mutant(chance: Random) -> bytes:
    """A good archive of a few entries, changed in about one place: a field of a header, a name, or raw bytes."""
    parts = [part(chance, name) for name in chance.sample(NAMES[:6], chance.randrange(1, 4))]
    if chance.random() < 0.3:
        parts[0] = part(chance, chance.choice(NAMES))
    end: dict[str, Any] = {}
    kind = chance.randrange(8)
    if kind == 0:
        end[chance.choice(END)] = chance.choice(VALUES) & 0xFFFF
    elif kind == 1:
        end[chance.choice(("prefix", "suffix", "comment", "before_directory"))] = chance.randbytes(chance.randrange(9))
    elif kind == 2:
        end["order"] = [chance.randrange(len(parts)) for _ in parts]
    data = bytearray(archive(parts, **end))
    if kind == 3:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == 4:
        data[chance.randrange(len(data))] = chance.randrange(256)
    elif kind == 5:
        at = chance.randrange(len(data))
        del data[at : at + chance.randrange(1, 40)]
    return bytes(data)


def part(chance: Random, name: str) -> Part:
    """An entry; every third has a field that is wrong."""
    is_folder = name.endswith("/")
    changes: dict[str, Any] = {}
    if chance.random() < 0.3:
        where = chance.choice(("both", "local", "central"))
        field = chance.choice(CENTRAL if where == "central" else FIELDS)
        changes[where] = {field: chance.choice(VALUES) & (0xFFFF if field in ("needed", "flags", "method", "time",
                                                          "made", "disk", "internal") else 0xFFFF_FFFF)}  # fmt: skip
    elif chance.random() < 0.3:
        changes["both"] = {"extra": TIMES}
    flags = (0 if name.isascii() else UTF8) | (DESCRIPTOR if chance.random() < 0.3 and not is_folder else 0)
    content = b"" if is_folder else chance.randbytes(chance.randrange(40))
    return Part(name, content, STORED if is_folder else chance.choice((STORED, DEFLATED)), flags, **changes)


def modseal_view(data: bytes) -> dict[str, bytes] | None:
    source = BytesSource(data)
    try:
        return {
            one.path + "/" * (one.type is FileType.DIRECTORY): b"".join(zip_format.blocks(source, one))
            for one in zip_format.read(source)
        }
    except FormatError:
        return None


def python_view(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert len(set(opened.namelist())) == len(opened.namelist())
        return {name: opened.read(name) for name in opened.namelist()}


def printed(*command: str) -> bytes:
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=True, timeout=60).stdout


def require_programs_agree(path: Path, expected: dict[str, bytes]) -> None:
    whole = b"".join(data for name, data in expected.items() if not name.endswith("/"))
    assert printed("unzip", "-Z1", str(path)).decode().splitlines() == list(expected)
    assert printed("unzip", "-p", str(path)) == whole
    assert printed("bsdtar", "-tf", str(path)).decode().splitlines() == list(expected)
    assert printed("bsdtar", "-xOf", str(path)) == whole


@needs("unzip", "bsdtar")
def test_a_mutated_zip_archive_is_refused_or_everybody_sees_the_same(tmp_path: Path) -> None:
    accepted = 0
    path = tmp_path / "archive.zip"
    for seed in range(SEEDS):
        data = mutant(Random(seed))
        expected = modseal_view(data)
        if not expected:
            continue
        accepted += 1
        try:
            assert python_view(data) == expected
            if accepted % PROGRAMS == 0:
                path.write_bytes(data)
                require_programs_agree(path, expected)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
    print(f"zip: {SEEDS} archives, {accepted} accepted, 0 divergences")  # noqa: T201
    assert SEEDS // 10 < accepted < SEEDS
