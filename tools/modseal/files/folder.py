"""Folders by descriptor: an open folder stays the same one, even if others rename it meanwhile.

A path is resolved once, by the kernel, up to the folder that its last name stands in. From there on everything is
done with single names below a descriptor, and no link is followed.
"""

from __future__ import annotations

import errno
import fcntl
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modseal import limits
from modseal.errors import InputError, UsageError

FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ACCESS_LIST = "system.posix_acl_access"


def open_parent(path: Path) -> tuple[int, str]:
    """The folder that the last name of a path stands in, open, and that name.

    Links on the way are followed as the kernel does, so that `L/../x` is where it says. Raises `UsageError` for a path
    without such a name (`.`, `..`, `/`), `OSError`.
    """
    if path.name in ("", ".."):
        raise UsageError(f"{path} is not the name of a file in a folder; give one")
    return os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), path.name


def make(name: str, parent: int) -> int:
    """Make a folder that its owner alone can enter, and open it. Raises `OSError`, ESTALE where it was exchanged."""
    umask = os.umask(0o077)  # with a umask like 0777 even we could not open the new folder
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    finally:
        os.umask(umask)
    descriptor = os.open(name, FLAGS, dir_fd=parent)
    try:
        # The kernel cannot make and open at once. What came in between is ours and empty, or not used.
        if os.fstat(descriptor).st_uid != os.geteuid() or os.listdir(descriptor):
            raise exchanged()
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def make_folder(path: Path, mode: int) -> None:
    """Make a folder with this mode. Raises `OSError`, `UsageError`."""
    parent, name = open_parent(path)
    try:
        descriptor = make(name, parent)
        try:
            os.fchmod(descriptor, mode)
        except OSError:
            os.rmdir(name, dir_fd=parent)
            raise
        finally:
            os.close(descriptor)
    finally:
        os.close(parent)


def open_below(path: str, parent: int, flags: int = FLAGS) -> int:
    """Open what has a path below an open folder, name by name: a link is followed at none of them. Raises `OSError`."""
    *above, name = path.split("/")
    descriptor = parent
    try:
        for one in above:
            below = os.open(one, FLAGS, dir_fd=descriptor)
            if descriptor != parent:
                os.close(descriptor)
            descriptor = below
        return os.open(name, flags, dir_fd=descriptor)
    finally:
        if descriptor != parent:
            os.close(descriptor)


@contextmanager
def above(path: str, parent: int) -> Iterator[tuple[int, str]]:
    """The folder below an open one that the last name of a path stands in, open, and that name.

    No link on the way is followed: the system itself follows those of a path with several names. Raises `OSError`.
    """
    where, _, name = path.rpartition("/")
    descriptor = open_below(where, parent) if where else os.dup(parent)
    try:
        yield descriptor, name
    finally:
        os.close(descriptor)


def exchanged() -> OSError:
    """The error for a name that now belongs to another file."""
    return OSError(errno.ESTALE, "it was exchanged while it was written; nothing was kept")


def status_of(name: str, parent: int) -> os.stat_result | None:
    """What has a name in a folder, a link itself if it is one; None where nothing has. Raises `OSError`."""
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def is_named(descriptor: int, name: str, parent: int) -> bool:
    """Whether the open file or folder still has this name."""
    found = status_of(name, parent)
    return found is not None and os.path.samestat(found, os.fstat(descriptor))


def require_named(descriptor: int, name: str, parent: int) -> None:
    """Raises `OSError` (ESTALE) where it has another name by now, or none."""
    if not is_named(descriptor, name, parent):
        raise exchanged()


def is_shared(descriptor: int) -> bool:
    """Whether others than this user and root can exchange what has a name in a folder.

    So can its owner, and who may write to it unless it is sticky. A group that has the user's name and nobody else in
    it, which many systems give to each user, is no other.
    """
    status = os.fstat(descriptor)
    if status.st_uid not in (0, os.geteuid()):
        return True
    if status.st_mode & stat.S_ISVTX:
        return False
    if status.st_mode & stat.S_IWGRP and not (_is_own_group(status.st_gid) and not _has_access_list(descriptor)):
        return True
    return bool(status.st_mode & stat.S_IWOTH)


def is_planted(status: os.stat_result, parent: int) -> bool:
    """Whether something in this folder is another user's, who could have put it there: in `/tmp`, or any shared folder.

    Where only this user and root can make files, what belongs to another was given to them, as a terminal is.
    """
    return status.st_uid not in (0, os.geteuid()) and (
        is_shared(parent) or bool(os.fstat(parent).st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    )


def _is_own_group(number: int) -> bool:
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(number)
    except KeyError:
        return False
    return (user.pw_gid, user.pw_name) == (number, group.gr_name) and set(group.gr_mem) <= {user.pw_name}


def _has_access_list(descriptor: int) -> bool:
    """With an ACL, the group bits are the most that any entry of the list may do."""
    try:
        return _ACCESS_LIST in os.listxattr(descriptor)
    except OSError:
        return False


def empty(descriptor: int) -> None:
    """Remove everything below a folder, even below folders without permissions. What cannot be removed stays.

    What is nested deeper than descriptors and the stack allow is moved up in pieces, and goes in a further round.
    """
    with suppress(OSError):
        os.fchmod(descriptor, 0o700)
    before: set[str] = set()
    while (names := set(os.listdir(descriptor))) and names != before:
        before = names
        _empty(descriptor, descriptor, limits.FOLDERS_OPEN)


def _empty(descriptor: int, top: int, depth: int) -> None:
    for name in os.listdir(descriptor):
        with suppress(OSError):
            try:
                os.unlink(name, dir_fd=descriptor)
            except IsADirectoryError:
                _remove_folder(name, descriptor, top, depth)


def _remove_folder(name: str, parent: int, top: int, depth: int) -> None:
    below = _open_closed(name, parent)
    try:
        with suppress(OSError):
            os.fchmod(below, 0o700)
        if depth:
            _empty(below, top, depth - 1)
            os.rmdir(name, dir_fd=parent)
        else:
            os.rename(name, f"nested-{os.fstat(below).st_ino}", src_dir_fd=parent, dst_dir_fd=top)
    finally:
        os.close(below)


def _open_closed(name: str, parent: int) -> int:
    """Open a folder of our own that may be closed to us. A name given to `chmod` would be followed where it leads."""
    try:
        return os.open(name, FLAGS, dir_fd=parent)
    except PermissionError:
        handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{handle}", 0o700)
            return os.open(name, FLAGS, dir_fd=parent)
        finally:
            os.close(handle)


def sync(descriptor: int) -> None:
    """Make a rename durable. Some file systems cannot sync a folder; the rename is atomic there all the same."""
    with suppress(OSError):
        os.fsync(descriptor)


@contextmanager
def locked(path: Path, busy: str | None = None) -> Iterator[None]:
    """Hold the lock of a folder while the block runs, against other processes that ask for it.

    Where another one holds it, this waits; with `busy`, it raises `InputError` with these words instead.
    Raises `InputError` where the folder cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise InputError.of(path, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError:
            raise InputError(f"{path}: {busy}", path=str(path)).because("busy") from None
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child of another thread has a copy until it starts its program
    finally:
        os.close(descriptor)
