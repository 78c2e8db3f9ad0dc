"""The visor tar: the tar of VMware's hosts, with all headers first and the data at absolute offsets.

A header is an old tar header with the magic `visor`, a checksum over *signed* bytes, and four little-endian
words at its end: the offset of the data, and three about the text of an executable. GNU tar and Python's
tarfile see other files in it than a host does, so it has its own strict reader. The layout differs
between the tools that wrote genuine files (docs/vib.md, section 4); `VisorLayout` holds what varies, so
that a genuine visor tar can be rebuilt byte for byte.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from modseal.errors import FormatError
from modseal.format import tar
from modseal.format.manifest import Entry, FileType
from modseal.format.stream import Piece, Stream, is_zero, zeros
from modseal.format.tar import BLOCK, NAME_SIZE, VISOR_MAGIC, EntryRules, Found, Item
from modseal.values import dataclass

PAGE = 4096
EXECUTABLE = "7"
"""The type of an ELF file: the host may map it, so its data starts on a page."""

_HEADER = struct.Struct("<100s8s8s8s12s12s8s1s100s8s32s32s8s8s151sIIII")
_NO_DEVICE = bytes(8)
_DEVICE_ZERO = b"0000000\0"
_TYPE = {b"0": FileType.FILE, b"7": FileType.FILE, b"2": FileType.SYMLINK, b"5": FileType.DIRECTORY}
_ASCII = bytes(range(128))
_END = bytes(BLOCK)
_LARGEST_OFFSET = 0xFFFF_FFFF
_ELF = b"\x7fELF"


class Alignment(enum.Enum):
    """Where the data of a file may start."""

    PAGE = "page"
    """On a page: tools since 6.7."""
    SECTOR = "sector"
    """On 512 bytes, but an executable fills whole pages: older tools."""


@dataclass(frozen=True, slots=True)
class VisorFields:
    """What a header holds besides the entry. `device` says that device numbers are written as octal zeros.

    `text` is the offset, the pages and the fix-up pages of an executable's text: where in the tar a host maps it
    from. They are zero in every genuine kernel module, and modseal writes zeros; see `_text_is_own`.
    """

    typeflag: str = "0"
    mtime: int = 0
    uid: int = 0
    gid: int = 0
    uname: str = "root"
    gname: str = "root"
    device: bool = False
    text: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class VisorLayout:
    """What the tools of different ages do differently; the default is the newest form seen (8.0 U1).

    `padded` says that the end is filled to 512 bytes; `fields` has what is special, by path.
    """

    alignment: Alignment = Alignment.PAGE
    padded: bool = True
    fields: Mapping[str, VisorFields] = field(default_factory=dict)

    def of(self, entry: Entry) -> VisorFields:
        """The fields of an entry."""
        return self.fields.get(entry.path) or VisorFields(tar.typeflag(entry).decode())


@dataclass(frozen=True, slots=True)
class _Header:
    entry: Entry
    fields: VisorFields
    offset: int


def default_fields(entry: Entry, mtime: int, start: bytes) -> VisorFields:
    """The fields of an entry in a new visor tar; `start` is at least the first four bytes of a file."""
    executable = entry.type is FileType.FILE and start.startswith(_ELF)
    return VisorFields(EXECUTABLE if executable else tar.typeflag(entry).decode(), mtime)


def encode_header(entry: Entry, fields: VisorFields, offset: int) -> bytes:
    """The header (512 bytes) of an entry whose data is at `offset`.

    Raises `FormatError` (limit-exceeded) where a value does not fit its field.
    """
    name = entry.path.encode() + (b"/" if entry.type is FileType.DIRECTORY else b"")
    if len(name) > NAME_SIZE:
        detail = (
            f"{entry.path!r} has {len(name)} bytes, and a path in a .vib may have {NAME_SIZE}, because the tar header "
            "that hosts read has room for no more; shorten it, or pack a .seal"
        )
        raise FormatError("limit-exceeded", detail, path=entry.path)
    if offset > _LARGEST_OFFSET:
        detail = f"the data of {entry.path!r} is beyond 4 GiB, where no header of a visor tar points"
        raise FormatError("limit-exceeded", detail, path=entry.path, offset=offset)
    device = _DEVICE_ZERO if fields.device else _NO_DEVICE
    blank = _HEADER.pack(
        name,
        tar.octal(entry.mode or 0, 8),
        tar.octal(fields.uid, 8),
        tar.octal(fields.gid, 8),
        tar.octal(entry.size or 0, 12),
        tar.octal(fields.mtime, 12),
        b" " * 8,
        fields.typeflag.encode(),
        (entry.target or "").encode(),
        VISOR_MAGIC,
        fields.uname.encode(),
        fields.gname.encode(),
        device,
        device,
        b"",
        offset,
        *fields.text,
    )
    total = tar.sum_of(blank) if blank.isascii() else sum(blank) - 256 * len(blank.translate(None, _ASCII))
    if total < 0:
        raise FormatError("limit-exceeded", f"the header of {entry.path!r} has a negative checksum", path=entry.path)
    return tar.with_checksum(blank, total)


def place(entries: Sequence[Entry], layout: VisorLayout) -> tuple[int, ...]:
    """The offset of each entry's data: 0 for what has none."""
    position = (len(entries) + 1) * BLOCK
    offsets = []
    for entry in entries:
        if not entry.size:
            offsets.append(0)
            continue
        executable = layout.of(entry).typeflag == EXECUTABLE
        position = _up(position, PAGE if executable or layout.alignment is Alignment.PAGE else BLOCK)
        offsets.append(position)
        position += entry.size
        if executable:
            position = _up(position, PAGE)
    return tuple(offsets)


def write(items: Sequence[Item], layout: VisorLayout) -> Iterator[bytes]:
    """The visor tar of some entries, in the order given; their contents must have their sizes.

    Raises `FormatError` for what `read` would refuse.
    """
    entries = [entry for entry, _ in items]
    listing = EntryRules(ordered=False)
    for entry in entries:
        listing.add(entry)
    offsets = place(entries, layout)
    yield b"".join(encode_header(entry, layout.of(entry), at) for entry, at in zip(entries, offsets, strict=True))
    yield bytes(BLOCK)
    position = (len(entries) + 1) * BLOCK
    for (entry, content), offset in zip(items, offsets, strict=True):
        if entry.size:
            yield from zeros(offset - position)
            position = offset + entry.size
        yield from content
    if layout.padded:
        yield from zeros(-position % BLOCK)


def read(stream: Stream, room: int | None = None) -> Iterator[Found]:
    """The entries of a visor tar in header order, each with its content, which is skipped where left.

    `room` is how many there may be. Reads the stream to its end.
    Raises `FormatError`: bad-listing, unsafe-path, unsafe-type,
    unsafe-mode, unsafe-link, limit-exceeded.
    """
    for header in _headers(stream, room):
        yield header.entry, (content := _content(stream, header))
        for _ in content:
            pass
    _end(stream)


def read_layout(stream: Stream) -> tuple[VisorLayout, tuple[Entry, ...]]:
    """How a visor tar is laid out, and its entries: what `write` needs to make the same bytes again.

    Raises `FormatError` as `read` does, and bad-listing for a layout that no known tool makes.
    """
    headers = _headers(stream)
    for header in headers:
        for _ in _content(stream, header):
            pass
    end = stream.position
    padded = _end(stream) > 0 or end % BLOCK == 0
    entries = tuple(header.entry for header in headers)
    offsets = tuple(header.offset for header in headers)
    fields = {header.entry.path: header.fields for header in headers}
    for alignment in Alignment:
        layout = VisorLayout(alignment, padded, fields)
        if place(entries, layout) == offsets:
            return layout, entries
    raise FormatError("bad-listing", "the data of the visor tar is not where any known tool puts it")


def _headers(stream: Stream, room: int | None = None) -> list[_Header]:
    listing = EntryRules(ordered=False, room=room)
    headers: list[_Header] = []
    while (block := stream.take(BLOCK)) != _END:
        headers.append(recognise_header(block) or _parse(block))
        listing.add(headers[-1].entry)
    return headers


def _content(stream: Stream, header: _Header) -> Iterator[Piece]:
    """The content of an entry, which starts at its offset and not before what was read already."""
    entry, offset = header.entry, header.offset
    if offset and (offset < stream.position or offset % BLOCK):
        raise FormatError(
            "bad-listing",
            f"the data of {entry.path!r} overlaps, is out of order or not aligned",
            path=entry.path,
            offset=offset,
        )
    if entry.size:
        stream.zeros(offset - stream.position, f"the gap before {entry.path!r}")
        yield from stream.pieces(entry.size)


def _end(stream: Stream) -> int:
    """Read what follows the data, and say how much it is: nothing, or zeros up to 512 bytes."""
    padding = b""
    for piece in stream.rest():
        padding += piece
        if len(padding) >= BLOCK or not is_zero(piece):
            raise FormatError("bad-listing", f"bytes follow the last data at byte {stream.position}")
    if padding and stream.position % BLOCK:
        raise FormatError("bad-listing", "the end of the visor tar is not filled to 512 bytes")
    return len(padding)


def recognise_header(block: bytes) -> _Header | None:
    """What a header says that is to the byte the one that a new visor tar has; None for any other, which is parsed."""
    name, mode, _, _, size, mtime, _, flag, link, *_, offset, _, _, _ = _HEADER.unpack(block)
    kind = _TYPE.get(flag)
    name, link = name.rstrip(b"\0"), link.rstrip(b"\0")
    if kind is None or b"\0" in name + link:
        return None
    try:
        path, length = name.decode(), int(size[:11], 8)
        entry = Entry(
            path.removesuffix("/") if kind is FileType.DIRECTORY else path,
            kind,
            int(mode[:7], 8),
            length if kind is FileType.FILE else None,
            target=link.decode() if kind is FileType.SYMLINK else None,
        )
        fields = VisorFields(flag.decode(), int(mtime[:11], 8))
        own = encode_header(entry, fields, offset)
    except (ValueError, FormatError):
        return None
    consistent = bool(length) == bool(offset) and (kind is FileType.FILE or not length)
    return _Header(entry, fields, offset) if own == block and consistent else None


def _parse(block: bytes) -> _Header:
    parsed = _HEADER.unpack(block)
    name, mode, uid, gid, size, mtime, _, flag, link, magic, uname, gname, major, _, _, offset, *words = parsed
    if magic != VISOR_MAGIC:
        raise FormatError("bad-listing", "the tar has no visor header", magic=magic.hex())
    path, kind, length = tar.text(name, "name"), _TYPE.get(flag), tar.number(size, "size")
    if kind is None:
        raise FormatError("unsafe-type", tar.foreign_type(path, flag), path=path, typeflag=flag.hex())
    is_file = kind is FileType.FILE
    if bool(length) != bool(offset) or (length and not is_file) or (flag != b"7" and any(words)):
        raise FormatError("bad-listing", f"{path!r} has a size, an offset or text that its type cannot have", path=path)
    if not _text_is_own(offset, length, *words):
        raise FormatError("bad-listing", f"the text of {path!r} is not in its own data", path=path)
    entry = Entry(
        path.removesuffix("/") if kind is FileType.DIRECTORY else path,
        kind,
        tar.number(mode, "mode"),
        size=length if is_file else None,
        target=tar.text(link, "link") if kind is FileType.SYMLINK else None,
    )
    fields = VisorFields(
        flag.decode(),
        tar.number(mtime, "mtime"),
        tar.number(uid, "uid"),
        tar.number(gid, "gid"),
        tar.text(uname, "user"),
        tar.text(gname, "group"),
        major == _DEVICE_ZERO,
        (words[0], words[1], words[2]),
    )
    if encode_header(entry, fields, offset) != block:
        raise FormatError("bad-listing", f"the header of {path!r} or its checksum is in no accepted form", path=path)
    return _Header(entry, fields, offset)


def _text_is_own(offset: int, size: int, start: int, pages: int, fixups: int) -> bool:
    """Whether an executable's text lies in the pages of its own data, where 0 stands for their beginning.

    A host maps the text from there: with another start it would run the content of another file, or unchecked bytes.
    No more pages can need fixing up than there are.
    """
    start = start or offset
    return offset <= start and start + pages * PAGE <= offset + _up(size, PAGE) and fixups <= pages


def _up(position: int, step: int) -> int:
    return -(-position // step) * step
