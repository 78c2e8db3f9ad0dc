"""Program headers: read as other tools read them, and only where everything in a header goes together."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import elf_files
from modseal.errors import FormatError
from modseal.format import elf
from modseal.format.elf import Segment


def test_segments_are_read_in_their_order_wherever_their_table_is() -> None:
    wanted = tuple(Segment(*row) for row in elf_files.GOOD)
    assert elf.segments(elf_files.program()) == wanted
    assert elf.segments(elf_files.program(type_=2, table=5000)) == wanted


def native() -> list[Path]:
    """Programs and libraries of this machine."""
    folder = Path(sysconfig.get_path("platstdlib"), "lib-dynload")
    return [Path(sys.executable).resolve(), *sorted(folder.glob("*.so"))[:5]]


@pytest.mark.skipif(not shutil.which("readelf") or sys.platform != "linux", reason="readelf is not installed")
@pytest.mark.parametrize("path", native(), ids=lambda path: path.name)
def test_readelf_sees_the_same_segments(path: Path) -> None:
    command = ["readelf", "-lW", path]
    shown = subprocess.run(command, env={"LC_ALL": "C"}, capture_output=True, text=True, check=True).stdout
    line = re.compile(r"^  (\w+) +(?:0x\w+ ){3}(0x\w+) (0x\w+) ([R ])([W ])([E ]) ", re.MULTILINE)
    types = {"LOAD": elf.LOAD, "GNU_STACK": elf.STACK}
    wanted = [
        (
            types[name],
            4 * (r == "R") | elf.WRITABLE * (w == "W") | elf.CODE * (x == "E"),
            int(size, 16),
            int(memory, 16),
        )
        for name, size, memory, r, w, x in line.findall(shown)
        if name in types
    ]
    found = elf.segments(path.read_bytes())
    assert wanted
    assert [(one.type, one.flags, one.in_file, one.in_memory) for one in found if one.type in types.values()] == wanted


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (elf_files.program()[:63], "its header is cut off"),
        (b"\x7fELG" + elf_files.program()[4:], "no ELF file"),
        (elf_files.program(identity=b"\x7fELF\1\1\1" + bytes(9)), "another machine than x86-64"),  # Linux runs it
        (elf_files.program(identity=b"\x7fELF\2\2\1" + bytes(9)), "another machine than x86-64"),
        (elf_files.program(machine=3), "another machine than x86-64"),
        (elf_files.program(machine=183), "another machine than x86-64"),
        (elf_files.program(type_=1), "neither a program nor a library"),
        (elf_files.program(type_=4), "neither a program nor a library"),
        (elf_files.program(row_size=32), "3 rows of 32 bytes"),
        (elf_files.program(row_size=57), "3 rows of 57 bytes"),
        (elf_files.program(number=0xFFFF), "65535 rows of 56 bytes"),
        (elf_files.program(number=4), "its program header table is cut off"),
        (elf_files.program()[: 64 + 3 * 56 - 1], "its program header table is cut off"),
        (elf_files.program()[:32] + b"\xff" * 8 + elf_files.program()[40:], "its program header table is cut off"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(broken: bytes, why: str) -> None:
    with pytest.raises(FormatError, match=why):
        elf.segments(broken)


@given(st.binary(max_size=200), st.integers(0, 232))
def test_any_bytes_are_segments_or_a_format_error(data: bytes, at: int) -> None:
    data = elf_files.program()[:at] + data + elf_files.program()[at + len(data) :]
    try:
        found = elf.segments(data)
    except FormatError:
        return
    assert len(found) * 56 <= len(data)
    assert all(isinstance(one, Segment) for one in found)
