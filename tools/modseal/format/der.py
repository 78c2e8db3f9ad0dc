"""Strict DER (X.690 section 10): the part of it that CMS needs.

A lean reader of our own, because every laxity of a general one is a second meaning for the same
signature (docs/adr/0002). Refused: indefinite and non-minimal lengths, long tags, values that run
past their parent, bytes after the last value.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from modseal import limits
from modseal.errors import FormatError
from modseal.values import dataclass, regex

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
SEQUENCE, SET = 0x30, 0x31

_LONG_TAG = 0x1F
_LONG_LENGTH = 0x80
_MAX_LENGTH_BYTES = 4
_UTC = regex(rb"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z")
_GENERALIZED = regex(rb"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z")
_UTC_PIVOT = 50
"""UTCTime years from 50 mean 19xx, so it ends with 2049 (RFC 5280 section 4.1.2.5, RFC 5652 section 11.3)."""
_FIRST_GENERALIZED = 2000 + _UTC_PIVOT


def context(number: int) -> int:
    """The tag of a constructed context-specific value."""
    return 0xA0 | number


@dataclass(frozen=True, slots=True)
class Value:
    """One value: its tag, its content, and all its bytes with tag and length."""

    tag: int
    content: bytes
    raw: bytes


class Reader:
    """Reads the values of one content in order; call `end` after the last one."""

    __slots__ = ("_data", "_depth", "_position")

    def __init__(self, data: bytes, depth: int = 0) -> None:
        if depth > limits.DER_DEPTH:
            raise malformed(f"values are nested more than {limits.DER_DEPTH} deep")
        self._data = data
        self._position = 0
        self._depth = depth

    def more(self) -> bool:
        """Whether a value is left."""
        return self._position < len(self._data)

    def next(self) -> Value:
        """The next value, of any tag."""
        data, start = self._data, self._position
        body = start + 2
        if len(data) < body:
            raise malformed("a value is cut off")
        tag, length = data[start], data[start + 1]
        if tag & _LONG_TAG == _LONG_TAG:
            raise malformed("a tag has more than one byte")
        if length >= _LONG_LENGTH:
            length, body = self._long_length(length & 0x7F, body)
        end = body + length
        if end > len(data):
            raise malformed("a value runs past its parent")
        self._position = end
        return Value(tag, data[body:end], data[start:end])

    def _long_length(self, count: int, body: int) -> tuple[int, int]:
        octets = self._data[body : body + count]
        if not 1 <= count <= _MAX_LENGTH_BYTES or len(octets) != count:
            raise malformed("a length is indefinite or too long")
        length = int.from_bytes(octets)
        if length < _LONG_LENGTH or octets[0] == 0:
            raise malformed("a length is not minimal")
        return length, body + count

    def take(self, tag: int) -> Value:
        """The next value, which must have this tag."""
        value = self.next()
        if value.tag != tag:
            raise malformed(f"tag {tag:#04x} expected, {value.tag:#04x} found")
        return value

    def optional(self, tag: int) -> Value | None:
        """The next value if it has this tag."""
        if self._position < len(self._data) and self._data[self._position] == tag:
            return self.next()
        return None

    def enter(self, tag: int = SEQUENCE) -> Reader:
        """A reader for the content of the next value, which must have this tag."""
        return Reader(self.take(tag).content, self._depth + 1)

    def explicit(self, number: int) -> Reader:
        """A reader for the content of the one SEQUENCE in the next value, which has the explicit tag [number]."""
        wrapped = self.enter(context(number))
        body = wrapped.enter()
        wrapped.end()
        return body

    def inside(self, value: Value) -> Reader:
        """A reader for the content of a value of this reader."""
        return Reader(value.content, self._depth + 1)

    def integer(self) -> int:
        """The next value as an integer, minimally encoded."""
        content = self.take(INTEGER).content
        if not content or (len(content) > 1 and content[0] in (0x00, 0xFF) and (content[0] ^ content[1]) < 0x80):
            raise malformed("an integer is not minimal")
        if len(content) > limits.DER_INTEGER:
            raise malformed(f"an integer has more than {limits.DER_INTEGER} bytes")
        return int.from_bytes(content, signed=True)

    def oid(self) -> str:
        """The next value as an object identifier in dotted form."""
        return decode_oid(self.take(OID).content)

    def octets(self) -> bytes:
        """The next value as an octet string."""
        return self.take(OCTET_STRING).content

    def end(self) -> None:
        """Nothing may be left."""
        if self._position < len(self._data):
            raise malformed("bytes follow the last value")


def malformed(detail: str) -> FormatError:
    """The one error of this module."""
    return FormatError("malformed-signature", f"not strict DER: {detail}")


def elements(reader: Reader, *, sorted_set: bool = True) -> list[Value]:
    """All values left in a SET OF; DER demands ascending order (X.690 section 11.6). Also raises limit-exceeded."""
    values: list[Value] = []
    while reader.more():
        if len(values) == limits.DER_ELEMENTS:
            raise FormatError("limit-exceeded", f"a set has more than {limits.DER_ELEMENTS} values")
        value = reader.next()
        if sorted_set and values and value.raw <= values[-1].raw:
            raise malformed("a SET OF is not in ascending order")
        values.append(value)
    return values


def only(data: bytes) -> Reader:
    """A reader for the content of the one SEQUENCE that these bytes are. Raises `FormatError`."""
    outer = Reader(data)
    body = outer.enter()
    outer.end()
    return body


def only_value(data: bytes, tag: int) -> Value:
    """The one value that these bytes are, which must have this tag. Raises `FormatError`."""
    outer = Reader(data)
    value = outer.take(tag)
    outer.end()
    return value


@functools.lru_cache(maxsize=256)
def decode_oid(content: bytes) -> str:
    """An object identifier's content octets as dotted text."""
    if not content or content[-1] & 0x80:
        raise malformed("an object identifier is cut off")
    if len(content) > limits.DER_OID:
        raise malformed(f"an object identifier has more than {limits.DER_OID} bytes")
    arcs: list[int] = []
    arc = 0
    for byte in content:
        if arc == 0 and byte == 0x80:
            raise malformed("an object identifier is not minimal")
        arc = arc << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


def decode_time(value: Value) -> datetime:
    """The choice Time as a signer writes it: UTCTime through 2049, GeneralizedTime after (RFC 5652 section 11.3).

    Aware, in UTC. Both have seconds and end with Z; the day is one of the calendar, the second none of 60.
    """
    if value.tag == GENERALIZED_TIME:
        found = decode_generalized_time(value)
        if found.year < _FIRST_GENERALIZED:
            raise malformed("a time before 2050 is not a UTCTime")
        return found
    match = _UTC.fullmatch(value.content)
    if value.tag != UTC_TIME or not match:
        raise malformed("a time is not in its one form")
    year, *rest = map(int, match.groups())
    return _calendar(year + (1900 if year >= _UTC_PIVOT else 2000), *rest)


def decode_either_time(value: Value) -> datetime:
    """The choice Time as certificates and CRLs have it; aware, in UTC.

    Who issues writes UTCTime through 2049, and "conforming applications MUST be able to process validity dates that are
    encoded in either UTCTime or GeneralizedTime" (RFC 5280 section 4.1.2.5).
    """
    return decode_generalized_time(value) if value.tag == GENERALIZED_TIME else decode_time(value)


def decode_generalized_time(value: Value) -> datetime:
    """A GeneralizedTime of any year, where no choice is allowed (such as RFC 5280 section 5.3.2); aware, in UTC."""
    match = _GENERALIZED.fullmatch(value.content)
    if value.tag != GENERALIZED_TIME or not match:
        raise malformed("a time is not in its one form")
    return _calendar(*map(int, match.groups()))


def _calendar(*fields: int) -> datetime:
    try:
        return datetime(*fields, tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError:
        raise malformed("a time is none of the calendar") from None


def encode(tag: int, *contents: bytes) -> bytes:
    """One value from its tag and the parts of its content."""
    content = b"".join(contents)
    size = len(content)
    if size < _LONG_LENGTH:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, _LONG_LENGTH | len(octets))) + octets + content


def encode_integer(number: int) -> bytes:
    """A non-negative INTEGER."""
    return encode(INTEGER, number.to_bytes(number.bit_length() // 8 + 1))


def encode_oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER from dotted text."""
    first, second, *rest = map(int, dotted.split("."))
    content = b""
    for arc in (40 * first + second, *rest):
        octets = [arc & 0x7F]  # seven bits an octet, all but the last with the eighth set (X.690 section 8.19)
        while arc := arc >> 7:
            octets.append(arc & 0x7F | 0x80)
        content += bytes(reversed(octets))
    return encode(OID, content)


def encode_set(values: Iterable[bytes], tag: int = SET) -> bytes:
    """A SET OF in DER order."""
    return encode(tag, *sorted(values))


def encode_time(text: str) -> bytes:
    """`YYYY-MM-DDTHH:MM:SSZ` as UTCTime up to 2049, GeneralizedTime after (RFC 5652 section 11.3)."""
    digits = re.sub(r"[^0-9]", "", text)
    if _FIRST_GENERALIZED - 100 <= int(digits[:4]) < _FIRST_GENERALIZED:
        return encode(UTC_TIME, f"{digits[2:]}Z".encode())
    return encode(GENERALIZED_TIME, f"{digits}Z".encode())
