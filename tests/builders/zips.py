"""Zip archives for tests, byte by byte: `archive` gives a good one, and every field can be made wrong.

Python's own writer cannot write what must be refused.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

STORED, DEFLATED = 0, 8
DESCRIPTOR = 0x0008
UTF8 = 0x0800
TIMES = struct.pack("<HHB4s", 0x5455, 5, 3, b"time")
WIDE = 0xFFFF_FFFF


@dataclass(frozen=True)
class Part:
    """One entry. `local` and `central` override fields of one header by name, `both` of both.

    The fields are needed, flags, method, time, date, crc, packed, size, name, extra; of the central one also made,
    comment, disk, internal, attributes, offset. `after` replaces the data descriptor; `gap` stands behind all.
    """

    name: str
    data: bytes = b""
    method: int = DEFLATED
    flags: int = 0
    packed: bytes | None = None
    both: Mapping[str, int | bytes] = field(default_factory=dict)
    local: Mapping[str, int | bytes] = field(default_factory=dict)
    central: Mapping[str, int | bytes] = field(default_factory=dict)
    after: bytes | None = None
    gap: bytes = b""

    @property
    def content(self) -> bytes:
        """The packed bytes."""
        if self.packed is not None:
            return self.packed
        return deflate(self.data) if self.method == DEFLATED else self.data

    def values(self) -> dict[str, int | bytes]:
        return {
            "needed": 20,
            "flags": self.flags,
            "method": self.method,
            "time": 0,
            "date": 0x5C21,
            "crc": zlib.crc32(self.data),
            "packed": len(self.content),
            "size": len(self.data),
            "name": self.name.encode(),
            "extra": b"",
            **self.both,
        }

    def encode_local(self) -> bytes:
        late = {"crc": 0, "packed": 0, "size": 0} if self.flags & DESCRIPTOR else {}
        v = {**self.values(), **late, **self.local}
        head = struct.pack(
            "<4s5H3L2H", b"PK\x03\x04", *(v[key] for key in ("needed", "flags", "method", "time", "date")),
            *(v[key] for key in ("crc", "packed", "size")), len(v["name"]), len(v["extra"]),
        )  # fmt: skip
        return head + v["name"] + v["extra"] + self.content + self.encode_after() + self.gap

    def encode_after(self) -> bytes:
        if self.after is not None:
            return self.after
        v = self.values()
        known = struct.pack("<4s3L", b"PK\x07\x08", v["crc"], v["packed"], v["size"])
        return known if self.flags & DESCRIPTOR else b""

    def encode_central(self, offset: int) -> bytes:
        more = {"made": 0x031E, "comment": b"", "disk": 0, "internal": 0, "offset": offset}
        attributes = 0o40755 << 16 | 0x10 if self.name.endswith("/") else 0o100644 << 16
        v = {**self.values(), **more, "attributes": attributes, **self.central}
        head = struct.pack(
            "<4s6H3L5H2L", b"PK\x01\x02",
            *(v[key] for key in ("made", "needed", "flags", "method", "time", "date", "crc", "packed", "size")),
            len(v["name"]), len(v["extra"]), len(v["comment"]),
            *(v[key] for key in ("disk", "internal", "attributes", "offset")),
        )  # fmt: skip
        return head + v["name"] + v["extra"] + v["comment"]


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def archive(
    parts: Sequence[Part],
    *,
    prefix: bytes = b"",
    before_directory: bytes = b"",
    after_directory: bytes = b"",
    comment: bytes = b"",
    suffix: bytes = b"",
    zip64: bytes | None = None,
    order: Sequence[int] | None = None,
    **changes: int,
) -> bytes:
    """An archive. `zip64` stands before its end; `changes` are fields of the end: disk, directory_disk, here,
    entries, size, start, comment_size. Offsets count from the prefix, as if it were not there."""
    body = b""
    offsets = []
    for part in parts:
        offsets.append(len(body))
        body += part.encode_local()
    body += before_directory
    chosen = range(len(parts)) if order is None else order
    directory = b"".join(parts[index].encode_central(offsets[index]) for index in chosen) + after_directory
    values = {
        "disk": 0,
        "directory_disk": 0,
        "here": len(chosen),
        "entries": len(chosen),
        "size": len(directory),
        "start": len(body),
        "comment_size": len(comment),
        **changes,
    }
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", *values.values())
    return prefix + body + directory + (zip64 or b"") + end + comment + suffix


def end64(
    count: int,
    size: int,
    start: int,
    /,
    *,
    at: int | None = None,
    gap: bytes = b"",
    on_disk: int = 0,
    disks: int = 1,
    **changes: int,
) -> bytes:
    """The zip64 end of central directory and its locator, which says `at`, `on_disk` and `disks`."""
    values = {"length": 44, "made": 45, "needed": 45, "disk": 0, "directory_disk": 0, "here": count,
              "entries": count, "size": size, "start": start, **changes}  # fmt: skip
    locator = struct.pack("<4sLQL", b"PK\x06\x07", on_disk, start + size if at is None else at, disks)
    return struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", *values.values()) + gap + locator


def write(files: Mapping[str, bytes], method: int = DEFLATED) -> bytes:
    """A good archive of these files; a name that ends with a slash is a folder's."""
    return archive([Part(name, data, STORED if name.endswith("/") else method) for name, data in files.items()])
