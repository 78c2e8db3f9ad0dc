"""Which bundles there are below the paths of an audit: in a fixed order, each found once, nothing passed over unsaid.

A file that is named is examined whatever it is. In folders, bundles are the files called `.seal` or `.vib`, and
others that begin like one. A depot, zipped or unpacked, is one whole: all bundles in it, whether it lists them or
not. Links to folders are not followed (they could lead round in circles, or out). What is left out or cannot be read
is said.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from stat import S_ISDIR, S_ISLNK, S_ISREG

from modseal.auditing.depots import DepotTarget, depot_targets
from modseal.auditing.esxi import container_in, host_of, is_archive
from modseal.auditing.hiding import END, ISO_IMAGE, LONGEST, STARTS, hiding_place
from modseal.auditing.target import End, FileTarget, LeftOut, Target, Unreadable
from modseal.bundle.fence import fenced
from modseal.depot.files import looks_like_depot
from modseal.errors import Failure, FormatError, InputError, InternalError
from modseal.files.address import is_address
from modseal.files.identity import identity_of
from modseal.files.open import open_file
from modseal.format import iso
from modseal.format.manifest import SUFFIXES
from modseal.format.zip import starts_like_zip

_IS_HOST = "!/"
"""Behind a path: it is known as what has the database of a host. No path that is found ends so."""

Found = Target | End | LeftOut | Unreadable


def discover(paths: Iterable[str]) -> Iterator[Found]:
    """All that is below the paths: in their order, and below each in the order of names. Nothing comes twice."""
    given = tuple(paths)
    if len(given) == 1:
        yield from _below(given)
        return
    seen: set[object] = set()
    names: Counter[str] = Counter()
    for one in _below(given):
        place = _place(one)
        if place in seen:
            continue
        seen.add(place)
        if is_address(one.name):
            from modseal.auditing.remote import RemoteTarget

            names[one.name] += 1
            if isinstance(one, RemoteTarget):
                one = one.numbered(names[one.name])  # noqa: PLW2901 - the same, by a name of its own
        yield one


def _place(one: Found) -> object:
    """What is the same for the same thing alone, whatever path led to it, and however it is called."""
    if is_address(one.name):  # two addresses may differ only in what their names leave out
        return getattr(one, "address", one.name)
    if isinstance(one, DepotTarget):
        return _entry_place(one.depot), one.path
    return type(one), _entry_place(one.name)


def _entry_place(path: str) -> str:
    """A path without links but in its last part: `link/..` is where the link leads, and a link is not its target."""
    folder, name = os.path.split(path.rstrip("/") or "/")
    try:
        return (
            os.path.realpath(path)
            if name in ("", ".", "..")
            else os.path.join(_real(os.path.join(os.getcwd(), folder)), name)
        )
    except (OSError, ValueError):
        return path


@lru_cache(maxsize=256)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def _below(paths: Iterable[str]) -> Iterator[Found]:
    for path in paths:
        if is_address(path):
            from modseal.auditing.remote import discover_remote

            yield from discover_remote(path)
            continue
        try:
            status = os.stat(path)
        except (OSError, ValueError) as error:
            yield Unreadable(path, _failure(path, error))
            continue
        if S_ISDIR(status.st_mode):
            yield from _folder(path)
        elif path.lower().endswith(SUFFIXES):
            yield _file(path, status)
        elif is_archive(path):
            yield from _in_host(path, set())
        elif _is_image(path):
            yield from _in_image(path)
        else:
            yield from _depot(path) or (_file(path, status),)


def _depot(path: str) -> Iterator[Found] | None:
    """What is in a depot, None where the path is none."""
    try:
        with fenced(path):
            return _in_depot(path) if looks_like_depot(path) else None
    except InternalError as error:
        return iter([Unreadable(path, error.failure)])
    except InputError:
        return None  # who opens it as what it is called says why


def _in_depot(path: str) -> Iterator[Found]:
    try:
        with fenced(path):
            yield from depot_targets(path)
    except FormatError as error:
        yield Unreadable(path, error.failure, malformed=True)
    except (InputError, InternalError) as error:
        yield Unreadable(path, error.failure)


def _folder(folder: str) -> Iterator[Found]:
    """All below a folder. Folders may lie deeper in each other than calls can."""
    known: set[str] = set()
    levels = [_level(folder, known)]
    while levels:
        one = next(levels[-1], None)
        if one is None:
            levels.pop()
        elif isinstance(one, str):
            levels.append(_level(one, known))
        else:
            yield one


def _level(folder: str, known: set[str]) -> Iterator[Found | str]:
    """What is in a folder; text is a folder in it. `known` are the files that were examined as parts of a host."""
    depot = _depot(folder)
    if depot is not None:
        yield from depot
        return
    container = container_in(folder)
    if container is not None and container + _IS_HOST not in known:
        yield from _in_host(container, known)
    try:
        names = sorted(os.listdir(folder), key=os.fsencode)  # names alone: a folder may have a million
    except OSError as error:
        yield Unreadable(folder, _failure(folder, error))
        return
    within = os.path.join(folder, "")
    for name in names:
        path = within + name
        if path not in known:
            yield from _entry(path)


def _in_host(container: str, known: set[str]) -> Iterator[Found]:
    """The VIBs that are installed on a host, by its database; and by that in its boot bank where it is another one."""
    known.add(container + _IS_HOST)
    try:
        with fenced(container):
            host = host_of(container)
            known.update(host.files)
            yield from host.found()
            if host.archive and host.again:
                yield from _in_host(host.archive, known)
            elif host.archive:
                known.update((host.archive, host.archive + _IS_HOST))
    except (InputError, InternalError, FormatError) as error:
        yield Unreadable(container, error.failure)


def _entry(path: str) -> Iterator[Found | str]:
    try:
        status = os.lstat(path)
        linked = S_ISLNK(status.st_mode)
        if linked:
            status = os.stat(path)
    except OSError as error:
        yield Unreadable(path, _failure(path, error))
        return
    if S_ISDIR(status.st_mode):
        yield from (LeftOut(path, "a link to a folder, which was not followed", hides=True),) if linked else (path,)
    elif path.lower().endswith(SUFFIXES):
        yield _file(path, status)  # opened as what it is: a device is said to be none
    elif S_ISREG(status.st_mode):
        yield from _other(path, status)
    else:
        yield LeftOut(path, "no regular file", hides=True)


def _other(path: str, status: os.stat_result) -> Iterator[Found]:
    """A file of another name, which may be a bundle all the same."""
    try:
        with open_file(path) as descriptor:
            head = os.pread(descriptor, LONGEST, 0)
            hides = None
            if not head.startswith(STARTS):
                hides = hiding_place(lambda at, length: os.pread(descriptor, length, at), status.st_size)
    except InputError as error:
        yield Unreadable(path, error.failure)
        return
    if head.startswith(STARTS):
        yield _file(path, status)
    elif hides == ISO_IMAGE:
        yield from _in_image(path)
    else:
        try:
            with fenced(path):
                zipped = (starts_like_zip(head) or path.lower().endswith(".zip")) and looks_like_depot(path)
        except (InputError, InternalError) as error:
            yield Unreadable(path, error.failure)
            return
        yield from _in_depot(path) if zipped else (LeftOut.file(path, hides),)


def _file(path: str, status: os.stat_result) -> FileTarget:
    return FileTarget(path, status.st_size, found=identity_of(status))


def _is_image(path: str) -> bool:
    """Whether a file is an ISO image; one that cannot be read is said to be that by who opens it."""
    try:
        with open_file(path) as descriptor:
            return iso.starts_like_iso(os.pread(descriptor, END, 0))
    except InputError:
        return False


def _in_image(path: str) -> Iterator[Found]:
    from modseal.auditing.images import discover_image

    try:
        with fenced(path):
            yield from discover_image(path)
    except (InputError, InternalError, FormatError) as error:
        yield Unreadable(path, error.failure)


def _failure(path: str, error: OSError | ValueError) -> Failure:
    system = error if isinstance(error, OSError) else OSError(str(error))
    return InputError.of(path, system).failure
