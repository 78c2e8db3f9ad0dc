"""Makes the n-th change to the file system fail, or kills the process right before or after it.

Nothing in the product helps with this: the functions that it calls are replaced.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from unittest import mock

CHANGES = ("write", "replace", "rename", "fsync", "fchmod", "chmod", "mkdir", "symlink")
MANY = 400
"""More changes than any command here makes."""


class Fault:
    """Counts changes, and does `action` instead of the n-th (and, where it returns, after which the call goes on)."""

    def __init__(self, number: int, action: Callable[[], None]) -> None:
        self.number, self.action, self.count = number, action, 0

    @property
    def happened(self) -> bool:
        return self.count >= self.number

    def step(self) -> None:
        self.count += 1
        if self.count == self.number:
            self.action()


class File:
    """A file whose writes are counted; everything else is the file's own."""

    def __init__(self, file: Any, fault: Fault) -> None:
        self._file, self._fault = file, fault

    def write(self, data: bytes) -> int:
        self._fault.step()
        return int(self._file.write(data))

    def flush(self) -> None:
        self._fault.step()
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def failing(code: int) -> Callable[[], None]:
    def fail() -> None:
        raise OSError(code, os.strerror(code))

    return fail


NO_SPACE, BROKEN = failing(errno.ENOSPC), failing(errno.EIO)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def injected(fault: Fault) -> Iterator[None]:
    """While this lasts, changes count and the n-th one fails."""
    with mock.patch.multiple(os, **{name: _counted(getattr(os, name), fault) for name in CHANGES}), \
            mock.patch.object(os, "open", _opening(os.open, fault)), \
            mock.patch.object(os, "fdopen", _wrapping(os.fdopen, fault)), \
            mock.patch.object(io, "open", _wrapping(io.open, fault)), \
            mock.patch.object(tempfile, "TemporaryFile", _wrapping(tempfile.TemporaryFile, fault)):  # fmt: skip
        yield


def killed(fault: Fault, call: Callable[[], object]) -> bool:
    """Whether a child process that makes the call dies of SIGKILL; else it ended in peace."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: other threads exist; the child uses none
        child = os.fork()
    if child == 0:
        try:
            with injected(fault):
                call()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _counted(function: Callable[..., Any], fault: Fault) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        fault.step()
        return function(*arguments, **named)

    return call


def _opening(function: Callable[..., int], fault: Fault) -> Callable[..., int]:
    def call(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        if flags & os.O_CREAT:
            fault.step()
        return function(path, flags, *arguments, **named)

    return call


def _wrapping(function: Callable[..., Any], fault: Fault) -> Callable[..., Any]:
    """Files that are opened for writing are wrapped, binary ones alone: nothing else is output."""

    def call(*arguments: Any, **named: Any) -> Any:
        file = function(*arguments, **named)
        readable_only = isinstance(file, io.BufferedReader | io.TextIOBase)
        return file if readable_only else File(file, fault)

    return call


def leftovers(folder: Path) -> list[Path]:
    """Staging files and folders that a killed process could not remove."""
    return sorted(path for path in folder.rglob(".*") if path.name.startswith((".modseal-", ".keys.")))
