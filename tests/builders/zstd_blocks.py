"""zstd frames for tests, written block by block (RFC 8878): what no packer would write, but an attacker can.

A compressed block has raw literals and sequences whose three tables are single symbols (RLE mode), so the bit stream
has the extra bits of each sequence alone.
"""

from __future__ import annotations

from collections.abc import Iterable

MAGIC = b"\x28\xb5\x2f\xfd"
WINDOW_1K = 0x00
"""The smallest window, 1 KiB. The exponent is in the upper five bits: `exponent << 3` is 1 KiB times 2 to it."""


def frame(*blocks: bytes, content: int | None = None, window: int | None = None, descriptor: int = 0) -> bytes:
    """A frame of these blocks, the last one marked so. Without `window` it is a single segment.

    `descriptor` is added to the frame header's first byte: reserved bits, a checksum, a dictionary.
    """
    if window is None and content is None:
        raise ValueError("a single segment says its content size")
    single = window is None
    if content is None:
        size, field = 0, b""
    elif content < 256 and single:
        size, field = 0, content.to_bytes(1, "little")
    else:
        size, field = 2, content.to_bytes(4, "little")
    head = bytes([size << 6 | single << 5 | descriptor]) + (b"" if window is None else bytes([window]))
    marked = [*blocks[:-1], bytes([blocks[-1][0] | 1]) + blocks[-1][1:]] if blocks else []
    return MAGIC + head + field + b"".join(marked)


def block(kind: int, size: int, body: bytes) -> bytes:
    """A block of any kind, not marked as the last."""
    return (size << 3 | kind << 1).to_bytes(3, "little") + body


def raw(data: bytes) -> bytes:
    """A block that is its bytes."""
    return block(0, len(data), data)


def rle(byte: bytes, count: int) -> bytes:
    """A block of one byte, many times."""
    return block(1, count, byte)


def matching(literals: bytes, *copies: tuple[int, int, int]) -> bytes:
    """A compressed block: `copies` are how many literals, how many bytes then, from how far back (at least 3 bytes).

    All copies must need as many extra bits each; literals that no copy takes follow at the end.
    """
    body = _literals(literals)
    if not copies:
        return block(2, len(body) + 1, body + b"\0")
    coded = [_coded(copy) for copy in copies]
    tables = {tuple(code for code, _ in one) for one in coded}
    if len(tables) > 1 or len(copies) > 127:
        raise ValueError("the copies need different tables, or are too many")
    bits = "1"  # in the order of reading: from the end of the stream
    for literal, match, offset in coded:
        bits += offset[1] + match[1] + literal[1]
    literal_code, match_code, offset_code = tables.pop()
    body += bytes([len(copies), 0b01_01_01_00, literal_code, offset_code, match_code])
    body += int(bits, 2).to_bytes(-(-len(bits) // 8), "little")
    return block(2, len(body), body)


def _literals(data: bytes) -> bytes:
    """A literals section of raw bytes (RFC 8878, section 3.1.1.3.1)."""
    if len(data) < 32:
        return bytes([len(data) << 3]) + data
    if len(data) < 4096:
        return (len(data) << 4 | 0b0100).to_bytes(2, "little") + data
    return (len(data) << 4 | 0b1100).to_bytes(3, "little") + data


_Code = tuple[int, str]
"""A symbol and its extra bits."""

_LITERALS = (*[0] * 16, 1, 1, 1, 1, 2, 2, 3, 3, 4, *range(6, 17))
_MATCH = (*[0] * 32, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, *range(7, 17))
"""How many extra bits each code of a length has (RFC 8878, section 3.1.1.3.2.1.1)."""


def _coded(copy: tuple[int, int, int]) -> tuple[_Code, _Code, _Code]:
    literals, length, distance = copy
    return _length(literals, 0, _LITERALS), _length(length, 3, _MATCH), _offset(distance)


def _length(value: int, base: int, widths: Iterable[int]) -> _Code:
    """The code of a length: codes stand for ranges that follow one another."""
    for code, width in enumerate(widths):
        if value < base + (1 << width):
            return code, _bits(value - base, width)
        base += 1 << width
    raise ValueError("the length is too large")


def _offset(distance: int) -> _Code:
    value = distance + 3
    width = value.bit_length() - 1
    return width, _bits(value - (1 << width), width)


def _bits(value: int, width: int) -> str:
    return f"{value:0{width}b}" if width else ""
