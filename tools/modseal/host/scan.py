"""What is in an image: every name below it, opened for itself, read and hashed. Nothing is decided here.

No link is followed, no more of a file is read than the largest file that the modules declare, and no folder is entered
that is deeper than any that a module can bring: it is listed, which is a finding.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from hashlib import sha256
from operator import attrgetter
from typing import NamedTuple

from modseal import limits
from modseal.files import folder
from modseal.format.manifest import FileType
from modseal.format.payload import is_relocatable

TOP = "."
KERNEL_LABELS = frozenset({"security.selinux", "security.SMACK64", "security.ima", "security.evm"})
"""Extended attributes that label a file for the kernel and give nobody rights. Every other one is a finding: a
capability or an access list gives rights, and `trusted.overlay` ones change what a merge shows."""

_BLOCK = 1 << 20
_NAME = attrgetter("name")
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


def scan(image: int, sizes: frozenset[int]) -> dict[str, Found]:
    """Every path of an open folder with what is there, `TOP` for itself. `sizes` are those of the modules' files.

    Raises `OSError` where a folder cannot be listed.
    """
    found = {TOP: _folder(image)}
    _below(image, "", sizes, found, limits.PATH_DEPTH)
    return found


def _below(parent: int, prefix: str, sizes: frozenset[int], found: dict[str, Found], depth: int) -> None:
    with os.scandir(parent) as names:
        listed = sorted(names, key=_NAME)
    for one in listed:
        path = prefix + one.name
        if one.is_dir(follow_symlinks=False):
            descriptor = os.open(one.name, folder.FLAGS, dir_fd=parent)
            try:
                found[path] = _folder(descriptor)
                if depth:
                    _below(descriptor, f"{path}/", sizes, found, depth - 1)
            finally:
                os.close(descriptor)
        elif one.is_file(follow_symlinks=False):
            found[path] = _file(one.name, parent, sizes)
        else:
            found[path] = _other(one.name, parent)


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
        owner, mode = (status.st_uid, status.st_gid), stat.S_IMODE(status.st_mode)
        if not stat.S_ISREG(status.st_mode):
            return Found(None, mode, owner)
        attributes, declared = tuple(os.listxattr(descriptor)), status.st_size
        if declared not in sizes:
            return Found(FileType.FILE, mode, owner, attributes, declared)
        # One byte more, so that a file that has grown meanwhile is seen; and no buffer that is far too large for it.
        data = os.read(descriptor, min(declared + 1, _BLOCK))
        digest, size, relocatable = sha256(data), len(data), is_relocatable(data[:18])
        while data and size < declared:
            data = os.read(descriptor, _BLOCK)
            digest.update(data)
            size += len(data)
        return Found(FileType.FILE, mode, owner, attributes, size, digest.digest(), None, relocatable)
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
