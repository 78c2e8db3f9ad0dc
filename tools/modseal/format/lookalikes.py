"""What a file is that was taken for a bundle: people give an offline bundle, a pointer or an error page under its name.

For the message alone: nothing is decided by it, and what is not recognised is said to be unknown.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LOOKED_AT = 40 * 1024
"""Bytes at the start that are enough: the volume descriptor of an ISO image begins at 32 KiB."""


class Lookalike(NamedTuple):
    """A word for the evidence, and a sentence with what to do."""

    name: str
    what: str


_ISO_MAGIC_AT = 0x8001
_HTML = re.compile(rb"\s{0,64}<(!doctype html|html|head|body)\b", re.IGNORECASE)
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
    (b"\x1f\x8b", Lookalike("gzip", "it is compressed (gzip); unpack it first, or audit the folder that it lies in")),
    (b"-----BEGIN", Lookalike("pem", "it is a PEM file: a certificate, a key or a signature")),
    (b"\xed\xab\xee\xdb", Lookalike("rpm", "it is an rpm package")),
    (b"!<arch>\ndebian-binary", Lookalike("deb", "it is a Debian package")),
)


def not_text(data: bytes) -> str | None:
    """What a file is that was taken for a policy or a spec; None where it may be one."""
    if data.startswith(b"!<arch>\n"):
        return "it is an archive, such as a bundle"
    found = recognise(data[:LOOKED_AT], len(data)) if data else None
    return found.what if found else None


def recognise(head: bytes, size: int) -> Lookalike | None:
    """What a file of `size` bytes is that begins with `head` and is no bundle; None where it is not recognised."""
    if size == 0:
        return Lookalike("empty", "it is empty")
    for start, found in _STARTS:
        if head.startswith(start):
            return found
    if _HTML.match(head):
        return Lookalike("html", "it is an HTML page, perhaps an error page of its server; download it again")
    if head[_ISO_MAGIC_AT : _ISO_MAGIC_AT + 5] == b"CD001":
        return Lookalike("iso", "it is an ISO image; `modseal audit` examines the bundles in it")
    return None
