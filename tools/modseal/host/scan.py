"""What is in an image: every name below it, opened for itself, read and hashed. Nothing is decided here.

No link is followed, and no more of a file is read than the largest file that the modules declare.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from modseal.files import folder
from modseal.format.manifest import FileType
from modseal.format.payload import is_relocatable

TOP = "."
KERNEL_LABELS = frozenset({"security.selinux", "security.SMACK64", "security.ima", "security.evm"})
"""Extended attributes that label a file for the kernel and give nobody rights. Every other one is a finding: a
capability or an access list gives rights, and `trusted.overlay` ones change what a merge shows."""

_BLOCK = 1 << 20
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class Found(NamedTuple):
    """One name of an image. `type` is None for what no module can bring: a device, a pipe, a socket.

    `sha256` is None where the size is none that a module declares, `trouble` says why something could not be read.
    """

    type: FileType | None
    mode: int
    owner: tuple[int, int]
    attributes: tuple[str, ...] = ()
    size: int = 0
    sha256: bytes | None = None
    target: str | None = None
    relocatable: bool = False
    trouble: str | None = None


def scan(image: int, sizes: frozenset[int]) -> Iterator[tuple[str, Found]]:
    """Every path of an open folder with what is there, `TOP` for itself. `sizes` are those of the modules' files.

    Raises `OSError` where a folder cannot be listed.
    """
    yield TOP, _folder(image)
    yield from _below(image, "", sizes)


def _below(parent: int, prefix: str, sizes: frozenset[int]) -> Iterator[tuple[str, Found]]:
    with os.scandir(parent) as names:
        listed = sorted(names, key=lambda one: one.name)
    for one in listed:
        path = prefix + one.name
        if one.is_dir(follow_symlinks=False):
            descriptor = os.open(one.name, folder.FLAGS, dir_fd=parent)
            try:
                yield path, _folder(descriptor)
                yield from _below(descriptor, f"{path}/", sizes)
            finally:
                os.close(descriptor)
        elif one.is_file(follow_symlinks=False):
            yield path, _file(one.name, parent, sizes)
        else:
            yield path, _other(one.name, parent)


def _folder(descriptor: int) -> Found:
    status = os.fstat(descriptor)
    attributes = tuple(os.listxattr(descriptor))
    return Found(FileType.DIRECTORY, stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid), attributes)


def _file(name: str, parent: int, sizes: frozenset[int]) -> Found:
    try:
        descriptor = os.open(name, _FILE, dir_fd=parent)
    except OSError as error:
        return _unread(name, parent, error)
    try:
        status = os.fstat(descriptor)
        owner = (status.st_uid, status.st_gid)
        if not stat.S_ISREG(status.st_mode):
            return Found(None, stat.S_IMODE(status.st_mode), owner)
        mode, attributes = stat.S_IMODE(status.st_mode), tuple(os.listxattr(descriptor))
        if status.st_size not in sizes:
            return Found(FileType.FILE, mode, owner, attributes, status.st_size)
        data = os.read(descriptor, _BLOCK)
        digest, head, size = hashlib.sha256(data), data[:18], len(data)
        while data and size < status.st_size:
            data = os.read(descriptor, _BLOCK)
            digest.update(data)
            size += len(data)
        return Found(FileType.FILE, mode, owner, attributes, size, digest.digest(), None, is_relocatable(head))
    except OSError as error:
        return _unread(name, parent, error)
    finally:
        os.close(descriptor)


def _other(name: str, parent: int) -> Found:
    """A link, or what no module can bring. It is not opened: opening a device can do something."""
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    mode, owner = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
    if not stat.S_ISLNK(status.st_mode):
        return Found(None, mode, owner)
    attributes: tuple[str, ...] = ()
    with suppress(OSError):  # not all file systems let links have any
        attributes = tuple(os.listxattr(f"/proc/self/fd/{parent}/{name}", follow_symlinks=False))
    return Found(FileType.SYMLINK, mode, owner, attributes, target=os.readlink(name, dir_fd=parent))


def _unread(name: str, parent: int, error: OSError) -> Found:
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    owner = (status.st_uid, status.st_gid)
    return Found(FileType.FILE, stat.S_IMODE(status.st_mode), owner, trouble=error.strerror)
