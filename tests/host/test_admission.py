"""What may run, on values: content, bits that lend rights, and interpreters."""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from modseal.format.manifest import Entry, FileType
from modseal.host.admission import HEAD_SIZE, Admission, arguments, interpreter, named_by_env


def file(path: str, content: bytes = b"program", mode: int = 0o755) -> Entry:
    return Entry(path, FileType.FILE, mode, len(content), hashlib.sha256(content).digest())


def code(admission: Admission, content: bytes, mode: int = 0o755, **options: bool) -> str | None:
    failure = admission.judge(hashlib.sha256(content).digest(), mode, **{"execute": True, "started": False} | options)
    return failure.code if failure else None


def test_content_that_a_module_has_may_run_whatever_its_path() -> None:
    admission = Admission({"acme": [file("opt/acme/run"), Entry("opt/acme", FileType.DIRECTORY, 0o755)]})
    assert code(admission, b"program") is None
    assert code(admission, b"program ") == "content-not-installed"
    assert admission.sizes == {len(b"program")}


def test_content_that_was_not_read_may_not_run() -> None:
    failure = Admission({"acme": [file("opt/run")]}).judge(None, 0o755, execute=True, started=True)
    assert failure
    assert failure.code == "content-not-installed"


def test_nothing_runs_where_no_module_is_accepted() -> None:
    assert code(Admission({}), b"") == "content-not-installed"


def test_rights_are_lent_only_as_a_module_has_it() -> None:
    plain = Admission({"acme": [file("opt/run")]})
    assert code(plain, b"program", 0o4755) == "rights-not-installed"
    assert code(plain, b"program", 0o2755) == "rights-not-installed"
    assert code(plain, b"program", 0o1755) is None
    lending = Admission({"acme": [file("opt/run")], "other": [file("opt/su", mode=0o4755)]})
    assert code(lending, b"program", 0o4755) is None
    assert code(lending, b"program", 0o6755) == "rights-not-installed"
    assert code(plain, b"program", 0o4755, execute=False) is None


@pytest.mark.parametrize("path", ["usr/bin/bash", "opt/acme/python3.11", "usr/lib/ld-linux-x86-64.so.2"])
def test_what_runs_other_files_runs_only_for_one_that_names_it(path: str) -> None:
    admission = Admission({"acme": [file(path)]})
    assert code(admission, b"program") == "interpreter-direct"
    assert code(admission, b"program", started=True) is None
    assert code(admission, b"program", execute=False) is None


def test_a_content_is_indirect_if_it_is_anywhere() -> None:
    admission = Admission({"acme": [file("usr/bin/tool")], "other": [file("usr/bin/sh")]})
    assert code(admission, b"program") == "interpreter-direct"


@pytest.mark.parametrize("named", ["/opt/acme/tool", "//opt/./acme/tool", "/opt/link/tool", "/opt/link/own"])
def test_what_an_installed_file_names_as_its_interpreter_is_one_whatever_its_name(named: str) -> None:
    links = [
        Entry("opt/link", FileType.SYMLINK, target="acme"),
        Entry("opt/acme/own", FileType.SYMLINK, target="../acme/tool"),
        Entry("opt/loop", FileType.SYMLINK, target="loop"),
    ]
    entries = [file("opt/acme/tool"), file("opt/acme/other", b"other"), *links]
    admission = Admission({"acme": entries}, frozenset({named, "/opt/loop/x", "/bin/sh"}))
    assert code(admission, b"program") == "interpreter-direct"
    assert code(admission, b"program", started=True) is None
    assert code(admission, b"other") is None


def test_the_content_of_a_known_interpreter_is_one_whatever_its_name() -> None:
    entries = [file("opt/acme/tool"), file("opt/acme/other", b"other")]
    admission = Admission({"acme": entries}, contents=frozenset({hashlib.sha256(b"program").digest()}))
    assert code(admission, b"program") == "interpreter-direct"
    assert code(admission, b"other") is None


@pytest.mark.parametrize(
    ("head", "path"),
    [
        (b"#!/bin/sh\n", "/bin/sh"),
        (b"#! \t/bin/sh -e\nrest", "/bin/sh"),
        (b"#!/usr/bin/env\tpython3\n", "/usr/bin/env"),
        (b"#!/bin/sh", "/bin/sh"),
        (b"#!/bin/sh\0x\n", "/bin/sh"),  # Linux ends the name there
        (b"#!\n/bin/sh", None),
        (b"# !/bin/sh", None),
        (b"", None),
        (b"\x7fELF", None),
    ],
)
def test_the_interpreter_is_what_the_first_line_names(head: bytes, path: str | None) -> None:
    assert interpreter(head) == path


@pytest.mark.skipif(not shutil.which("readelf"), reason="readelf is not here")
@pytest.mark.parametrize("program", ["/bin/true", "/bin/sh", "/usr/bin/openssl"])
def test_the_loader_is_the_one_that_readelf_shows(program: str) -> None:
    if not Path(program).exists():
        pytest.skip(f"{program} is not here")
    shown = subprocess.run(["readelf", "-l", program], capture_output=True, text=True, check=True).stdout
    with open(program, "rb") as file:
        found = interpreter(file.read(HEAD_SIZE))
    assert (f"[Requesting program interpreter: {found}]" in shown) or (found is None and "interpreter" not in shown)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"#!/usr/bin/env wsh\n", "wsh"),
        (b"#!/usr/bin/env -S A=1 wsh -x\n", "wsh"),
        (b"#!/bin/env -iSwsh\n", "wsh"),
        (b"#!/bin/env -S -u HOME /opt/wsh\n", "/opt/wsh"),
        (b"#!/bin/env\n", None),
        (b"#!/bin/sh wsh\n", None),
        (b"", None),
    ],
)
def test_what_env_starts_is_what_its_line_names(line: bytes, name: str | None) -> None:
    assert named_by_env(line) == name


def test_an_interpreter_that_env_looks_for_is_one_wherever_it_lies() -> None:
    admission = Admission({"acme": [file("opt/acme/wsh"), file("opt/acme/other", b"other")]}, frozenset({"wsh"}))
    assert code(admission, b"program") == "interpreter-direct"
    assert code(admission, b"other") is None


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b"#!/bin/sh\n", 0),
        (b"#! /bin/sh -e -u\n", 1),
        (b"#!/bin/sh \t\n", 0),
        (b"#!/bin/sh\0x\n", 0),
        (b"#!/bin/sh \0x\n", 0),
        (b"#!/bin/sh x\0\n", 1),
    ],
)
def test_an_interpreter_is_given_one_argument_at_most_before_the_scripts_name(line: bytes, number: int) -> None:
    assert arguments(line) == number


def test_a_loaders_name_ends_at_its_first_nul() -> None:
    row = struct.pack("<IIQQQQQQ", 3, 0, 120, 0, 0, 12, 12, 1)
    header = b"\x7fELF\x02\x01\x01".ljust(32, b"\0") + struct.pack("<Q", 64)
    head = header.ljust(54, b"\0") + struct.pack("<HH", 56, 1)
    assert interpreter(head.ljust(64, b"\0") + row + b"/lib/ld\0so\0\0") == "/lib/ld"


STARTS = [b"", b"#!", b"\x7fELF\x01\x01", b"\x7fELF\x02\x01", b"\x7fELF\x02\x02"]


@given(some.binary(max_size=200), some.sampled_from(STARTS))
def test_any_start_of_a_file_gives_a_path_or_none(rest: bytes, start: bytes) -> None:
    found = interpreter(start + rest)
    assert found is None or isinstance(found, str)
