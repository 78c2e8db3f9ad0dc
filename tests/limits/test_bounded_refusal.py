"""What is hostile is refused in bounded time and memory: each class in a process of its own, which is measured.

Memory is the peak of the whole process, of which the interpreter and its libraries take about 35 MiB.
"""

from __future__ import annotations

import functools
import gzip
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from builders import bundles, cms, policies
from builders.bundles import Bundle, Member, header, make
from builders.transcript import SOURCE
from modseal import limits
from modseal.errors import FormatError
from modseal.format import ar, compression, der, descriptor, tar
from modseal.format.manifest import Entry, FileType

MEMORY = 100 * limits.MIB
SECONDS = 20.0
"""Of processor time. Nothing here takes a tenth of it on an idle machine; the suite may run on a busy one."""

_MEASURED = """
import resource, sys
from modseal.cli.main import run
code = run(sys.argv[1:])
spent = resource.getrusage(resource.RUSAGE_SELF)
[peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")]
print("measured", code, spent.ru_utime + spent.ru_stime, int(peak) * 1024)
"""
"""Not `ru_maxrss`: that starts with the memory of the process that this one was forked from."""

linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")


def manifest(kind: str, data: bytes) -> Bundle:
    return make(kind).with_member("manifest.json" if kind == "seal" else "descriptor.xml", data=data)  # type: ignore[arg-type]


def in_summary(text: bytes) -> Bundle:
    return manifest("vib", make("vib").manifest_bytes.replace(b"<summary>Agent", b"<summary>" + text))


def billion_laughs() -> bytes:
    entities = b"".join(b'<!ENTITY a%d "%s">' % (level, b"&a%d;" % (level - 1) * 10) for level in range(1, 10))
    return b'<!DOCTYPE l [<!ENTITY a0 "lol">' + entities + b"]><vib>&a9;</vib>"


def quadratic_blowup() -> bytes:
    return b'<!DOCTYPE l [<!ENTITY a "' + b"a" * 100_000 + b'">]><vib>' + b"&a;" * 100_000 + b"</vib>"


def block(certificates: bytes = b"", signers: bytes = b"") -> bytes:
    return cms.wrap(cms.sequence(
        der.encode_integer(1), der.encode(der.SET), cms.sequence(der.encode_oid("1.2.840.113549.1.7.1")),
        der.encode(der.context(0), certificates) if certificates else b"", der.encode(der.SET, signers),
    ))  # fmt: skip


@functools.cache
def zeros_gzipped(mebibytes: int) -> bytes:
    return b"".join(compression.gzip((bytes(limits.MIB) for _ in range(mebibytes)), level=1))


def repeated(blocks: int) -> bytes:
    """The blocks of a zstd frame that repeat a zero 128 KiB each: 4 bytes for 131,072."""
    field = 128 * 1024 << 3 | 2
    return (field.to_bytes(3, "little") + b"\0") * (blocks - 1) + (field | 1).to_bytes(3, "little") + b"\0"


def zstd_bomb(declared: int) -> Bundle:
    frame = b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", limits.ZSTD_FRAME) + repeated(32)
    return make("seal", payload_type="tar+zstd").with_payload(frame * 100, unpacked_size=declared)


def vzstd_bomb() -> Bundle:
    packed = b"".join(compression.gzip(iter([b"\x28\xb5\x2f\xfd\x00\x88" + repeated(4000)])))
    return make("vib", payload_type="vzstd").with_payload(packed, unpacked_size=10_240)


def folders(payloads: int) -> Bundle:
    """Payloads with as many entries as a module may have in all, each."""
    entries = (Entry(f"d{number:05}", FileType.DIRECTORY, 0o755) for number in range(limits.FILES))
    data = b"".join(tar.encode_header(entry, bundles.MTIME) for entry in entries) + bytes(1024)
    packed = gzip.compress(data, 6, mtime=0)
    one = make("vib", payload_type="tgz").with_payload(packed, data)
    [payload] = one.manifest.payloads
    many = one.with_manifest(payloads=tuple(replace(payload, name=f"p{number}") for number in range(payloads)))
    return many.with_members(*many.members[:2], *(Member(f"p{number}", packed) for number in range(payloads)))


HOSTILE: dict[str, Callable[[], Bundle | bytes]] = {
    "json-nested": lambda: manifest("seal", b"[" * (16 * limits.MIB)),
    "json-empty-objects": lambda: manifest("seal", b"[" + b"{}," * (5 * limits.MIB) + b"{}]"),
    "json-numbers": lambda: manifest("seal", b"[" + b"1000," * (3 * limits.MIB) + b"1]"),
    "json-long-number": lambda: manifest("seal", b"1" * (15 * limits.MIB)),
    "json-long-text": lambda: manifest("seal", b'"' + b"a" * (15 * limits.MIB) + b'"'),
    "xml-laughs": lambda: manifest("vib", billion_laughs()),
    "xml-quadratic": lambda: manifest("vib", quadratic_blowup()),
    "xml-nested": lambda: manifest("vib", b"<vib>" * (3 * limits.MIB)),
    "xml-attributes": lambda: manifest("vib", b"<vib " + b" ".join(b'a%x=""' % n for n in range(10**6)) + b">"),
    "xml-long-text": lambda: in_summary(b"a" * (15 * limits.MIB)),
    "xml-many-lines": lambda: in_summary(b"a\n" * (7 * limits.MIB)),
    "xml-references": lambda: in_summary(b"&#97;" * (3 * limits.MIB)),
    "gzip-over-declared": lambda: make("seal").with_payload(zeros_gzipped(100), unpacked_size=10_240),
    "gzip-as-declared": lambda: make("seal").with_payload(zeros_gzipped(100), unpacked_size=100 * limits.MIB),
    "gzip-undeclared": lambda: make("vib", payload_type="tgz").with_payload(zeros_gzipped(100)),
    "zstd-over-declared": lambda: zstd_bomb(10_240),
    "zstd-as-declared": lambda: zstd_bomb(100 * limits.ZSTD_FRAME),
    "vzstd-over-declared": vzstd_bomb,
    "tar-many-entries": lambda: folders(2),
    "cms-certificates": lambda: make("vib").with_block(block(certificates=b"\x05\x00" * 380_000)),
    "cms-signers": lambda: make("vib").with_block(block(signers=b"\x05\x00" * 380_000)),
    "pem-openings": lambda: make("vib").with_signature(b"-----BEGIN PKCS7-----\n" * 45_000),
    "ar-members": lambda: ar.MAGIC + b"".join(header(f"m{number}", 0) for number in range(100_000)),
}


@linux
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_bundle_is_refused_in_bounded_time_and_memory(tmp_path: Path, name: str) -> None:
    made = HOSTILE[name]()
    path, policy = tmp_path / "bundle", policies.write(tmp_path)
    path.write_bytes(made if isinstance(made, bytes) else made.data)
    command = [sys.executable, "-c", _MEASURED, "verify", str(path), "--policy", str(policy)]
    environ = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=300)
    word, code, seconds, memory = done.stdout.splitlines()[-1].split()
    assert (word, code) == ("measured", "1"), done.stdout
    assert done.stderr == ""
    assert int(memory) < MEMORY, f"{int(memory) / limits.MIB:.0f} MiB"
    assert float(seconds) < SECONDS


@pytest.mark.parametrize("data", [billion_laughs(), quadratic_blowup()], ids=["laughs", "quadratic"])
def test_an_xml_bomb_is_refused_within_50_milliseconds(data: bytes) -> None:
    """The best of five, because the machine may be busy."""
    spent = []
    for _ in range(5):
        before = time.process_time()
        with pytest.raises(FormatError, match="document type"):
            descriptor.decode(data)
        spent.append(time.process_time() - before)
    assert min(spent) < 0.05


@pytest.mark.parametrize("kind", ["gzip", "zstd", "vzstd"])
def test_a_bomb_is_unpacked_no_further_than_it_was_declared(kind: str) -> None:
    """One block beyond at the most: 256 KiB of gzip, a frame of 4 MiB, a block of 128 KiB."""
    from modseal.format.source import BytesSource

    declared = 5 * limits.MIB
    unpack, packed, step = {
        "gzip": (compression.gunzip, zeros_gzipped(100), 256 * 1024),
        "zstd": (compression.unzstd_frames, zstd_bomb(0).members[2].data, limits.ZSTD_FRAME),
        "vzstd": (compression.unzstd, b"\x28\xb5\x2f\xfd\x00\x88" + repeated(4000), 128 * 1024),
    }[kind]
    made = []

    def counted() -> object:
        for data in unpack(iter([BytesSource(packed).read(0, len(packed))])):
            made.append(len(data))
            yield data

    with pytest.raises(FormatError) as caught:
        sum(map(len, compression.limited(counted(), declared, len(packed))))  # type: ignore[arg-type]
    assert caught.value.failure.code == "unpacked-size-mismatch"
    assert declared < sum(made) <= declared + step
