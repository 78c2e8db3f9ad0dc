"""A tree that is all there or not there at all: staged beside its place, then renamed.

If anything fails before the rename, the destination stays as it was and nothing is left. Everything is done by
descriptor. So who may rename in the folder around it can spoil the output, which fails then, and nothing else: what
was put in its place is neither written to, nor given another mode, nor removed.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Self

from modseal.errors import InputError, UsageError
from modseal.files import folder, left_behind
from modseal.files.tree import Tree

_MODE = 0o755


class StagingFolder:
    """A private folder beside `destination`, which `commit` renames to it; else it is removed. `tree` writes below it.

    The destination must not exist, or be an empty folder, which keeps its owner and its mode. `mode` is for a
    new one (0755 if None) and, where it is said, for an old one, too. With `shared` the folder around the
    destination may be one in which others can rename.

    Raises `UsageError` for a destination that is in the way or that others could have put there, or a shared folder
    around it; trouble with the file system is an `InputError`.
    """

    def __init__(self, destination: Path, *, mode: int | None = None, shared: bool = False) -> None:
        self.destination = destination
        self._committed = False
        try:
            self._parent, self._final = folder.open_parent(destination)
            try:
                self._before = _free(destination, self._parent, self._final, shared=shared)
                left_behind.clear(self._parent)
                self._name = left_behind.new_name()
                self._descriptor = folder.make(self._name, self._parent)
            except BaseException:
                os.close(self._parent)
                raise
        except OSError as error:
            raise _trouble(destination, error) from error
        left_behind.lock(self._descriptor)
        self._mode = mode or (stat.S_IMODE(self._before.st_mode) if self._before else _MODE)
        self.tree = Tree(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def commit(self) -> None:
        """Give the folder its name. From here on it is there for everybody. Raises `OSError`."""
        self.tree.close()
        os.sync()  # all the files of the tree, in one call: after a power cut none may be empty under its name
        if self._before and self._before.st_gid != os.fstat(self._descriptor).st_gid:
            os.fchown(self._descriptor, -1, self._before.st_gid)
        folder.require_named(self._descriptor, self._name, self._parent)
        now = folder.status_of(self._final, self._parent)
        if (now and (now.st_dev, now.st_ino)) != (self._before and (self._before.st_dev, self._before.st_ino)):
            raise folder.exchanged()
        os.rename(self._name, self._final, src_dir_fd=self._parent, dst_dir_fd=self._parent)
        self._name = self._final
        folder.require_named(self._descriptor, self._name, self._parent)
        # Only now can others enter: they never see, or add to, what could still be taken back.
        if self._before and self._before.st_uid != os.fstat(self._descriptor).st_uid:
            os.fchown(self._descriptor, self._before.st_uid, -1)
        os.fchmod(self._descriptor, self._mode)
        self._committed = True
        folder.sync(self._parent)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self.tree.close()
        if not self._committed:
            left_behind.to_the_end(self._remove)
        os.close(self._descriptor)
        os.close(self._parent)
        if isinstance(error, OSError):
            raise _trouble(self.destination, error) from error

    def _remove(self) -> None:
        with suppress(OSError):
            folder.empty(self._descriptor)
            if self._before and self._name == self._final:  # it has taken the place of the old folder already
                os.fchmod(self._descriptor, self._mode)
            elif folder.is_named(self._descriptor, self._name, self._parent):
                os.rmdir(self._name, dir_fd=self._parent)


def require_free(destination: Path, *, shared: bool = False) -> None:
    """Raises now what a `StagingFolder` would raise for what is at the destination."""
    try:
        parent, name = folder.open_parent(destination)
        try:
            _free(destination, parent, name, shared=shared)
        finally:
            os.close(parent)
    except OSError as error:
        raise _trouble(destination, error) from error


def _free(destination: Path, parent: int, name: str, *, shared: bool) -> os.stat_result | None:
    if not shared and folder.is_shared(parent):
        raise UsageError(
            f"{destination.parent} is a folder in which others can exchange what is written; "
            "name a place in a folder of your own"
        )
    status = _look(destination, parent, name)
    if status and not shared and folder.is_planted(status, parent):
        raise UsageError(
            f"{destination} belongs to another user, who could have put it there, and could exchange what is written; "
            "name a new folder"
        )
    return status


def _look(destination: Path, parent: int, name: str) -> os.stat_result | None:
    """A destination for a new tree: absent (None), or an empty folder. Raises `UsageError`, `OSError`."""
    status = folder.status_of(name, parent)
    if status is None:
        return None
    if not stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{destination} exists and is not a folder")
    descriptor = os.open(name, folder.FLAGS, dir_fd=parent)
    try:
        if os.listdir(descriptor):
            raise UsageError(f"{destination} is not empty; name a new folder")
        if status.st_uid != os.geteuid() != 0:
            raise UsageError(f"{destination} belongs to another user; name a new folder")
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _trouble(destination: Path, error: OSError) -> InputError:
    return InputError.of(destination, error, to_write=True)
