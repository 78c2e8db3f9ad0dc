"""Writing payloads: what is written is what the reader accepts, and the same for everybody."""

import contextlib
import gzip
import hashlib
import io
import random
import shutil
import subprocess
import threading
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modseal import limits
from modseal.errors import FormatError, InputError
from modseal.format import compression, rules, visor
from modseal.format.manifest import Entry, FileType, View
from modseal.format.payload import measure
from modseal.format.payload_writer import Input, write_seal_payload, write_vib_payload
from modseal.format.source import BytesSource
from modseal.format.stream import Stream

MTIME = 1_700_000_000
SEAL_TYPES = ["tar+zstd", "tar+gzip"]
VIB_TYPES = ["vgz", "tgz", "vzstd"]


def file(path, data, mode=0o644, size=None):
    return Input(path, FileType.FILE, mode, None, lambda: io.BytesIO(data), len(data) if size is None else size)


def directory(path, mode=0o755):
    return Input(path, FileType.DIRECTORY, mode)


def link(path, target):
    return Input(path, FileType.SYMLINK, 0o777, target)


INPUTS = [
    link("opt/app/current", "bin/app"),
    file("opt/app/bin/app", b"\x7fELF" + b"code" * 3000, 0o755),
    directory("opt"),
    directory("opt/app"),
    directory("opt/app/bin"),
    file("opt/app/empty", b""),
    file("etc/app.conf", b"level = 1\n", 0o1644),
]


def seal(inputs, type="tar+zstd"):  # noqa: A002
    out = io.BytesIO()
    payload, entries = write_seal_payload("app", type, inputs, MTIME, out)
    return payload, entries, out.getvalue()


def vib(inputs, type="vgz", layout=None):  # noqa: A002
    out = io.BytesIO()
    payload, entries = write_vib_payload("app", type, inputs, MTIME, out, layout)
    return payload, entries, out.getvalue()


def written(inputs, type):  # noqa: A002
    return seal(inputs, type) if type in SEAL_TYPES else vib(inputs, type)


@pytest.mark.parametrize("type", SEAL_TYPES + VIB_TYPES)
def test_what_is_written_is_measured_as_declared(type):  # noqa: A002
    payload, entries, data = written(INPUTS, type)
    measured = measure(payload, BytesSource(data), file_digests=type in SEAL_TYPES)
    assert measured.failures == ()
    assert measured.listed
    assert measured.entries == entries
    assert (measured.size, measured.unpacked_size) == (payload.size, payload.unpacked_size)
    assert {(digest.algorithm, digest.view): digest.value for digest in payload.digests} == dict(measured.digests)


def test_entries_are_sorted_and_complete():
    _, entries, _ = seal(INPUTS)
    assert [entry.path for entry in entries] == [
        "etc/app.conf",
        "opt",
        "opt/app",
        "opt/app/bin",
        "opt/app/bin/app",
        "opt/app/current",
        "opt/app/empty",
    ]
    assert all(rules.sort_key(one.path) < rules.sort_key(two.path) for one, two in pairwise(entries))
    assert entries[0] == Entry(
        "etc/app.conf", FileType.FILE, 0o1644, 10, hashlib.sha256(b"level = 1\n").digest(), payload="app"
    )
    assert entries[1] == Entry("opt", FileType.DIRECTORY, 0o755, payload="app")
    assert entries[5] == Entry("opt/app/current", FileType.SYMLINK, 0o777, target="bin/app", payload="app")


@pytest.mark.parametrize("type", SEAL_TYPES + VIB_TYPES)
def test_the_order_of_inputs_does_not_change_the_bytes(type):  # noqa: A002
    assert written(INPUTS, type) == written(INPUTS[::-1], type)


def test_the_chunks_of_a_seal_are_those_of_its_bytes(monkeypatch):
    monkeypatch.setattr(limits, "CHUNK_SIZE", 100)
    payload, _, data = seal(INPUTS)
    assert payload.chunks == tuple(hashlib.sha256(data[at : at + 100]).digest() for at in range(0, len(data), 100))
    assert measure(payload, BytesSource(data)).failures == ()


def test_the_digests_of_a_vib_are_in_vmware_s_order():
    assert [(digest.algorithm, digest.view) for digest in vib(INPUTS, "vzstd")[0].digests] == [
        ("sha256", View.UNPACKED),
        ("sha256", View.RAW),
        ("sha1", View.UNPACKED),
        ("sha256", View.GUNZIP1),
    ]
    assert [(digest.algorithm, digest.view) for digest in vib(INPUTS, "vgz")[0].digests] == [
        ("sha256", View.UNPACKED),
        ("sha256", View.RAW),
        ("sha1", View.UNPACKED),
    ]
    assert vib(INPUTS, "vzstd")[0].compression_option == "level=18"
    assert vib(INPUTS, "vgz")[0].compression_option is None


def test_a_visor_tar_has_the_newest_layout_unless_told_otherwise():
    def layout_of(data):
        return visor.read_layout(Stream(iter([gzip.decompress(data)]), "bad-listing"))[0]

    newest = layout_of(vib(INPUTS)[2])
    assert (newest.alignment, newest.padded) == (visor.Alignment.PAGE, True)
    assert newest.fields["opt/app/bin/app"] == visor.VisorFields("7", MTIME)
    assert newest.fields["etc/app.conf"] == visor.VisorFields("0", MTIME)
    old = visor.VisorLayout(visor.Alignment.SECTOR, False, {"opt": visor.VisorFields("5", 7, uname="mts", device=True)})
    assert layout_of(vib(INPUTS, layout=old)[2]).fields["opt"] == old.fields["opt"]


@pytest.mark.parametrize(
    ("type", "command"),
    [("tar+zstd", ["tar", "--zstd", "-tf", "-"]), ("tar+gzip", ["tar", "-tzf", "-"]), ("tgz", ["tar", "-tzf", "-"])],
)
def test_gnu_tar_lists_the_same_paths(type, command):  # noqa: A002
    if not shutil.which("tar") or not shutil.which("zstd"):
        pytest.skip("no tar or zstd on this machine")
    _, entries, data = written(INPUTS, type)
    listed = subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode()
    assert [line.rstrip("/") for line in listed.splitlines()] == [entry.path for entry in entries]


@pytest.mark.parametrize("type", SEAL_TYPES + VIB_TYPES)
@pytest.mark.parametrize(
    ("extra", "code"),
    [
        (file("/etc/x", b""), "unsafe-path"),
        (file("opt/../x", b""), "unsafe-path"),
        (file("opt", b""), "bad-listing"),
        (file("OPT/app", b""), "unsafe-path"),
        (file("opt/app/current/x", b""), "unsafe-path"),
        (link("x", "../../etc"), "unsafe-link"),
        (Input("x", FileType.SYMLINK, 0o777), "unsafe-link"),
        (file("x", b"", 0o100644), "unsafe-mode"),
        (file("x" * 256, b""), "unsafe-path"),
        (file("x", b"", size=9 * limits.GIB), "limit-exceeded"),
    ],
)
def test_what_a_reader_would_refuse_is_not_written(type, extra, code):  # noqa: A002
    with pytest.raises(FormatError) as raised:
        written([*INPUTS, extra], type)
    assert raised.value.failure.code == code


@pytest.mark.parametrize("type", VIB_TYPES)
def test_a_path_that_no_host_could_read_is_not_written(type):  # noqa: A002
    with pytest.raises(FormatError, match=r"a \.vib") as raised:
        written([*INPUTS, file("x" * 101, b"")], type)
    assert raised.value.failure.code == "limit-exceeded"


@pytest.mark.parametrize("type", SEAL_TYPES + VIB_TYPES)
@pytest.mark.parametrize("change", [-1, 1, 1_000_000])
def test_a_file_that_changes_its_size_is_noticed(type, change):  # noqa: A002
    inputs = [file("a", b"x" * 2_000_000, size=2_000_000 + change), file("b", b"")]
    with pytest.raises(InputError, match="changed its size"):
        written(inputs, type)


@pytest.mark.parametrize("type", ["tar+zstd", "vgz"])
def test_a_file_that_cannot_be_read_is_named(type):  # noqa: A002
    def denied():
        raise PermissionError(13, "Permission denied")

    with pytest.raises(InputError, match="secret cannot be read: Permission denied"):
        written([replace(file("secret", b"x"), open=denied)], type)
    with pytest.raises(InputError, match="'secret' cannot be read"):
        written([replace(file("secret", b"x"), open=None)], type)


def test_other_types_are_refused():
    with pytest.raises(FormatError):
        seal(INPUTS, "vgz")
    with pytest.raises(FormatError):
        vib(INPUTS, "tar+zstd")


def test_too_many_or_too_large_files_are_refused(monkeypatch):
    monkeypatch.setattr(limits, "FILES", len(INPUTS) - 1)
    with pytest.raises(FormatError) as raised:
        seal(INPUTS)
    assert raised.value.failure.code == "limit-exceeded"
    monkeypatch.undo()
    monkeypatch.setattr(limits, "UNPACKED_SIZE", 12_000)
    with pytest.raises(FormatError) as raised:
        seal(INPUTS)
    assert raised.value.failure.code == "limit-exceeded"


@pytest.mark.parametrize("type", SEAL_TYPES + VIB_TYPES[:2])
def test_no_thread_is_left_when_the_disk_is_full(type, monkeypatch):  # noqa: A002
    class Full(io.BytesIO):
        def write(self, data):
            if self.tell() + len(data) > 5000:
                raise OSError(28, "No space left on device")
            return super().write(data)

        def writelines(self, blocks):
            for block in blocks:
                self.write(block)

    monkeypatch.setattr(limits, "ZSTD_FRAME", 4096)
    monkeypatch.setattr(compression, "_GZIP_PART", 4096)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    write = write_seal_payload if type in SEAL_TYPES else write_vib_payload
    with pytest.raises(OSError, match="No space left") as raised:
        write("app", type, [file("app", random.Random(1).randbytes(50_000))], MTIME, Full())
    assert raised.traceback  # with all that it came by, which so is not collected yet
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("modseal-")]


# Any tree at all.

PART = st.text("ab.Aé-", min_size=1, max_size=3)
PATH = st.lists(PART, min_size=1, max_size=3).map("/".join)
MODE = st.integers(0, 0o7777)
INPUT = st.one_of(
    st.builds(file, PATH, st.binary(max_size=2000), MODE),
    st.builds(directory, PATH, MODE),
    st.builds(link, PATH, PATH),
)


@settings(max_examples=150)
@given(
    st.lists(INPUT, max_size=8, unique_by=lambda item: item.path),
    st.sampled_from(["tar+zstd", "tar+gzip", "vgz", "tgz"]),
)
def test_any_tree_is_read_back_or_refused(inputs, type):  # noqa: A002
    with contextlib.suppress(FormatError):
        payload, entries, data = written(inputs, type)
        measured = measure(payload, BytesSource(data), file_digests=type in SEAL_TYPES)
        assert measured.failures == ()
        assert measured.entries == entries
