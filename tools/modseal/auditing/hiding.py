"""Whether a file that is left out could hold a bundle all the same: by its bytes, whatever it is called.

A file that a person, a browser or another tool unpacks is a way past an audit that looks at bundles alone. It is not
unpacked here; that it is there is said. At most 64 KiB at both ends are read, and of a gzip member as much unpacked.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from modseal import limits
from modseal.format import ar, iso
from modseal.format.lookalikes import ARCHIVES
from modseal.format.manifest import MANIFEST_MEMBER

STARTS = tuple(ar.MAGIC + name.encode("ascii") for name in MANIFEST_MEMBER.values())
"""How bundles begin."""

ISO_IMAGE = "an ISO 9660 image"

LONGEST = max(map(len, STARTS))
"""Bytes of a file that it takes to see that it begins like a bundle."""

END = 64 * limits.KIB
"""Bytes at each end that are looked at: the end of a zip archive lies within as many, and so does a script in front."""

_ZIP, _DIRECTORY, _ZIP_END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_END_RECORD = struct.Struct("<4s4H2LH")
_GZIP = b"\x1f\x8b\x08"
_TAR = 257
"""Where the magic of a tar header is."""
_ARCHIVES = (
    (_ZIP, "a zip archive in which no bundle was found"),
    (b"!<arch>\n", "an ar archive whose first member is not a manifest"),
    (b"\xed\xab\xee\xdb", "an rpm package"),
    *ARCHIVES,
)

Read = Callable[[int, int], bytes]
"""So many bytes (the second number), or fewer at the end of the file, from an offset (the first)."""


def hiding_place(read: Read, size: int) -> str | None:
    """What a file of `size` bytes is in which a bundle could be; None where it holds none that is known to be one."""
    head = read(0, END)
    if head.startswith(STARTS):
        return "a bundle"
    if head.startswith(_GZIP):
        return _in_gzip(head)
    if known := next((what for magic, what in _ARCHIVES if head.startswith(magic)), None):
        return known
    if iso.starts_like_iso(head):
        return ISO_IMAGE
    if head[_TAR : _TAR + 5] in (b"ustar", b"visor"):
        return "a tar archive"
    if _has_zip(read, size):
        return "a zip archive with bytes in front of it or behind"
    inside = [at for start in STARTS if (at := head.find(start)) > 0]
    return f"a bundle with {min(inside)} bytes in front" if inside else None


def _in_gzip(head: bytes) -> str | None:
    """A gzip file is a hiding place unless what its members unpack to begins with what cannot be one."""
    start, rest = b"", head
    try:
        while rest.startswith(_GZIP) and len(start) < END:
            member = zlib.decompressobj(31)
            start += member.decompress(rest, END - len(start))
            rest = member.unused_data.lstrip(b"\0")  # gzip passes over zeros between members
    except zlib.error:
        return "compressed (gzip), and damaged"
    if not start and len(head) == END:
        return "compressed (gzip), and empty as far as it was looked at"
    inside = _GZIP if start.startswith(_GZIP) else b""
    what = "gzip again" if inside else hiding_place(lambda at, length: start[at : at + length], len(start))
    return what and f"compressed (gzip): {what}"


def _has_zip(read: Read, size: int) -> bool:
    """Whether a zip archive ends near the file's end: readers look for that, wherever it is."""
    first = max(0, size - END - _END_RECORD.size)
    tail = read(first, size - first)
    at = tail.rfind(_ZIP_END)
    while at >= 0:
        if len(tail) - at >= _END_RECORD.size:
            _, _, _, _, entries, length, _, _ = _END_RECORD.unpack_from(tail, at)
            directory = first + at - length
            if entries and directory >= 0 and read(directory, 4) == _DIRECTORY:
                return True
        at = tail.rfind(_ZIP_END, 0, at)
    return False
