"""What inode flags (chattr) keep a change from doing, found before it begins: so a dry run says it, too.

Even root cannot link to a file that is immutable or append-only, replace it, or replace anything in such a folder
(ioctl_iflags(2), link(2), rename(2)).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from modseal import limits
from modseal.errors import Failure
from modseal.files import folder
from modseal.format.manifest import FileType
from modseal.host import documents, image
from modseal.host.documents import sha256_of
from modseal.host.inodes import flag_failures, folder_failures
from modseal.host.installed import Installed
from modseal.host.keep import is_good
from modseal.host.scan import inode_flags
from modseal.host.store import (
    GENERATIONS,
    READ_FLAGS,
    STATES,
    Store,
    object_name,
    record_name,
    records_of,
    status_below,
)

_TOP = "."


def flags_of(name: str, store: int) -> int:
    """The flags of a file or folder of the store; none where it cannot be opened."""
    try:
        descriptor = folder.open_below(name, store, READ_FLAGS)
    except OSError:
        return 0
    try:
        return inode_flags(descriptor)
    finally:
        os.close(descriptor)


def state_failures(store: int) -> Iterator[Failure]:
    """What keeps another state from becoming the one that holds."""
    yield from folder_failures(store)
    for name in (_TOP, STATES):
        yield from flag_failures(name, flags_of(name, store))


def generation_failures(store: Store, modules: Iterable[Installed], brought: Iterable[Installed]) -> Iterator[Failure]:
    """What keeps a generation of these modules from being written, of which some are brought by bundles.

    The files of the others are looked at elsewhere (`keep.damaged_entry`).
    """
    yield from flag_failures(GENERATIONS, flags_of(GENERATIONS, store.descriptor))
    wanted = {object_name(sha256_of(image.RELEASE), 0o644): len(image.RELEASE)}  # with the most bytes of each
    wanted |= {record_name(sha256_of(documents.encode(one.record))): limits.HOST_DOCUMENT_SIZE for one in modules}
    for module in brought:
        wanted |= {record_name(digest): most for digest, most in records_of(module.record)}
        files = (entry for entry in module.entries if entry.type is FileType.FILE)
        wanted |= {object_name(one.sha256.hex(), one.mode or 0): one.size or 0 for one in files if one.sha256}
    there: dict[int, tuple[str, int]] = {}
    above: dict[str, int] = {}
    for name, most in wanted.items():
        top, below, _ = name.split("/")
        if f"{top}/{below}" not in above and (failure := _no_folder(f"{top}/{below}", store.descriptor)):
            yield failure
            return  # what is below it is not the store's
        status = status_below(name, store.descriptor)
        if status and (flags := flags_of(name, store.descriptor)):
            yield from flag_failures(name, flags)
            continue
        if status:
            there[status.st_ino] = name, most
        for one in (top, f"{top}/{below}"):
            if one not in above:
                above[one] = flags_of(one, store.descriptor)
            if above[one] and not is_good(name, store.descriptor, most):
                yield from flag_failures(one, above[one])
                above[one] = 0  # said once
    yield from _images(store.descriptor, there)


def _no_folder(name: str, store: int) -> Failure | None:
    status = status_below(name, store)
    if status is None or stat.S_ISDIR(status.st_mode):
        return None
    return Failure("host-invalid", f"{name!r} of the store is not a folder", {"path": name})


def _images(store: int, there: dict[int, tuple[str, int]]) -> Iterator[Failure]:
    """The folders of images in which a damaged file that they share with a brought one cannot be replaced."""
    for where, folders, names, parent in os.fwalk(GENERATIONS, dir_fd=store):
        if where.count("/") > limits.PATH_DEPTH + 2:
            folders.clear()  # deeper than any file of a module
        flags = inode_flags(parent)
        if flags:
            inodes = (os.stat(name, dir_fd=parent, follow_symlinks=False).st_ino for name in names)
            if any(one in there and not is_good(there[one][0], store, there[one][1]) for one in inodes):
                yield from flag_failures(where, flags)
