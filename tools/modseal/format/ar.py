"""The container: a strict reader and writer of Unix `ar`, as `.seal` and `.vib` use it.

Reading walks the headers by position and never loads a payload. A `.seal` has exactly one header
form (all fields zero); a `.vib` may have the variants that genuine files show (docs/vib.md,
section 1) and no other: no symbol table, no long-name table, no second form of a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from modseal import limits
from modseal.codes import CodeName
from modseal.errors import FormatError
from modseal.format.manifest import Kind
from modseal.format.rules import MEMBER_NAME, MEMBER_NAME_FORM, fold
from modseal.format.source import Source, Span
from modseal.values import dataclass, regex

MAGIC = b"!<arch>\n"
HEADER_SIZE = 60
_NO_ONE_AT_NO_TIME = f"{0:<12}{0:<6}{0:<6}{0:<8}"
"""The fields of time, owner, group and mode in modseal's form."""
_HEADER = regex(rb"(.{16})(.{12})(.{6})(.{6})(.{8})(.{10})`\n", re.DOTALL)
_NUMBER = regex(rb"(?:0|[1-9][0-9]*) *")
_ANY_DIGITS = regex(rb"[0-9]+ *")
_OWNER = regex(rb"(?:[0-9]+|-1) *")
_MODE = regex(rb"(?:[0-7]+|0o0) *")
_SLASHED_NAME = regex(rb"(?!\.\.?[/ ])([A-Za-z0-9._-]{1,15})/? *")
_CUT_HEADER = regex(rb"[A-Za-z0-9._-]{1,15}/?[ 0-9o-]*`?")


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its name, and where its bytes are.

    `plain` says the header is in modseal's own form, `dated` that it has a time, an owner or a group.
    """

    name: str
    offset: int
    size: int
    plain: bool
    dated: bool = False

    def span(self, source: Source) -> Span:
        """The member's bytes."""
        return Span(source, self.offset, self.size)


def read(source: Source) -> tuple[Member, ...]:
    """All members of an archive, in order.

    Raises `FormatError`: not-a-bundle, malformed-archive, truncated, trailing-bytes,
    duplicate-member, limit-exceeded.
    """
    if source.size < len(MAGIC) or source.read(0, len(MAGIC)) != MAGIC:
        raise _not_an_archive(source)
    members: list[Member] = []
    names: set[str] = set()
    for member in _walk(source):
        name = fold(member.name)
        if name in names:  # `Base` and `base` are one file on some hosts
            raise FormatError("duplicate-member", f"the archive has two members {member.name!r}", member=member.name)
        if len(members) == limits.MEMBERS:
            raise FormatError("limit-exceeded", f"the archive has more than {limits.MEMBERS} members")
        names.add(name)
        members.append(member)
    return tuple(members)


def _not_an_archive(source: Source) -> FormatError:
    """With what it is instead, where that can be told: a person can act on it."""
    from modseal.format.lookalikes import LOOKED_AT, recognise

    found = recognise(source.read(0, min(source.size, LOOKED_AT)), source.size)
    if found is None:
        return FormatError("not-a-bundle", "the file does not start with the ar magic")
    return FormatError("not-a-bundle", f"the file is not a bundle: {found.what}", reason=found.name)


def _walk(source: Source) -> Iterator[Member]:
    offset = len(MAGIC)
    while offset < source.size:
        header = _header_at(source, offset)
        member = recognise_header(header, offset) or _parse_header(header, offset)
        yield member
        offset = member.offset + member.size
        if offset > source.size:
            raise FormatError(
                "truncated",
                f"member {member.name!r} of {member.size} bytes ends after the file",
                member=member.name,
                declared=member.size,
                present=source.size - member.offset,
            )
        if member.size % 2:
            if offset == source.size or source.read(offset, 1) != b"\n":
                raise FormatError(
                    "malformed-archive", f"member {member.name!r} lacks its padding newline", member=member.name
                )
            offset += 1


def _header_at(source: Source, offset: int) -> bytes:
    if source.size - offset >= HEADER_SIZE:
        return source.read(offset, HEADER_SIZE)
    rest = source.read(offset, source.size - offset)
    # A cut header still looks like the start of one; anything else was appended.
    code: CodeName = "truncated" if _CUT_HEADER.fullmatch(rest) else "trailing-bytes"
    raise FormatError(code, f"{len(rest)} bytes at offset {offset} are not a member header", offset=offset)


def recognise_header(header: bytes, offset: int) -> Member | None:
    """The member whose header is to the byte the one that we would write; None for any other, which is parsed."""
    try:
        name, size = header[:16].rstrip(b" ").decode("ascii"), int(header[48:58])
        own = encode_header(name, size)
    except (ValueError, FormatError):
        return None
    return Member(name, offset + HEADER_SIZE, size, plain=True) if own == header else None


def _parse_header(header: bytes, offset: int) -> Member:
    match = _HEADER.fullmatch(header)
    if not match:
        raise FormatError("malformed-archive", f"no member header at offset {offset}", offset=offset)
    name, mtime, uid, gid, mode, size = match.groups()
    parsed_name = _SLASHED_NAME.fullmatch(name)
    if not parsed_name:
        raise FormatError(
            "malformed-archive",
            f"the member name at offset {offset} is not {MEMBER_NAME_FORM}",
            offset=offset,
            name=name.decode("latin-1"),
        )
    for field, pattern, value in (
        ("mtime", _ANY_DIGITS, mtime),
        ("uid", _OWNER, uid),
        ("gid", _OWNER, gid),
        ("mode", _MODE, mode),
        ("size", _NUMBER, size),
    ):
        if not pattern.fullmatch(value):
            raise FormatError(
                "malformed-archive",
                f"the {field} field at offset {offset} is not in an accepted form",
                offset=offset,
                field=field,
                value=value.decode("latin-1"),
            )
    text = parsed_name[1].decode("ascii")
    plain = header == encode_header(text, int(size))
    return Member(text, offset + HEADER_SIZE, int(size), plain, any(int(number) > 0 for number in (mtime, uid, gid)))


def require_plain(members: tuple[Member, ...], kind: Kind) -> None:
    """A `.seal` has one header form only: `FormatError` (malformed-archive) on any other (AR-07)."""
    for member in members:
        if kind == "seal" and not member.plain:
            raise FormatError(
                "malformed-archive",
                f"the header of {member.name!r} is not in the one form of a .seal",
                member=member.name,
            )


def encode_header(name: str, size: int) -> bytes:
    """The header of a member in modseal's form: no slash, all other fields `0`.

    Raises `FormatError` for a name or size that the reader would refuse.
    """
    if not MEMBER_NAME.fullmatch(name):
        raise FormatError("malformed-archive", f"{name!r} is not a member name: {MEMBER_NAME_FORM}", name=name)
    if not 0 <= size <= limits.MEMBER_SIZE:
        raise FormatError("limit-exceeded", f"member {name!r} of {size} bytes is over {limits.MEMBER_SIZE}", name=name)
    return f"{name:<16}{_NO_ONE_AT_NO_TIME}{size:<10}`\n".encode("ascii")


def padding(size: int) -> bytes:
    """What follows a member of `size` bytes."""
    return b"\n" if size % 2 else b""
