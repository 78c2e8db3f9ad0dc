"""A tree of files below one open folder: every name is opened for itself, and no link is followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modseal.files import folder

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


_FOLDER = 0o755


class Tree:
    """Writes below the folder that `descriptor` is open on, which stays the caller's, and which others cannot enter.

    Paths are relative, with `/` between names, and the caller has judged them: no `..`, not empty. The folders
    on the way to the last path are kept open, so that there are never more descriptors than a path has names.
    Everything raises `OSError`.
    """

    def __init__(self, descriptor: int) -> None:
        self._top = descriptor
        self._open: list[tuple[str, int]] = []

    def folder(self, path: str) -> None:
        """A folder (0755), and those above it. One that is there is fine."""
        self._enter(path.split("/"))

    def create(self, path: str) -> int:
        """A new file for its owner alone, open for writing, and the folders above it. The caller closes it."""
        above, name = self._above(path)
        return os.open(name, _NEW, 0o600, dir_fd=above)

    def write(self, path: str, data: bytes, mode: int) -> None:
        """A new file with this content and mode."""
        descriptor = self.create(path)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(descriptor, mode)

    def link(self, path: str, target: str) -> None:
        """A new symbolic link, and the folders above it."""
        above, name = self._above(path)
        os.symlink(target, name, dir_fd=above)

    def hard_link(self, path: str, source: str, folder: int) -> None:
        """A new name for the file `source` below another open folder, and the folders above it. No link is followed."""
        above, name = self._above(path)
        os.link(source, name, src_dir_fd=folder, dst_dir_fd=above, follow_symlinks=False)

    def set_mode(self, path: str, mode: int, made: tuple[int, int] | None = None) -> None:
        """Give a file or a folder its mode. `made` are device and inode of the file that it must be."""
        above, name = self._above(path)
        descriptor = os.open(name, _OLD, dir_fd=above)
        try:
            status = os.fstat(descriptor)
            if made is not None and ((status.st_dev, status.st_ino) != made or not stat.S_ISREG(status.st_mode)):
                raise folder.exchanged()
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close the folders that are open, but not the top."""
        self._leave(0)

    def _above(self, path: str) -> tuple[int, str]:
        *names, name = path.split("/")
        return self._enter(names), name

    def _enter(self, names: list[str]) -> int:
        """The descriptor of a folder, made where it is missing."""
        same = 0
        while same < min(len(names), len(self._open)) and self._open[same][0] == names[same]:
            same += 1
        self._leave(same)
        for name in names[same:]:
            above = self._open[-1][1] if self._open else self._top
            try:
                descriptor = os.open(name, folder.FLAGS, dir_fd=above)
            except FileNotFoundError:
                descriptor = folder.make(name, above)
                os.fchmod(descriptor, _FOLDER)
            self._open.append((name, descriptor))
        return self._open[-1][1] if self._open else self._top

    def _leave(self, depth: int) -> None:
        while len(self._open) > depth:
            with suppress(OSError):
                os.close(self._open.pop()[1])


@contextmanager
def new_tree(path: Path) -> Iterator[Tree]:
    """A new folder for everybody to read (0755), whatever the umask is, to write into. Raises `OSError`, `UsageError`.

    The folder that it stands in is one that others cannot enter.
    """
    folder.make_folder(path, _FOLDER)
    descriptor = os.open(path, folder.FLAGS)
    tree = Tree(descriptor)
    try:
        yield tree
    finally:
        tree.close()
        os.close(descriptor)
