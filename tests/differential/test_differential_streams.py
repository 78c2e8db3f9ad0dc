"""A compressed stream is refused, or other unpackers get the same bytes out of it.

A changed deflate stream gets a fitting checksum and size, so that the unpackers are compared and not their checksums.

ISA-L reads some streams that zlib refuses, where a table of codes is incomplete. Among changed streams they are looked
for, with the checksum that fits them, and must be refused.
"""

from __future__ import annotations

import subprocess
import zlib
from pathlib import Path
from random import Random

import zstandard
from isal import igzip_lib

from builders import zstd_blocks
from differential import views
from differential.views import COUNT, needs
from modseal.errors import FormatError
from modseal.format import compression

SEEDS = COUNT or 600
WORDS = (b"opt/acme", b"\0" * 40, b"agent ", b"\x7fELF", b"level = 1\n", b"aaaaaaaaab")


def text(rng: Random) -> bytes:
    return b"".join(
        rng.choice((rng.choice(WORDS), rng.randbytes(rng.randint(1, 9)))) for _ in range(rng.randint(0, 60))
    )


def flipped(rng: Random, data: bytes) -> bytes:
    """Some bits changed, mostly near the start, where the tables of codes are; perhaps some bytes gone or doubled."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        if changed:
            changed[rng.randrange(min(len(changed), rng.choice((4, 30, 10_000))))] ^= 1 << rng.randrange(8)
    at = rng.randint(0, len(changed))
    cut = rng.random()
    if cut < 0.05:
        del changed[at : at + rng.randint(1, 4)]
    elif cut < 0.1:
        changed[at:at] = rng.randbytes(rng.randint(1, 4))
    return bytes(changed)


def deflated(rng: Random) -> bytes:
    packer = zlib.compressobj(rng.randint(0, 9), zlib.DEFLATED, -15, rng.randint(1, 9), rng.randint(0, 4))
    flushes = (zlib.Z_NO_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_BLOCK)
    parts = [packer.compress(text(rng)) + packer.flush(rng.choice(flushes)) for _ in range(rng.randint(1, 3))]
    return b"".join(parts) + packer.flush()


def gzip_of(body: bytes) -> bytes:
    """A gzip member around some deflate data, with the trailer for what the lenient unpacker gets out of it."""
    try:
        data = igzip_lib.decompress(body, flag=igzip_lib.DECOMP_DEFLATE)
    except (igzip_lib.IsalError, OverflowError):
        data = b""
    return compression.GZIP_HEADER + body + zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")


def ours(unpack: object, packed: bytes) -> bytes | None:
    """What modseal unpacks; None where it refuses."""
    try:
        return b"".join(unpack(compression.limited(iter([packed]), None, len(packed))))  # type: ignore[operator]
    except FormatError:
        return None


def by_zlib(packed: bytes) -> bytes | None:
    """What zlib unpacks; None where it refuses."""
    unpacker = zlib.decompressobj(31)
    try:
        data = unpacker.decompress(packed)
    except zlib.error:
        return None
    return data if unpacker.eof and not unpacker.unused_data else None


def by_program(*command: str, packed: bytes) -> bytes:
    return subprocess.run(command, input=packed, capture_output=True, check=True).stdout


@needs("gzip", "bsdtar")
def test_a_changed_deflate_stream_is_refused_or_everybody_unpacks_the_same(tmp_path: Path) -> None:
    accepted = 0
    for seed in range(SEEDS):
        rng = Random(f"deflate {seed}")
        packed = gzip_of(flipped(rng, deflated(rng)))
        data = ours(compression.gunzip, packed)
        try:
            assert by_zlib(packed) == data
            if data is None:
                continue
            accepted += 1
            if seed % 10 == 0:
                (tmp_path / "p.gz").write_bytes(packed)
                assert by_program("gzip", "-dc", packed=packed) == data
                assert views.tool("bsdcat", str(tmp_path / "p.gz")) == data
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
    print(f"deflate: {SEEDS} streams, {accepted} accepted, 0 divergences from zlib")  # noqa: T201
    assert SEEDS // 20 < accepted < SEEDS


@needs("zstd")
def test_changed_zstd_frames_are_refused_or_everybody_unpacks_the_same() -> None:
    accepted = 0
    for seed in range(SEEDS):
        rng = Random(f"zstd {seed}")
        packer = zstandard.ZstdCompressor(rng.choice((1, 3, 9, 19)), write_checksum=False)
        packed = b"".join(packer.compress(text(rng) + b"x") for _ in range(rng.choice((1, 1, 1, 2))))
        packed = flipped(rng, packed) if rng.random() < 0.9 else packed
        for unpack in (compression.unzstd_frames, compression.unzstd):
            data = ours(unpack, packed)
            if data is None:
                continue
            accepted += 1
            try:
                with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as reader:
                    assert reader.read() == data
                if seed % 10 == 0:
                    assert by_program("zstd", "-dcq", "--long=27", packed=packed) == data
            except Exception as error:
                raise AssertionError(f"seed {seed}: {error!r}") from error
    print(f"zstd: {SEEDS} streams, {accepted} accepted, 0 divergences")  # noqa: T201
    assert SEEDS // 20 < accepted < 2 * SEEDS


def by_hand(rng: Random) -> bytes:
    """A frame of a few blocks of any kind, around the edges of its window and of what it says."""
    window = rng.choice((None, 0, 0, 1, 7, 8, 9, 56))
    size = 1 << 10 if window is None else (1 << 10 + (window >> 3)) // 8 * (8 + (window & 7))
    blocks: list[bytes] = []
    made = 0
    for _ in range(rng.randint(1, 6)):
        length = rng.choice((0, 1, 3, 100, size - 1, size, size + 1, 2000, 131_072, 131_073))
        kind = rng.random()
        if kind < 0.4:
            blocks.append(zstd_blocks.raw(rng.randbytes(length)))
        elif kind < 0.6:
            blocks.append(zstd_blocks.rle(b"r", length))
        else:
            literals = rng.randint(0, 40)
            length = max(3, min(length, 65_000))
            distance = max(1, rng.choice((1, made, made + literals, made + literals + 1, size, size + 1, made // 2)))
            blocks.append(zstd_blocks.matching(rng.randbytes(literals), (literals, length, distance)))
            length += literals
        made += length
    if len(blocks) > 1 and rng.random() < 0.2:
        del blocks[-1]
    content = max(0, made + rng.choice((0,) * 8 + (1, -1))) if window is None or rng.random() < 0.6 else None
    wrong = rng.choice((0,) * 12 + (1, 4, 8, 16))
    return zstd_blocks.frame(*blocks, content=content, window=window, descriptor=wrong)


def by_zstd(packed: bytes) -> bytes | None:
    """What the command line tool unpacks; None where it refuses."""
    done = subprocess.run(["zstd", "-dcq", "--long=27"], input=packed, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


@needs("zstd")
def test_zstd_blocks_made_by_hand_are_refused_or_the_tool_unpacks_the_same() -> None:
    accepted = 0
    for seed in range(SEEDS):
        rng = Random(f"zstd blocks {seed}")
        packed = by_hand(rng)
        packed = flipped(rng, packed) if rng.random() < 0.5 else packed
        for unpack in (compression.unzstd_frames, compression.unzstd):
            data = ours(unpack, packed)
            if data is not None:
                accepted += 1
                assert by_zstd(packed) == data, f"seed {seed}"
    print(f"zstd blocks: {SEEDS} frames, {accepted} accepted, 0 divergences")  # noqa: T201
    assert SEEDS // 20 < accepted < 2 * SEEDS
