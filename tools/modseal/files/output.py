"""The one way to write an output file, for every command.

    what is at the path               a bundle, key, certificate, ...   a report
    nothing, or a regular file        replaced atomically               replaced atomically
    a device, pipe, `/dev/stdout`     refused                           written to, and stays
    a folder, socket, block device    refused                           refused
    a symbolic link                   stays; what it leads to counts, unless others could have put it there

So an output never destroys a node, and never goes where somebody else's link, pipe or device leads. What has a private
key in it is not replaced either.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

from modseal import limits
from modseal.errors import InputError, ModsealError, UsageError
from modseal.files import folder, left_behind
from modseal.values import dataclass

_PRIVATE_KEY = b"PRIVATE KEY-----"
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}
_STREAMS = (stat.S_IFCHR, stat.S_IFIFO)
"""Besides the streams of this process, what a report is written to. A block device is a disk, with a file system."""


@contextmanager
def output_file(path: Path, mode: int = 0o644, *, is_report: bool = False, new: bool = False) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of what is at `path` when the block ends well.

    The mode does not depend on the umask, so that output is the same for every user. With `is_report` a device, a pipe
    or a stream of this process (`/dev/stdout`) is written to instead; with `new` nothing is ever replaced. A failure
    leaves what was there, and nothing beside it.

    Raises `UsageError` for what must not be replaced, `InputError` where it cannot be written, `BrokenPipeError`
    where the reader of a pipe has closed it.
    """
    with (
        _placed(path, is_report=is_report, new=new) as place,
        _stream(place) if place.is_stream else _replacing(path, place, mode, new=new) as file,
    ):
        yield file


def require_output(path: Path, *, is_report: bool = False, new: bool = False) -> None:
    """Raises now what `output_file` would raise for what is at `path`, before work is done in vain."""
    with _placed(path, is_report=is_report, new=new):
        pass


def takes_place(path: Path) -> bool:
    """Whether an output at `path` replaces a file that has something in it, which is worth a word."""
    with suppress(OSError, ModsealError):
        place = _find(path, follow=True)
        try:
            status = None if place.is_own else folder.status_of(place.name, place.folder)
            return status is not None and stat.S_ISREG(status.st_mode) and status.st_size > 0
        finally:
            os.close(place.folder)
    return False


def require_like(path: Path, beginning: bytes, what: str) -> None:
    """Raises `UsageError` where an output would replace a file of another kind: one that does not begin so."""
    try:
        with path.open("rb") as file:
            found = file.read(len(beginning))
    except OSError:  # nothing is there, or `output_file` says what
        return
    if found and found != beginning:
        raise UsageError(f"{path} is there already, is no {what}, and so is not replaced; name another file")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an output goes: an open folder, a name in it, and the kind of file that has the name (0: none).

    With `is_own` the name is the number of an open descriptor of this process.
    """

    folder: int
    name: str
    kind: int
    is_own: bool = False

    @property
    def is_stream(self) -> bool:
        """Whether it is written to, rather than replaced."""
        return self.is_own or self.kind in _STREAMS


@contextmanager
def _placed(path: Path, *, is_report: bool, new: bool) -> Iterator[_Place]:
    """The place of an output that may be written; every error that comes meanwhile is one of that output."""
    try:
        place = _find(path, follow=not new)
        try:
            if is_report and place.is_stream and not new:
                _require_own_stream(path, place)
            else:
                _require_replaceable(path, place, new=new)
            yield place
        finally:
            os.close(place.folder)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError.of(path, error, to_write=True) from error


def _find(path: Path, *, follow: bool) -> _Place:
    """Where a path leads to. Raises `UsageError`, `OSError`."""
    wanted = path
    for _ in range(limits.OUTPUT_LINKS):
        parent, name = folder.open_parent(path)
        try:
            if name.isdecimal() and os.path.realpath(path.parent) == f"/proc/{os.getpid()}/fd":
                return _Place(parent, name, 0, is_own=True)
            status = folder.status_of(name, parent)
            if status is None:
                return _Place(parent, name, 0)
            if not follow or not stat.S_ISLNK(status.st_mode):
                return _Place(parent, name, stat.S_IFMT(status.st_mode))
            _require_own_link(wanted, status, parent)
            path = path.parent / os.readlink(name, dir_fd=parent)
        except BaseException:
            os.close(parent)
            raise
        os.close(parent)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _require_own_link(path: Path, link: os.stat_result, parent: int) -> None:
    if link.st_uid not in (0, os.geteuid()) or folder.is_shared(parent):
        raise UsageError(f"{path} is a symbolic link that others could have put there; name the file itself")


def _require_own_stream(path: Path, place: _Place) -> None:
    """Who gets a report can put a forged one in its place. So in `/tmp` another user's pipe is none to write to."""
    status = folder.status_of(place.name, place.folder)
    if not place.is_own and status and folder.is_planted(status, place.folder):
        raise UsageError(f"{path} is {_KINDS[place.kind]} that others could have put there; name a place of your own")


def _require_replaceable(path: Path, place: _Place, *, new: bool) -> None:
    if place.kind and new:
        raise UsageError(f"{path} is there already, and is never replaced; name a new file")
    if place.is_own:
        raise UsageError(f"{path} is a stream; name a file to write")
    if place.kind in _KINDS:
        raise UsageError(f"{path} is {_KINDS[place.kind]}; name a file to write")
    if place.kind and _has_private_key(place):
        raise UsageError(f"{path} has a private key in it, which is never replaced; name another file")


def _has_private_key(place: _Place) -> bool:
    with suppress(OSError):  # what cannot be read cannot be looked into, and may well be replaced
        descriptor = os.open(
            place.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place.folder
        )
        try:
            return _PRIVATE_KEY in os.read(descriptor, limits.OUTPUT_LOOK)
        finally:
            os.close(descriptor)
    return False


@contextmanager
def _stream(place: _Place) -> Iterator[BinaryIO]:
    """What is there, open for writing: nothing is replaced, cut off or made."""
    if place.is_own:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # what was printed before comes before
        descriptor = os.dup(int(place.name))
    else:
        flags = os.O_WRONLY | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(place.name, flags, dir_fd=place.folder)
    with os.fdopen(descriptor, "wb") as file:
        if not place.is_own and stat.S_IFMT(os.fstat(descriptor).st_mode) != place.kind:
            raise folder.exchanged()
        yield file


@contextmanager
def _replacing(path: Path, place: _Place, mode: int, *, new: bool) -> Iterator[BinaryIO]:
    """A file with a name of its own in the same folder, which is renamed at the end."""
    left_behind.clear(place.folder)
    name = left_behind.new_name()
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o600, dir_fd=place.folder), "w+b") as file:
        left_behind.lock(file.fileno())
        try:
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            folder.require_named(file.fileno(), name, place.folder)
            with _claimed(path, place) if new else nullcontext():
                os.replace(name, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
        except BaseException:
            with suppress(OSError):
                if folder.is_named(file.fileno(), name, place.folder):
                    os.unlink(name, dir_fd=place.folder)
            raise
    folder.sync(place.folder)


@contextmanager
def _claimed(path: Path, place: _Place) -> Iterator[None]:
    """Take a free name. A rename would replace a file that came meanwhile, and not all file systems have links."""
    try:
        claim = os.open(place.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=place.folder)
    except FileExistsError:
        raise UsageError(f"{path} is there already, and is never replaced; name a new file") from None
    try:
        yield
    except BaseException:
        with suppress(OSError):
            if folder.is_named(claim, place.name, place.folder):
                os.unlink(place.name, dir_fd=place.folder)
        raise
    finally:
        os.close(claim)
