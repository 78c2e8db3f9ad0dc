"""Which bundles there are below the paths of an audit: in a fixed order, each found once, nothing passed over unsaid.

A file that is named is examined whatever it is. In folders, bundles are the files called `.seal` or `.vib`, and
others that begin like one. Links to folders are not followed (they could lead round in circles, or out), and what
is left out or cannot be read is said.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from stat import S_ISDIR, S_ISLNK, S_ISREG

from modseal.audit.target import FileTarget, Target
from modseal.errors import Failure
from modseal.format import ar
from modseal.format.manifest import MANIFEST_MEMBER

SUFFIXES = (".seal", ".vib")
_STARTS = tuple(ar.MAGIC + name.encode("ascii") for name in MANIFEST_MEMBER.values())
_LONGEST = max(map(len, _STARTS))


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A place that could not be looked into: undecided, because bundles may be there."""

    name: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something below a folder that is no bundle, or a link that was not followed."""

    name: str
    why: str


Found = Target | Unreadable | LeftOut


def discover(paths: Iterable[str]) -> Iterator[Found]:
    """All that is below the paths: in their order, and below each in the order of names."""
    for path in paths:
        try:
            status = os.stat(path)
        except (OSError, ValueError) as error:
            yield Unreadable(path, _failure(path, error))
            continue
        if S_ISDIR(status.st_mode):
            yield from _folder(path)
        else:
            yield FileTarget(path, status.st_size)


def _folder(folder: str) -> Iterator[Found]:
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        yield Unreadable(folder, _failure(folder, error))
        return
    for entry in listed:
        yield from _entry(entry)


def _entry(entry: os.DirEntry[str]) -> Iterator[Found]:
    try:
        status = entry.stat(follow_symlinks=False)
        linked = S_ISLNK(status.st_mode)
        if linked:
            status = entry.stat()
    except OSError as error:
        yield Unreadable(entry.path, _failure(entry.path, error))
        return
    if S_ISDIR(status.st_mode):
        yield from (LeftOut(entry.path, "link to a folder"),) if linked else _folder(entry.path)
    elif entry.name.lower().endswith(SUFFIXES):
        yield FileTarget(entry.path, status.st_size)  # opened as what it is: a device is said to be none
    elif S_ISREG(status.st_mode):
        yield from _other(entry.path, status.st_size)
    else:
        yield LeftOut(entry.path, "no regular file")


def _other(path: str, size: int) -> Iterator[Found]:
    """A file of another name, which may be a bundle all the same."""
    try:
        with open(path, "rb") as file:
            head = file.read(_LONGEST)
    except OSError as error:
        yield Unreadable(path, _failure(path, error))
        return
    yield FileTarget(path, size) if head.startswith(_STARTS) else LeftOut(path, "no bundle")


def _failure(path: str, error: OSError | ValueError) -> Failure:
    return Failure("io-error", f"{path}: {getattr(error, 'strerror', None) or error}", {"path": path})
