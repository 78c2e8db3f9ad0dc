"""Blocks as a stream, and the thread that makes them ahead of their reader."""

import threading
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modseal.errors import FormatError
from modseal.format.stream import Stream, ahead, regroup, zeros

BLOCKS = st.lists(st.binary(max_size=20), max_size=8)


@settings(max_examples=200)
@given(BLOCKS, st.lists(st.integers(0, 30), max_size=8))
def test_bytes_are_taken_in_order_whatever_the_blocks_are(blocks, lengths):
    data = b"".join(blocks)
    stream = Stream(iter(blocks), "bad-listing")
    for length in lengths:
        at = stream.position
        if at + length > len(data):
            with pytest.raises(FormatError) as raised:
                stream.take(length)
            assert raised.value.failure.code == "bad-listing"
            return
        assert stream.take(length) == data[at : at + length]
    assert b"".join(stream.rest()) == data[sum(lengths) :]
    assert stream.at_end()


@settings(max_examples=200)
@given(BLOCKS, st.integers(1, 30))
def test_regrouping_changes_the_blocks_and_not_the_bytes(blocks, size):
    regrouped = list(regroup(iter(blocks), size))
    assert b"".join(regrouped) == b"".join(blocks)
    assert all(len(block) == size for block in regrouped[:-1])
    assert all(0 < len(block) <= size for block in regrouped[-1:])


def test_zero_bytes_come_in_bounded_pieces():
    assert b"".join(zeros(200_000)) == bytes(200_000)
    assert max(map(len, zeros(200_000))) <= 64 * 1024


def test_bytes_that_should_be_zero_and_are_not_are_refused():
    with pytest.raises(FormatError, match="the gap before byte 3 is not zero"):
        Stream(iter([b"\0\0\1"]), "bad-listing").zeros(3, "the gap")


def test_a_thread_passes_on_all_blocks_in_order():
    with ahead(iter([b"a", b"b", b"c"]), 2) as blocks:
        assert list(blocks) == [b"a", b"b", b"c"]
    assert_no_thread()


def test_what_the_thread_raises_is_raised_after_the_blocks_before_it():
    def broken():
        yield b"a"
        raise FormatError("bad-payload", "broken")

    seen = []
    with ahead(broken(), 2) as blocks, pytest.raises(FormatError, match="broken"):
        seen.extend(blocks)
    with ahead(broken(), 2) as blocks:
        assert next(blocks) == b"a"
    assert_no_thread()


def test_the_thread_ends_when_the_reader_stops_early():
    made = []

    def endless():
        for number in count():
            made.append(number)
            yield b"x"

    with ahead(endless(), 3) as blocks:
        next(blocks)
    assert_no_thread()
    assert len(made) <= 3 + 3


def assert_no_thread():
    assert not [thread for thread in threading.enumerate() if thread.name == "modseal-unpack"]


def test_no_bytes_at_all_are_said_to_be_none():
    with pytest.raises(FormatError, match="there is no data: it is empty"):
        Stream(iter([]), "bad-payload").take(10)
    with pytest.raises(FormatError, match="ends 8 bytes early, at byte 2"):
        list(Stream(iter([b"ab"]), "bad-payload").pieces(10))
