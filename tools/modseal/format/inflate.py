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
    library = faster_zlib()
    # zlib-ng's newer kind takes all room for its output at once; the older one takes 16 KiB, and doubles it four times.
    # It is undocumented, so it may be gone one day. Python's zlib has it since 3.12.
    newer = getattr(library, "_ZlibDecompressor", None)
    stream = newer(wrapping) if newer else _Keeping(library.decompressobj(wrapping))
    damage = foreign(lambda why: FormatError("bad-payload", f"{what} is damaged: {why}", **evidence))
    for block in packed:
        if stream.eof:
            raise FormatError(trailing, f"bytes follow the end of {what}", **evidence)
        rest = block
        while rest or not (stream.eof or stream.needs_input):
            with damage:
                data = stream.decompress(rest, _OUTPUT)
            if data:
                yield data
            rest = b""
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


class _Keeping:
    """The older kind with the face of the newer one, which keeps what it has not used of its input."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def decompress(self, data: Piece, most: int) -> bytes:
        """At most so many bytes of what the data holds, or of what was kept where there is no data."""
        unpacked: bytes = self._stream.decompress(data or self._stream.unconsumed_tail, most)
        return unpacked

    @property
    def needs_input(self) -> bool:
        """Whether nothing was kept."""
        return not self._stream.unconsumed_tail

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""
        return bool(self._stream.eof)

    @property
    def unused_data(self) -> bytes:
        """What followed its end."""
        return bytes(self._stream.unused_data)


def faster_zlib() -> Any:
    """zlib-ng, or zlib where it is not installed: both have the same functions."""
    try:
        from zlib_ng import zlib_ng
    except ImportError:
        return zlib
    return zlib_ng
