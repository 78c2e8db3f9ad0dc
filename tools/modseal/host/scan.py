"""What is in an image: every name below it, opened for itself, read and hashed. Nothing is decided here.

No link is followed, no more of a file is read than the largest file that the modules declare, and no folder is entered
that is deeper than any that a module can bring: it is listed, which is a finding. What cannot be read is said to be so.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from fcntl import ioctl
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

APPEND_ONLY = 0x20
FLAGS = {0x10: "immutable (chattr +i)", APPEND_ONLY: "append-only (chattr +a)"}
"""Inode flags that bind even root, by their bits (linux/fs.h, FS_IMMUTABLE_FL and FS_APPEND_FL; chattr(1))."""

_GET_FLAGS = 0x80086601
"""FS_IOC_GETFLAGS (ioctl_iflags(2)): it is defined with a long, and fills an int."""
_ROOM = bytes(8)
_LOWEST = 0 if sys.byteorder == "little" else 3
"""Where in it the lowest byte of the int is."""
_ALL = sum(FLAGS)
_REGULAR = FileType.FILE
_BLOCK = 1 << 20
_NAME = attrgetter("name")
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class Found(NamedTuple):
    """One name of an image. `type` is None for what no module can bring: a device, a pipe, a socket.

    The first seven fields are those of a signed entry: a file that has all of them is as it was signed.
    `sha256` is None where the size is none that a module declares, `trouble` says why something could not be read.
    `inode` and `links` are a file's number and how many names it has; `flags` those of `FLAGS` that are set.
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
    inode: int = 0
    links: int = 0
    flags: int = 0


def scan(image: int, sizes: frozenset[int], found: dict[str, Found] | None = None) -> dict[str, Found]:
    """Every path of an open folder with what is there, `TOP` for itself. `sizes` are those of the modules' files.

    They are added to `found`, where that is given, so that somebody can look how many there are by now.

    Raises `OSError` where the folder itself cannot be listed.
    """
    found = {} if found is None else found
    found[TOP] = _folder(image)
    with os.scandir(image) as names:
        _each(sorted(names, key=_NAME), image, "", sizes, found, limits.PATH_DEPTH)
    return found


def _each(
    listed: list[os.DirEntry[str]], parent: int, prefix: str, sizes: frozenset[int], found: dict[str, Found], depth: int
) -> None:
    for one in listed:
        path = prefix + one.name
        if one.is_file(follow_symlinks=False):
            found[path] = _file(one.name, parent, sizes)
        elif one.is_dir(follow_symlinks=False):
            _enter(one.name, parent, path, sizes, found, depth)
        else:
            found[path] = _other(one.name, parent)


def _enter(name: str, parent: int, path: str, sizes: frozenset[int], found: dict[str, Found], depth: int) -> None:
    try:
        descriptor = os.open(name, folder.FLAGS, dir_fd=parent)
    except OSError as error:
        found[path] = _unread(FileType.DIRECTORY, name, parent, error)
        return
    try:
        found[path] = _folder(descriptor)
        if depth:
            with os.scandir(descriptor) as names:
                listed = sorted(names, key=_NAME)
            _each(listed, descriptor, f"{path}/", sizes, found, depth - 1)
    except OSError as error:
        found[path] = _unread(FileType.DIRECTORY, name, parent, error)
    finally:
        os.close(descriptor)


def _folder(descriptor: int) -> Found:
    status = os.fstat(descriptor)
    attributes = tuple(os.listxattr(descriptor))
    mode, owner = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
    return Found(FileType.DIRECTORY, mode, owner, attributes, flags=inode_flags(descriptor))


def inode_flags(descriptor: int) -> int:
    """Those of `FLAGS` that an open file or folder has; none where the file system has no such flags."""
    try:
        return ioctl(descriptor, _GET_FLAGS, _ROOM)[_LOWEST] & _ALL
    except OSError:
        return 0


def _file(name: str, parent: int, sizes: frozenset[int]) -> Found:
    try:
        descriptor = os.open(name, _FILE, dir_fd=parent)
    except OSError as error:
        return _unread(FileType.FILE, name, parent, error)
    try:
        mode, inode, _, links, user, group, declared, _, _, _ = os.fstat(descriptor)
        if not stat.S_ISREG(mode):
            return Found(None, mode & 0o7777, (user, group))
        attributes, flags = os.listxattr(descriptor), inode_flags(descriptor)
        size, content, relocatable = declared, None, False
        if declared in sizes:
            # One byte more, so that a file that has grown meanwhile is seen; and no buffer that is far too large.
            data = os.read(descriptor, declared + 1 if declared < _BLOCK else _BLOCK)
            digest, size, relocatable = sha256(data), len(data), is_relocatable(data)
            while data and size < declared:
                data = os.read(descriptor, _BLOCK)
                digest.update(data)
                size += len(data)
            content = digest.digest()
        return Found(
            # by position: by name it takes as long as hashing a small file
            _REGULAR,
            mode & 0o7777,
            (user, group),
            tuple(attributes),
            size,
            content,
            None,
            relocatable,
            None,
            inode,
            links,
            flags,
        )
    except OSError as error:
        return _unread(FileType.FILE, name, parent, error)
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


def _unread(kind: FileType, name: str, parent: int, error: OSError) -> Found:
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    owner = (status.st_uid, status.st_gid)
    return Found(kind, stat.S_IMODE(status.st_mode), owner, trouble=error.strerror)


def digest_of(found: Mapping[str, Found]) -> str:
    """The SHA-256, lower-case hex, of all that an image was found to be: one value for equal images.

    It is over the paths in the order of their bytes. Each has these fields, a zero byte after each: path, type, mode in
    octal, user, group, size, SHA-256 in hex, target, number of extended attributes, their names in order. The type is
    empty for what no module brings, the SHA-256 for what was not read.
    """
    digest = sha256()
    for path in sorted(found, key=os.fsencode):
        one = found[path]
        content = one.sha256.hex() if one.sha256 else ""
        fields = (one.type or "", f"{one.mode:04o}", *one.owner, one.size, content, one.target or "")
        shown = (path, *fields, len(one.attributes), *sorted(one.attributes))
        digest.update(b"".join(os.fsencode(f"{each}\0") for each in shown))
    return digest.hexdigest()
