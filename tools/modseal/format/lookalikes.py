"""What a file is that was taken for a bundle: people give an offline bundle, a pointer or an error page under its name.

For the message alone: nothing is decided by it, and what is not recognised is said to be unknown.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from modseal.values import regex

LOOKED_AT = 40 * 1024
"""Bytes at the start that are enough: the volume descriptor of an ISO image begins at 32 KiB."""


class Lookalike(NamedTuple):
    """A word for the evidence, and a sentence with what to do."""

    name: str
    what: str


_ISO_MAGIC_AT = 0x8001
_TAR_MAGIC_AT = 257
_HTML = regex(rb"\s{0,64}<(!doctype html|html|head|body)\b", re.IGNORECASE)
_ANSWER = regex(
    rb"\s{0,64}(<\?xml\b.{0,200}<Error\b|<Error\b|[{]\s{0,64}\"(error|errors|message|code|status)\")", re.DOTALL
)
"""What object stores and services answer in the place of a file: XML or JSON."""
_DESCRIPTOR = regex(rb"\s{0,64}(<\?xml\b[^>]{0,100}>\s{0,64})?<vib[\s>]")
_MANIFEST = regex(rb'\s{0,64}[{]\s{0,64}"(attachments|description)":')
"""Keys that come first in canonical JSON."""
_ZEROS = 512
"""Zero bytes at the start that no file has by chance."""
_UTF8_MARK, _WIDE_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
_STARTS = (
    (
        b"PK\x03\x04",
        Lookalike("zip", "it is a zip archive; `modseal audit` examines the bundles of an offline bundle (a depot)"),
    ),
    (
        b"version https://git-lfs.github.com/spec/",
        Lookalike("git-lfs-pointer", "it is a Git LFS pointer and not the file itself; get that with `git lfs pull`"),
    ),
    (
        b"!<arch>\r\n",
        Lookalike(
            "crlf", "its line ends were converted to CR LF, which damages it; transfer it as binary (in Git: `-text`)"
        ),
    ),
    (
        b"!<arch>descriptor.xml",
        Lookalike("line-ends-lost", "its line feeds were taken out, which damages it; transfer it as binary"),
    ),
    (b"\x1f\x8b", Lookalike("gzip", "it is compressed (gzip); unpack it first, or audit the folder that it lies in")),
    (b"-----BEGIN PGP", Lookalike("pgp", "it is an OpenPGP message, key or signature")),
    (b"-----BEGIN", Lookalike("pem", "it is a PEM file: a certificate, a key or a signature")),
    (b"\xed\xab\xee\xdb", Lookalike("rpm", "it is an rpm package")),
    (b"!<arch>\ndebian-binary", Lookalike("deb", "it is a Debian package")),
    (b"\x7fELF", Lookalike("program", "it is a program or library (ELF)")),
    (b"MZ", Lookalike("program", "it is a program of Windows")),
    (b"#!", Lookalike("program", "it is a script")),
    (b"ITxhcmNoPg", Lookalike("base64", "it is a bundle in Base64, as mail has it; decode it first")),
)
ARCHIVES = (
    (b"PK\x05\x06", "an empty zip archive"),
    (b"!<thin>\n", "a thin ar archive"),
    (b"BZh", "compressed (bzip2)"),
    (b"\xfd7zXZ\0", "compressed (xz)"),
    (b"]\0\0", "compressed (lzma)"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)"),
    (b"\x04\x22\x4d\x18", "compressed (lz4)"),
    (b"\x1f\x9d", "compressed (compress)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a rar archive"),
    (b"MSCF", "a cabinet archive"),
    (b"070701", "a cpio archive"),
    (b"070702", "a cpio archive"),
    (b"070707", "a cpio archive"),
    (b"\xc7\x71", "a cpio archive"),
    (b"hsqs", "a squashfs image"),
    (b"\x37\xe4\x53\x96\xc9\xdb\xd6\x07", "compressed (zisofs), as on a disc image"),
)
"""How files begin that hold others, and what each is."""


def not_text(data: bytes) -> str | None:
    """What a file is that was taken for a policy or a spec; None where it may be one."""
    if data.startswith(b"!<arch>\n"):
        return "it is an archive, such as a bundle"
    found = recognise(data[:LOOKED_AT], len(data)) if data else None
    return found.what if found else None


def recognise(head: bytes, size: int) -> Lookalike | None:
    """What a file of `size` bytes is that begins with `head` and is not a bundle; None where it is not recognised."""
    if size == 0:
        return Lookalike("empty", "it is empty")
    for start, found in _STARTS:
        if head.startswith(start):
            return found
    text = head.removeprefix(_UTF8_MARK)
    if _HTML.match(text):
        return Lookalike("html", "it is an HTML page, perhaps an error page of its server; download it again")
    if _ANSWER.match(text):
        return Lookalike("answer", "it is what a server answers instead of the file; download it again")
    if _DESCRIPTOR.match(text) or _MANIFEST.match(text):
        return Lookalike("manifest-alone", "it is a manifest alone, without the archive that it belongs in")
    if head.startswith(_WIDE_MARKS):
        return Lookalike("text", "it is text in UTF-16")
    if head[_ISO_MAGIC_AT : _ISO_MAGIC_AT + 5] == b"CD001":
        return Lookalike("iso", "it is an ISO image; `modseal audit` examines the bundles in it")
    known = next((what for start, what in ARCHIVES if head.startswith(start)), None)
    if known or head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] in (b"ustar", b"visor"):
        return Lookalike("archive", f"it is {known or 'a tar archive'}; unpack it first")
    if len(head) >= _ZEROS and not head.strip(b"\0"):
        return Lookalike("zeros", "it begins with zeros: the download was cut off, or the disk is damaged")
    return None
