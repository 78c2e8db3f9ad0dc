"""Vectors of steps 7 and 8: payloads and files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from builders import bundles, zstd_blocks
from modseal.format import compression
from modseal.format.level import Level
from modseal.format.manifest import Digest, Entry, FileType, View
from vectors.keys import SIGNER
from vectors.material import (
    NAME,
    SEAL,
    TAR,
    VIB,
    Vector,
    entry,
    frame,
    good,
    headed,
    seal,
    stored,
    tarred,
    vib,
    with_tar,
)


def payloads() -> Iterator[Vector]:
    packed = SEAL[NAME].data
    yield seal(
        "payload-size",
        SEAL.with_member(NAME, data=packed + b"\0\0"),
        "payload-size-mismatch",
        "Two bytes more than declared.",
    )
    yield seal(
        "payload-digest",
        SEAL.with_member(NAME, data=packed[:-1] + bytes([packed[-1] ^ 1])),
        "payload-digest-mismatch",
        "A bit is changed.",
    )
    for label, data, about in (
        (
            "gzip-name",
            b"\x1f\x8b\x08\x08" + bytes(4) + b"\x02\xff" + b"n\0" + stored(TAR)[10:],
            "A name in the gzip header.",
        ),
        ("gzip-time", b"\x1f\x8b\x08\0" + b"\1\0\0\0" + stored(TAR)[8:], "A time in the gzip header."),
        ("gzip-os", stored(TAR)[:9] + b"\x03" + stored(TAR)[10:], "Another system in the gzip header."),
        ("gzip-crc", stored(TAR)[:-8] + bytes(4) + stored(TAR)[-4:], "A wrong CRC-32."),
        ("gzip-size", stored(TAR)[:-4] + bytes(4), "A wrong size at the end."),
        ("gzip-cut", stored(TAR)[:-1], "The last byte is missing."),
        ("gzip-trailing", stored(TAR) + b"\0", "A byte follows."),
        ("gzip-twice", stored(TAR[:512]) + stored(TAR[512:]), "A second member."),
        ("gzip-no-end", stored(TAR, final=False)[:-8], "No last block."),
        ("gzip-reserved-block", compression.GZIP_HEADER + b"\x07" + stored(TAR)[11:], "A block of the reserved type."),
        ("plain-tar", TAR, "No compression at all."),
    ):
        yield seal(label, SEAL.with_payload(data, TAR), "bad-payload", about)
    yield seal(
        "unpacked-more",
        SEAL.with_payload(stored(TAR), unpacked_size=len(TAR) - 512),
        "unpacked-size-mismatch",
        "It unpacks to more than declared.",
    )
    yield seal(
        "unpacked-less",
        SEAL.with_payload(stored(TAR), unpacked_size=len(TAR) + 512),
        "unpacked-size-mismatch",
        "It unpacks to less than declared.",
    )
    attached = good(attachments={"sbom.json": b"{}"})
    yield seal(
        "attachment",
        attached.with_member("sbom.json", data=b"[]"),
        "attachment-mismatch",
        "An attachment is another than declared.",
    )
    weak = replace(
        VIB.manifest.payloads[0], digests=(Digest("sha1", View.RAW, hashlib.sha1(VIB.members[2].data).digest()),)
    )
    yield vib("vib-weak-digest", VIB.with_manifest(payloads=(weak,)), "weak-digest", "SHA-1 alone.")
    odd = replace(VIB.manifest.payloads[0], type="boot", digests=VIB.manifest.payloads[0].digests[1:2])
    yield vib(
        "vib-unknown-type",
        VIB.with_manifest(payloads=(odd,)),
        "unsupported-payload",
        "A type of payload that nobody looks into.",
        undecided=True,
    )
    last = VIB.members[2].data
    yield vib(
        "vib-digest",
        VIB.with_member(VIB.members[2].name, data=last[:-1] + bytes([last[-1] ^ 1])),
        "payload-digest-mismatch",
        "A bit is changed.",
    )


def zstd() -> Iterator[Vector]:
    base = good(packer=frame)
    raw, size = zstd_blocks.raw, len(TAR)

    def packed(name: str, data: bytes, about: str, code: str | None = "bad-payload") -> Vector:
        return seal(f"zstd-{name}", base.with_payload(data, TAR), code, about)

    half = size // 2
    yield packed(
        "two-blocks", zstd_blocks.frame(raw(TAR[:half]), raw(TAR[half:]), content=size), "Two raw blocks.", None
    )
    yield packed("empty-last", zstd_blocks.frame(raw(TAR), raw(b""), content=size), "An empty last block.", None)
    yield packed(
        "copy",
        zstd_blocks.frame(
            raw(TAR[:512]), zstd_blocks.matching(TAR[512:3000]), zstd_blocks.raw(TAR[3000:]), content=size
        ),
        "A compressed block.",
        None,
    )
    yield packed(
        "window", zstd_blocks.frame(raw(TAR), content=size, window=0x30), "A window in the place of a single segment."
    )
    small = [raw(TAR[at : at + 1024]) for at in range(0, size, 1024)]
    yield packed(
        "far-copy",
        zstd_blocks.frame(
            *small[:-1],
            zstd_blocks.matching(b"", (0, len(TAR) - 1024 * (len(small) - 1), 1500)),
            content=size,
            window=0,
        ),
        "A copy from beyond the window, which some decoders take.",
    )
    yield packed(
        "raw-beyond-window",
        zstd_blocks.frame(raw(TAR), content=size, window=0),
        "A raw block that is larger than the window.",
    )
    yield packed("reserved-bit", zstd_blocks.frame(raw(TAR), content=size, descriptor=8), "The reserved bit.")
    yield packed("unused-bit", zstd_blocks.frame(raw(TAR), content=size, descriptor=16), "The unused bit.")
    yield packed("dictionary", zstd_blocks.frame(raw(TAR), content=size, descriptor=1), "A dictionary id.")
    yield packed("checksum", zstd_blocks.frame(raw(TAR), content=size, descriptor=4) + bytes(4), "A checksum.")
    yield packed("no-size", zstd_blocks.frame(raw(TAR), window=0x30), "No content size.")
    yield packed("size-too-small", zstd_blocks.frame(raw(TAR), content=size - 1), "More content than the header says.")
    yield packed("size-too-large", zstd_blocks.frame(raw(TAR), content=size + 1), "Less content than the header says.")
    yield packed(
        "reserved-block",
        zstd_blocks.frame(raw(TAR), zstd_blocks.block(3, 0, b""), content=size),
        "A block of the reserved type.",
    )
    yield packed(
        "empty-block", zstd_blocks.frame(raw(b""), raw(TAR), content=size), "An empty block that is not the last."
    )
    yield packed(
        "empty-compressed",
        zstd_blocks.frame(raw(TAR), zstd_blocks.block(2, 0, b""), content=size),
        "A compressed block of no bytes.",
    )
    yield packed("skippable", frame(TAR) + b"\x50\x2a\x4d\x18\x01\0\0\0x", "A skippable frame.")
    yield packed("two-frames", frame(TAR[:half]) + frame(TAR[half:]), "A frame that is not full, and is not the last.")
    yield packed("trailing", frame(TAR) + b"\0", "A byte follows.")
    yield packed(
        "many-blocks",
        zstd_blocks.frame(*[raw(TAR[at : at + 256]) for at in range(0, size, 256)], content=size),
        "Cut into needlessly many blocks.",
    )


def long_paths() -> Iterator[Vector]:
    """Extended headers: the one form, and what is near it."""
    files = {
        "node_modules": None,
        "node_modules/" + "n" * 101: b"a name of 101 bytes",
        "opt": None,
        "opt/" + "d" * 120: None,
        "opt/" + "d" * 120 + "/" + "e" * 110: b"two long names",
        "p" * 156 + "/n": b"folders of 156 bytes",
        "z" * 255: b"the longest path",
    }
    made = good(files=files)
    yield seal("tar-pax", made, None, "Paths that fit no plain header, in extended headers.")
    data = bundles.tar_of(made)
    at = data.index(b"././@PaxHeader")
    extended, record, own = (data[at + step : at + step + 512] for step in (0, 512, 1024))
    before, after = data[:at], data[at + 1536 :]
    path = b"node_modules/" + b"n" * 101
    for label, changed, about in (
        ("size", extended + record.replace(b"\n\0", b"\n13 size=1024\n", 1)[:512] + own, "A second record."),
        ("time", headed(extended, 136, b"00000000001\0") + record + own, "Another time in the extended header."),
        ("name", headed(extended, 0, b"PaxHeaders/nnn") + record + own, "Another name of the extended header."),
        ("length", extended + b"125" + record[3:] + own, "A record that says another length than it has."),
        ("padding", extended + record[:-1] + b"x" + own, "The padding of a record is not zero."),
        ("cut-name", extended + record + headed(own, 0, path[:100]), "The start of the path in the plain header."),
        ("twice", extended + record + extended + record + own, "Two extended headers for one entry."),
        ("global", headed(extended, 156, b"g") + record + own, "An extended header for all entries."),
        ("gnu", headed(extended, 156, b"L") + record + own, "A long name as GNU tar has it."),
    ):
        code = "unsafe-type" if label in ("twice", "global", "gnu") else "bad-listing"
        unpacked = before + changed + after
        yield seal(f"tar-pax-{label}", made.with_payload(stored(unpacked), unpacked), code, about)
    short = b"15 path=opt/a/b\n".replace(b"15", b"16")
    needless = headed(extended, 124, b"%011o\0" % len(short)) + short.ljust(512, b"\0") + own + after
    yield seal("tar-pax-needless", made.with_payload(stored(needless), needless), "bad-listing", "It is not needed.")


def files() -> Iterator[Vector]:
    one, rest = TAR[:512], TAR[512:]
    for label, data, about in (
        ("mtime", headed(one, 136, b"00000000001\0") + rest, "Another time than the payload's."),
        ("owner", headed(one, 108, b"0000001\0") + rest, "Another owner than root."),
        ("number-form", headed(one, 100, b"   0755\0") + rest, "A number with spaces."),
        ("magic", headed(one, 257, b"ustar  \0") + rest, "The magic of GNU tar."),
        ("checksum", one[:148] + b"000000\0 " + one[156:] + rest, "A wrong checksum."),
        ("padding", TAR[: -1024 - 400] + b"x" + TAR[-1024 - 399 :], "The padding of a content is not zero."),
        ("one-end-block", TAR[:-512], "One block of zeros at the end."),
        ("three-end-blocks", TAR + bytes(512), "Three blocks of zeros at the end."),
    ):
        yield seal(f"tar-{label}", with_tar(data), "bad-listing", about)
    yield from long_paths()
    yield seal("tar-order", tarred(entry("opt/b"), entry("opt/a")), "bad-listing", "Entries out of order.")
    yield seal("tar-path", tarred(entry("../a")), "unsafe-path", "A path that leaves the module.")
    yield seal(
        "tar-link", tarred(entry("a", kind=FileType.SYMLINK, target="../b")), "unsafe-link", "A link out of the module."
    )
    hard = headed(entry("a"), 156, b"1")
    yield seal("tar-type", tarred(hard), "unsafe-type", "A hard link.")
    mode = headed(entry("a"), 100, b"0100644\0")
    yield seal("tar-mode", tarred(mode), "unsafe-mode", "A mode with the bits of a file type.")
    more = bundles.tar_of(bundles.make("seal", SIGNER, files={**bundles.FILES, "opt/zzz": b"x"}))
    yield seal("file-undeclared", with_tar(more), "file-undeclared", "A file that the manifest does not declare.")
    fewer = bundles.tar_of(bundles.make("seal", SIGNER, files={"opt/acme": None, "opt/acme/agent": b"\x7fELF agent"}))
    yield seal("file-missing", with_tar(fewer), "file-missing", "A declared file is not there.")
    other = bundles.tar_of(bundles.make("seal", SIGNER, files={**bundles.FILES, "opt/acme/agent": b"\x7fELF Agent"}))
    yield seal("file-content", with_tar(other), "file-mismatch", "A file has another content than declared.")
    setuid = bundles.tar_of(bundles.make("seal", SIGNER, modes={"opt/acme/agent": 0o4755}))
    yield seal("file-mode", with_tar(setuid), "file-mismatch", "A file is setuid and not declared so.")
    community = SEAL.with_manifest(claimed_level=Level.COMMUNITY)
    yield seal(
        "path-not-allowed",
        community,
        "path-not-allowed",
        "A community module outside of the allowed paths.",
        "community-paths",
    )
    lending = bundles.make("seal", SIGNER, modes={"opt/acme/agent": 0o4755}, claimed_level=Level.COMMUNITY)
    yield seal(
        "power-not-granted",
        lending,
        "power-not-granted",
        "A setuid file by a signer who may not bring one.",
        "powerless",
    )
    yield vib(
        "vib-listing", VIB.with_payload(stored(TAR), TAR), "bad-listing", "An ordinary tar where a visor tar belongs."
    )
    yield vib(
        "vib-file-missing",
        VIB.with_manifest(files=(*VIB.manifest.files, Entry("opt/zzz"))),
        "file-missing",
        "A declared file is not there.",
    )
