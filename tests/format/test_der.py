"""Strict DER: each form that is accepted, and the nearest ones that are not."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modseal import limits
from modseal.errors import FormatError
from modseal.format import der
from modseal.format.der import Reader, Value


def refused(call: object, *arguments: object) -> None:
    """Not strict DER."""
    with pytest.raises(FormatError) as raised:
        call(*arguments)  # type: ignore[operator]
    assert raised.value.failure.code == "malformed-signature"
    assert raised.value.failure.detail.startswith("not strict DER: ")


def test_a_value_is_its_tag_its_content_and_all_its_bytes() -> None:
    reader = Reader(b"\x04\x02ab\x05\x00")
    assert reader.next() == Value(0x04, b"ab", b"\x04\x02ab")
    assert reader.more()
    assert reader.next() == Value(0x05, b"", b"\x05\x00")
    assert not reader.more()
    reader.end()


@pytest.mark.parametrize("data", [b"", b"\x04", b"\x04\x01", b"\x04\x02a", b"\x04\x82\x01", b"\x04\x81"])
def test_a_value_that_is_cut_off_is_refused(data: bytes) -> None:
    refused(Reader(data).next)


@pytest.mark.parametrize("tag", [0x1F, 0x3F, 0x5F, 0x7F, 0x9F, 0xBF, 0xDF, 0xFF])
def test_a_long_tag_is_refused(tag: int) -> None:
    refused(Reader(bytes((tag, 1, 0))).next)


@pytest.mark.parametrize("tag", [0x1E, 0x0F, 0x20, 0x30, 0x80, 0xA0, 0xBE])
def test_every_short_tag_is_read(tag: int) -> None:
    assert Reader(bytes((tag, 0))).next().tag == tag


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536, 1 << 24])
def test_each_length_has_one_form(size: int) -> None:
    data = der.encode(der.OCTET_STRING, bytes(size))
    octets = (size.bit_length() + 7) // 8
    head = bytes((4, size)) if size < 128 else bytes((4, 0x80 | octets)) + size.to_bytes(octets)
    assert data == head + bytes(size)
    assert Reader(data).octets() == bytes(size)


@pytest.mark.parametrize(
    "head",
    [
        b"\x80",  # indefinite
        b"\x81\x00",
        b"\x81\x7f",
        b"\x82\x00\x80",
        b"\x82\x00\xff",
        b"\x83\x00\x01\x00",
        b"\x84\x00\x01\x00\x00",
        b"\x85\x00\x00\x00\x00\x80",
        b"\x85\x01\x00\x00\x00\x00",  # more bytes than any file of ours has
        b"\xff",
    ],
)
def test_no_other_form_of_a_length_is_read(head: bytes) -> None:
    refused(Reader(b"\x04" + head + bytes(70000)).next)


def test_a_length_of_four_bytes_is_the_longest() -> None:
    refused(Reader(b"\x04\x84\x7f\xff\xff\xff").next)
    data = der.encode(der.OCTET_STRING, bytes(1 << 24))
    assert data[1] == 0x84
    assert len(Reader(data).next().content) == 1 << 24


def test_a_value_ends_with_its_parent() -> None:
    assert Reader(b"\x30\x02\x05\x00").enter().next().raw == b"\x05\x00"
    refused(Reader(b"\x30\x02\x05\x01\x00").enter().next)


def test_the_tag_is_the_one_expected() -> None:
    assert Reader(b"\x04\x01a").take(der.OCTET_STRING).content == b"a"
    refused(Reader(b"\x04\x01a").take, der.SEQUENCE)
    refused(Reader(b"\x04\x01a").integer)
    refused(Reader(b"\x02\x01\x01").octets)
    refused(Reader(b"\x02\x01\x01").oid)
    refused(Reader(b"\x31\x00").enter)


def test_an_optional_value_is_taken_only_where_its_tag_is_next() -> None:
    reader = Reader(b"\x04\x01a\x05\x00")
    assert reader.optional(der.NULL) is None
    first = reader.optional(der.OCTET_STRING)
    assert first is not None
    assert first.content == b"a"
    assert reader.optional(der.OCTET_STRING) is None
    assert reader.optional(der.NULL) is not None
    assert reader.optional(der.NULL) is None


def test_nothing_may_follow_the_last_value() -> None:
    reader = Reader(b"\x05\x00\x00")
    reader.next()
    refused(reader.end)


def nested(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = der.encode(der.SEQUENCE, data)
    return data


def test_values_are_nested_to_the_limit_and_no_deeper() -> None:
    reader = Reader(nested(limits.DER_DEPTH + 1))
    for _ in range(limits.DER_DEPTH):
        reader = reader.enter()
    assert reader.more()
    refused(reader.enter)


def test_the_depth_counts_from_where_a_reader_begins() -> None:
    assert not Reader(b"", limits.DER_DEPTH).more()
    refused(Reader, b"", limits.DER_DEPTH + 1)
    value = Value(der.SEQUENCE, b"", b"")
    assert not Reader(b"", limits.DER_DEPTH - 1).inside(value).more()
    refused(Reader(b"", limits.DER_DEPTH).inside, value)


@pytest.mark.parametrize(
    ("content", "number"),
    [
        (b"\x00", 0),
        (b"\x01", 1),
        (b"\x7f", 127),
        (b"\x00\x80", 128),
        (b"\x00\xff", 255),
        (b"\x01\x00", 256),
        (b"\x80", -128),
        (b"\xff", -1),
        (b"\xff\x7f", -129),
        (b"\xfe\xff", -257),
        (b"\x01\xff", 511),
    ],
)
def test_an_integer_is_read_as_what_it_is(content: bytes, number: int) -> None:
    assert Reader(der.encode(der.INTEGER, content)).integer() == number


@pytest.mark.parametrize("content", [b"", b"\x00\x00", b"\x00\x7f", b"\x00\x01\x00", b"\xff\x80", b"\xff\xff"])
def test_an_integer_has_one_form(content: bytes) -> None:
    refused(Reader(der.encode(der.INTEGER, content)).integer)


def test_an_integer_has_a_largest_size() -> None:
    largest = b"\x01" + bytes(limits.DER_INTEGER - 1)
    assert Reader(der.encode(der.INTEGER, largest)).integer() == int.from_bytes(largest)
    refused(Reader(der.encode(der.INTEGER, largest + b"\0")).integer)


@given(st.integers(0, 1 << 2048))
@settings(max_examples=100)
def test_a_number_comes_back(number: int) -> None:
    assert Reader(der.encode_integer(number)).integer() == number


@pytest.mark.parametrize(
    ("content", "dotted"),
    [
        (b"\x00", "0.0"),
        (b"\x27", "0.39"),
        (b"\x28", "1.0"),
        (b"\x4f", "1.39"),
        (b"\x50", "2.0"),
        (b"\x77", "2.39"),
        (b"\x78", "2.40"),
        (b"\x88\x37", "2.999"),
        (b"\x2a\x86\x48\x86\xf7\x0d", "1.2.840.113549"),
        (b"\x2a\x7f", "1.2.127"),
        (b"\x2a\x81\x00", "1.2.128"),
        (b"\x2a\x81\x80\x00", "1.2.16384"),
        (b"\x2a\x00", "1.2.0"),
    ],
)
def test_an_object_identifier_is_read_as_dotted_text(content: bytes, dotted: str) -> None:
    assert der.decode_oid(content) == dotted
    assert Reader(der.encode(der.OID, content)).oid() == dotted
    assert der.encode_oid(dotted) == der.encode(der.OID, content)


@pytest.mark.parametrize(
    "content", [b"", b"\x80", b"\x2a\x80", b"\x2a\x80\x01", b"\x80\x01", b"\x2a\x86", b"\x2a\x01\x80\x01"]
)
def test_an_object_identifier_has_one_form(content: bytes) -> None:
    refused(der.decode_oid, content)


def test_an_object_identifier_has_a_largest_size() -> None:
    assert der.decode_oid(b"\x2a" + b"\x01" * (limits.DER_OID - 1)).count(".") == limits.DER_OID
    refused(der.decode_oid, b"\x2a" + b"\x01" * limits.DER_OID)


def test_a_set_is_in_ascending_order_and_each_value_once() -> None:
    one, two = der.encode(der.OCTET_STRING, b"1"), der.encode(der.OCTET_STRING, b"2")
    assert [value.raw for value in der.elements(Reader(one + two))] == [one, two]
    assert der.elements(Reader(b"")) == []
    refused(der.elements, Reader(two + one))
    refused(der.elements, Reader(one + one))
    assert [value.raw for value in der.elements(Reader(two + one), sorted_set=False)] == [two, one]
    assert der.encode_set([two, one]) == der.encode(der.SET, one, two)
    assert der.encode_set([two, one], der.context(1)) == der.encode(0xA1, one, two)


def test_a_set_has_a_largest_number_of_values() -> None:
    data = b"".join(sorted(der.encode_integer(number) for number in range(limits.DER_ELEMENTS + 1)))
    with pytest.raises(FormatError) as raised:
        der.elements(Reader(data))
    assert raised.value.failure.code == "limit-exceeded"
    assert len(der.elements(Reader(data[: -len(der.encode_integer(limits.DER_ELEMENTS))]))) == limits.DER_ELEMENTS


def utc(text: str) -> Value:
    return Value(der.UTC_TIME, text.encode(), b"")


def generalized(text: str) -> Value:
    return Value(der.GENERALIZED_TIME, text.encode(), b"")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (utc("500101000000Z"), "1950-01-01T00:00:00Z"),
        (utc("991231235959Z"), "1999-12-31T23:59:59Z"),
        (utc("000101000000Z"), "2000-01-01T00:00:00Z"),
        (utc("491231235959Z"), "2049-12-31T23:59:59Z"),
        (generalized("20500101000000Z"), "2050-01-01T00:00:00Z"),
        (utc("240229000000Z"), "2024-02-29T00:00:00Z"),
        (generalized("99991231235959Z"), "9999-12-31T23:59:59Z"),
    ],
)
def test_a_time_is_read_as_iso_8601(value: Value, text: str) -> None:
    assert der.decode_time(value).isoformat() == text.replace("Z", "+00:00")


@pytest.mark.parametrize(
    "value",
    [
        utc("250001000000Z"),
        utc("251301000000Z"),
        utc("250100000000Z"),
        utc("250132000000Z"),
        utc("250101240000Z"),
        utc("250101006000Z"),
        utc("161231235960Z"),
        utc("250231000000Z"),
        utc("250229000000Z"),
        utc("250431000000Z"),
        generalized("20500231000000Z"),
        generalized("00000101000000Z"),
        generalized("20491231235959Z"),
        generalized("19491231235959Z"),
        generalized("20250101000000Z"),
        utc("20250101000000Z"),
        utc("2501010000Z"),
        utc("250101000000"),
        utc("250101000000z"),
        utc("250101000000Z0"),
        utc("0250101000000Z"),
        generalized("250101000000Z"),
        generalized("20250101000000.0Z"),
        Value(der.OCTET_STRING, b"20250101000000Z", b""),
        Value(der.OCTET_STRING, b"250101000000Z", b""),
        Value(der.NULL, b"", b""),
    ],
)
def test_a_time_has_one_form_and_possible_fields(value: Value) -> None:
    refused(der.decode_time, value)


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("1950-01-01T00:00:00Z", der.UTC_TIME),
        ("1999-06-07T08:09:10Z", der.UTC_TIME),
        ("2049-12-31T23:59:59Z", der.UTC_TIME),
        ("2050-01-01T00:00:00Z", der.GENERALIZED_TIME),
        ("2123-12-31T00:00:00Z", der.GENERALIZED_TIME),
    ],
)
def test_a_time_is_written_in_the_form_of_its_year(text: str, tag: int) -> None:
    value = Reader(der.encode_time(text)).next()
    assert (value.tag, f"{der.decode_time(value):%Y-%m-%dT%H:%M:%SZ}") == (tag, text)


def test_a_year_before_1950_is_not_written_as_one_a_century_later() -> None:
    assert der.encode_time("1949-12-31T23:59:59Z") == der.encode(der.GENERALIZED_TIME, b"19491231235959Z")


@pytest.mark.parametrize("text", ["00010203040506Z", "19491231235959Z", "20250101000000Z", "99991231235959Z"])
def test_where_there_is_no_choice_a_generalized_time_is_of_any_year(text: str) -> None:
    found = der.decode_generalized_time(generalized(text))
    assert f"{found.year:04}{found:%m%d%H%M%SZ}" == text


@pytest.mark.parametrize(
    "value",
    [
        utc("250101000000Z"),
        Value(der.UTC_TIME, b"20250101000000Z", b""),
        generalized("00000101000000Z"),
        generalized("20161231235960Z"),
        generalized("20250231000000Z"),
        generalized("20250101000000.5Z"),
        generalized("202501010000Z"),
    ],
)
def test_a_generalized_time_has_one_form_and_possible_fields(value: Value) -> None:
    refused(der.decode_generalized_time, value)


@given(st.binary(max_size=64))
@settings(max_examples=300)
def test_any_bytes_are_values_or_a_format_error(data: bytes) -> None:
    reader = Reader(data)
    with contextlib.suppress(FormatError):
        while reader.more():
            value = reader.next()
            assert der.encode(value.tag, value.content) == value.raw
