"""Output that is all there or not there at all: staged beside its place, then renamed.

`atomic_file` is for one file, `StagingFolder` for a tree. Whatever fails before the rename leaves the
destination as it was and nothing beside it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Self

from modseal.errors import InputError, UsageError

_PREFIX = ".modseal-"


@contextmanager
def atomic_file(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A file to write that replaces `path` when the block ends well.

    The mode does not depend on the umask, so that output is the same for every user. A symbolic link
    at `path` is replaced, not followed. Raises `InputError` where it cannot be written.
    """
    name = ""
    try:
        descriptor, name = tempfile.mkstemp(prefix=_PREFIX, dir=path.parent)
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(name, path)
        name = ""
        _sync_folder(path.parent)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", path=str(path)) from error
    finally:
        if name:
            with suppress(OSError):
                os.unlink(name)


class StagingFolder:
    """A private folder beside `destination`, which `commit` renames to it; else it is removed.

    The destination must not exist, or be an empty folder: `UsageError` otherwise. Trouble with the
    file system is an `InputError`.
    """

    def __init__(self, destination: Path) -> None:
        self.destination = Path(os.path.abspath(destination))
        require_free(self.destination)
        try:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self.destination.parent))
            try:
                os.chmod(self.path, 0o700)  # whatever the umask is, or it could be neither used nor removed
            except OSError:
                os.rmdir(self.path)
                raise
        except OSError as error:
            raise InputError(f"{self.destination}: {error.strerror}", path=str(destination)) from error

    def __enter__(self) -> Self:
        return self

    def commit(self) -> None:
        """Give the folder its name. From here on it is there for everybody."""
        os.chmod(self.path, 0o755)  # noqa: S103 - what a folder that others may read has
        os.sync()  # all the files of the tree, in one call: after a power cut none may be empty under its name
        os.rename(self.path, self.destination)
        _sync_folder(self.destination.parent)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if os.path.lexists(self.path):
            _remove_tree(self.path)
        if isinstance(error, OSError):
            raise InputError(f"{self.destination}: {error.strerror}", path=str(self.destination)) from error


def require_free(destination: Path) -> None:
    """A destination for a new tree: absent, or an empty folder. Raises `UsageError` or `InputError`."""
    try:
        if destination.is_symlink() or (destination.exists() and not destination.is_dir()):
            raise UsageError(f"{destination} exists and is no folder")
        if destination.is_dir() and any(destination.iterdir()):
            raise UsageError(f"{destination} is not empty; extract into a new folder")
    except OSError as error:
        raise InputError(f"{destination}: {error.strerror}", path=str(destination)) from error


def _remove_tree(folder: Path) -> None:
    """Remove a staged tree, whatever modes its folders were given."""
    for root, folders, _ in os.walk(folder):
        for name in folders:
            path = os.path.join(root, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename durable. Some file systems cannot sync a folder; the rename is atomic there all the same."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
