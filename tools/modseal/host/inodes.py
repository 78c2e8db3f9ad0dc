"""What holds the files of a store besides their content: inode flags, and names that they have outside of it.

A flag keeps even root from replacing a file. By a name elsewhere, who cannot enter the store has the file all the same.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from modseal import limits
from modseal.errors import Failure, InputError
from modseal.files import folder, left_behind
from modseal.format import rules
from modseal.host.scan import APPEND_ONLY, FLAGS, inode_flags
from modseal.host.store import FOLDERS, IMAGE, LOG, OBJECTS, READ_FLAGS, Store, status_below

_DEPTH = limits.PATH_DEPTH + 4
"""Below `generations/N/image`. What is deeper is no module's; its names are not counted."""


class StoreFile(NamedTuple):
    """A file of the store: its path there, the module that it belongs to if to any, its inode and number of names."""

    path: str
    module: str | None
    inode: int
    links: int


class Inodes(NamedTuple):
    """What a look at a store has found.

    `inodes` has one for each name of a file, `documents` the files that are neither objects nor images'.
    """

    inodes: list[int]
    documents: list[StoreFile]
    failures: list[Failure]


def look(store: int, skip: Collection[str] = ()) -> Inodes:
    """Look at a store, an open folder. Below the folders of `skip` nothing is looked at."""
    found = Inodes([], [], [])
    _folder(store, ".", "", skip, found, _DEPTH)
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


def objects(store: int, failures: list[Failure]) -> dict[str, int]:
    """The inode of every file of the store's `objects`, by its name. What cannot be listed has none."""
    found: dict[str, int] = {}
    try:
        descriptor = os.open(OBJECTS, folder.FLAGS, dir_fd=store)
    except OSError:
        return found  # `folder_failures` says so
    try:
        failures.extend(flag_failures(OBJECTS, inode_flags(descriptor)))
        for name in os.listdir(descriptor):
            with suppress(OSError):
                below = os.open(name, folder.FLAGS, dir_fd=descriptor)
                try:
                    failures.extend(flag_failures(f"{OBJECTS}/{name}", inode_flags(below)))
                    with os.scandir(below) as listed:
                        for one in listed:
                            if one.is_file(follow_symlinks=False):
                                found[f"{OBJECTS}/{name}/{one.name}"] = one.inode()
                finally:
                    os.close(below)
    finally:
        os.close(descriptor)
    return found


def _file(parent: int, one: os.DirEntry[str], path: str, found: Inodes) -> None:
    found.inodes.append(one.inode())
    top, _, rest = path.partition("/")
    if top != OBJECTS and f"/{IMAGE}/" not in rest and not left_behind.is_ours(top):
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


def shared(store: Store, files: Iterable[StoreFile]) -> Iterator[tuple[str | None, Failure]]:
    """Those of these files that have names outside of the store, each with its module.

    A change that removes names meanwhile makes it look so. So all names are counted again, while no change can run.
    Nobody waits for one that runs: whoever may read the store could hold its lock for ever.
    """
    found = list(files)
    if not found:
        return
    try:
        yield from _shared(store, found)
    except InputError as error:
        yield None, error.failure


def _shared(store: Store, found: Sequence[StoreFile]) -> Iterator[tuple[str | None, Failure]]:
    with folder.locked(store.path, "a change of this host is running, so the names of its files cannot be counted"):
        count = Counter(look(store.descriptor).inodes)
        for one in found:
            status = status_below(one.path, store.descriptor)
            more = status.st_nlink - count[status.st_ino] if status else 0
            if more > 0:
                shown = rules.shown(one.path)
                detail = f"{shown!r} has {more} more name{'s' if more > 1 else ''} outside of the store"
                yield one.module, Failure("installed-shared", detail, {"path": shown})
