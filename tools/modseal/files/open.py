"""Opens files for reading: only regular ones, even if another kind of file takes their place meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from modseal.causes import CauseName
from modseal.errors import InputError

_STREAMS = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")


@contextmanager
def open_file(path: str | Path, folder: CauseName = "folder") -> Iterator[int]:
    """The descriptor of a regular file; `folder` is what a folder in its place is said to be the cause of.

    Raises `InputError`, also for trouble while the block reads it.
    """
    try:
        if str(path) == "-":  # the one name that no other program takes for a file
            raise InputError("-: standard input is a stream, and not a file", path="-").because("not-seekable")
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise InputError.of(path, error) from None
    try:
        status = os.fstat(descriptor)
        if not S_ISREG(status.st_mode):
            is_folder = S_ISDIR(status.st_mode)
            stream = str(path).startswith(_STREAMS)
            why = (
                "a folder, and not a file"
                if is_folder
                else "a stream, and not a file"
                if stream
                else "not a regular file"
            )
            cause: CauseName = folder if is_folder else "not-seekable" if stream else "not-a-file"
            raise InputError(f"{path}: {why}", path=str(path)).because(cause)
        yield descriptor
    except OSError as error:
        raise InputError.of(path, error) from error
    finally:
        os.close(descriptor)


@contextmanager
def open_reader(path: str | Path) -> Iterator[BufferedReader]:
    """A regular file, open for reading. Raises as `open_file`."""
    with open_file(path) as descriptor, open(descriptor, "rb", closefd=False) as file:
        yield file
