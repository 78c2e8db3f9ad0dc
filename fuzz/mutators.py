"""Mutators that keep what would stop a reader at its first check: lengths of DER, sizes of members, checksums.

Each takes an input and gives a changed one. About every third time the change is libFuzzer's own, on the
raw bytes, so that the checks themselves are fuzzed too.
"""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Callable, Iterator

Change = Callable[[bytes, int], bytes]
"""libFuzzer's own change of some bytes, to at most a size."""

_CHECKSUM = slice(148, 156)
_HEADER = re.compile(rb"(.{48})(.{10})`\n", re.DOTALL)


def mutate(kind: str, data: bytes, most: int, seed: int, change: Change) -> bytes:
    """One change of an input of this kind."""
    chance = random.Random(seed)
    if chance.randrange(3):
        data = {"der": _der, "archive": _archive, "tar": _tar, "visor": _visor, "zip": _zip}[kind](
            data, most, chance, change
        )
    else:
        data = change(data, most)
    return data[:most]


# DER: a tree whose lengths are made anew.


class _Node:
    """A DER value: content, or children where the content is nothing but values."""

    def __init__(self, tag: int, content: bytes, depth: int = 0) -> None:
        self.tag, self.content = tag, content
        self.children = _values(content, depth + 1) if tag & 0x20 and depth < 20 else []

    def encode(self) -> bytes:
        content = b"".join(one.encode() for one in self.children) if self.children else self.content
        size = len(content)
        if size < 0x80:
            return bytes((self.tag, size)) + content
        octets = size.to_bytes((size.bit_length() + 7) // 8)
        return bytes((self.tag, 0x80 | len(octets))) + octets + content

    def walk(self) -> Iterator[_Node]:
        yield self
        for child in self.children:
            yield from child.walk()


def _values(data: bytes, depth: int) -> list[_Node]:
    """The values that some bytes are, none where they are anything else."""
    values: list[_Node] = []
    at = 0
    while len(data) - at >= 2:
        size, start = data[at + 1], at + 2
        if size >= 0x80:
            start += size & 0x7F
            size = int.from_bytes(data[at + 2 : start])
        if start + size > len(data):
            return []
        values.append(_Node(data[at], data[start : start + size], depth))
        at = start + size
    return values if at == len(data) else []


def _der(data: bytes, most: int, chance: random.Random, change: Change) -> bytes:
    roots = _values(data, 0)
    if not roots:
        return change(data, most)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        nodes = [node for root in roots for node in root.walk()]
        node = chance.choice(nodes)
        kind = chance.randrange(8)
        if node.children and kind < 5:
            _change_children(node, chance.choice(nodes), kind, chance)
        elif kind == 5:
            node.tag = chance.choice((node.tag ^ 1 << chance.randrange(8), chance.choice(nodes).tag))
        elif kind == 6:
            other = chance.choice(nodes)
            node.content, node.children = other.content, other.children[:] if node not in other.walk() else []
        elif not node.children:
            node.content = change(node.content, max(8, len(node.content) * 2))
    return b"".join(root.encode() for root in roots)


def _change_children(node: _Node, other: _Node, kind: int, chance: random.Random) -> None:
    at = chance.randrange(len(node.children))
    if kind == 0:
        del node.children[at]
        node.content = b""
    elif kind == 1:
        node.children.insert(at, node.children[at])
    elif kind == 2:
        chance.shuffle(node.children)
    elif kind == 3:
        node.children.sort(key=_Node.encode)  # as a SET OF must be
    elif node not in other.walk():
        node.children.insert(at, other)


# Archives: members whose headers say their true sizes.


def _archive(data: bytes, most: int, chance: random.Random, change: Change) -> bytes:
    members = _members(data)
    if not members:
        return change(data, most)
    at = chance.randrange(len(members))
    header, content = members[at]
    kind = chance.randrange(8)
    if kind < 5:
        content = change(content, len(content) + 64)
        members[at] = (header, content)
    elif kind == 5:
        members[at] = (change(header, 60)[:60].ljust(60), content)
    elif kind == 6:
        del members[at]
    else:
        members.insert(chance.randrange(len(members) + 1), members[at])
    return data[:8] + b"".join(_member(*one) for one in members)


def _members(data: bytes) -> list[tuple[bytes, bytes]]:
    members, at = [], 8
    while (header := data[at : at + 60]) and (match := _HEADER.fullmatch(header)):
        try:
            size = int(match[2])
        except ValueError:
            break
        members.append((header, data[at + 60 : at + 60 + size]))
        at += 60 + size + size % 2
    return members


def _member(header: bytes, content: bytes) -> bytes:
    size = b"%-10d" % len(content)
    return header[:48] + size + header[58:] + content + (b"\n" if len(content) % 2 else b"")


# Tars: headers with their true checksums.


def _tar(data: bytes, most: int, chance: random.Random, change: Change) -> bytes:
    return _mend(_blocks(data, most, chance, change), sum)


def _visor(data: bytes, most: int, chance: random.Random, change: Change) -> bytes:
    return _mend(
        _blocks(data, most, chance, change), lambda header: sum(header) - 256 * sum(one > 127 for one in header)
    )


def _blocks(data: bytes, most: int, chance: random.Random, change: Change) -> bytes:
    """Whole blocks taken out, doubled or exchanged, or one of them changed."""
    blocks = [data[at : at + 512] for at in range(0, len(data), 512)]
    if not blocks:
        return change(data, most)
    at, kind = chance.randrange(len(blocks)), chance.randrange(8)
    if kind == 0:
        del blocks[at]
    elif kind == 1:
        blocks.insert(chance.randrange(len(blocks)), blocks[at])
    elif kind == 2:
        blocks[at], blocks[0] = blocks[0], blocks[at]
    else:
        blocks[at] = _change_field(blocks[at], chance, change)
    return b"".join(blocks)


_FIELDS = (
    (0, 100),
    (100, 108),
    (108, 116),
    (116, 124),
    (124, 136),
    (136, 148),
    (156, 157),
    (157, 257),
    (257, 265),
    (265, 297),
    (297, 329),
    (329, 345),
    (345, 500),
    (496, 500),
    (500, 512),
)


def _change_field(block: bytes, chance: random.Random, change: Change) -> bytes:
    start, end = chance.choice(_FIELDS)
    value = change(block[start:end].rstrip(b"\0"), end - start)
    return (block[:start] + value.ljust(end - start, b"\0")[: end - start] + block[end:]).ljust(512, b"\0")


def _mend(data: bytes, total: Callable[[bytes], int]) -> bytes:
    blocks = [data[at : at + 512] for at in range(0, len(data), 512)]
    for index, block in enumerate(blocks):
        if block[257:262] in (b"ustar", b"visor") and len(block) == 512:
            blank = block[:148] + b" " * 8 + block[156:]
            blocks[index] = block[: _CHECKSUM.start] + b"%06o\0 " % max(total(blank), 0) + block[_CHECKSUM.stop :]
    return b"".join(blocks)


# Zip archives: entries whose headers agree, and an end that says where they are.

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")


class _Entry:
    """A file of an archive: its two headers; its name, both extra fields and comment; and its packed bytes."""

    def __init__(self, local: list[int | bytes], central: list[int | bytes], texts: list[bytes], packed: bytes) -> None:
        self.local, self.central, self.texts, self.packed = local, central, texts, packed

    def encode(self, offset: int) -> tuple[bytes, bytes]:
        """Both parts, with sizes and offset that are true."""
        name, local_extra, extra, comment = self.texts
        self.local[7] = self.central[8] = len(self.packed)
        self.local[9:11] = [len(name), len(local_extra)]
        self.central[10:13] = [len(name), len(extra), len(comment)]
        self.central[16] = offset
        head = _LOCAL.pack(*self.local) + name + local_extra + self.packed
        return head, _CENTRAL.pack(*self.central) + name + extra + comment


def _zip(data: bytes, most: int, chance: random.Random, change: Change) -> bytes:
    entries = _entries(data)
    if not entries:
        return change(data, most)
    entry, kind = chance.choice(entries), chance.randrange(8)
    if kind < 3:
        at = chance.randrange(4)
        entry.texts[at] = change(entry.texts[at], len(entry.texts[at]) + 16)
    elif kind < 5:
        content = change(b"content", 64)
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        method = chance.choice((0, 8))
        entry.packed = packer.compress(content) + packer.flush() if method else content
        for header, method_at, crc_at in ((entry.local, 3, 6), (entry.central, 4, 7)):
            header[method_at], header[crc_at], header[crc_at + 2] = method, zlib.crc32(content), len(content)
    elif kind == 5:
        place, header = chance.randrange(1, 9), chance.choice((entry.local, entry.central))
        header[place] = chance.choice((0, 1, 8, 20, 45, 0x800, header[place]))
    elif kind == 6:
        entries.insert(chance.randrange(len(entries) + 1), entry)
    else:
        entries.remove(entry)
    return _join(entries)


def _entries(data: bytes) -> list[_Entry]:
    """The entries of an archive whose directory can be walked; none of any other."""
    entries: list[_Entry] = []
    at = data.find(b"PK\x01\x02")
    while at >= 0 and data[at : at + 4] == b"PK\x01\x02" and len(data) - at >= _CENTRAL.size:
        central = list(_CENTRAL.unpack_from(data, at))
        offset, sizes = central[16], central[10:13]
        if len(data) - offset < _LOCAL.size or central[8] > len(data):
            return []
        local = list(_LOCAL.unpack_from(data, offset))
        start = offset + _LOCAL.size + local[9]
        extra, packed = data[start : start + local[10]], data[start + local[10] : start + local[10] + central[8]]
        texts, at = [], at + _CENTRAL.size
        for size in sizes:
            texts.append(data[at : at + size])
            at += size
        entries.append(_Entry(local, central, [texts[0], extra, texts[1], texts[2]], packed))
    return entries


def _join(entries: list[_Entry]) -> bytes:
    body = directory = b""
    for entry in entries:
        head, listed = entry.encode(len(body))
        body, directory = body + head, directory + listed
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, len(entries), len(entries), len(directory), len(body), 0)
    return body + directory + end
