"""Deflate streams (RFC 1951) bit by bit: sets of codes as no packer makes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
"""In which order a dynamic block gives the lengths of the codes for code lengths (section 3.2.7)."""

A, END = 97, 256
DATA = b"a" * 3
LITERALS: Mapping[int, int] = {A: 1, END: 1}
"""A complete set for a stream of `a`: two codes of one bit."""


class Bits:
    """Bits in the order of deflate: numbers from their lowest bit, codes from their highest."""

    def __init__(self) -> None:
        self._bits: list[int] = []

    def number(self, value: int, width: int) -> None:
        self._bits += [value >> at & 1 for at in range(width)]

    def code(self, value: int, width: int) -> None:
        self._bits += [value >> at & 1 for at in reversed(range(width))]

    def bytes(self) -> bytes:
        bits = [*self._bits, *[0] * (-len(self._bits) % 8)]
        return bytes(sum(bit << at for at, bit in enumerate(bits[i : i + 8])) for i in range(0, len(bits), 8))


def codes(lengths: Mapping[int, int]) -> dict[int, tuple[int, int]]:
    """The code and length of each symbol (section 3.2.2); over-subscribed sets wrap around."""
    found, code = {}, 0
    for width in range(1, 16):
        code <<= 1
        for symbol in sorted(symbol for symbol, length in lengths.items() if length == width):
            found[symbol] = code & ((1 << width) - 1), width
            code += 1
    return found


def dynamic(
    literals: Mapping[int, int] = LITERALS,
    distances: Sequence[int] = (1,),
    lengths: Mapping[int, int] | None = None,
    symbols: Iterable[int] = (A, A, A, END),
) -> bytes:
    """One last block with these sets of codes. `lengths` are the codes for code lengths, by default a complete set."""
    lengths = {0: 1, **dict.fromkeys(range(1, 9), 4)} if lengths is None else lengths
    bits, length_codes, literal_codes = Bits(), codes(lengths), codes(literals)
    count = max(max(literals) + 1, 257)
    bits.number(1, 1)
    bits.number(2, 2)
    bits.number(count - 257, 5)
    bits.number(len(distances) - 1, 5)
    bits.number(len(ORDER) - 4, 4)
    for symbol in ORDER:
        bits.number(lengths.get(symbol, 0), 3)
    for length in [*(literals.get(symbol, 0) for symbol in range(count)), *distances]:
        bits.code(*length_codes[length])
    for symbol in symbols:
        bits.code(*literal_codes[symbol])
    return bits.bytes()


SOUND = {
    "complete sets": dynamic(distances=(1, 1)),
    "one distance code of one bit": dynamic(distances=(1,)),
    "no distance code": dynamic(distances=(0,)),
    "only the end": dynamic({END: 1}, symbols=(END,)),
}
"""Streams that zlib reads: an incomplete set may be a single code of one bit."""

UNSOUND = {
    "incomplete literals": dynamic({A: 2, END: 2}),
    "over-subscribed literals": dynamic({A: 1, 98: 1, END: 1}, symbols=(A, A, A, END)),
    "incomplete distances": dynamic(distances=(2, 2)),
    "one distance code of two bits": dynamic(distances=(2,)),
    "over-subscribed distances": dynamic(distances=(1, 1, 1)),
    "incomplete code lengths": dynamic(lengths={0: 1, 1: 2}),
    "over-subscribed code lengths": dynamic(lengths={0: 1, 1: 1, 2: 1}),
    "no end of block": dynamic({A: 1, 98: 1}, symbols=(A, A, A)),
}
"""Streams that zlib refuses, each for one set of codes alone."""
