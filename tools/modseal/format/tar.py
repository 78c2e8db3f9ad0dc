"""The tar inside a payload: one strict form for `.seal`, and the old forms that genuine `.vib` files have.

A `.seal` holds ustar (POSIX.1-1988) in one canonical form: for every entry and modification time there
is exactly one run of headers, the one that `encode_headers` makes, and the reader accepts no other. So two
readers cannot see two different listings (TAR-02), and the same tree gives the same bytes. Hard links,
devices and base-256 numbers do not exist in either dialect.

How a path that is longer than the name field is split: at its first slash that leaves at most 155
bytes before it and from 1 to 100 bytes after it. Shorter paths are never split. A path without such a slash
has a pax extended header before its own (POSIX.1-2001), with the path and nothing else: in a `.seal` alone,
because the hosts that read a `.vib` know no such headers.
"""

from __future__ import annotations

import enum
import functools
import struct
import zlib
from collections.abc import Iterable, Iterator

from modseal import limits
from modseal.codes import CodeName
from modseal.errors import FormatError
from modseal.format import rules
from modseal.format.manifest import Entry, FileType
from modseal.format.stream import Piece, Stream, is_zero, zeros
from modseal.values import regex

Item = tuple[Entry, Iterator[bytes]]
"""An entry to write, and the content of a file in pieces (nothing for other types)."""

Found = tuple[Entry, Iterator[Piece]]
"""An entry that was read, with its content likewise."""

BLOCK = 512
NAME_SIZE = 100
PREFIX_SIZE = 155
LINK_MODE = 0o777
"""The mode of every symbolic link: systems ignore it, so it must not vary."""

MAGIC = b"ustar\x0000"
GNU_MAGIC = b"ustar  \x00"
VISOR_MAGIC = b"visor  \x00"

_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12s")
_CHECKSUM = slice(148, 156)
_FLAG = slice(156, 157)
_TYPEFLAG = {FileType.FILE: b"0", FileType.SYMLINK: b"2", FileType.DIRECTORY: b"5"}
_TYPE = {flag: kind for kind, flag in _TYPEFLAG.items()} | {b"\0": FileType.FILE}
_FOREIGN_TYPES = {
    b"1": "a hard link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a FIFO",
    b"g": "a pax header for all entries, which hosts cannot read; make the tar with `--format=ustar`",
    b"x": "a pax header, which hosts cannot read; make the tar with `--format=ustar`",
    b"K": "the long target of a link as GNU tar writes it; targets have at most 100 bytes",
    b"L": "the long name of an entry as GNU tar writes it; names have at most 100 bytes, or 255 in ustar",
    b"S": "a sparse file as GNU tar writes it; make the tar without `--sparse`",
}
"""What other typeflags mean (POSIX.1-2001 pax, GNU tar's manual), for people."""
_OCTAL = regex(rb" *[0-7]+[ \0]*")
_ZERO = b"0000000\0"
_END = bytes(BLOCK)
_NOTHING: Iterator[Piece] = iter(())
_EXTENDED = b"x"
_EXTENDED_NAME = b"././@PaxHeader"
_LONG_NAME = b"././@LongPath"
"""The name of an entry whose path is in its extended header: no reader can take it for a path of a module."""
_RECORD = regex(rb"[1-9][0-9]* path=([^\0]*)\n\0*")


class Dialect(enum.Enum):
    """Which headers a reader accepts."""

    CANONICAL = "canonical"
    """Only what `encode_headers` makes, sorted, and two zero blocks at the end: a `.seal`."""
    LEGACY = "legacy"
    """Ordinary ustar or old GNU headers as in the `tgz` of genuine `.vib` files (docs/vib.md)."""


def encode_header(entry: Entry, mtime: int) -> bytes:
    """The plain header (512 bytes) of an entry.

    Raises `FormatError` (limit-exceeded) where a path, a size or the time does not fit its field.
    """
    parts = split_path(entry)
    if parts is None:
        raise FormatError(
            "limit-exceeded",
            f"{entry.path!r} has {len(_full_path(entry))} bytes, and the tar of a .vib has {NAME_SIZE} for a name and "
            f"{PREFIX_SIZE} for the folders before it, which no slash of this path leaves; shorten it, or pack a .seal",
            path=entry.path,
        )
    return _encode(entry, mtime, *parts)


def encode_headers(entry: Entry, mtime: int) -> bytes:
    """The canonical headers of an entry: one of 512 bytes, or three blocks where the path does not fit into one.

    Raises `FormatError` (limit-exceeded) where a path, a size or the time does not fit its field.
    """
    parts = split_path(entry)
    if parts is not None:
        return _encode(entry, mtime, *parts)
    record = b"%d path=%s\n" % (len(_full_path(entry)) + 10, _full_path(entry))  # the length has three digits itself
    if len(record) > BLOCK:
        raise FormatError("limit-exceeded", f"{entry.path!r} is over {limits.PATH_LENGTH} bytes", path=entry.path)
    extended = _fields(_EXTENDED_NAME, 0o644, len(record), mtime, _EXTENDED)
    return extended + record.ljust(BLOCK, b"\0") + _encode(entry, mtime, _LONG_NAME)


def expected_header(entry: Entry, mtime: int) -> bytes | None:
    """The one plain header that an entry can have; None where it has none, and its headers have to be read."""
    try:
        parts = split_path(entry)
        return _encode(entry, mtime, *parts) if parts else None
    except FormatError:
        return None


def _encode(entry: Entry, mtime: int, name: bytes, prefix: bytes = b"") -> bytes:
    size = (entry.size or 0) if entry.type is FileType.FILE else 0
    mode = LINK_MODE if entry.type is FileType.SYMLINK else entry.mode or 0
    return _fields(name, mode, size, mtime, typeflag(entry), (entry.target or "").encode(), prefix)


def _fields(
    name: bytes, mode: int, size: int, mtime: int, flag: bytes, target: bytes = b"", prefix: bytes = b""
) -> bytes:
    blank = _HEADER.pack(
        name,
        octal(mode, 8),
        _ZERO,
        _ZERO,
        octal(size, 12),
        octal(mtime, 12),
        b" " * 8,
        flag,
        target,
        MAGIC,
        b"root",
        b"root",
        _ZERO,
        _ZERO,
        prefix,
        b"",
    )
    return with_checksum(blank, sum_of(blank) if blank.isascii() else sum(blank))


def write(items: Iterable[Item], mtime: int, dialect: Dialect = Dialect.CANONICAL) -> Iterator[bytes]:
    """The tar of some entries, sorted; their contents must have their sizes. For hosts (LEGACY) headers are plain.

    Raises `FormatError` for what `read` would refuse.
    """
    encode = encode_headers if dialect is Dialect.CANONICAL else encode_header
    listing = EntryRules(ordered=True)
    for entry, content in items:
        listing.add(entry)
        yield encode(entry, mtime)
        yield from content
        yield from zeros(-(entry.size or 0) % BLOCK)
    yield _END * 2


def read(
    stream: Stream, dialect: Dialect, mtime: int = 0, room: int | None = None, declared: Iterable[Entry] = ()
) -> Iterator[Found]:
    """The entries of a tar, each with its content, which is skipped where the caller leaves it.

    `declared` are the entries that a manifest says there are, sound and in order. A canonical header that is to the
    byte that of the next one is not parsed: the entry is the declared one, with the digest that is declared.

    `mtime` is the one that every canonical header must have, and `room` how many entries there may be.
    A directory or link has no size, a link
    has a target, and `sha256` and `payload` are the caller's to add. Reads the stream to its end.
    Raises `FormatError`: bad-listing, unsafe-path, unsafe-type, unsafe-mode, unsafe-link, limit-exceeded.
    """
    canonical = dialect is Dialect.CANONICAL
    listing = EntryRules(ordered=canonical, room=room)
    upcoming = iter(declared)
    while (block := stream.take(BLOCK)) != _END:
        next_one = next(upcoming, None)
        if next_one and canonical and block == expected_header(next_one, mtime):
            entry, sound = next_one, True
        else:
            upcoming, sound = iter(()), False  # from the first difference on, the strict reader reads alone
            entry = _read_canonical(block, stream, mtime) if canonical else _read_legacy(block)
        if entry.path == "./" and entry.type is FileType.DIRECTORY and listing.count == 0:
            # The root folder, which some writers list first. It is never created, and may not be writable for others.
            if (entry.mode or 0) & ~0o755:
                raise FormatError("unsafe-mode", f"the root of the tar has mode {entry.mode:o}", path="./")
        else:
            listing.add(entry, sound=sound)
            content = stream.pieces(entry.size) if entry.size else _NOTHING
            yield entry, content
            for _ in content:
                pass
        if entry.size:
            stream.zeros(-entry.size % BLOCK, "the padding")
    stream.zeros(BLOCK, "the second block of the end")
    while not stream.at_end():
        if canonical:
            raise FormatError("bad-listing", f"bytes follow the end of the tar at byte {stream.position}")
        stream.zeros(BLOCK, "the padding")


class EntryRules:
    """The rules for the entries of one payload, as they are met: sound, not too many, none twice.

    `room` is how many there may be: `limits.FILES`, less those of the payloads before.
    """

    def __init__(self, *, ordered: bool, room: int | None = None) -> None:
        self._ordered = ordered
        self._room = limits.FILES if room is None else room
        self._last = ""
        self._paths: set[str] = set()
        self.count = 0

    def add(self, entry: Entry, *, sound: bool = False) -> None:
        """Account for one more entry; `FormatError` where a rule is broken.

        One that is `sound` has been checked before: its size, too, and that it comes after the sound ones before it.
        """
        if not sound:
            rules.require(next(iter(rules.check_entry(entry)), None))
        self.count += 1
        if self.count > self._room:
            raise FormatError("limit-exceeded", f"the payloads have more than {limits.FILES} entries in all")
        if sound:
            self._last = entry.path
            return
        if (entry.size or 0) > limits.FILE_SIZE:
            raise FormatError("limit-exceeded", f"{entry.path!r} is over {limits.FILE_SIZE} bytes", path=entry.path)
        if self._ordered:
            before, self._last = self._last, entry.path
            is_next = rules.sort_key(before) < rules.sort_key(entry.path)
        else:
            is_next = entry.path not in self._paths
            self._paths.add(entry.path)
        if not is_next:
            raise FormatError("bad-listing", f"{entry.path!r} is listed twice or out of order", path=entry.path)


def split_path(entry: Entry) -> tuple[bytes, bytes] | None:
    """The name and prefix fields of an entry; None where its path fits neither way."""
    path = _full_path(entry)
    if len(path) <= NAME_SIZE:
        return path, b""
    slash = path.find(b"/", max(1, len(path) - NAME_SIZE - 1), min(PREFIX_SIZE + 1, len(path) - 1))
    return (path[slash + 1 :], path[:slash]) if slash >= 0 else None


def _full_path(entry: Entry) -> bytes:
    """The path as a tar has it: that of a directory ends with a slash."""
    return entry.path.encode() + (b"/" if entry.type is FileType.DIRECTORY else b"")


def typeflag(entry: Entry) -> bytes:
    """The type field; `FormatError` (unsafe-type) where the entry has no type."""
    if entry.type is None:
        raise FormatError("unsafe-type", f"{entry.path!r} has no type", path=entry.path)
    return _TYPEFLAG[entry.type]


@functools.lru_cache(maxsize=256)
def octal(value: int, width: int) -> bytes:
    """A number as `width - 1` octal digits and a NUL; `FormatError` (limit-exceeded) where it has more digits."""
    text = b"%0*o\0" % (width - 1, value)
    if value < 0 or len(text) != width:
        raise FormatError("limit-exceeded", f"{value} does not fit a tar field of {width} bytes", value=value)
    return text


def sum_of(header: bytes) -> int:
    """The sum of the bytes of a header that has ASCII alone.

    Of 512 bytes below 128 it is below 65,521, the modulus of Adler-32, whose low half is the sum plus one.
    """
    return (zlib.adler32(header) & 0xFFFF) - 1


def with_checksum(blank: bytes, total: int) -> bytes:
    """A header with its checksum in place; `blank` has spaces there."""
    return b"".join((blank[: _CHECKSUM.start], b"%06o\0 " % total, blank[_CHECKSUM.stop :]))


def foreign_type(path: str, flag: bytes) -> str:
    """What an entry of another type is, as a sentence."""
    return f"{path!r} is {_FOREIGN_TYPES.get(flag, f'of an unknown type, 0x{flag.hex()}')}"


def number(field: bytes, what: str) -> int:
    """The value of an octal field; `FormatError` (bad-listing) for base-256 and any other form."""
    if not _OCTAL.fullmatch(field):
        where = what if " of " in what else f"{what} of a header"
        kind = "negative" if field[0] & 0x40 else "too large for the field"
        form = f", but in GNU tar's form for numbers that are {kind}" if field[0] & 0x80 else ""
        raise FormatError("bad-listing", f"the {where} is not an octal number{form}", field=field.hex())
    return int(field.rstrip(b" \0"), 8)


def text(field: bytes, what: str) -> str:
    """The text of a NUL-padded field; `FormatError` (bad-listing) for other than UTF-8, or bytes after its NUL."""
    value, _, padding = field.partition(b"\0")
    if not is_zero(padding):
        raise FormatError("bad-listing", f"the {what} of a header has bytes after its NUL", field=field.hex())
    try:
        return value.decode()
    except UnicodeDecodeError:
        code: CodeName = "unsafe-path" if what in ("name", "prefix", "pax path") else "bad-listing"
        raise FormatError(code, f"the {what} of a header is not UTF-8", field=field.hex()) from None


def _read_canonical(block: bytes, stream: Stream, mtime: int) -> Entry:
    if block[_FLAG] == _EXTENDED:
        record, own = stream.take(BLOCK), stream.take(BLOCK)
        found = _RECORD.fullmatch(record)
        if not found:
            where = f"the pax header before byte {stream.position - BLOCK}"
            raise FormatError("bad-listing", f"{where} has something else than one path", record=record[:80].hex())
        entry, block = _parse(own, text(found[1], "pax path")), block + record + own
    else:
        entry = _parse(block)
    if encode_headers(entry, mtime) != block:
        raise FormatError("bad-listing", f"the header of {entry.path!r} is not in its canonical form", path=entry.path)
    return entry


def _read_legacy(block: bytes) -> Entry:
    entry = _parse(block)
    fields = _HEADER.unpack(block)
    checksum, magic, prefix, rest = fields[6], fields[9], fields[14], fields[15]
    if number(checksum, "checksum") != sum(block) - sum(checksum) + 8 * ord(" "):
        raise FormatError("bad-listing", f"the header of {entry.path!r} has a wrong checksum", path=entry.path)
    if not is_zero(rest) or (magic == GNU_MAGIC and not is_zero(prefix)):
        raise FormatError("bad-listing", f"the header of {entry.path!r} has bytes in its padding", path=entry.path)
    for index, what in ((2, "uid"), (3, "gid"), (5, "mtime")):
        number(fields[index], f"{what} of {entry.path!r}")
    for index, what in ((10, "user"), (11, "group")):
        text(fields[index], what)
    for device in fields[12:14]:
        if not is_zero(device) and number(device, "device number"):  # old writers leave them blank
            raise FormatError("bad-listing", f"{entry.path!r} has a device number", path=entry.path)
    return entry


def _parse(block: bytes, long_path: str = "") -> Entry:
    """What a header says; `long_path` is the path that an extended header says in its place."""
    name, mode, _, _, size, _, _, flag, link, magic, _, _, _, _, prefix, _ = _HEADER.unpack(block)
    if magic not in (MAGIC, GNU_MAGIC):
        known = "a visor tar, which this payload type does not hold" if magic == VISOR_MAGIC else "no ustar header"
        raise FormatError("bad-listing", f"the tar has {known}", magic=magic.hex())
    path, target, length = text(name, "name"), text(link, "link"), number(size, "size")
    if magic == MAGIC and (above := text(prefix, "prefix")):
        path = f"{above}/{path}"
    path = long_path or path
    kind = _TYPE.get(flag)
    if kind is None:
        raise FormatError("unsafe-type", foreign_type(path, flag), path=path, typeflag=flag.hex())
    if (length and kind is not FileType.FILE) or (target and kind is not FileType.SYMLINK):
        raise FormatError("bad-listing", f"{path!r} has a size or a link that its type cannot have", path=path)
    return Entry(
        path=_plain(path, kind),
        type=kind,
        mode=number(mode, "mode"),
        size=length if kind is FileType.FILE else None,
        target=target if kind is FileType.SYMLINK else None,
    )


def _plain(path: str, kind: FileType) -> str:
    """The path without the `./` that some writers put first and the slash that ends a directory."""
    if kind is not FileType.DIRECTORY:
        return path.removeprefix("./")
    return path if path == "./" else path.removeprefix("./").removesuffix("/")
