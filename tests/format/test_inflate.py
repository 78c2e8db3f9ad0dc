"""One way to unpack deflate: zlib's rules, whichever library does it."""

import sys
import zlib
from random import Random

import pytest

from builders.deflate import DATA, SOUND, UNSOUND
from modseal.errors import FormatError
from modseal.format.inflate import GZIP, RAW, inflate

LIBRARIES = ("zlib-ng", "zlib-ng with only what is documented", "Python's zlib")


@pytest.fixture(params=LIBRARIES, autouse=True)
def library(request, monkeypatch):
    choose(request.param, monkeypatch)


def choose(name, monkeypatch):
    if name == "Python's zlib":
        monkeypatch.setitem(sys.modules, "zlib_ng", None)
        return
    package = pytest.importorskip("zlib_ng", reason="zlib-ng is not installed")
    if name != "zlib-ng":
        monkeypatch.delattr(package.zlib_ng, "_ZlibDecompressor")


def unpack(data, wrapping=RAW, step=1000, **more):
    blocks = (data[at : at + step] for at in range(0, len(data), step))
    return b"".join(inflate(blocks, wrapping, "the data", **more))


def refused(data, wrapping=RAW, **more):
    with pytest.raises(FormatError) as raised:
        unpack(data, wrapping, **more)
    return raised.value.failure


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_set_of_codes_is_read(name):
    assert unpack(SOUND[name]) == zlib.decompress(SOUND[name], -15)
    assert unpack(SOUND[name], step=1) in (DATA, b"")


@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize("name", UNSOUND)
def test_an_unsound_set_of_codes_is_refused_though_the_data_could_be_read(name, step):
    failure = refused(UNSOUND[name], step=step)
    assert failure.code == "bad-payload"
    assert "damaged" in failure.detail


def test_bytes_after_the_end_have_the_code_that_the_caller_gives():
    data = SOUND["complete sets"]
    for step in (1, len(data), 1000):
        assert refused(data + b"x", step=step).code == "bad-payload"
        assert refused(data + b"x", step=step, trailing="trailing-bytes").code == "trailing-bytes"


def test_a_stream_that_ends_early_is_refused_and_says_where():
    failure = refused(SOUND["complete sets"][:-1], entry="a")
    assert (failure.code, failure.detail, failure.evidence) == ("bad-payload", "the data ends early", {"entry": "a"})
    assert refused(b"").code == "bad-payload"


@pytest.mark.parametrize("at", [-1, -5])
def test_a_gzip_member_s_size_and_checksum_are_compared(at):
    packed = bytearray(zlib.compress(DATA, wbits=31))
    assert unpack(bytes(packed), GZIP) == DATA
    packed[at] ^= 1
    assert refused(bytes(packed), GZIP).code == "bad-payload"


def test_blocks_are_bounded_however_well_the_data_is_packed():
    packed = zlib.compress(bytes(3 << 20), 9, wbits=-15)
    sizes = [len(block) for block in inflate(iter([packed]), RAW, "the data")]
    assert sum(sizes) == 3 << 20
    assert max(sizes) <= 256 * 1024


def in_steps(data, step):
    """The blocks that come out, and where more of the data was asked for; the last one says how it ended."""
    events = []

    def asked():
        for at in range(0, len(data), step):
            events.append(at)
            yield memoryview(data)[at : at + step]

    try:
        events.extend(map(bytes, inflate(asked(), GZIP, "the data")))
    except FormatError as error:
        events.append(error.failure.code)
    return events


@pytest.mark.parametrize("step", [7, 5000, 256 * 1024])
def test_the_same_blocks_come_out_and_no_more_is_asked_for_whatever_unpacks(step, monkeypatch):
    source = Random(1)
    data = source.randbytes(300_000) + bytes(2 << 20) + source.randbytes(300_000)
    packed = zlib.compress(data, 1, wbits=31)
    changed = bytearray(packed)
    changed[len(packed) // 2] ^= 8
    for each in (packed, packed[:-1], packed + b"x", bytes(changed)):
        found = in_steps(each, step)
        with monkeypatch.context() as other:
            choose("Python's zlib", other)
            assert found == in_steps(each, step)
