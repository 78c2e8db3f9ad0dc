"""Payloads: the packed bytes of each form, and the tars inside, packed as they must be so that they are reached."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import zstandard

from modseal import limits
from modseal.errors import FormatError
from modseal.format import compression, payload, tar, visor
from modseal.format.manifest import Digest, Entry, Payload, View
from modseal.format.payload import Measured
from modseal.format.source import BytesSource
from modseal.format.stream import Stream
from targets.base import Target

MTIME = 1_700_000_000
_DIGESTS = tuple(
    Digest(name, view, b"")
    for name, view in (
        ("sha256", View.RAW),
        ("sha256", View.UNPACKED),
        ("sha1", View.UNPACKED),
        ("sha256", View.GUNZIP1),
    )
)


@dataclass
class _Kept:
    """A sink that keeps everything."""

    items: list[tuple[Entry, bytearray]] = field(default_factory=list)
    done: int = 0

    def begin(self, entry: Entry) -> None:
        self.items.append((entry, bytearray()))

    def write(self, data: bytes) -> None:
        self.items[-1][1].extend(data)

    def end(self, entry: Entry) -> None:
        assert entry.path == self.items[-1][0].path
        self.done += 1


def packed(kind: str, data: bytes) -> tuple[Measured, _Kept]:
    """A payload's bytes measured; what can be said of any is asserted here."""
    chunks = [data[at : at + limits.CHUNK_SIZE] for at in range(0, len(data), limits.CHUNK_SIZE)]
    sealed = kind in payload.SEAL_TYPES
    declared = Payload(
        "base",
        kind,
        len(data),
        None,
        mtime=MTIME,
        chunks=tuple(hashlib.sha256(chunk).digest() for chunk in chunks) if sealed else (),
        digests=() if sealed else _DIGESTS,
    )
    kept = _Kept()
    found = payload.measure(declared, BytesSource(data), sink=kept)
    assert found.size == len(data)
    assert found.listed or found.failures
    assert len(found.entries) == kept.done
    assert sealed or found.digests["sha256", View.RAW] == hashlib.sha256(data).digest()
    for entry, content in kept.items[: kept.done]:
        assert len(content) == (entry.size or 0)
    return found, kept


def gzipped(kind: str, data: bytes) -> None:
    """Zlib reads the same where we read anything, and sees the end of the data where we do."""
    found, _ = packed(kind, data)
    if found.unpacked_size is not None and kind != "vzstd":
        other = zlib.decompressobj(zlib.MAX_WBITS | 16)
        size = len(other.decompress(data))
        assert (size, other.eof, other.unused_data) == (found.unpacked_size, True, b"")


def zstd_frames(data: bytes) -> None:
    """Libzstd reads as much where we read anything."""
    found, _ = packed("tar+zstd", data)
    if found.unpacked_size is not None:
        assert _libzstd_size(data) == found.unpacked_size


def vzstd(data: bytes) -> None:
    """The gzip layer as it is given, or a sound one around the zstd frame."""
    if data[:2] == compression.GZIP_HEADER[:2]:
        gzipped("vzstd", data)
        return
    found, _ = packed("vzstd", _gzip(data))
    if found.unpacked_size is not None:
        assert _libzstd_size(data) == found.unpacked_size


def canonical(data: bytes) -> None:
    """The tar of a `.seal`, in either packing: what is read of it gives the same bytes again."""
    kind = payload.SEAL_TYPES[len(data) // tar.BLOCK % 2]
    found, kept = packed(kind, _gzip(data) if kind == "tar+gzip" else _zstd(data))
    if found.listed and not found.failures:
        assert b"".join(tar.write([(entry, iter([bytes(content)])) for entry, content in kept.items], MTIME)) == data


def legacy(data: bytes) -> None:
    """The tar of a `tgz`: a reader that only walks the headers sees as many entries."""
    found, _ = packed("tgz", _gzip(data))
    if found.listed and not found.failures:
        assert len(found.entries) == _walk(data)


def visor_tar(data: bytes) -> None:
    """The tar of a `vgz`: what is read of it, laid out as it was, gives the same bytes again."""
    found, kept = packed("vgz", _gzip(data))
    if not found.listed or found.failures:
        return
    try:
        layout, entries = visor.read_layout(Stream(iter([data]), "bad-listing"))
    except FormatError:
        return
    items = [(entry, iter([bytes(content)])) for entry, (_, content) in zip(entries, kept.items, strict=True)]
    assert b"".join(visor.write(items, layout)) == data


def _walk(data: bytes) -> int:
    """How many headers a tar has, but those of the root."""
    count = at = 0
    while any(header := data[at : at + 512]):
        size = int(header[124:136].strip(b" \0") or b"0", 8)
        is_root = header[:100].rstrip(b"\0") == b"./" and header[156:157] == b"5"
        count += not (is_root and not count)
        at += 512 + -(-size // 512) * 512
    return count


def _gzip(data: bytes) -> bytes:
    return b"".join(compression.gzip(iter([data]), level=0))


def _zstd(data: bytes) -> bytes:
    """One frame of one raw or stored block each 128 KiB, as a `.seal` may have it."""
    return (
        zstandard.ZstdCompressor(level=1, write_checksum=False, write_content_size=True).compress(data) if data else b""
    )


def _libzstd_size(data: bytes) -> int:
    reader = zstandard.ZstdDecompressor(max_window_size=limits.ZSTD_WINDOW).stream_reader(data, read_across_frames=True)
    size = 0
    while block := reader.read(1 << 16):
        size += len(block)
    return size


def _gzip_target(kind: str) -> Callable[[bytes], None]:
    return partial(gzipped, kind)


TARGETS = (
    Target("tar+gzip", _gzip_target("tar+gzip")),
    Target("tar+zstd", zstd_frames),
    Target("vgz", _gzip_target("vgz")),
    Target("tgz", _gzip_target("tgz")),
    Target("vzstd", vzstd),
    Target("tar-canonical", canonical, 8192, mutator="tar"),
    Target("tar-legacy", legacy, 8192, mutator="tar"),
    Target("tar-visor", visor_tar, 16384, mutator="visor"),
)
