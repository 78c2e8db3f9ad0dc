"""The way by which systemd-sysext finds the image of a host: it leads to the active generation, and no other may win.

The way is var/lib/extensions/modseal -> ../modseal/current/image, current -> states/K, states/K/image ->
../../generations/N/image. Only these three links may be on it, each with exactly these words; every other name has to
be a folder. So it ends at the folder that was verified, whoever follows it.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modseal.errors import Failure
from modseal.files import folder, left_behind
from modseal.format import rules
from modseal.host.image import EXTENSION
from modseal.host.store import CURRENT, GENERATIONS, IMAGE, PLACE, Store

EXTENSIONS = ("var", "lib", "extensions")
"""Where systemd-sysext looks for extensions (systemd-sysext(8))."""
SEARCHED = (
    ("etc", "extensions"),
    ("run", "extensions"),
    EXTENSIONS,
    ("usr", "local", "lib", "extensions"),
    ("usr", "lib", "extensions"),
)
"""Where versions of systemd-sysext look for extensions. One of the same name in an earlier place hides a later one."""
_ESCAPE = re.compile(rb"\\([0-7]{3})")
_LINKS = 40
"""Links that the kernel follows for one path (path_resolution(7))."""
_FORMS = ("", ".raw", ".v", ".raw.v")
"""An extension is a folder, a disk image, or a folder of versions of either (systemd-sysext(8), systemd.v(7))."""


def link_of_extension(root: Path) -> tuple[Path, str]:
    """Where systemd-sysext finds the active image, and what that link says."""
    return root.joinpath(*EXTENSIONS, EXTENSION), f"../{PLACE[-1]}/{CURRENT}/{IMAGE}"


def extension_failures(store: Store) -> Iterator[Failure]:
    """What is wrong with the way, and every other extension of this name."""
    _, target = link_of_extension(store.root)
    root = os.open(store.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield from _link("/".join((*EXTENSIONS, EXTENSION)), target, root)
        yield from _open_to_others(root)
        yield from _twins(root)
    finally:
        os.close(root)
    yield from mount_failures(store.descriptor)
    number = store.state.generation.number
    yield from _link(f"{store.state_name}/{IMAGE}", f"../../{GENERATIONS}/{number}/{IMAGE}", store.descriptor)


def mount_failures(store: int) -> Iterator[Failure]:
    """What is mounted below an open store: it hides what is there, and a merge of the image does not have it.

    Raises `OSError` where the system does not tell (proc_pid_mountinfo(5)).
    """
    top = os.readlink(f"/proc/self/fd/{store}").encode("utf-8", "surrogateescape") + b"/"
    with open("/proc/self/mountinfo", "rb") as mounts:
        for line in mounts:
            point = _ESCAPE.sub(lambda found: bytes((int(found[1], 8),)), line.split()[4])
            if point.startswith(top):
                name = rules.shown(os.fsdecode(point.removeprefix(top)))
                yield Failure("installed-mount", f"something is mounted at {name!r} of the store", {"path": name})


def _open_to_others(root: int) -> Iterator[Failure]:
    """The folders on the way in which others could put another link, or another store."""
    for count in range(len(EXTENSIONS) + 1):
        where = "/".join(EXTENSIONS[:count]) or "."
        with suppress(OSError), folder.above(f"{where}/.", root) as (descriptor, _):  # `_link` says what is no folder
            if folder.is_shared(descriptor):
                status = os.fstat(descriptor)
                detail = f"{where!r} is open to others ({stat.filemode(status.st_mode)}, user {status.st_uid})"
                detail += ", who could lead systemd-sysext elsewhere"
                yield Failure("host-invalid", detail, {"path": where})


def link_failures(store: Store) -> Iterator[Failure]:
    """What keeps `make_link` from being done. Raises `OSError`."""
    path, _ = link_of_extension(store.root)
    try:
        with _extensions(store.root) as above:
            status = folder.status_of(EXTENSION, above)
    except OSError as error:
        yield Failure("host-invalid", f"{path.parent}: {error.strerror}", {"path": str(path.parent)})
        return
    if status and not stat.S_ISLNK(status.st_mode):
        detail = f"{path} is no link, and systemd-sysext would take it for the image"
        yield Failure("host-invalid", detail, {"path": str(path)})


def make_link(store: Store) -> None:
    """Put the link right by which systemd-sysext finds the image, if it is missing or leads elsewhere.

    Raises `OSError`.
    """
    _, target = link_of_extension(store.root)
    with _extensions(store.root) as above:
        if folder.status_of(EXTENSION, above) and os.readlink(EXTENSION, dir_fd=above) == target:
            return
        new = left_behind.new_name()
        os.symlink(target, new, dir_fd=above)
        os.rename(new, EXTENSION, src_dir_fd=above, dst_dir_fd=above)


@contextmanager
def _extensions(root: Path) -> Iterator[int]:
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with folder.above("/".join((*EXTENSIONS, EXTENSION)), descriptor) as (above, _):
            yield above
    finally:
        os.close(descriptor)


def _link(where: str, target: str, parent: int) -> Iterator[Failure]:
    above, _, name = where.rpartition("/")
    found = None
    with suppress(OSError):
        descriptor = folder.open_below(above, parent)
        try:
            found = os.readlink(name, dir_fd=descriptor)
        finally:
            os.close(descriptor)
    if found != target:
        said = "is no link below real folders" if found is None else f"leads to {rules.shown(found)!r}"
        yield Failure("installed-link", f"{where!r} {said}, and must lead to {target!r}", {"path": where})


def _twins(root: int) -> Iterator[Failure]:
    for place in SEARCHED:
        for form in _FORMS:
            where = "/".join((*place, EXTENSION + form))
            if (place, form) != (EXTENSIONS, "") and _is_there(where, root):
                detail = f"{where!r} is another extension with the name of that of this host, and can take its place"
                yield Failure("installed-twin", detail, {"path": where, "other": "/".join((*EXTENSIONS, EXTENSION))})


def _is_there(path: str, root: int) -> bool:
    """Whether a system that is started from this root has something at a path: links lead to what is below the root."""
    left, links = path.split("/"), 0
    above: list[str] = []
    while left:
        name = left.pop(0)
        if name == "..":
            del above[-1:]
        elif name not in ("", "."):
            try:
                target = os.readlink("/".join((*above, name)), dir_fd=root)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    return False
                above.append(name)  # no link
                continue
            links += 1
            if not left or links > _LINKS:
                return not left
            above = [] if target.startswith("/") else above
            left = target.split("/") + left
    return True
