"""Deflate streams (RFC 1951), unpacked by the rules of zlib for gzip payloads and zip entries alike.

A stream with an over-subscribed or incomplete set of codes (section 3.2.7) is refused, as zlib refuses it; the one
incomplete set that is allowed is a single code of one bit. So a host can unpack everything that is
accepted here. zlib-ng has the same rules and is faster by half; where it is not installed, Python's zlib gives the same
verdicts (docs/adr).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from modseal.codes import CodeName
from modseal.errors import FormatError, Scalar, foreign
from modseal.format.stream import Piece

RAW, GZIP = -15, 31
"""Deflate alone, or within a gzip member (RFC 1952), whose checksum and size are then compared."""

_OUTPUT = 256 * 1024


def inflate(
    packed: Iterable[Piece], wrapping: int, what: str, trailing: CodeName = "bad-payload", **evidence: Scalar
) -> Iterator[bytes]:
    """What one stream holds, which ends with the last packed byte, in blocks of at most 256 KiB.

    `what` names it in a refusal. Raises `FormatError`: bad-payload for damage and a missing end, `trailing` for bytes
    after the end.
    """
    stream = faster_zlib().decompressobj(wrapping)
    damage = foreign(lambda why: FormatError("bad-payload", f"{what} is damaged: {why}", **evidence))
    for block in packed:
        if stream.eof:
            raise FormatError(trailing, f"bytes follow the end of {what}", **evidence)
        rest = block
        while rest and not stream.eof:
            with damage:
                data = stream.decompress(rest, _OUTPUT)
            if data:
                yield data
            rest = stream.unconsumed_tail
    while not stream.eof:
        with damage:
            data = stream.decompress(b"", _OUTPUT)
        if not data:
            break
        yield data
    if not stream.eof:
        raise FormatError("bad-payload", f"{what} ends early", **evidence)
    if stream.unused_data:
        raise FormatError(trailing, f"bytes follow the end of {what}", **evidence)


def faster_zlib() -> Any:
    """zlib-ng, or zlib where it is not installed: both have the same functions."""
    try:
        from zlib_ng import zlib_ng
    except ImportError:
        return zlib
    return zlib_ng
