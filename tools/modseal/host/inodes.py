"""What holds the files of a store besides their content: inode flags, and names that they have outside of it.

A flag keeps even root from replacing a file. By a name elsewhere, who cannot enter the store has the file all the same.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from modseal import limits
from modseal.errors import Failure
from modseal.files import folder, left_behind
from modseal.format import rules
from modseal.host.scan import APPEND_ONLY, FLAGS, inode_flags
from modseal.host.store import FOLDERS, IMAGE, LOG, OBJECTS, READ_FLAGS, Store

_DEPTH = limits.PATH_DEPTH + 4
"""Below `generations/N/image`. What is deeper is no module's; its names are not counted."""


class StoreFile(NamedTuple):
    """A file of the store: its path there, the module that it belongs to if to any, its inode and number of names."""

    path: str
    module: str | None
    inode: int
    links: int


class Inodes(NamedTuple):
    """What a look at a part of the store has found.

    `objects` has the inode of each file below `objects` by its path, `names` how many each inode has in the part.
    `documents` are files that are neither objects nor images'.
    """

    objects: dict[str, int]
    names: Counter[int]
    documents: list[StoreFile]
    failures: list[Failure]


def look(store: int, top: str = "", skip: Collection[str] = ()) -> Inodes:
    """Look at a folder of the store, an open one, or at all of it. Below the folders of `skip` nothing is looked at."""
    found = Inodes({}, Counter(), [], [])
    _folder(store, top or ".", f"{top}/" if top else "", skip, found, _DEPTH)
    return found


def _folder(parent: int, name: str, prefix: str, skip: Collection[str], found: Inodes, depth: int) -> None:
    path = prefix.rstrip("/") or "."
    try:
        descriptor = os.open(name, folder.FLAGS, dir_fd=parent)
    except OSError as error:
        _note(found, path, f"cannot be read: {error.strerror}")
        return
    try:
        found.failures.extend(flag_failures(path, inode_flags(descriptor)))
        with os.scandir(descriptor) as listed:
            for one in listed:
                below = prefix + one.name
                if one.is_file(follow_symlinks=False):
                    _file(descriptor, one, below, found)
                elif depth and one.is_dir(follow_symlinks=False) and below not in skip:
                    _folder(descriptor, one.name, f"{below}/", skip, found, depth - 1)
    except OSError as error:
        _note(found, path, f"cannot be read: {error.strerror}")
    finally:
        os.close(descriptor)


def _file(parent: int, one: os.DirEntry[str], path: str, found: Inodes) -> None:
    found.names[one.inode()] += 1
    if path.startswith(f"{OBJECTS}/"):
        found.objects[path] = one.inode()
    elif f"/{IMAGE}/" not in path and not left_behind.is_ours(path.partition("/")[0]):
        try:
            descriptor = os.open(one.name, READ_FLAGS, dir_fd=parent)
        except OSError as error:
            _note(found, path, f"cannot be read: {error.strerror}")
            return
        try:
            status, flags = os.fstat(descriptor), inode_flags(descriptor)
        finally:
            os.close(descriptor)
        found.documents.append(StoreFile(path, None, status.st_ino, status.st_nlink))
        if path == LOG:
            flags &= ~APPEND_ONLY  # lines are only ever added to it
        found.failures.extend(flag_failures(path, flags))


def _note(found: Inodes, path: str, what: str) -> None:
    shown = rules.shown(path)
    found.failures.append(Failure("host-invalid", f"{shown!r} of the store {what}", {"path": shown}))


def folder_failures(store: int) -> Iterator[Failure]:
    """Whether each folder that a store has is there, as a folder."""
    for name in FOLDERS:
        try:
            os.close(os.open(name, folder.FLAGS, dir_fd=store))
        except OSError as error:
            yield Failure("host-invalid", f"{name!r} of the store is not a folder: {error.strerror}", {"path": name})


def flag_failures(path: str, flags: int) -> Iterator[Failure]:
    """The inode flags that something has, of those that bind even root."""
    if flags:
        said = " and ".join(name for bit, name in FLAGS.items() if flags & bit)
        yield Failure("installed-flag", f"{rules.shown(path)!r} is {said}", {"path": rules.shown(path)})


def shared(store: Store, files: Iterable[StoreFile], count: Counter[int]) -> Iterator[tuple[str | None, Failure]]:
    """The files that have names outside of the store, each with its module.

    `count` are the names that there were in the store after these files were looked at. A change that removes names
    meanwhile makes it look so, too: then all is counted again, while no change can run.
    """
    found = [one for one in files if one.links > count[one.inode]]
    if not found:
        return
    with folder.locked(store.path):
        count = look(store.descriptor).names
        for one in found:
            status = folder.status_of(one.path, store.descriptor)
            more = status.st_nlink - count[status.st_ino] if status else 0
            if more > 0:
                shown = rules.shown(one.path)
                detail = f"{shown!r} has {more} more name{'s' if more > 1 else ''} outside of the store"
                yield one.module, Failure("installed-shared", detail, {"path": shown})
