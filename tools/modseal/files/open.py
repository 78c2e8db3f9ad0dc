"""Opens files for reading: only regular ones, even if another kind of file takes their place meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG

from modseal.errors import InputError


@contextmanager
def open_file(path: str | Path) -> Iterator[int]:
    """The descriptor of a regular file. Raises `InputError`, also for trouble while the block reads it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", path=str(path)) from None
    try:
        if not S_ISREG(os.fstat(descriptor).st_mode):
            raise InputError(f"{path}: not a regular file", path=str(path))
        yield descriptor
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", path=str(path)) from error
    finally:
        os.close(descriptor)
