"""Unpacking: damage, bombs and whatever follows the end are refused; the tools of the system read what we write."""

import contextlib
import functools
import gzip as python_gzip
import hashlib
import os
import random
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import zstd_blocks
from modseal import limits
from modseal.errors import FormatError
from modseal.format import compression
from modseal.format.compression import GZIP_HEADER

TEXT = b"".join(b"line %d\n" % number for number in range(40_000))
FULL = limits.ZSTD_FRAME


def run(step, data, size=1000, **options):
    return b"".join(step((data[at : at + size] for at in range(0, len(data), size)), **options))


def refused(step, data, **options):
    with pytest.raises(FormatError) as raised:
        run(step, data, **options)
    return raised.value.failure.code


def frame(data, level=3, **options):
    """A frame of another packer; its window covers the whole, so that it is a single segment."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, **{"window_log": 23, "write_checksum": False, **options}
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


@pytest.fixture(scope="module")
def frames():
    return run(compression.zstd_frames, TEXT * 20, 300_000)


@functools.cache
def short(pack):
    """A short text packed: made once, since a window of 128 MiB takes its time."""
    return run(pack, TEXT[:2000])


PACKERS = [
    (compression.gzip, compression.gunzip),
    (compression.zstd_frames, compression.unzstd_frames),
    (compression.zstd, compression.unzstd),
]


@pytest.mark.parametrize(("pack", "unpack"), PACKERS)
@pytest.mark.parametrize("data", [b"x", TEXT])
def test_what_is_packed_is_unpacked(pack, unpack, data):
    assert run(unpack, run(pack, data)) == data


@settings(max_examples=40)
@given(st.binary(min_size=1, max_size=3000), st.integers(1, 500))
def test_any_bytes_survive_in_any_blocks(data, size):
    for pack, unpack in PACKERS[:2]:
        assert run(unpack, run(pack, data, size), size) == data


@pytest.mark.parametrize(("pack", "unpack"), PACKERS)
def test_a_cut_stream_is_refused(pack, unpack):
    packed = run(pack, TEXT)
    for cut in (1, 2, 4, 8, 9, 100, len(packed) - 1, len(packed)):
        assert refused(unpack, packed[:-cut] if cut else packed) == "bad-payload"


@pytest.mark.parametrize(("pack", "unpack"), PACKERS)
@pytest.mark.parametrize("more", [b"\0", b"x", bytes(512)])
def test_bytes_after_the_end_are_refused(pack, unpack, more):
    packed = run(pack, TEXT)
    for size in (1000, len(packed), len(packed) + 1000):
        with pytest.raises(FormatError) as raised:
            run(unpack, packed + more, size)
        assert raised.value.failure.code == "bad-payload"


@pytest.mark.parametrize(("pack", "unpack"), PACKERS)
def test_a_second_stream_is_refused(pack, unpack):
    packed = run(pack, TEXT)
    for size in (1000, len(packed), 2 * len(packed)):
        with pytest.raises(FormatError):
            run(unpack, packed + packed, size)


@pytest.mark.parametrize(("pack", "unpack"), PACKERS)
@settings(max_examples=200)
@given(data=st.data())
def test_any_changed_byte_is_unpacked_or_refused(pack, unpack, data):
    packed = bytearray(short(pack))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(FormatError):
        run(unpack, bytes(packed))


@pytest.mark.parametrize("unpack", [compression.gunzip, compression.unzstd_frames, compression.unzstd])
@settings(max_examples=200)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_unpacked_or_refused(unpack, data):
    for start in (b"", GZIP_HEADER, b"\x28\xb5\x2f\xfd"):
        with contextlib.suppress(FormatError):
            run(unpack, start + data)


# gzip


def test_gzip_is_what_zlib_makes_at_the_level_that_is_said():
    body = zlib.compressobj(compression.GZIP_LEVEL, zlib.DEFLATED, -15, 8)
    expected = body.compress(TEXT) + body.flush() + struct.pack("<II", zlib.crc32(TEXT), len(TEXT))
    assert run(compression.gzip, TEXT) == bytes.fromhex("1f8b08000000000002ff") + expected


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, (5 << 20) - 1])
def test_gzip_of_several_parts_is_one_member_and_the_same_on_one_core(size, monkeypatch):
    data = (TEXT * (size // len(TEXT) + 1))[:size]
    packed = run(compression.gzip, data)
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert (reader.decompress(packed), reader.eof, reader.unused_data) == (data, True, b"")
    monkeypatch.setattr(compression, "GZIP_THREADS", 1)
    assert run(compression.gzip, data, 100_000) == packed


def test_a_part_finds_what_the_part_before_has():
    """Without the bytes before it each part would begin with nothing to refer to."""
    data = random.Random(1).randbytes(16_000) * 200
    whole = zlib.compress(data, compression.GZIP_LEVEL)
    assert len(run(compression.gzip, data)) < 1.03 * len(whole)


def test_several_parts_are_hardly_larger_than_what_gzip_makes_of_a_library():
    files = sorted(Path(os.__file__).parent.glob("*.py"))
    data = b"".join(file.read_bytes() for file in files)[: 4 << 20]
    assert len(data) > 2 << 20
    assert len(run(compression.gzip, data)) < 1.03 * len(zlib.compress(data, 6))


def test_where_zlib_takes_the_place_of_the_faster_library_it_keeps_its_own_level(monkeypatch):
    data = TEXT * ((3 << 20) // len(TEXT))
    levels = []

    def spy(level, *rest):
        levels.append(level)
        return compressobj(level, *rest)

    compressobj = zlib.compressobj
    monkeypatch.setattr(zlib, "compressobj", spy)
    monkeypatch.setattr(compression, "faster_zlib", lambda: zlib)
    assert run(compression.gunzip, run(compression.gzip, data)) == data
    assert levels
    assert set(levels) == {compression.GZIP_LEVEL}


def test_gzip_is_read_by_others():
    packed = run(compression.gzip, TEXT)
    assert python_gzip.decompress(packed) == TEXT
    if not shutil.which("gzip"):
        pytest.skip("no gzip on this machine")
    assert subprocess.run(["gzip", "-dc"], input=packed, capture_output=True, check=True).stdout == TEXT


def member(flags=0, extra=b"", mtime=0, body=TEXT):
    plain = run(compression.gzip, body)
    return b"\x1f\x8b\x08" + bytes([flags]) + struct.pack("<I", mtime) + b"\x00\x03" + extra + plain[10:]


def test_a_gzip_header_may_have_a_name_and_a_time():
    assert run(compression.gunzip, member(8, b"payload.vtar\0", 1_500_000_000)) == TEXT


@pytest.mark.parametrize(
    ("flags", "extra"),
    [
        (1, b""),
        (2, b"\0\0"),
        (4, b"\1\0x"),
        (16, b"comment\0"),
        (32, b""),
        (64, b""),
        (128, b""),
        (8, b"n" * 256 + b"\0"),
    ],
)
def test_other_gzip_header_fields_are_refused(flags, extra):
    assert refused(compression.gunzip, member(flags, extra)) == "bad-payload"


def test_a_seal_has_one_gzip_header():
    assert run(compression.gunzip, run(compression.gzip, TEXT), plain=True) == TEXT
    assert refused(compression.gunzip, member(), plain=True) == "bad-payload"


@pytest.mark.parametrize("at", [-1, -4, -5, -8])
def test_a_wrong_gzip_checksum_or_size_is_refused(at):
    packed = bytearray(run(compression.gzip, TEXT))
    packed[at] ^= 1
    assert refused(compression.gunzip, bytes(packed)) == "bad-payload"


def test_gunzip_gives_small_blocks_whatever_is_in():
    bomb = run(compression.gzip, bytes(20_000_000), 1_000_000)
    blocks = list(compression.gunzip(iter([bomb])))
    assert max(map(len, blocks)) <= 256 * 1024
    assert sum(map(len, blocks)) == 20_000_000


# zstd frames of a .seal


def test_frames_are_independent_and_say_their_size(frames):
    sizes = []
    rest = frames
    while rest:
        parameters = zstandard.get_frame_parameters(rest)
        assert (parameters.dict_id, parameters.has_checksum) == (0, False)
        unit = zstandard.ZstdDecompressor().decompressobj()
        sizes.append(len(unit.decompress(rest)))
        assert sizes[-1] == parameters.content_size
        rest = unit.unused_data
    assert sizes == [FULL] * (len(sizes) - 1) + [len(TEXT) * 20 % FULL]


@pytest.mark.parametrize("cores", [1, 2, 8])
@pytest.mark.parametrize("damaged", [0, 1, 2, 3])
@pytest.mark.parametrize("place", ["header", "block"])
def test_frames_before_a_damaged_one_come_first_on_any_number_of_cores(monkeypatch, cores, damaged, place):
    """What a reader of them finds wrong must not depend on the machine."""
    monkeypatch.setattr(compression.os, "cpu_count", lambda: cores)
    monkeypatch.setattr(compression, "ZSTD_THREADS", 8)
    full = (TEXT * 20)[:FULL]
    frames = [b"".join(compression.zstd_frames(iter([full]))) for _ in range(4)]
    frames[damaged] = b"\0" + frames[damaged][1:] if place == "header" else frames[damaged][:-1] + b"\0"
    found = []
    with pytest.raises(FormatError) as caught:
        found.extend(compression.unzstd_frames(iter([b"".join(frames)])))
    assert caught.value.failure.code == "bad-payload"
    assert found == [full] * damaged


def test_frames_are_the_same_on_any_number_of_cores(frames, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert run(compression.zstd_frames, TEXT * 20, 12345) == frames


def test_frames_are_read_by_zstd(frames):
    if not shutil.which("zstd"):
        pytest.skip("no zstd on this machine")
    assert subprocess.run(["zstd", "-dc"], input=frames, capture_output=True, check=True).stdout == TEXT * 20


def test_frames_that_another_packer_sets_up_differently_are_read():
    data = (TEXT * 20)[:FULL]
    assert run(compression.unzstd_frames, frame(data, 1) + frame(b"end", 19), 100_000) == data + b"end"


def test_a_frame_of_a_seal_is_a_single_segment():
    """One with a window can copy from beyond it, and decoders then give different bytes."""
    data = (TEXT * 20)[:FULL]
    packed = frame(data, 1, window_log=19)
    assert zstandard.get_frame_parameters(packed).window_size < FULL
    assert refused(compression.unzstd_frames, packed) == "bad-payload"


def test_compressors_that_fail_leave_no_thread_waiting():
    def broken():
        yield bytes(3 * FULL)
        raise FormatError("bad-listing", "broken")

    with pytest.raises(FormatError, match="broken"):
        list(compression.zstd_frames(broken()))


SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(frame(b"a") + frame(b"b"), id="a frame after one that is not full"),
        pytest.param(frame(b"a") + SKIPPABLE, id="a skippable frame at the end"),
        pytest.param(SKIPPABLE + frame(b"a"), id="a skippable frame first"),
        pytest.param(frame(bytes(FULL + 1)), id="a frame over 4 MiB"),
        pytest.param(frame(b""), id="an empty frame"),
        pytest.param(frame(b"a", write_content_size=False), id="no content size"),
        pytest.param(zstandard.ZstdCompressor(write_checksum=True).compress(b"a"), id="a checksum"),
        pytest.param(b"\x28\xb5\x2f\xfd\x21\x07\x01\x09\x00\x00a", id="a dictionary"),
        pytest.param(b"\x28\xb5\x2f\xfd\x28\x01\x09\x00\x00a", id="a reserved bit"),
        pytest.param(b"\x28\xb5\x2f\xfd\x20\x01\x0f\x00\x00a", id="a reserved block type"),
        pytest.param(b"\x28\xb5\x2f\xfd\x20\x01\x00\x00\x00\x09\x00\x00a", id="an empty block"),
        pytest.param(b"\x28\xb5\x2f\xfd\x20\x02\x09\x00\x00a", id="less content than it says"),
        pytest.param(b"\x28\xb5\x2f\xfd\x20\x01\x11\x00\x00ab", id="more content than it says"),
    ],
)
def test_other_zstd_frames_are_refused(packed):
    assert refused(compression.unzstd_frames, packed) == "bad-payload"


def rle(blocks, single=b"\x20\x01"):
    """A frame of blocks of 128 KiB, four bytes each: the densest bomb there is."""
    block = (128 * 1024 << 3 | 2).to_bytes(3, "little") + b"\0"
    return b"\x28\xb5\x2f\xfd" + single + block * (blocks - 1) + (128 * 1024 << 3 | 3).to_bytes(3, "little") + b"\0"


def test_a_hand_made_frame_is_read():
    assert run(compression.unzstd_frames, b"\x28\xb5\x2f\xfd\x20\x01\x09\x00\x00a") == b"a"
    assert run(compression.unzstd_frames, rle(32, b"\xa0" + struct.pack("<I", FULL))) == bytes(FULL)


def test_a_frame_that_holds_more_than_it_says_is_refused_without_being_unpacked():
    assert refused(compression.unzstd_frames, rle(100_000)) == "bad-payload"
    assert refused(compression.unzstd_frames, rle(33, b"\xa0" + struct.pack("<I", FULL))) == "bad-payload"


def test_a_frame_in_needlessly_many_blocks_is_refused():
    one = (1 << 3).to_bytes(3, "little") + b"a"
    assert (
        refused(compression.unzstd_frames, b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", 60_000) + one * 60_000)
        == "bad-payload"
    )
    assert refused(compression.unzstd, b"\x28\xb5\x2f\xfd\x00\x88" + one * 60_000) == "bad-payload"


# Against RFC 8878


TEN = b"abcdefghij"
KIB = limits.KIB
NOISE = hashlib.sha512(b"noise").digest() * 50
"""3,200 bytes; where they repeat does not matter."""


def test_blocks_made_by_hand_are_read():
    packed = zstd_blocks.frame(zstd_blocks.raw(TEN), zstd_blocks.matching(b"xy", (2, 4, 12)), content=16)
    assert run(compression.unzstd_frames, packed) == run(compression.unzstd, packed) == TEN + b"xyabcd"
    packed = zstd_blocks.frame(zstd_blocks.rle(b"z", 5), zstd_blocks.matching(TEN), content=15)
    assert run(compression.unzstd_frames, packed) == run(compression.unzstd, packed) == b"zzzzz" + TEN


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param([zstd_blocks.raw(NOISE[: KIB + 1])], id="a raw block"),
        pytest.param([zstd_blocks.rle(b"a", KIB + 1)], id="a block of one byte"),
        pytest.param([zstd_blocks.matching(NOISE[: KIB + 1])], id="literals"),
        pytest.param([zstd_blocks.raw(TEN), zstd_blocks.matching(TEN, (10, KIB, 5))], id="a long copy"),
    ],
)
@pytest.mark.parametrize("content", [None, 5000])
def test_a_block_larger_than_the_window_is_refused(blocks, content):
    """RFC 8878, section 3.1.1.2.3: Block_Maximum_Size is the smaller of window and 128 KiB."""
    packed = zstd_blocks.frame(*blocks, window=zstd_blocks.WINDOW_1K, content=content)
    assert refused(compression.unzstd, packed) == "bad-payload"
    assert refused(compression.unzstd_frames, packed) == "bad-payload"


@pytest.mark.parametrize("content", [16, 4])
def test_another_content_size_than_the_header_says_is_refused(content):
    packed = zstd_blocks.frame(zstd_blocks.raw(TEN), zstd_blocks.raw(b""), content=content)
    assert refused(compression.unzstd_frames, packed) == "bad-payload"
    assert refused(compression.unzstd, packed) == "bad-payload"


def test_an_empty_compressed_block_is_refused():
    packed = zstd_blocks.frame(zstd_blocks.raw(TEN), zstd_blocks.block(2, 0, b""), content=10)
    assert refused(compression.unzstd_frames, packed) == "bad-payload"
    assert refused(compression.unzstd, packed) == "bad-payload"


def test_a_block_that_unpacks_to_more_than_128_kib_is_refused():
    big = zstd_blocks.matching(NOISE[:48], *[(16, 65_600, 48)] * 3)
    packed = zstd_blocks.frame(zstd_blocks.raw(NOISE[:48]), big, content=48 + 3 * 65_616)
    assert refused(compression.unzstd_frames, packed) == "bad-payload"
    assert refused(compression.unzstd, packed) == "bad-payload"


@pytest.mark.parametrize("distance", [KIB + 1, 1200, 2000, 3000])
def test_a_copy_from_beyond_the_window_is_refused(distance):
    """libzstd takes some of these, and gives other bytes for them in one call than in many."""
    blocks = [zstd_blocks.raw(NOISE[at : at + 800]) for at in range(0, 3200, 800)]
    packed = zstd_blocks.frame(*blocks, zstd_blocks.matching(TEN, (10, 50, distance)), window=0)
    assert refused(compression.unzstd, packed) == "bad-payload"


def test_what_is_longer_than_its_window_needs_a_digest():
    packed = zstd_blocks.frame(*[zstd_blocks.raw(NOISE[:800])] * 2, window=zstd_blocks.WINDOW_1K)
    assert refused(compression.unzstd, packed) == "bad-payload"
    assert run(compression.unzstd, packed, digested=True) == NOISE[:800] * 2
    fits = zstd_blocks.frame(zstd_blocks.raw(NOISE[:KIB]), window=zstd_blocks.WINDOW_1K)
    assert run(compression.unzstd, fits) == NOISE[:KIB]


# The zstd frame of a vzstd


def test_the_frame_of_a_vzstd_has_vmware_s_parameters():
    parameters = zstandard.get_frame_parameters(run(compression.zstd, TEXT))
    assert parameters.window_size == limits.ZSTD_WINDOW
    assert parameters.content_size == zstandard.CONTENTSIZE_UNKNOWN
    assert not parameters.has_checksum


def test_a_checksum_in_a_vzstd_is_checked():
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(TEXT)
    assert run(compression.unzstd, packed) == TEXT
    assert refused(compression.unzstd, packed[:-1] + bytes([packed[-1] ^ 1])) == "bad-payload"


def test_a_larger_window_is_refused():
    assert refused(compression.unzstd, b"\x28\xb5\x2f\xfd\x00\x89" + b"\x09\x00\x00a") == "bad-payload"
    assert run(compression.unzstd, b"\x28\xb5\x2f\xfd\x00\x88" + b"\x09\x00\x00a") == b"a"


def test_one_block_is_unpacked_at_a_time():
    blocks = list(compression.unzstd(iter([rle(200, b"\x00\x88")])))
    assert max(map(len, blocks)) == 128 * 1024
    assert sum(map(len, blocks)) == 200 * 128 * 1024


# Sizes


def test_a_declared_size_is_exact():
    assert run(compression.limited, TEXT, declared=len(TEXT), packed=1) == TEXT
    assert refused(compression.limited, TEXT, declared=len(TEXT) - 1, packed=1) == "unpacked-size-mismatch"
    assert refused(compression.limited, TEXT, declared=len(TEXT) + 1, packed=1) == "unpacked-size-mismatch"


def test_no_byte_beyond_the_declared_size_gets_through():
    seen = compression.limited(iter([b"abc", b"def"]), 5, 1)
    assert next(seen) == b"abc"
    with pytest.raises(FormatError):
        next(seen)


def test_an_undeclared_size_is_bounded_by_the_packed_one():
    assert len(run(compression.limited, bytes(limits.UNPACK_FLOOR), declared=None, packed=0)) == limits.UNPACK_FLOOR
    assert refused(compression.limited, bytes(limits.UNPACK_FLOOR + 1), declared=None, packed=100) == "limit-exceeded"


def test_a_size_beyond_the_limit_is_refused_even_when_declared(monkeypatch):
    monkeypatch.setattr(limits, "UNPACKED_SIZE", 1000)
    assert refused(compression.limited, TEXT, declared=len(TEXT), packed=1) == "limit-exceeded"
    assert refused(compression.limited, TEXT, declared=None, packed=10**9) == "limit-exceeded"
