"""What fuzzing has found, one test each: an input that broke a promise, and what became of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from builders import policies
from modseal.bundle import layout
from modseal.errors import FormatError, PolicyError, SpecError
from modseal.format import tar
from modseal.format.manifest import Entry, FileType
from modseal.format.stream import Stream
from modseal.format.visor import VisorFields, VisorLayout
from modseal.packing import spec
from modseal.policy import sources as policy_sources

SPEC = 'schema = "modseal/module@1"\nvendor = "Acme"\nname = "hello"\nversion = "1"\n'
HIDDEN = Entry("hidden", FileType.FILE, 0o644, 0)


def renamed(entry: Entry, name: bytes) -> bytes:
    """The header of an entry with another name, and its true checksum."""
    header = name.ljust(tar.NAME_SIZE, b"\0") + tar.encode_header(entry, 0)[tar.NAME_SIZE :]
    blank = header[:148] + b" " * 8 + header[156:]
    return tar.with_checksum(blank, sum(blank))


@pytest.mark.parametrize("name", [b"./", b"././"])
@pytest.mark.parametrize("kind", [FileType.FILE, FileType.SYMLINK])
def test_only_a_folder_is_the_root_of_a_tar(name: bytes, kind: FileType) -> None:
    """A file `././` was left out of the listing, and its content was read as headers, which GNU tar does not do."""
    first = replace(HIDDEN, type=kind, size=tar.BLOCK, target="a" if kind is FileType.SYMLINK else None)
    data = renamed(first, name) + tar.encode_header(HIDDEN, 0) + bytes(2 * tar.BLOCK)
    with pytest.raises(FormatError) as caught:
        list(tar.read(Stream(iter([data]), "bad-listing"), tar.Dialect.LEGACY))
    assert caught.value.failure.code == "unsafe-path"


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"])
def test_a_time_outside_the_calendar_of_utc_is_a_problem_of_the_spec(time: str) -> None:
    """It was an `OverflowError`."""
    with pytest.raises(SpecError, match=r"module.toml:5: released: must have an offset"):
        spec.parse(f"{SPEC}released = {time}\n".encode(), "module.toml")


def test_a_year_before_1000_has_four_digits() -> None:
    """It was written with three, which the manifest's own reader refuses."""
    assert (
        spec.parse(f"{SPEC}released = 0999-01-01T00:00:00Z\n".encode(), "module.toml").released
        == "0999-01-01T00:00:00Z"
    )


def test_a_nul_in_the_name_of_a_file_is_a_problem_of_the_policy(tmp_path: Path) -> None:
    """It was the `ValueError` that `open` raises."""
    path = policies.write(tmp_path, more='\n[revocation]\ncrls = ["a\\u0000b"]\n')
    with pytest.raises(PolicyError, match=r"policy.toml:10: revocation.crls: 'a\\x00b' is not a file name"):
        policy_sources.load(str(path))


def test_a_path_of_a_layout_is_text() -> None:
    """A lone surrogate was read, and could not be written."""
    made = layout.encode(VisorLayout(fields={"opt": VisorFields("5")}), [Entry("opt", FileType.DIRECTORY, 0o755)])
    with pytest.raises(SpecError, match=r"entries\[0\].path: .*text without surrogates"):
        layout.decode(made.replace(b'"opt"', b'"\\ud800"'), "x.layout.json")
