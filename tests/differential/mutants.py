"""Archives that are nearly good: made from a seed, each with a few things changed.

Headers are changed field by field and get a fitting checksum most of the time, so that the change and not
the checksum is what a reader sees.
"""

from __future__ import annotations

import io
import struct
import tarfile
from random import Random

from modseal.format import ar, tar
from modseal.format.manifest import Entry, FileType

BLOCK = 512
MTIME = 1_700_000_000

FIELDS = {
    "name": (0, 100), "mode": (100, 8), "uid": (108, 8), "gid": (116, 8), "size": (124, 12), "mtime": (136, 12),
    "checksum": (148, 8), "type": (156, 1), "link": (157, 100), "magic": (257, 8), "user": (265, 32),
    "group": (297, 32), "major": (329, 8), "minor": (337, 8), "prefix": (345, 155), "rest": (500, 12),
}  # fmt: skip
"""Offset and length of each field of a tar header."""

NAMES = (
    b"a", b"b/c", b"a/b", b"./a", b"./", b".", b"..", b"../a", b"/a", b"a/", b"a//b", b"a/./b", b"a/../b", b"", b"A",
    b"a\0b", b"a b", b" a", b"a ", b"a -> b", b"n" * 100, b"d/" + b"n" * 98, b"\xc3\xa9", b"e\xcc\x81", b"\xff",
    b"a\\b", b"a\nb", b"\xe2\x80\xae", b"a*", b"._a", b"GNUSparseFile.0/a", b"pax_global_header", b"././@LongLink",
    b"-a", b"\x80",
)  # fmt: skip
LINKS = (b"", b"a", b"../a", b"../../etc", b"/etc", b"b/../c", b"./a", b"a -> b", b"n" * 100, b"\xc3\xa9", b"x\0y")
TYPES = tuple(bytes([value]) for value in b"\0" + b"0123456789ADIKLMNSVXgx ")
MAGICS = (
    b"ustar\x0000",
    b"ustar  \0",
    b"ustar\0\0\0",
    b"ustar 00",
    b"\0" * 8,
    b"visor  \0",
    b"USTAR\x0000",
    b"ustar\x0001",
)
VALUES = (0, 1, 5, 7, 511, 512, 513, 0o644, 0o755, 0o4755, 0o7777, 0o100644, 0o777777, 4096, 2**31, 2**33 - 1)


def entries(rng: Random, *, long: bool = False) -> list[tuple[Entry, bytes]]:
    """A small sound tree, in the order of a `.seal`; perhaps with `long` names, which no ustar header holds."""
    made: dict[str, tuple[Entry, bytes]] = {}
    for number in range(rng.randint(0, 6)):
        folder = rng.choice(("", "opt", "opt/acme", "etc", "d" * 60 + "/" + "e" * 60))
        if folder and rng.random() < 0.6:
            parts = folder.split("/")
            for depth in range(1, len(parts) + 1):
                path = "/".join(parts[:depth])
                made[path] = (Entry(path, FileType.DIRECTORY, rng.choice((0o755, 0o700, 0o1777))), b"")
        name = rng.choice(("f", "é", "a b", "x" * 40, "-v", "a -> b", "._f", "f.tar")) + str(number)
        if long and rng.random() < 0.3:
            name = f"{name[:9]}{'m' * 101}"
        path = f"{folder}/{name}" if folder else name
        if rng.random() < 0.2:
            made[path] = (
                Entry(path, FileType.SYMLINK, tar.LINK_MODE, target=rng.choice(("f", "./g", "é/h", "x" * 100))),
                b"",
            )
        else:
            data = rng.randbytes(rng.choice((0, 1, 5, 511, 512, 513, 2000)))
            made[path] = (Entry(path, FileType.FILE, rng.choice((0o644, 0o755, 0o4755, 0)), len(data)), data)
    return sorted(made.values(), key=lambda item: item[0].path.encode().replace(b"/", b"\0"))


def canonical(items: list[tuple[Entry, bytes]], mtime: int = MTIME) -> bytes:
    """The tar as modseal writes it."""
    return b"".join(tar.write([(entry, iter([data])) for entry, data in items], mtime))


def by_tarfile(rng: Random, items: list[tuple[Entry, bytes]]) -> bytes:
    """The tar as Python writes it, in one of its formats, perhaps with what no payload may have."""
    out = io.BytesIO()
    kinds = {FileType.FILE: tarfile.REGTYPE, FileType.DIRECTORY: tarfile.DIRTYPE, FileType.SYMLINK: tarfile.SYMTYPE}
    form = rng.choice((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    dots = rng.random() < 0.3
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        if dots:
            root = tarfile.TarInfo("./")
            root.type, root.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(root)
        for entry, data in items:
            info = tarfile.TarInfo(f"./{entry.path}" if dots else entry.path)
            info.type, info.mode = kinds[entry.type or FileType.FILE], entry.mode or 0
            info.linkname, info.size = entry.target or "", len(data)
            info.mtime = rng.choice((0, MTIME))
            info.uname = info.gname = rng.choice(("", "root", "é"))
            info.uid = rng.choice((0, 1000, 2_000_000))
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def mutated_tar(rng: Random, data: bytes) -> bytes:
    """A tar with one to three changes."""
    blocks = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        change = rng.choice((_field, _field, _field, _field, _flip, _swap, _repeat, _drop, _insert))
        change(rng, blocks)
    out = b"".join(blocks)
    tail = rng.random()
    if tail < 0.03:
        return out[: rng.randint(0, len(out))]
    return out + rng.choice((bytes(BLOCK), b"\n", rng.randbytes(BLOCK), data)) if tail < 0.08 else out


def with_checksum(block: bytes) -> bytes:
    """A header whose checksum fits, in the form that most writers use."""
    blank = block[:148] + b" " * 8 + block[156:]
    return tar.with_checksum(blank, sum(blank))


def _headers(blocks: list[bytes]) -> list[int]:
    return [index for index, block in enumerate(blocks) if block[257:262] == b"ustar"]


def _field(rng: Random, blocks: list[bytes]) -> None:
    """Another value in one field of one header."""
    at = _headers(blocks)
    if not at:
        return
    index, (name, (offset, length)) = rng.choice(at), rng.choice(list(FIELDS.items()))
    block = blocks[index]
    value = _value(rng, name, length)[:length].ljust(length, b"\0")
    block = block[:offset] + value + block[offset + length :]
    blocks[index] = block if name == "checksum" or rng.random() < 0.05 else with_checksum(block)


def _value(rng: Random, name: str, length: int) -> bytes:
    if name in ("name", "prefix", "user", "group"):
        return rng.choice(NAMES)
    if name == "link":
        return rng.choice(LINKS)
    if name == "type":
        return rng.choice(TYPES)
    if name == "magic":
        return rng.choice(MAGICS)
    if name == "rest":
        return rng.choice((bytes(12), b"\0" * 8 + b"tar\0", rng.randbytes(12)))
    return _number(rng, length)


def _number(rng: Random, length: int) -> bytes:
    """A number in one of the forms that some writer or attacker uses."""
    value = rng.choice(VALUES)
    forms = (
        b"%0*o\0" % (length - 1, value), b"%0*o " % (length - 1, value), b"%0*o" % (length, value),
        b"%*o\0" % (length - 1, value),
        b"%*o " % (length - 1, value), b"%o" % value, b"%o \0" % value, b"%o\0\0x" % value, b"0o%o" % value,
        b"-%o" % value,
        b"+%o" % value, b"\t%o" % value, b"%o_0" % value,
        b"\x80" + bytes(length - 3) + struct.pack(">H", value % 65536),
        b"\xff" * length, bytes(length), b" " * length, b"%d" % value, b"8", b"%o,0" % value, b"\0%o" % value,
    )  # fmt: skip
    return rng.choice(forms)


def _flip(rng: Random, blocks: list[bytes]) -> None:
    """One byte changed anywhere; in a header the checksum mostly follows."""
    if not blocks:
        return
    index = rng.randrange(len(blocks))
    block = bytearray(blocks[index])
    if block:
        block[rng.randrange(len(block))] ^= 1 << rng.randrange(8)
    is_header = block[257:262] == b"ustar" and rng.random() < 0.8
    blocks[index] = with_checksum(bytes(block)) if is_header else bytes(block)


def _swap(rng: Random, blocks: list[bytes]) -> None:
    if blocks:
        one, other = rng.randrange(len(blocks)), rng.randrange(len(blocks))
        blocks[one], blocks[other] = blocks[other], blocks[one]


def _repeat(rng: Random, blocks: list[bytes]) -> None:
    if blocks:
        blocks.insert(rng.randint(0, len(blocks)), rng.choice(blocks))


def _drop(rng: Random, blocks: list[bytes]) -> None:
    if blocks:
        del blocks[rng.randrange(len(blocks))]


def _insert(rng: Random, blocks: list[bytes]) -> None:
    """A header that says something about the next, an end in the middle, or noise."""
    kind = rng.choice(TYPES)
    size = rng.choice((0, 12, 512))
    fields = (
        b"././@LongLink",
        b"0000644\0",
        b"0000000\0",
        b"0000000\0",
        b"%011o\0" % size,
        b"00000000000\0",
        b" " * 8,
        kind,
    )
    widths = (100, 8, 8, 8, 12, 12, 8, 1)
    head = b"".join(field.ljust(width, b"\0") for field, width in zip(fields, widths, strict=True))
    header = (head + bytes(100) + b"ustar\x0000").ljust(BLOCK, b"\0")
    body = rng.choice((b"12 path=/b\n\0", b"19 size=0\n path=x\n", b"long/name\0")).ljust(BLOCK, b"\0")
    chosen = rng.choice(([with_checksum(header), body], [with_checksum(header)], [bytes(BLOCK)], [bytes(BLOCK)] * 2))
    at = rng.randint(0, len(blocks))
    blocks[at:at] = chosen


# The container.


def archive(rng: Random) -> bytes:
    """An `ar` that starts like a bundle, with headers in various styles and a few changes."""
    kind = rng.choice(("manifest.json", "descriptor.xml"))
    members = [
        (kind, rng.choice((b"{}", b"<vib/>", b"x" * 99))),
        ("sig.pkcs7", rng.choice((b"", b"-----BEGIN PKCS7-----\n"))),
    ]
    for number in range(rng.randint(0, 3)):
        name = rng.choice(
            ("base", "payload1", "sbom.json", "-x", "x.y_z", "n" * 15, "__.SYMDEF", "ARFILENAMES")
        ) + rng.choice(("", str(number)))
        members.append((name[:15], rng.randbytes(rng.choice((0, 1, 2, 59, 60, 61, 300)))))
    plain = rng.random() < 0.5
    parts = [_member(rng, name, data, plain=plain or kind == "manifest.json") for name, data in members]
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        change = rng.random()
        index = rng.randrange(len(parts))
        if change < 0.1:
            parts.insert(rng.randint(0, len(parts)), parts[index])
        elif change < 0.2:
            parts[index] = parts[index] + rng.choice((b"\n", b"\0", b"`\n"))
        elif change < 0.3:
            other = rng.randrange(len(parts))
            parts[index], parts[other] = parts[other], parts[index]
        elif change < 0.8:
            parts[index] = _ar_field(rng, parts[index])
        else:
            changed = bytearray(parts[index])
            changed[rng.randrange(min(62, len(changed)))] ^= 1 << rng.randrange(8)
            parts[index] = bytes(changed)
    out = rng.choice((ar.MAGIC,) * 30 + (b"!<thin>\n", b"!<arch>\r")) + b"".join(parts)
    return out[: rng.randint(0, len(out))] if rng.random() < 0.03 else out


def _member(rng: Random, name: str, data: bytes, *, plain: bool) -> bytes:
    if plain:
        header = ar.encode_header(name, len(data))
    else:
        fields = (
            rng.choice((name, f"{name}/")), rng.choice(("0", "1700000000", "007")), rng.choice(("0", "-1", "1000")),
            rng.choice(("0", "-1", "100")), rng.choice(("0", "0o0", "644", "100644", "100755")),
        )  # fmt: skip
        widths = (16, 12, 6, 6, 8)
        text = "".join(field[:width].ljust(width) for field, width in zip(fields, widths, strict=True))
        header = (text + f"{len(data):<10}`\n").encode()
    return header + data + ar.padding(len(data))


def _ar_field(rng: Random, member: bytes) -> bytes:
    """Another value in one field of a member's header."""
    offset, width = rng.choice(((0, 16), (16, 12), (28, 6), (34, 6), (40, 8), (48, 10), (48, 10), (58, 2)))
    value = rng.choice((
        b"", b"0", b"1", b"7", b"60", b"-1", b"0o0", b"007", b"+1", b" 1", b"1 2", b"/", b"//", b"/0", b"#1/4",
        b"a/b", b"..", b"./",
        b"a/ ", b"a /", b"sig.pkcs7", b"sig.pkcs7/", b"manifest.json", b"SIG.PKCS7", b"__.SYMDEF", b"n" * 16,
        b"9999999999", b"0x10", b"1\0",
        b"\n`", b"`\n", b"100644", b"37777777",
    ))  # fmt: skip
    return member[:offset] + value[:width].ljust(width) + member[offset + width :]
