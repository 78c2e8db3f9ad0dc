"""Reads small files whole: policies, keys, certificates, signatures, specs.

Whatever somebody has put in the place of such a file, no more of it is read than it may have, and nothing is
waited for: no device, no terminal, and no pipe unless the caller takes pipes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import EISDIR, ENXIO
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import NamedTuple

from modseal.causes import of_errno
from modseal.errors import InputError, ModsealError

Say = Callable[[str], Exception]
"""What the caller raises for a file that cannot be used, from the reason in plain words."""

_BLOCK = 1 << 16


class Small(NamedTuple):
    """A file's bytes, and the status of the descriptor that they were read from."""

    data: bytes
    status: os.stat_result


def read_small(
    path: Path,
    limit: int,
    unread: Say | None = None,
    too_large: Say | None = None,
    *,
    pipes: bool = False,
    follow: bool = True,
) -> Small:
    """The file at `path`, of at most `limit` bytes.

    `pipes` takes what is not a regular file too, such as `/dev/fd/63` of a shell, or `-` for standard input, and waits
    for it. Without `follow`, a symbolic link in the file's place is not followed. Raises what `unread` makes of the
    reason (else `InputError`), and for a file over the limit what `too_large` makes of it (else `unread`).
    """
    unread = unread or (lambda why: InputError(f"{path}: {why}", path=str(path)))
    try:
        # Without O_NONBLOCK, opening a FIFO waits for somebody who writes: right for a pipe that was named on purpose.
        flags = (0 if pipes else os.O_NONBLOCK) | (0 if follow else os.O_NOFOLLOW)
        is_input = pipes and str(path) == "-"
        descriptor = os.dup(0) if is_input else os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | flags)
    except OSError as error:
        raise _with_cause(unread(error.strerror or "it cannot be opened"), error.errno) from None
    except ValueError:
        raise unread("a path with a NUL character cannot be read") from None
    try:
        status = os.fstat(descriptor)
        if not pipes and not S_ISREG(status.st_mode):
            raise _with_cause(unread("not a regular file"), EISDIR if S_ISDIR(status.st_mode) else ENXIO)
        data = bytearray()
        while len(data) <= limit and (block := os.read(descriptor, min(_BLOCK, limit + 1 - len(data)))):
            data += block
    except OSError as error:
        raise _with_cause(unread(error.strerror or "it cannot be read"), error.errno) from None
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise (too_large or unread)(f"over {limit} bytes")
    return Small(bytes(data), status)


def _with_cause(error: Exception, number: int | None) -> Exception:
    """What the caller raises, with what the system says: the cause, or the number itself in an error like its own."""
    if isinstance(error, OSError):
        error.errno = number
    return error.because(of_errno(number)) if isinstance(error, ModsealError) else error
