"""Every short way of the readers, each with what it is given and what the strict reader says of that.

A way makes one case from a seed and compares. It raises `AssertionError` where the two differ, and says whether the
short way took the case: else both would be the strict reader. Cases are nearly good: values at their limits, other
forms of a number or a text, other orders, other boundaries of blocks, and bits changed anywhere.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from types import CodeType
from typing import Any

from builders import bundles
from builders import cms as cms_builder
from builders.pki import NOW, signer
from builders.rules import record
from builders.strict import strict_readers
from differential import mutants, shapes
from differential.bundle_mutants import PATHS, TARGETS, TEXTS
from modseal import limits
from modseal.auditing import kept, report_file
from modseal.auditing import rules as rules_of_audits
from modseal.auditing.as_of import AsOf
from modseal.auditing.choice import RuleChoice
from modseal.auditing.finding import Finding, Kind, Severity
from modseal.auditing.report_shape import Misshapen
from modseal.auditing.spool import FindingSpool
from modseal.errors import Failure, FormatError
from modseal.files.names import dumped, portable
from modseal.format import (
    ar,
    canonical_json,
    characters,
    cms,
    compression,
    der,
    known_blocks,
    manifest_json,
    rules,
    source,
    tar,
    visor,
)
from modseal.format.manifest import Entry, FileType
from modseal.format.source import FileSource, HashedSource
from modseal.format.stream import Stream
from modseal.pki import path
from modseal.pki.effort import Effort
from modseal.report import audit_json
from modseal.signing import block, fitness
from modseal.trust import signers as signers_module

Way = Callable[[Random], bool]


def read(reader: Callable[[], object]) -> object:
    """What a reader says: a value, or why it refuses."""
    try:
        return reader()
    except FormatError as error:
        return error.failure


def flipped(rng: Random, data: bytes, most: int = 2) -> bytes:
    """A few bytes or bits changed, some of the time one left out or put in."""
    found = bytearray(data)
    for _ in range(rng.randint(1, most)):
        if not found:
            break
        at, kind = rng.randrange(len(found)), rng.randrange(8)
        if kind < 4:
            found[at] ^= 1 << rng.randrange(8)
        elif kind < 6:
            found[at] = rng.choice(b"\0\1 0123789+-_/.=AZaz\n\r\t\x7f\x80\xff")
        elif kind == 6:
            del found[at : at + rng.choice((1, 1, 2, 3))]
        else:
            found[at:at] = rng.choice((b"0", b" ", b"\0", b"\n", bytes(found[at : at + 4])))
    return bytes(found)


def cut(rng: Random, data: bytes) -> Iterator[bytes]:
    """The same bytes in other blocks, some of them empty."""
    at = 0
    while at < len(data):
        size = rng.choice((0, 1, 2, 3, 5, 511, 512, 513, 1024, len(data)))
        yield data[at : at + size]
        at += size


# Headers of archives.

_NUMBERS = (b"0", b"1", b"00", b"01", b"+1", b"-1", b"-0", b"1_0", b"0x1", b"0o1", b"1.", b"1e1", b"\xb2", b"")
_AR_FIELDS = ((0, 16), (16, 12), (28, 6), (34, 6), (40, 8), (48, 10), (58, 2))
_AR_NAMES = ("base", "a.b-c_d", "x" * 15, "x", ".", "..", "...", "-", "manifest.json", "a" * limits.MEMBER_NAME_LENGTH)
_AR_SIZES = (0, 1, 9, 10, 512, limits.MEMBER_SIZE - 1, limits.MEMBER_SIZE, limits.MEMBER_SIZE + 1, 9_999_999_999)


def ar_header(rng: Random) -> bool:
    """A header of an archive is compared with the one of its name and size."""
    name = rng.choice(_AR_NAMES)
    size = rng.choice(_AR_SIZES) if rng.random() < 0.7 else rng.randrange(10**10)
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{0:<8}{size:<10}`\n".encode()
    if rng.random() < 0.6:
        start, width = rng.choice(_AR_FIELDS)
        value = rng.choice((*_NUMBERS, b"%d" % size, name.encode(), name.encode() + b"/", rng.randbytes(2), b"`\n"))
        value = value.ljust(width, rng.choice(b" \0/0").to_bytes()) if rng.random() < 0.7 else value.rjust(width)
        header = header[:start] + value[:width] + header[start + width :]
    elif rng.random() < 0.5:
        header = flipped(rng, header)[:60].ljust(60)
    offset = rng.choice((8, 68, 2**33))
    found, strict = ar.recognise_header(header, offset), read(lambda: ar._parse_header(header, offset))
    assert found in (None, strict), (header, found, strict)
    return found is not None


_PATHS = tuple(path for path in PATHS if "\n" not in path)
_VISOR_OFFSET, _WORDS = 496, slice(500, 512)


def visor_header(rng: Random) -> bool:
    """A header of a visor tar is compared with the one of its entry and fields."""
    kind = rng.choice((FileType.FILE, FileType.FILE, FileType.DIRECTORY, FileType.SYMLINK))
    size = rng.choice((None, 0, 1, 511, 512, 2**31, 2**33 - 1, rng.randrange(2**33))) if kind is FileType.FILE else None
    target = rng.choice(TARGETS) if kind is FileType.SYMLINK else None
    entry = Entry(rng.choice(_PATHS), kind, rng.choice((0, 0o644, 0o755, 0o4755, 0o7777, 0o777)), size, target=target)
    fields = visor.default_fields(entry, rng.choice((0, 1, mutants.MTIME, 2**33 - 1)), rng.choice((b"", b"\x7fELF")))
    offset = rng.choice((512, 4096, 2**32 - 1, rng.randrange(2**32))) if entry.size else rng.choice((0, 0, 0, 512))
    try:
        header = bytearray(visor.encode_header(entry, fields, offset))
    except FormatError:
        return False
    if rng.random() < 0.7:
        start, width = rng.choice((*mutants.FIELDS.values(), (496, 4), (500, 4), (504, 4), (508, 4), (345, 151)))
        old = bytes(header[start : start + width]).rstrip(b"\0")
        value = rng.choice(
            (
                *(one.rjust(width - 1, b"0") for one in _NUMBERS),
                *(b"%0*o" % (width - 1, one) for one in rng.sample(mutants.VALUES, 2)),
                old + rng.choice((b" ", b"\0x", b"/", b"7")),
                b" " + old,
                rng.choice(mutants.NAMES),
                rng.choice(mutants.LINKS),
                rng.choice(mutants.MAGICS),
                rng.choice(mutants.TYPES),
                rng.randbytes(width),
            )
        )
        header[start : start + width] = value.ljust(width, b"\0")[:width]
    else:
        header[:] = flipped(rng, bytes(header))[:512].ljust(512, b"\0")
    if rng.random() < 0.8:  # else its checksum gives every change away
        blank = bytes(header[:148]) + b" " * 8 + bytes(header[156:])
        total = sum(blank) - 256 * sum(one > 127 for one in blank) if rng.random() < 0.8 else sum(blank)
        header[:] = tar.with_checksum(blank, max(total, 0))
    data = bytes(header)
    found, strict = visor.recognise_header(data), read(lambda: visor._parse(data))
    assert found in (None, strict), (found, strict)
    return found is not None


# The tar of a `.seal`, beside the entries that a manifest declares.


def _sound_entries(rng: Random) -> list[Entry]:
    """Entries as a manifest has them: sound, in order, with the fields of their type."""
    made: dict[str, Entry] = {}
    for _ in range(rng.randint(1, 4)):
        path, kind = rng.choice(PATHS), rng.choice(tuple(FileType))
        if kind is FileType.SYMLINK:
            made[path] = Entry(path, kind, tar.LINK_MODE, target=rng.choice(TARGETS), payload="base")
        else:
            mode = rng.choice((0, 0o644, 0o755, 0o1777, 0o4755, 0o7777))
            size = rng.choice((0, 0, 1, 511, 512, 513, 700)) if kind is FileType.FILE else None
            digest = bytes(32) if kind is FileType.FILE else None
            made[path] = Entry(path, kind, mode, size, digest, payload="base")
    sound = [one for one in made.values() if not rules.check_entry(one)]
    return sorted(sound, key=lambda one: rules.sort_key(one.path))


def _other_entry(rng: Random, one: Entry) -> Entry:
    """Nearly the same entry: what another header than the expected one may stand for."""
    path = rng.choice((one.path, one.path + "/", "./" + one.path, one.path.upper(), one.path + "\0", rng.choice(PATHS)))
    kind = rng.choice((one.type, one.type, *FileType))
    size = rng.choice((one.size, (one.size or 0) + 1, 0, None, 512)) if kind is FileType.FILE else None
    target = rng.choice((one.target, rng.choice(TARGETS), "a")) if kind is FileType.SYMLINK else None
    return Entry(path, kind, rng.choice((one.mode, (one.mode or 0) ^ 1, 0o10644)), size, target=target)


def tar_entries(rng: Random) -> bool:
    """Headers of a tar are compared with those of the declared entries."""
    declared = _sound_entries(rng)
    inside = list(declared)
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        at, kind = rng.randint(0, max(len(inside) - 1, 0)), rng.randrange(5)
        if kind == 0 or not inside:
            inside.insert(at, Entry("new", FileType.FILE, 0o644, 3))
        elif kind == 1:
            del inside[at]
        elif kind == 2:
            inside.insert(at, inside[at])
        elif kind == 3:
            rng.shuffle(inside)
        else:
            inside[at] = _other_entry(rng, inside[at])
    parts: list[bytes] = []
    for one in inside:
        try:
            parts.append(tar.encode_headers(one, mutants.MTIME))
        except (FormatError, UnicodeEncodeError):
            continue
        size = (one.size or 0) if one.type is FileType.FILE else 0
        parts.append(rng.randbytes(size) + bytes(-size % 512))
    data = b"".join(parts) + bytes(1024)
    if rng.random() < 0.3:
        data = mutants.mutated_tar(rng, data) if rng.random() < 0.5 else flipped(rng, data)
    declared = rng.choice((declared, declared, declared, declared[1:], declared[:-1]))
    pieces = list(cut(rng, data)) if rng.random() < 0.5 else [data]
    room, taken = rng.choice((None, None, None, 1, 2)), 0

    def found(known: Iterable[Entry]) -> object:
        nonlocal taken
        seen: list[object] = []
        stream = Stream(iter(pieces), "bad-listing")
        dialect = tar.Dialect.CANONICAL
        try:
            for entry, content in tar.read(stream, dialect, mutants.MTIME, room, known):
                taken += entry.payload is not None
                plain = (entry.path, entry.type, entry.mode, entry.size, entry.target)
                seen.append((plain, b"".join(content)))
        except FormatError as error:
            seen.append(error.failure)
        return seen

    short = found(declared)
    was = taken
    strict = found(())
    assert short == strict, (declared, short, strict)
    return was > 0


def sum_of_a_header(rng: Random) -> bool:
    """The sum of a header's bytes is taken from Adler-32."""
    header = bytes(rng.choices(rng.choice((range(128), b"\x7f", b"\0", b"\0\x7f", range(100, 128))), k=512))
    assert tar.sum_of(header) == sum(header)
    return True


# Signature blocks.

_LENGTHS = (1, 2, 3, 47, 48, 49, 95, 96, 97, 143, 144, 145, 192, 500)


def _other_lines(rng: Random, lines: list[bytes], at: int) -> list[bytes]:
    """The lines of a member with one of them changed, in the ways that writers of PEM differ, and others."""
    line, some = lines[at], rng.choice((1, 60, 63, 64, 76))
    put = (b"", line, b"Comment: x", b"A" * 64, b"-----BEGIN CMS-----")
    label = rng.choice((b"CMS", b"pkcs7", b"PKCS 7"))
    found: list[list[bytes]] = [
        [line + rng.choice((b" ", b"\r", b"=", b"A", b"\0", b"\t"))],
        [rng.choice((b" ", b"", b"-")) + line[1:]],
        [rng.choice(put), line],
        [],
        [line + b"".join(lines[at + 1 : at + 2])],
        [line[:some], line[some:]],
        [line.rstrip(b"=") + b"=" * rng.randint(0, 3)],
        [line[:-2] + rng.choice((b"/=", b"9=", b"B=", b"==", b"Q=")) + line[-1:]],
        [flipped(rng, line)],
    ]
    kind = rng.randrange(len(found) + 1)
    if kind == len(found):
        return [each.replace(b"PKCS7", label) for each in lines]
    return [*lines[:at], *found[kind], *lines[at + 1 + (kind == 4) :]]


def lone_block(rng: Random) -> bool:
    """A member with one block in the one form is not searched for others."""
    made = [rng.randbytes(rng.choice(_LENGTHS)) for _ in range(rng.choice((1, 1, 1, 1, 2, 3)))]
    member = cms.join_blocks(tuple(made))
    lines = member.split(b"\n")
    for _ in range(rng.choice((0, 1, 1, 2))):
        lines = _other_lines(rng, lines, rng.randrange(len(lines))) or [b""]
    data = b"\n".join(lines)
    for kind_ in ("seal", "vib"):
        found = read(lambda: cms.split_blocks(data, kind_))  # type: ignore[arg-type]  # noqa: B023
        with strict_readers():
            strict = read(lambda: cms.split_blocks(data, kind_))  # type: ignore[arg-type]  # noqa: B023
        assert found == strict, (data, kind_, found, strict)
    return cms.recognise_block(data) is not None


@functools.cache
def blocks() -> tuple[bytes, ...]:
    """Blocks of several signers, made by modseal and by another writer: with a key id, with unsigned attributes."""
    plain = cms_builder.Signer(signer("p256"))
    key_id = cms_builder.Signer(signer("p256"), version=3, sid=der.encode(0x80, bytes(20)))
    unsigned = cms_builder.Signer(signer("p256"), unsigned=[(cms_builder.UNKNOWN, [cms_builder.octets(b"some")])])

    def timed(value: bytes) -> cms_builder.Signer:
        return cms_builder.Signer(
            signer("p256"), attributes=lambda good: cms_builder.replaced(good, cms.SIGNING_TIME, value)
        )

    others = [
        cms_builder.Block([plain]),
        cms_builder.Block([key_id], version=3),
        cms_builder.Block([unsigned]),
        cms_builder.Block([cms_builder.Signer(signer("p256")), cms_builder.Signer(signer("ed25519"))]),
        cms_builder.Block([timed(der.encode(0x18, b"20500101000000Z"))]),
        cms_builder.Block([timed(der.encode(0x17, b"491231235959Z"))]),
    ]
    made = []
    for content in (b"one", b"two"):
        made += [one.encode(content) for one in others]
        for kind in ("p256", "rsa", "ed25519"):
            one = signer(kind)
            algorithm = fitness.choose_algorithm(one.certificate)
            made += [block.build(content, one.signer(), algorithm, time) for time in (None, "2025-06-01T12:00:00Z")]
    return tuple(made)


@functools.cache
def _forms() -> tuple[dict[tuple[int, bytes], Any], ...]:
    """What is known after each of the blocks."""
    found = []
    for one in blocks():
        known_blocks._KNOWN.clear()
        known_blocks.decode(one)
        found.append(dict(known_blocks._KNOWN))
    return tuple(found)


_TIMES = (b"500101000000Z", b"491231235959Z", b"000229000000Z", b"250229000000Z", b"250601240000Z", b"250601235960Z")
_LONG_TIMES = (b"20491231235959Z", b"20500101000000Z", b"19491231235959Z", b"00000101000000Z", b"99991231235959Z")


def known_block(rng: Random) -> bool:
    """A block of a signer that was met before is compared with the one that was read then."""
    index = rng.randrange(len(blocks()))
    known_blocks._KNOWN.clear()
    known_blocks._KNOWN.update(_forms()[index])
    other = rng.randrange(len(blocks())) if rng.random() < 0.2 else index
    found = bytearray(blocks()[other])
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        kind = rng.randrange(10)
        end = len(found) - 1
        at = rng.choice((rng.randint(0, end), rng.randint(end * 3 // 4, end), rng.randint(max(0, end - 110), end)))
        form = next(iter(_forms()[index].values()), None)
        hole = form and rng.choice((form.digest, form.signature, form.time or form.digest))
        if kind < 2:
            found[at] ^= 1 << rng.randrange(8)
        elif kind < 4:
            found[at] = rng.choice((0, 1, 0x04, 0x17, 0x18, 0x30, 0x31, 0x80, 0x81, 0xA0, 0xFF))
        elif kind < 6 and hole:  # what may change
            size = hole.stop - hole.start
            times = _TIMES if size == 13 else _LONG_TIMES
            found[hole] = rng.choice((rng.randbytes(size), *(one for one in times if len(one) == size)))
        elif kind < 8 and hole:  # what stands beside it
            found[min(max(0, hole.start - rng.randint(1, 4)), end)] ^= 1 << rng.randrange(8)
        elif kind == 8:
            del found[at : at + rng.randint(1, 2)]
        else:
            found[at:at] = bytes(found[at : at + rng.randint(1, 3)])
    changed = bytes(found)
    if rng.random() < 0.15:  # something nearly the same was met, too
        read(lambda: known_blocks.decode(flipped(rng, changed, 1)))
    strict = read(lambda: cms.decode(changed))
    recalled = known_blocks.recall(changed)
    assert recalled in (None, strict), (index, recalled, strict)
    if rng.random() < 0.1:
        first = read(lambda: known_blocks.decode(changed))
        assert first == strict == read(lambda: known_blocks.decode(changed)), (index, first, strict)
    return recalled is not None


# Names, paths and trees.

_PARTS = ("a", "A", "b", "+", "-", "_", "a.b", "..", ".", "", "é", "e\u0301", " a", "a ", "a*", "~", "@", "%", "a\n")
_WIDE = ("\u0131", "\u0130", "\u1e9e", "\u200b", "\x7f", "\x1f", "\x00", "\\", ":", "\ud800", "\U0001f642", "\u3000")


def _path(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.2:
        return rng.choice((*PATHS, *TEXTS))
    if kind < 0.4:
        depth = rng.choice((1, 2, limits.PATH_DEPTH - 1, limits.PATH_DEPTH, limits.PATH_DEPTH + 1))
        return "/".join([rng.choice("ab")] * depth) + rng.choice(("", "", "/", "\n"))
    if kind < 0.6:
        length = limits.PATH_LENGTH + rng.choice((-2, -1, 0, 1, 2))
        return ("x" * rng.randint(1, 200) + "/" + rng.choice(("y", "é", "z/")) * length)[:length]
    parts = [rng.choice(_PARTS) for _ in range(rng.randint(1, 4))]
    path = "/".join(parts)
    if rng.random() < 0.3:
        at = rng.randint(0, len(path))
        path = path[:at] + rng.choice((*_WIDE, *" *?/.\n\t")) + path[at:]
    return path


def usual_path(rng: Random) -> bool:
    """A path of the usual form breaks no rule."""
    path = _path(rng)
    found = rules.check_path(path)
    with strict_readers():
        assert rules.check_path(path) == found, path
    return rules._USUAL_PATH.fullmatch(path) is not None


_TREE_PATHS = (
    "a", "A", "b", "a/b", "a/B", "A/b", "a/b/c", "a/b/C", "A/b/c", "b/a", "a.b", "a-b", "a b", "é", "E\u0301", "\u00c9",
    "a/é", "ss", "\u00df", "k", "\u212a", "K/x", "k/y", "a/b/c/d", "aa", "a0", "a/", "", "/", "a//b", "B/a", "ab/c",
)  # fmt: skip


def usual_tree(rng: Random) -> bool:
    """A tree of usual paths breaks no rule."""
    kinds = (FileType.DIRECTORY, FileType.DIRECTORY, FileType.FILE, FileType.SYMLINK, None)
    long = [f"d/{'x' * limits.PATH_LENGTH}"] if rng.random() < 0.02 else []
    paths = [*rng.choices(_TREE_PATHS, k=rng.randint(0, 5)), *long]
    entries = tuple(Entry(path, rng.choice(kinds)) for path in paths)
    found = list(rules.check_tree(entries))
    with strict_readers():
        assert list(rules.check_tree(entries)) == found, entries
    return rules._is_usual_tree(entries)


def ascii_text(rng: Random) -> bool:
    """Text that is ASCII alone is told printable, and folded, without the tables of Unicode."""
    import unicodedata

    text = "".join(rng.choice((chr(rng.randrange(160)), rng.choice(_PARTS), rng.choice(_WIDE))) for _ in range(3))
    text = text if rng.random() < 0.5 else "".join(chr(rng.randrange(128)) for _ in range(rng.randint(0, 4)))
    assert characters.is_printable(text) == (not characters._invisible().search(text)), ascii(text)
    normal = functools.partial(unicodedata.normalize, "NFC")
    assert rules.fold(text) == normal(normal(text).casefold()), ascii(text)
    return text.isascii()


# Documents.


def shape_fits(rng: Random) -> bool:
    """A value that has a shape by the one expression has it by its checks, and the other way round."""
    name, shape = rng.choice(shapes.all_shapes())
    value = shapes.value_of(rng, shape)
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        value = shapes.changed(rng, value)
    shape.fits(value)  # the first time it is asked it does not know
    found, strict = shape.fits(value), shape._has(value)
    assert found == strict, (name, value, found, strict)
    return found


_MANIFEST_PIECES = (
    b" ", b"\n", b"\t", b"\0", b",", b":", b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u0041", b"\\/", b"\\u00e9",
    b"\\ud800", b"\\ud83d\\ude42", b"\xef\xbb\xbf", b"0", b"-0", b"1.0", b"1e3", b"+1", b"01", b"NaN", b"Infinity",
    b"null", b"true", b'"a":1,', b'"name":"m",', b"\xc3\xa9", b"\xff", b"\\u0000", b"\\n", b"\\u000a",
    b"\\b", b"\\u001f",
)  # fmt: skip


@functools.cache
def _manifests() -> tuple[bytes, ...]:
    from differential.bundle_mutants import BASES

    return tuple(base.manifest_bytes for base in BASES)


def manifest(rng: Random) -> bool:
    """A manifest is told canonical by one comparison, and its values by one expression."""
    made = rng.random() < 0.4
    plain = shapes.value_of(rng, manifest_json.SHAPE) if made else json.loads(rng.choice(_manifests()))
    for _ in range(rng.choice((0, 1, 1, 2))):
        plain = shapes.changed(rng, plain)
    if rng.random() < 0.2 and isinstance(plain, dict):
        plain = dict(rng.sample(list(plain.items()), len(plain)))
    try:
        text = json.dumps(
            plain, ensure_ascii=rng.random() < 0.1, sort_keys=rng.random() < 0.9, separators=(",", ":"), default=str
        ).encode()
    except (UnicodeEncodeError, TypeError):
        return False
    if rng.random() < 0.4:
        at = rng.randint(0, len(text))
        text = text[:at] + rng.choice(_MANIFEST_PIECES) + text[at + rng.choice((0, 0, 1, 2)) :]
    short = read(lambda: manifest_json.decode(text))
    with strict_readers():
        strict = read(lambda: manifest_json.decode(text))
    assert short == strict, (text, short, strict)
    return _json(text) and canonical_json.is_canonical(text, json.loads(text)) and not isinstance(short, Failure)


def _json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def canonical(rng: Random) -> bool:
    """Whether some JSON is canonical is told by one text, or a piece at a time."""
    plain = shapes.plain(rng)
    text = json.dumps(plain, ensure_ascii=rng.random() < 0.1, sort_keys=rng.random() < 0.9, separators=(",", ":"))
    data = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.4:
        at = rng.randint(0, len(data))
        data = data[:at] + rng.choice(_MANIFEST_PIECES) + data[at + rng.choice((0, 0, 1, 2)) :]
    try:
        loaded = canonical_json.load(data, "document")
    except FormatError:
        return False
    short = canonical_json.is_canonical(data, loaded)
    strict = read(lambda: canonical_json.require_canonical(data, loaded, "document")) is None
    assert short == strict, (data, short, strict)
    return short


def counted(rng: Random) -> bool:
    """What stands outside of strings is counted without reading them."""
    plain = shapes.plain(rng)
    data = json.dumps(plain, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1))).encode("utf-8", "replace")
    if rng.random() < 0.3:
        data = flipped(rng, data, 1)
    if not _json(data):
        return False
    wanted = rng.choice((b",[{", b":"))
    count = len(re.findall(rb"[%s]" % re.escape(wanted), re.sub(rb'"(?:[^"\\]|\\.)*"', b"", data, flags=re.DOTALL)))
    before, canonical_json._SLICE = canonical_json._SLICE, rng.choice((1, 2, 3, 7, 16 * 1024))
    try:
        assert canonical_json._outside_strings(data, wanted) == count, (data, wanted, count)
    finally:
        canonical_json._SLICE = before
    return True


# Bytes by position, and as they come.


_SIZE = 300


@functools.cache
def _file() -> tuple[Any, bytes]:
    data = Random("file").randbytes(_SIZE)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - for the whole run
    file.write(data)
    file.flush()
    return file, data


def whole_file(rng: Random) -> bool:
    """A small file that was read at once gives what is read part by part; its digest is that of all its bytes."""
    file, data = _file()
    whole = FileSource(file.fileno())
    with strict_readers():
        parts = FileSource(file.fileno())
    assert whole.in_memory
    assert not parts.in_memory
    hashed = HashedSource(rng.choice((whole, parts)))
    before, source.BLOCK = source.BLOCK, rng.choice((7, 60, 100, 256 * 1024))
    try:
        for _ in range(rng.randint(1, 6)):
            offset = rng.choice((0, 1, 8, _SIZE - 1, _SIZE, _SIZE + 1, rng.randrange(_SIZE)))
            length = rng.choice((0, 1, 2, 60, 64, 65, _SIZE, rng.randrange(_SIZE), abs(_SIZE - offset)))
            found = read(lambda: whole.read(offset, length))  # noqa: B023
            assert found == read(lambda: parts.read(offset, length)), (offset, length)  # noqa: B023
            assert found == read(lambda: hashed.read(offset, length)), (offset, length)  # noqa: B023
            assert not isinstance(found, bytes) or found == data[offset : offset + length]
        assert hashed.sha256() == hashlib.sha256(data).hexdigest()
    finally:
        source.BLOCK = before
    return True


def stream(rng: Random) -> bool:
    """What is taken out of a block that is there is what is taken out of pieces."""
    data = b"".join(rng.choice((bytes(rng.choice((1, 63, 64, 70))), rng.randbytes(rng.randint(1, 60)))) for _ in "123")
    steps = [(rng.choice(("take", "pieces", "zeros", "end")), rng.choice((0, 1, 2, 63, 64, 65))) for _ in range(5)]
    told = []
    size = rng.choice((1, 2, 7, 64))
    for blocks_ in (iter([data]), cut(rng, data), (data[at : at + size] for at in range(0, len(data), size))):
        one, seen = Stream(blocks_, "bad-listing"), []
        try:
            for step, length in steps:
                if step == "take":
                    seen.append(one.take(length))
                elif step == "pieces":
                    seen.append(b"".join(one.pieces(length)))
                elif step == "zeros":
                    seen.append(one.zeros(length, "this"))  # type: ignore[func-returns-value]
                else:
                    seen.append(one.at_end())
                seen.append(one.position)
            seen.append(b"".join(one.rest()))
        except FormatError as error:
            # Where in a run of bytes that should be zero it stops depends on the blocks, and is for people.
            seen.append(error.failure.code)
        told.append(seen)
    assert told[0] == told[1] == told[2], (data, steps, told)
    return True


def deflate(rng: Random) -> bool:
    """The faster library unpacks what zlib does, in whatever blocks it comes."""
    from differential import test_differential_streams as streams

    packed = streams.gzip_of(streams.flipped(rng, streams.deflated(rng)))
    if rng.random() < 0.2:
        packed = flipped(rng, packed)
    try:
        data = b"".join(compression.gunzip(cut(rng, packed), plain=True))  # type: ignore[arg-type]
    except FormatError:
        data = None
    plain = packed.startswith(compression.GZIP_HEADER)
    assert data == (streams.by_zlib(packed) if plain else None), packed
    return data is not None


# Values.


def values_made(rng: Random) -> bool:
    """The first values of a class are made in the same way as later ones, and as `dataclasses` makes them."""
    from modseal.values import dataclass as light

    body, slots, heavy, names = rng.choice(_classes())
    positional = [rng.choice((0, "a", None)) for _ in range(rng.choice((0, 1, 1, 2, 3, 4)))]
    named = {name: rng.choice((1, "b")) for name in rng.sample((*names, "other"), rng.randint(0, min(2, len(names))))}

    def made(cls: Any) -> object:
        try:
            one = cls(*positional, **named)
        except TypeError:
            return "refused"
        return {name: getattr(one, name, "nothing") for name in names}

    cls = light(slots=slots)(_defined(body))
    told = [made(cls) for _ in range(12)]
    assert told == [made(heavy)] * 12, (names, positional, named, told)
    return told[0] != "refused"


def _defined(body: CodeType) -> Any:
    room: dict[str, Any] = {"field": dataclasses.field}
    exec(body, room)
    return room["C"]


@functools.cache
def _classes() -> tuple[tuple[CodeType, bool, Any, tuple[str, ...]], ...]:
    """Classes with fields of all kinds: what defines each, whether it has slots, and it as a usual dataclass."""
    found = []
    for seed in range(60):
        rng, optional, names, lines = Random(f"class {seed}"), False, [], []
        for number in range(rng.randint(0, 4)):
            kind = rng.randrange(5)
            name = f"f{number}"
            names.append(name)
            if kind == 0 and not optional:
                lines.append(f" {name}: int")
                continue
            optional = optional or kind not in (3, 4)
            default = rng.choice(("None", "0", "'x'", "()"))
            lines.append(
                (
                    f" {name}: int = {default}",
                    f" {name}: int = {default}",
                    f" {name}: int = field(default_factory=list)",
                    f" {name}: int = field(default={default}, init=False)",
                    f" {name}: int = field(default_factory=dict, init=False)",
                )[kind]
            )
        if rng.random() < 0.3 and names:
            lines.append(f" def __post_init__(self): self.{names[0]} = (self.{names[0]}, 'after')")
        body = compile("class C:\n __annotations__ = {}\n" + "\n".join(lines), f"class {seed}", "exec")
        heavy = dataclasses.dataclass(slots=seed % 2 == 0)(_defined(body))
        found.append((body, seed % 2 == 0, heavy, tuple(names)))
    return tuple(found)


# What is remembered of signers, and what an audit keeps.


@functools.cache
def _cases() -> tuple[tuple[Any, tuple[Any, ...]], ...]:
    """Bundles whose certificates, CRLs and timestamps begin and end within a few weeks, with their signers."""
    from trust.test_moments import Maker

    made = (Maker(number).case() for number in range(24))
    return tuple((case, bundles.judge(case.bundle, case.policy).signers) for case in made)


def _moment(rng: Random) -> datetime:
    return NOW + timedelta(seconds=rng.choice((0, 0, 1, rng.randrange(-30, 50) * 86400, rng.randrange(50 * 86400))))


def standing(rng: Random) -> bool:
    """What is remembered of a signer under a policy is what is found anew, and costs as much."""
    case, signers = rng.choice(_cases())
    remembered = replace(case.policy)
    questions = []
    for _ in range(2):
        at = _moment(rng)
        questions.append((rng.choice(signers), at, rng.choice((None, at - timedelta(days=rng.randrange(20))))))
    for one, at, proven in [rng.choice(questions) for _ in range(4)]:
        told = []
        spent = rng.choice((0, 0, 0, limits.EFFORT - rng.choice((0, 1, 50, 100, 200, 400))))
        for policy in (remembered, replace(case.policy)):
            if policy is not remembered:
                path._remembered_paths.cache_clear()
                path._remembered_failures.cache_clear()
            effort = Effort()
            effort.spent = spent
            told.append((signers_module._standings(one, policy, at, proven, effort), effort.spent > limits.EFFORT))
            told.append(effort.exhausted_at)
        assert told[:2] == told[2:], (questions, told)
    return bool(remembered.standings)


_SAID = ("2026-01-01T00:00:00Z", "late at 2026-01-01T00:00:00Z")
_DETAILS = (
    *shapes.STRINGS,
    "\x01",
    "\x02\n\t",
    '"',
    "\\",
    "\udcff",
    "2026-01-01T00:00:00Z",
    "late at 2026-01-01T00:00:00Z",
)


def finding_line(rng: Random) -> bool:
    """A finding that counts goes into a report as it was written, without being read."""
    times = (NOW.isoformat(), "2025-01-01T00:00:00+00:00", None, 1)
    evidence = {rng.choice(("at", "path", "é", "a b")): rng.choice((*times, True, *_DETAILS)) for _ in range(2)}
    check = rng.random() < 0.5
    rule = rng.choice(("expired", "not-yet-valid", "revoked", "unsigned") if check else sorted(rules_of_audits.BY_ID))
    one = Finding(
        rule=rule,
        kind=Kind.CHECK if check else Kind.RULE,
        severity=rng.choice(tuple(Severity)),
        detail=rng.choice(_DETAILS) + rng.choice(_DETAILS),
        next_step=rng.choice(_DETAILS),
        sha256=rng.choice((None, "ab" * 32)),
        step=rng.choice((None, 1)),
        undecided=rng.random() < 0.5,
        evidence=evidence,
        related=tuple(rng.sample(_DETAILS, rng.randint(0, 2))),
        consequences=tuple(rng.sample(("unsigned", "expired", "no-timestamp"), rng.randint(0, 2))),
    )
    bundle, as_of = rng.choice(_DETAILS), AsOf(NOW)
    here = one.about(bundle)
    (text,) = kept._texts(kept._line(here.text(as_of)))
    assert RuleChoice(frozenset(rules_of_audits.BY_ID)).apply([here], None) == [here]
    told = FindingSpool(), FindingSpool()
    for spool in told:
        spool.as_of = as_of
    told[0].add_text(text, json.dumps(portable(bundle)))
    told[1].add(text.finding(bundle, as_of))
    lines = [b"".join(spool.lines()) for spool in told]
    assert lines[0] == lines[1], lines
    assert list(told[0].blocks()) == list(told[1].blocks()), one
    assert told[0].counted == told[1].counted
    assert json.loads(next(told[0].lines())) == json.loads(dumped(here.plain())), one
    return True


@functools.cache
def _records() -> tuple[Any, ...]:
    return tuple(record(case.bundle, case.policy, NOW + timedelta(days=day)) for case, _ in _cases() for day in (0, 20))


def kept_record(rng: Random) -> bool:
    """A record comes out of the cache as it went in, or not at all."""
    one = rng.choice(_records())
    values = kept.values_of(one, "context")
    if rng.random() < 0.7:
        name = rng.choice([name for name in values if name != "size"])
        value = values[name]
        if isinstance(value, int):
            values[name] = value + rng.choice((-1, 1, 86400))
        elif isinstance(value, bytes):
            values[name] = flipped(rng, value)
        else:
            values[name] = flipped(rng, value.encode()).decode("latin-1")
    found = kept.record_of(values, one.row.bundle, one.at, "file")
    if found is not None:
        holds = one.holds or (kept._EPOCH, kept._EPOCH)
        same = replace(one, kept="file", holds=holds)
        assert found == replace(same, row=found.row), one
        assert found.row == one.row
    return found is not None


def kept_at_another_time(rng: Random) -> bool:
    """What an audit keeps at one time is what one at another time between two moments finds."""
    from trust.test_moments import between, told

    case, _ = rng.choice(_cases())
    at = _moment(rng)
    holds = record(case.bundle, case.policy, at).holds
    other = between(rng, holds) if holds else None
    if other is None:
        return False
    assert told(case, at, other) == told(case, other, other), (at, other, holds)
    return True


@functools.cache
def _reports() -> tuple[bytes, ...]:
    from builders import audit_samples

    findings = [audit_samples.finding(), audit_samples.finding(related=("depot/b.seal",))]
    results = [audit_samples.result(), audit_samples.result("depot/b\udcff.seal", sha256=None)]
    audits = (
        audit_samples.made_of(findings, results),
        audit_samples.made_of([]),
        audit_samples.made_of([], results),
        audit_samples.made_of(findings[:1], results[:1], complete=False),
    )
    return tuple(b"".join(audit_json.render(one)) for one in audits)


_LINES = (
    b"  ],\n",
    b"  ]\n",
    b"}\n",
    b"{\n",
    b'  "results": [\n',
    b'  "findings": [\n',
    b'  "results": [],\n',
    b'  "at": "x",\n',
)


def report_lines(rng: Random) -> bool:
    """A report in the lines that modseal writes is read a line at a time, and as if it were read at once."""
    lines = rng.choice(_reports()).splitlines(keepends=True)
    for _ in range(rng.choice((0, 1, 1, 2))):
        at, kind = rng.randrange(len(lines)), rng.randrange(7)
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines.insert(at, lines[at])
        elif kind == 2:
            lines.insert(at, rng.choice(_LINES))
        elif kind == 3:
            lines[at] = lines[at].replace(
                *rng.choice(((b",\n", b"\n"), (b"\n", b",\n"), (b"\n", b""), (b"    ", b"  ")))
            )
        elif kind == 4:
            lines[at] = lines[at][:-2] + rng.choice((b', "bundle": "x"}\n', b"},\n", b" \n"))
        elif kind == 5:
            lines[at], lines[0] = lines[0], lines[at]
        else:
            lines[at] = flipped(rng, lines[at], 1)
        lines = lines or [b"\n"]
    data = b"".join(lines)
    file, place = _report_file()
    file.seek(0)
    file.truncate()
    file.write(data)
    file.flush()
    own = report_file._Own(place, report_file.identity_of(os.fstat(file.fileno())))
    try:
        found = own.load(io.BytesIO(data))
        told = (found.head, found.sha256, list(found.results()), list(found.findings()))
    except (Misshapen, report_file._OtherLayoutError):
        return False
    try:
        other = report_file._load_at_once(place, io.BytesIO(data))
    except Misshapen as error:
        raise AssertionError(f"read by lines, and not at once: {error}") from None
    assert told == (other.head, other.sha256, list(other.results()), list(other.findings())), data
    return True


@functools.cache
def _report_file() -> tuple[Any, Path]:
    file = tempfile.NamedTemporaryFile(suffix=".json")  # noqa: SIM115 - for the whole run
    return file, Path(file.name)


WAYS: dict[str, Way] = {
    way.__name__: way
    for way in (
        ar_header,
        visor_header,
        tar_entries,
        sum_of_a_header,
        lone_block,
        known_block,
        usual_path,
        usual_tree,
        ascii_text,
        shape_fits,
        manifest,
        canonical,
        counted,
        whole_file,
        stream,
        deflate,
        values_made,
        standing,
        finding_line,
        kept_record,
        kept_at_another_time,
        report_lines,
    )
}
