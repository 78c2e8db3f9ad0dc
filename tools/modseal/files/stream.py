"""Streams of this process in the place of a file: `-`, `/dev/stdin`, and `/dev/fd/63` of a shell.

A bundle is read by position, and more than once. So a stream is copied first, into a file that has no name, which
nobody else can open or change, and no more of it than `limits.STREAM_SIZE`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from stat import S_ISREG

from modseal import limits
from modseal.causes import CauseName
from modseal.errors import InputError
from modseal.files.open import open_file
from modseal.values import regex

_STANDARD_INPUT = ("-", "/dev/stdin", "/proc/self/fd/0")
_NUMBERED = regex(r"(?:/dev/fd|/proc/self/fd)/([0-9]{1,9})")
_BLOCK = 1 << 20


def descriptor_of(path: str | Path) -> int | None:
    """The number of the open descriptor that a path names; None where it is the path of a file."""
    text = str(path)
    if text in _STANDARD_INPUT:
        return 0
    found = _NUMBERED.fullmatch(text)
    return int(found[1]) if found else None


def open_file_or_stream(path: str | Path, folder: CauseName = "folder") -> AbstractContextManager[int]:
    """The descriptor of a regular file, or of a private copy of the stream that the path names.

    Raises `InputError`, also for a terminal, and for a stream that is too long.
    """
    number = descriptor_of(path)
    return open_file(path, folder) if number is None else _open_stream(path, number)


@contextmanager
def _open_stream(path: str | Path, number: int) -> Iterator[int]:
    import tempfile  # most bundles are files

    try:
        if S_ISREG(os.fstat(number).st_mode) and os.lseek(number, 0, os.SEEK_CUR) == 0:
            yield number
            return
        if os.isatty(number):
            raise InputError(f"{path}: a terminal, and not a bundle", path=str(path)).because("terminal")
        with tempfile.TemporaryFile() as copy:
            size = 0
            while block := os.read(number, _BLOCK):
                size += len(block)
                if size > limits.STREAM_SIZE:
                    detail = f"{path}: over {limits.STREAM_SIZE} bytes, which is the limit for a stream"
                    raise InputError(detail, path=str(path)).because("too-long")
                copy.write(block)
            copy.flush()
            yield copy.fileno()
    except OSError as error:
        raise InputError.of(path, error) from error
