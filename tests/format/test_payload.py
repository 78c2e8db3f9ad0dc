"""Measuring a payload: digests, sizes and listing in one pass, and every kind of damage told apart."""

import gzip
import hashlib
import io
import random
import subprocess
import sys
import tarfile
import threading
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modseal import limits
from modseal.errors import FormatError
from modseal.format import compression, inflate
from modseal.format import payload as payload_module
from modseal.format.manifest import Digest, Entry, FileType, Payload, View
from modseal.format.payload import Measured, measure
from modseal.format.payload_writer import Input, write_seal_payload, write_vib_payload
from modseal.format.source import BytesSource, blocks

CONTENTS = {"etc/app.conf": b"level = 1\n", "opt/app": b"\x7fELF" + b"code" * 3000, "opt/empty": b""}
INPUTS = [
    Input("etc", FileType.DIRECTORY, 0o755),
    *(
        Input(path, FileType.FILE, 0o644, None, lambda data=data: io.BytesIO(data), len(data))
        for path, data in CONTENTS.items()
    ),
    Input("opt", FileType.DIRECTORY, 0o755),
    Input("opt/link", FileType.SYMLINK, 0o777, "app"),
]
SEAL_TYPES = ["tar+zstd", "tar+gzip"]
VIB_TYPES = ["vgz", "tgz", "vzstd"]


def build(type, inputs=INPUTS):  # noqa: A002
    out = io.BytesIO()
    write = write_seal_payload if type in SEAL_TYPES else write_vib_payload
    payload, entries = write("app", type, inputs, 1_700_000_000, out)
    digests = {item.path: hashlib.sha256(item.open().read()).digest() for item in inputs if item.open}
    return payload, tuple(replace(entry, sha256=digests.get(entry.path)) for entry in entries), out.getvalue()


BUILT = {type: build(type) for type in SEAL_TYPES + VIB_TYPES}  # noqa: A001


def undeclared(data, type, unpacked_size=None):  # noqa: A002
    """A payload as an old descriptor declares it: its type, and little else."""
    return Payload("app", type, len(data), unpacked_size, digests=(Digest("sha1", View.RAW, b""),))


def resealed(payload, data):
    """The payload declared anew, as a packager with bad intentions would."""
    step = limits.CHUNK_SIZE
    chunks = tuple(hashlib.sha256(data[at : at + step]).digest() for at in range(0, len(data), step))
    return replace(payload, size=len(data), chunks=chunks)


def codes(measured):
    return [failure.code for failure in measured.failures]


class Recorder:
    """A sink that remembers."""

    def __init__(self):
        self.begun, self.data, self.ended = [], {}, []

    def begin(self, entry):
        self.begun.append(entry)
        self.data[entry.path] = b""

    def write(self, data):
        self.data[self.begun[-1].path] += data

    def end(self, entry):
        self.ended.append(entry)


@pytest.mark.parametrize("type", BUILT)
def test_a_sound_payload_is_measured_without_failures(type):  # noqa: A002
    payload, entries, data = BUILT[type]
    measured = measure(payload, BytesSource(data))
    assert measured == Measured(measured.digests, len(data), payload.unpacked_size, entries, (), listed=True)


@pytest.mark.parametrize("type", BUILT)
def test_a_sink_gets_the_entries_while_they_are_read(type):  # noqa: A002
    payload, entries, data = BUILT[type]
    sink = Recorder()
    measure(payload, BytesSource(data), sink=sink)
    assert sink.ended == list(entries)
    assert sink.begun == [replace(entry, sha256=None) for entry in entries]
    assert {path: sink.data[path] for path in CONTENTS} == CONTENTS


@pytest.mark.parametrize("type", VIB_TYPES)
def test_a_vib_payload_has_all_declared_digests_and_the_raw_one(type):  # noqa: A002
    payload, _, data = BUILT[type]
    measured = measure(payload, BytesSource(data))
    assert all(measured.digests[digest.algorithm, digest.view] == digest.value for digest in payload.digests)
    bare = measure(
        replace(payload, digests=(Digest("sha512", View.UNPACKED, b""), Digest("md5", View.RAW, b""))),
        BytesSource(data),
    )
    assert set(bare.digests) == {("sha256", View.RAW), ("sha512", View.UNPACKED)}


def test_the_gunzipped_view_of_a_tgz_is_its_tar():
    payload, _, data = BUILT["tgz"]
    payload = replace(payload, digests=(Digest("sha256", View.GUNZIP1, b""),))
    assert (
        measure(payload, BytesSource(data)).digests["sha256", View.GUNZIP1]
        == hashlib.sha256(gzip.decompress(data)).digest()
    )


def test_a_seal_payload_has_no_digest_but_its_chunks():
    payload, _, data = BUILT["tar+zstd"]
    assert measure(payload, BytesSource(data)).digests == {}


@pytest.mark.parametrize("type", SEAL_TYPES)
def test_every_changed_byte_of_a_seal_payload_is_a_failure(type):  # noqa: A002
    payload, _, data = BUILT[type]
    changed = bytearray(data)
    for at in range(len(data)):
        changed[at] ^= 0x10
        measured = measure(payload, BytesSource(bytes(changed)))
        assert codes(measured) == ["payload-digest-mismatch"]
        assert measured.entries == ()
        changed[at] ^= 0x10


@pytest.mark.parametrize("type", BUILT)
def test_every_truncation_is_a_failure(type):  # noqa: A002
    payload, _, data = BUILT[type]
    for size in [0, 1, 10, 100, len(data) // 2, len(data) - 8, len(data) - 1]:
        measured = measure(payload, BytesSource(data[:size]))
        assert measured.failures
        assert not measured.listed
        assert measured.unpacked_size is None
        if type in VIB_TYPES:
            assert measured.digests["sha256", View.RAW] == hashlib.sha256(data[:size]).digest()
            assert ("sha256", View.UNPACKED) not in measured.digests


@pytest.mark.parametrize("type", BUILT)
def test_appended_bytes_are_a_failure(type):  # noqa: A002
    payload, _, data = BUILT[type]
    longer = data + b"\0"
    if type in SEAL_TYPES:
        assert codes(measure(payload, BytesSource(longer))) == ["payload-digest-mismatch"]
        payload = resealed(payload, longer)
    assert "bad-payload" in codes(measure(payload, BytesSource(longer)))


def test_nothing_of_a_wrong_chunk_reaches_the_unpacker(monkeypatch):
    monkeypatch.setattr(limits, "CHUNK_SIZE", 100)
    payload, _, data = build("tar+gzip")
    for index in (0, 1, len(payload.chunks) - 1):
        chunks = list(payload.chunks)
        chunks[index] = bytes(32)
        measured = measure(replace(payload, chunks=tuple(chunks)), BytesSource(data))
        assert measured.failures[0].code == "payload-digest-mismatch"
        assert measured.failures[0].evidence == {"chunk": index, "offset": index * 100, "payload": "app"}
        assert not measured.listed


@pytest.mark.parametrize("change", [lambda chunks: chunks[:-1], lambda chunks: (*chunks, bytes(32)), lambda chunks: ()])
def test_another_number_of_chunks_is_a_failure(monkeypatch, change):
    monkeypatch.setattr(limits, "CHUNK_SIZE", 100)
    payload, _, data = build("tar+zstd")
    measured = measure(replace(payload, chunks=change(payload.chunks)), BytesSource(data))
    assert codes(measured) == ["payload-digest-mismatch"]


@pytest.mark.parametrize("type", BUILT)
@pytest.mark.parametrize("change", [-1, 1, 512])
def test_another_unpacked_size_than_declared_is_a_failure(type, change):  # noqa: A002
    payload, _, data = BUILT[type]
    measured = measure(replace(payload, unpacked_size=payload.unpacked_size + change), BytesSource(data))
    assert set(codes(measured)) == {"unpacked-size-mismatch"}
    assert not measured.listed


def test_a_bomb_stops_at_the_declared_size():
    bomb = gzip.compress(bytes(50_000_000), 1, mtime=0)
    sink = Recorder()
    measured = measure(undeclared(bomb, "tgz", 10_000), BytesSource(bomb), sink=sink)
    assert "unpacked-size-mismatch" in codes(measured)
    assert sum(map(len, sink.data.values())) <= 10_000


def test_nested_compression_does_not_escape_the_ratio():
    inner = b"\x28\xb5\x2f\xfd\x00\x88" + ((128 * 1024 << 3 | 2).to_bytes(3, "little") + b"\0") * 100_000
    bomb = gzip.compress(inner, 9, mtime=0)
    measured = measure(undeclared(bomb, "vzstd"), BytesSource(bomb))
    assert codes(measured)[-1] == "limit-exceeded"
    assert measured.digests["sha256", View.RAW] == hashlib.sha256(bomb).digest()


def test_a_ustar_in_a_vgz_is_a_bad_listing_and_still_has_its_digests():
    _, _, data = BUILT["tgz"]
    payload = replace(BUILT["tgz"][0], type="vgz")
    measured = measure(payload, BytesSource(data))
    assert codes(measured) == ["bad-listing"]
    assert not measured.listed
    assert all(measured.digests[digest.algorithm, digest.view] == digest.value for digest in payload.digests)
    assert measured.unpacked_size == payload.unpacked_size


def test_a_visor_tar_in_a_tgz_is_a_bad_listing():
    assert codes(measure(replace(BUILT["vgz"][0], type="tgz"), BytesSource(BUILT["vgz"][2]))) == ["bad-listing"]


def test_an_unsafe_path_ends_the_listing():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("fine"))
        archive.addfile(tarfile.TarInfo("../outside"))
    data = gzip.compress(out.getvalue(), mtime=0)
    measured = measure(undeclared(data, "tgz"), BytesSource(data))
    assert codes(measured) == ["unsafe-path"]
    assert [entry.path for entry in measured.entries] == ["fine"]
    assert not measured.listed


def test_an_unknown_type_has_raw_digests_only():
    measured = measure(undeclared(b"abc", "boot"), BytesSource(b"abc"))
    assert codes(measured) == ["unsupported-payload"]
    assert measured.digests["sha256", View.RAW] == hashlib.sha256(b"abc").digest()
    assert (measured.entries, measured.unpacked_size, measured.listed) == ((), None, False)


def test_a_vib_cannot_pass_for_a_seal():
    payload, _, data = BUILT["tar+zstd"]
    digests = (Digest("sha256", View.RAW, hashlib.sha256(data).digest()),)
    assert codes(measure(replace(payload, digests=digests, chunks=()), BytesSource(data))) == ["unsupported-payload"]
    assert codes(measure(replace(payload, chunks=()), BytesSource(data))) == ["payload-digest-mismatch"]


@pytest.mark.parametrize("type", BUILT)
def test_a_large_payload_is_measured_the_same_in_a_thread(type, monkeypatch):  # noqa: A002
    payload, _, data = BUILT[type]
    alone = measure(payload, BytesSource(data))
    monkeypatch.setattr(payload_module, "THREAD_FROM", 0)
    assert measure(payload, BytesSource(data)) == alone
    broken = data[: len(data) // 2]
    assert measure(payload, BytesSource(broken)).failures
    assert_no_thread()


@pytest.mark.parametrize("type", BUILT)
def test_what_is_found_does_not_depend_on_cores_and_threads(type, monkeypatch):  # noqa: A002
    """Of many frames and blocks, damaged here and there: the same failures in the same order, and the same entries.

    Threads end by themselves, and not when garbage is collected, which could be in one of them.
    """
    monkeypatch.setattr(limits, "ZSTD_FRAME", 4096)
    monkeypatch.setattr(limits, "CHUNK_SIZE", 1500)
    monkeypatch.setattr(payload_module, "blocks", lambda source, step=700: blocks(source, step))
    monkeypatch.setattr(inflate, "_OUTPUT", 3000)
    monkeypatch.setattr(compression, "ZSTD_THREADS", 8)
    noise = random.Random(1).randbytes(20_000)
    files = {f"file-{number}": noise[number * 1000 :] for number in range(6)}
    inputs = [
        Input(path, FileType.FILE, 0o644, None, partial(io.BytesIO, data), len(data)) for path, data in files.items()
    ]
    payload, _, data = build(type, inputs)
    cases = [(payload, data), (replace(payload, unpacked_size=50_000), data)]
    for at in (5, 2000, len(data) // 2, len(data) - 3000, len(data) - 3):
        changed = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
        again = resealed(payload, changed) if type in SEAL_TYPES else payload
        cases += [(payload, changed), (again, changed), (payload, data[:at]), (resealed(again, data[:at]), data[:at])]
    failed = 0
    for declared, content in cases:
        found = []
        for cores, threads_from, depth in ((1, 1 << 40, 1), (1, 0, 1), (2, 0, 1), (8, 0, 16), (8, 1 << 40, 1)):
            monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
            monkeypatch.setattr(payload_module, "THREAD_FROM", threads_from)
            monkeypatch.setattr(payload_module, "THREAD_DEPTH", depth)
            found.append(measure(declared, BytesSource(content)))
            assert_no_thread()
        assert found == [found[0]] * len(found)
        failed += bool(found[0].failures)
    assert failed > len(cases) // 2


def test_no_thread_is_left_when_the_sink_fails(monkeypatch):
    class Full(Recorder):
        def write(self, data):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(payload_module, "THREAD_FROM", 0)
    payload, _, data = BUILT["tar+zstd"]
    with pytest.raises(OSError, match="No space left"):
        measure(payload, BytesSource(data), sink=Full())
    assert_no_thread()


def test_a_source_that_shrinks_is_a_failure(monkeypatch):
    class Shrunk(BytesSource):
        def read(self, offset, length):
            raise FormatError("truncated", "the file became shorter")

    for threads_from in (0, 1 << 40):
        monkeypatch.setattr(payload_module, "THREAD_FROM", threads_from)
        for payload, _, data in BUILT.values():
            measured = measure(payload, Shrunk(data))
            assert set(codes(measured)) == {"truncated"}
            assert measured.digests == {}


def test_a_tgz_is_measured_without_loading_zstandard():
    script = (
        "import sys; from modseal.format.payload import *; from modseal.format.manifest import *;"
        "from modseal.format.source import BytesSource; data = sys.stdin.buffer.read();"
        "measured = measure(Payload('app', 'tgz', len(data), None), BytesSource(data));"
        "assert measured.listed; assert 'zstandard' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", script], input=BUILT["tgz"][2], check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )


@settings(max_examples=300)
@given(st.binary(max_size=400), st.sampled_from([*BUILT, "boot", ""]), st.sampled_from([None, 0, 100, 10**12]))
def test_any_bytes_are_measured(data, type, unpacked_size):  # noqa: A002
    for start in (b"", b"\x1f\x8b\x08\0\0\0\0\0\x02\xff", b"\x28\xb5\x2f\xfd"):
        content = start + data
        payload = resealed(undeclared(content, type, unpacked_size), content)
        for one in (payload, replace(payload, digests=())):
            assert isinstance(measure(one, BytesSource(content)), Measured)
    packed = gzip.compress(data, mtime=0)
    assert isinstance(measure(undeclared(packed, type, unpacked_size), BytesSource(packed)), Measured)


@settings(max_examples=300)
@given(st.sampled_from(VIB_TYPES), st.data())
def test_any_changed_byte_of_a_vib_payload_is_told_by_its_digests(type, draw):  # noqa: A002
    payload, _, data = BUILT[type]
    changed = bytearray(data)
    changed[draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))
    measured = measure(payload, BytesSource(bytes(changed)))
    assert any(measured.digests.get((digest.algorithm, digest.view)) != digest.value for digest in payload.digests)


def test_genuine_descriptors_name_only_types_that_can_be_measured():
    real = Path(__file__).parents[3] / "shared" / "real" / "vib"
    if not real.is_dir():
        pytest.skip("no genuine descriptors beside the repository")
    types = {
        payload.get("type") for path in real.glob("*/descriptor.xml") for payload in ET.parse(path).iter("payload")
    }
    assert types <= set(payload_module.VIB_TYPES)


def test_entries_name_their_payload():
    measured = measure(BUILT["vgz"][0], BytesSource(BUILT["vgz"][2]))
    assert measured.entries[0] == Entry("etc", FileType.DIRECTORY, 0o755, payload="app")


def assert_no_thread():
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("modseal-")]
