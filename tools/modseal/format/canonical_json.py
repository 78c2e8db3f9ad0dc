"""Canonical JSON: plain data to the one sequence of bytes that stands for it, and back.

RFC 8785 restricted to objects, arrays, strings, integers, booleans and null; keys are ASCII. So: UTF-8,
no whitespace, no final newline, keys sorted, and only the escapes of RFC 8785, section 3.2.2.2.

A reader loads, and compares the bytes with what `dump` writes for the value: `require_canonical` refuses
every other spelling at once, duplicate keys included.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from modseal import limits
from modseal.errors import FormatError, foreign
from modseal.format.shape import quote

_SLICE = 16 * 1024
_TOGETHER = 64
"""Values of an array that are written at once: starting the encoder takes longer than writing a file's values."""
AT_ONCE = 256 * 1024
"""Bytes of a document that is compared as one text, which is the same and quicker."""
_STRUCTURE = b",[{"
_ENCODE = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def dump(plain: object) -> bytes:
    """The bytes of some plain data, which must have no lone surrogate and no float."""
    return b"".join(_pieces(plain))


def _pieces(plain: object) -> Iterator[bytes]:
    """The same, a value of an object's array at a time: a manifest's files as one text would take five times as much.

    Where an object has no array but a `map`, its items are that array's.
    """
    if not isinstance(plain, dict):
        yield _ENCODE(plain).encode("utf-8")
        return
    before = b"{"
    for key in sorted(plain):
        yield before + _ENCODE(key).encode("utf-8") + b":"
        value = plain[key]
        if type(value) in (list, map):
            yield from _array(value)
        else:
            yield _ENCODE(value).encode("utf-8")
        before = b","
    yield b"}" if plain else b"{}"


def _array(items: Iterable[object]) -> Iterator[bytes]:
    before, rest = b"[", iter(items)
    while some := list(islice(rest, _TOGETHER)):
        yield before + _ENCODE(some)[1:-1].encode("utf-8")
        before = b","
    yield b"]" if before == b"," else b"[]"


def load(data: bytes, name: str) -> Any:
    """The plain data of some JSON, in any spelling; `name` is the document's, for the message.

    Raises `FormatError` (bad-manifest, limit-exceeded).
    """
    if (
        sum(map(data.count, _STRUCTURE)) > limits.MANIFEST_VALUES
        and _outside_strings(data, _STRUCTURE) > limits.MANIFEST_VALUES
    ):
        raise FormatError("limit-exceeded", f"{name} has more than {limits.MANIFEST_VALUES} values")
    if data.count(b":") > limits.MANIFEST_KEYS and _outside_strings(data, b":") > limits.MANIFEST_KEYS:
        raise FormatError("limit-exceeded", f"{name} has more than {limits.MANIFEST_KEYS} keys")
    with foreign(lambda why: bad(name, f"it cannot be read: {why}")):
        try:
            return json.loads(data.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise bad(name, f"it is not UTF-8 at byte {error.start}") from None
        except json.JSONDecodeError as error:
            raise bad(name, f"it is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
        except ValueError:
            raise bad(name, "it has a number that is too large") from None
        except RecursionError:
            raise bad(name, "it is nested too deeply") from None


def _outside_strings(data: bytes, wanted: bytes) -> int:
    """How many of some characters stand outside of strings, in linear time and a slice at a time.

    Exact as far as the data is JSON; where it no longer is, the parser stops.
    """
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    others = bytes(set(range(256)) - {*wanted, ord('"')})
    count = inside = 0
    for at in range(0, len(plain), _SLICE):
        parts = plain[at : at + _SLICE].translate(None, others).split(b'"')
        outside = b"".join(parts[inside::2])
        count += sum(map(outside.count, wanted))
        inside = (inside + len(parts) - 1) % 2
    return count


def is_canonical(data: bytes, plain: object) -> bool:
    """Whether `data` is at most `AT_ONCE`, and what `dump` writes for `plain`: what was loaded from it."""
    try:
        return len(data) <= AT_ONCE and _ENCODE(plain).encode("utf-8") == data
    except UnicodeEncodeError:
        return False


def require_canonical(data: bytes, plain: object, name: str) -> None:
    """`FormatError` (bad-manifest) unless `data`, which was loaded before, is what `dump` writes for `plain`."""
    try:
        position = 0
        for piece in _pieces(plain):
            if not data.startswith(piece, position):
                raise bad(name, _duplicate_key(data) or _difference(data, piece, position))
            position += len(piece)
        if position != len(data):
            raise bad(name, _duplicate_key(data) or _difference(data, b"", position))
    except UnicodeEncodeError:
        raise bad(name, "it has half of a surrogate pair, which is no character") from None


def bad(name: str, why: str) -> FormatError:
    """The refusal of a document."""
    return FormatError("bad-manifest", f"{name} cannot be used: {why}")


def _duplicate_key(data: bytes) -> str:
    twice: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                twice.append(key)
            seen.add(key)

    json.loads(data, object_pairs_hook=note)
    return f"the key {quote(twice[0])} stands twice in one object" if twice else ""


def _difference(data: bytes, piece: bytes, position: int) -> str:
    """Where the bytes first are others than the piece that belongs at a position."""
    pairs = zip(data[position : position + len(piece)], piece, strict=False)
    shared = min(len(data) - position, len(piece))
    offset = position + next((index for index, (a, b) in enumerate(pairs) if a != b), shared)
    return f"it is not canonical (RFC 8785) from byte {offset} on: no spaces, sorted keys, no needless escapes"


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `json.loads`: an object whose keys each stand once. Raises `ValueError`."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice in one object, which readers read differently")
    return found
