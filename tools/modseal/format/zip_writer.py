"""Writes zip archives: the same entries give the same bytes, on every machine.

Entries are stored, because bundles are packed already and deflate gives other bytes with every version of zlib.
Times are the earliest that the format has, modes 0644. `zip` reads what is written here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import BinaryIO

from modseal import limits
from modseal.errors import FormatError
from modseal.format import rules
from modseal.format.zip_records import (
    CENTRAL,
    CENTRAL_MAGIC,
    END,
    END64,
    END64_MAGIC,
    END_MAGIC,
    LOCAL,
    LOCAL_MAGIC,
    LOCATOR,
    LOCATOR_MAGIC,
    STORED,
    UTF8_NAME,
    WIDE,
    WIDE_COUNT,
    ZIP64,
)

_DATE = 0x21
"""1980-01-01 as MS-DOS has it (APPNOTE.TXT 4.4.6)."""
_VERSION, _VERSION_ZIP64 = 10, 45
_UNIX = 3 << 8
_MODE = 0o100644 << 16


class ZipWriter:
    """Writes entries into a file that can be sought in; `close` writes the directory. Raises `OSError`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at = 0
        self._directory: list[bytes] = []

    def add(self, path: str, blocks: Iterable[bytes]) -> None:
        """One file. Raises `FormatError` (unsafe-path, limit-exceeded) for what the reader would refuse."""
        rules.require(rules.check_path(path))
        if len(self._directory) == limits.ZIP_ENTRIES:
            raise FormatError("limit-exceeded", f"a zip archive has at most {limits.ZIP_ENTRIES} entries")
        name, start = path.encode("utf-8"), self._at
        # Room for the wide form is not known before the end: the header is written again, in the form that it needs.
        self._write(self._local(name, 0, 0))
        size = crc = 0
        for block in blocks:
            size += len(block)
            crc = zlib.crc32(block, crc)
            if size >= WIDE:
                raise FormatError(
                    "limit-exceeded", f"{path!r} has 4 GiB or more, which a depot in a zip file cannot hold"
                )
            self._write(block)
        end = self._at
        self._file.seek(start)
        self._file.write(self._local(name, crc, size))
        self._file.seek(end)
        self._directory.append(_central(name, crc, size, start))

    def close(self) -> None:
        """Write the central directory and the end, with the zip64 forms where they are needed (4.3.14 to 4.3.16)."""
        start, data, count = self._at, b"".join(self._directory), len(self._directory)
        self._write(data)
        if start >= WIDE:
            self._write(
                END64.pack(
                    END64_MAGIC,
                    END64.size - 12,
                    _UNIX | _VERSION_ZIP64,
                    _VERSION_ZIP64,
                    0,
                    0,
                    count,
                    count,
                    len(data),
                    start,
                )
            )
            self._write(LOCATOR.pack(LOCATOR_MAGIC, 0, start + len(data), 1))
        narrow = min(count, WIDE_COUNT)
        self._write(END.pack(END_MAGIC, 0, 0, narrow, narrow, len(data), min(start, WIDE), 0))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._at += len(data)

    @staticmethod
    def _local(name: bytes, crc: int, size: int) -> bytes:
        return LOCAL.pack(LOCAL_MAGIC, _VERSION, _flags(name), STORED, 0, _DATE, crc, size, size, len(name), 0) + name


def _central(name: bytes, crc: int, size: int, offset: int) -> bytes:
    wide = offset >= WIDE
    extra = struct.pack("<HHQ", ZIP64, 8, offset) if wide else b""
    version = _VERSION_ZIP64 if wide else _VERSION
    fixed = CENTRAL.pack(
        CENTRAL_MAGIC,
        _UNIX | version,
        _VERSION,
        _flags(name),
        STORED,
        0,
        _DATE,
        crc,
        size,
        size,
        len(name),
        len(extra),
        0,
        0,
        0,
        _MODE,
        min(offset, WIDE),
    )
    return fixed + name + extra


def _flags(name: bytes) -> int:
    return 0 if name.isascii() else UTF8_NAME
