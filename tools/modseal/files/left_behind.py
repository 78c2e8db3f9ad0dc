"""What is being written has a name of its own until it is finished, and a lock; what a killed run left is removed.

A name alone proves nothing, because whoever may rename in a folder can give it to anything. So only folders are
cleared in which nobody else can (`folder.is_shared`), and only of what belongs to this user, has not changed for a
minute, and is locked by no living process.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import time
from collections.abc import Callable
from contextlib import suppress

from modseal.files import folder
from modseal.values import regex

AGE = 60
"""Seconds. Longer than it takes from making a file to locking it."""

_NAME = regex(r"\.modseal-[0-9a-f]{16}")


def new_name() -> str:
    """A name for something that is being written."""
    return f".modseal-{secrets.token_hex(8)}"


def is_ours(name: str) -> bool:
    """Whether something has such a name."""
    return _NAME.fullmatch(name) is not None


def lock(descriptor: int) -> None:
    """Say that a living process writes this. Where a file system has no locks, nothing is ever cleared either."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def to_the_end(clean: Callable[[], None]) -> None:
    """Clean up, and from the beginning again where a signal ends that in its midst, as often as one does."""
    try:
        clean()
    except (KeyboardInterrupt, SystemExit):
        to_the_end(clean)
        raise


def clear(parent: int) -> None:
    """Remove what killed runs left in a folder. Failures are ignored: the cleaning is a courtesy."""
    with suppress(OSError):
        if not folder.is_shared(parent):
            for name in filter(_NAME.fullmatch, os.listdir(parent)):
                with suppress(OSError):
                    _remove(name, parent)


def _remove(name: str, parent: int) -> None:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or time.time() - status.st_mtime < AGE:
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if stat.S_ISREG(status.st_mode) and folder.is_named(descriptor, name, parent):
            os.unlink(name, dir_fd=parent)
        elif stat.S_ISDIR(status.st_mode):
            folder.empty(descriptor)
            os.rmdir(name, dir_fd=parent)
    finally:
        os.close(descriptor)
