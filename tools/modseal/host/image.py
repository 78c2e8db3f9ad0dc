"""The image of a generation: every path that it has, laid out as one extension that systemd-sysext merges.

`layout` says what an image has to look like. The writer makes it from that, and `host.verify` compares what is there
with it, so that nothing can be in an image that the rule does not know.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from modseal.errors import Failure
from modseal.files import folder
from modseal.files.tree import Tree
from modseal.format import rules
from modseal.format.manifest import Entry, FileType

HIERARCHIES = ("usr", "opt")
"""What systemd-sysext merges. What lies elsewhere would be installed and never be seen (systemd-sysext(8))."""
EXTENSION = "modseal"
"""The extension's name: systemd demands a release file of that name."""
RELEASE_FOLDER = "usr/lib/extension-release.d/"
RELEASE_PATH = f"{RELEASE_FOLDER}extension-release.{EXTENSION}"
RELEASE = b"ID=_any\n"
"""The extension fits any distribution: its policy says what may be installed, and not the host's name."""
FOLDER_MODE = rules.FOLDER_MODE

_LIBRARIES = "usr/lib"
"""The folder on the way to the release file, beside `HIERARCHIES`."""
_RESERVED = (RELEASE_FOLDER, "usr/lib/os-release", "usr/lib/initrd-release")
"""With its own os-release, systemd takes an image for a whole system and merges nothing (systemd-sysext(8))."""
_RELEASE_ENTRY = Entry(RELEASE_PATH, FileType.FILE, 0o644, len(RELEASE), hashlib.sha256(RELEASE).digest())
_PLAIN = tuple(Entry(path, FileType.DIRECTORY, FOLDER_MODE) for path in reversed([*rules.parents(RELEASE_PATH)]))


def layout(modules: Iterable[Iterable[Entry]]) -> dict[str, Entry]:
    """Every path of an image with what has to be there: the modules' entries, and the folders above them.

    Where two modules have the same folder they agree about it (`depot.ownership`).
    """
    found = {entry.path: entry for entry in (*_PLAIN, _RELEASE_ENTRY)}
    for entries in modules:
        for entry in entries:
            found[entry.path] = entry
    for path in list(found):
        while (path := path.rpartition("/")[0]) and path not in found:
            found[path] = Entry(path, FileType.DIRECTORY, FOLDER_MODE)
    return found


def placement_failures(entries: Iterable[Entry]) -> Iterator[Failure]:
    """What of a module cannot be part of an image."""
    for entry in entries:
        folded = rules.fold(entry.path)
        top = entry.path.partition("/")[0]
        if top not in HIERARCHIES:
            why = "is outside of /usr and /opt, which is all that systemd-sysext merges"
        elif _is_of_the_system(entry.path) and (entry.type is not FileType.DIRECTORY or entry.mode != FOLDER_MODE):
            why = f"is not a plain folder ({FOLDER_MODE:o}), and the host's own folder of that name would become it"
        elif _is_below(folded, _LIBRARIES) and not _is_below(entry.path, _LIBRARIES):
            why = f"can be taken for {_LIBRARIES!r}, which each image has"
        elif any(f"{folded}/".startswith(one) or folded == one for one in _RESERVED):
            why = "is one that tells systemd what an extension is"
        else:
            continue
        yield Failure("path-not-mergeable", f"{entry.path!r} {why}", {"path": rules.shown(entry.path)})


def _is_of_the_system(path: str) -> bool:
    """Whether a path is one of the folders that a system is laid out in: /usr, /opt, and what is right below /usr."""
    return path in HIERARCHIES or (path.startswith("usr/") and path.count("/") == 1)


def _is_below(path: str, above: str) -> bool:
    return f"{path}/".startswith(f"{above}/")


def build(tree: Tree, image: Mapping[str, Entry], objects: Mapping[str, str], store: int) -> None:
    """Make an image below an empty folder. `objects` has where in the store each file is. Raises `OSError`.

    Files are hard links into the store. Modes of folders come last, because one of them could close itself to us.
    """
    for path in sorted(image, key=rules.sort_key):
        entry = image[path]
        if entry.type is FileType.DIRECTORY:
            tree.folder(path)
        elif entry.type is FileType.SYMLINK:
            tree.link(path, entry.target or "")
        else:
            with folder.above(objects[path], store) as (above, name):
                try:
                    tree.hard_link(path, name, above)
                except OSError as error:
                    if error.errno != errno.EMLINK:
                        raise
                    _renew(name, above)
                    tree.hard_link(path, name, above)
    for path in sorted(image, key=lambda one: one.count("/"), reverse=True):
        entry = image[path]
        if entry.type is FileType.DIRECTORY and entry.mode != FOLDER_MODE:
            tree.set_mode(path, entry.mode or 0)


def _renew(name: str, above: int) -> None:
    """Put a copy in an object's place that has no links yet: file systems bound their number (ext4 at 65,000)."""
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    try:
        status = os.fstat(source)
        copy = f"{name}.new"
        target = os.open(
            copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=above
        )
        try:
            offset = 0
            while sent := os.copy_file_range(source, target, 1 << 30, offset, offset):
                offset += sent
            os.fchmod(target, status.st_mode & 0o7777)
        finally:
            os.close(target)
        os.replace(copy, name, src_dir_fd=above, dst_dir_fd=above)
    finally:
        os.close(source)


def owned(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Entries as an image has them, whichever payload they came in."""
    return (replace(entry, payload=None) for entry in entries)
