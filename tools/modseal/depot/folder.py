"""The files of a folder, as they lie in it: reached from its descriptor, never through a symbolic link.

Even if the folder changes meanwhile, nothing outside of it is opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG

from modseal import limits
from modseal.codes import CodeName
from modseal.errors import Failure, FormatError, InputError
from modseal.format import rules
from modseal.format.shape import quote
from modseal.format.source import FileSource, Source

_FOLDER = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class Folder:
    """An open folder: its files by path with their sizes, and a failure for each entry that is not read."""

    def __init__(self, descriptor: int, name: str) -> None:
        self.name = name
        self._descriptor = descriptor
        self._failures: list[Failure] = []
        self.sizes: dict[str, int] = {}
        self._list(descriptor, "")
        self.failures = tuple(self._failures)

    @contextmanager
    def open(self, path: str) -> Iterator[Source]:
        """One of its files. Raises `InputError`."""
        try:
            with _descend(self._descriptor, path) as descriptor:
                if not S_ISREG(os.fstat(descriptor).st_mode):
                    raise InputError(f"{self.name}/{path}: no regular file any more", path=path).because(
                        "changed-meanwhile"
                    )
                yield FileSource(descriptor)
        except OSError as error:
            raise InputError.of(f"{self.name}/{path}", error) from error

    def _list(self, descriptor: int, above: str) -> None:
        with os.scandir(descriptor) as entries:
            found = sorted(entries, key=lambda entry: os.fsencode(entry.name))
        for entry in found:
            path = above + entry.name
            failure = rules.check_path(path) or self._take(path, entry, descriptor)
            if failure:
                self._failures.append(failure)
            if len(self.sizes) + len(self._failures) > limits.ZIP_ENTRIES:
                raise FormatError("limit-exceeded", f"{self.name} has more than {limits.ZIP_ENTRIES} files").because(
                    "too-much-there"
                )

    def _take(self, path: str, entry: os.DirEntry[str], above: int) -> Failure | None:
        status = entry.stat(follow_symlinks=False)
        if S_ISREG(status.st_mode):
            self.sizes[path] = status.st_size
        elif S_ISDIR(status.st_mode):
            with _opened(entry.name, _FOLDER, above) as descriptor:
                self._list(descriptor, f"{path}/")
        else:
            code: CodeName
            code, what = ("unsafe-link", "a symbolic link") if S_ISLNK(status.st_mode) else ("unsafe-type", "no file")
            return Failure(code, f"{quote(path, limits.PATH_LENGTH)} is {what}", {"path": rules.shown(path)})
        return None


@contextmanager
def open_folder(path: str | Path) -> Iterator[Folder]:
    """Open a folder. Raises `InputError`, and `FormatError` (limit-exceeded)."""
    try:
        with _opened(path, _FOLDER & ~os.O_NOFOLLOW) as descriptor:
            yield Folder(descriptor, str(path))
    except OSError as error:
        raise InputError.of(path, error) from error


@contextmanager
def _descend(descriptor: int, path: str) -> Iterator[int]:
    """The descriptor of a file below an open folder."""
    first, _, rest = path.partition("/")
    if not rest:
        with _opened(first, _FILE, descriptor) as file:
            yield file
    else:
        with _opened(first, _FOLDER, descriptor) as folder, _descend(folder, rest) as file:
            yield file


@contextmanager
def _opened(path: str | Path, flags: int, above: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, flags, dir_fd=above)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
