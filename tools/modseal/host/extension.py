"""The way by which systemd-sysext finds the image of a host: it leads to the active generation, and no other may win.

The way is var/lib/extensions/modseal -> ../modseal/current/image, current -> states/K, states/K/image ->
../../generations/N/image. Only these three links may be on it, each with exactly these words; every other name has to
be a folder. So it ends at the folder that was verified, whoever follows it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from modseal.errors import Failure
from modseal.files import folder
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
    finally:
        os.close(root)
    number = store.state.generation.number
    yield from _link(f"{store.state_name}/{IMAGE}", f"../../{GENERATIONS}/{number}/{IMAGE}", store.descriptor)
    yield from _twins(store)


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


def _twins(store: Store) -> Iterator[Failure]:
    for place in SEARCHED:
        for form in _FORMS:
            where = "/".join((*place, EXTENSION + form))
            if (place, form) != (EXTENSIONS, "") and os.path.lexists(store.root / where):
                detail = f"{where!r} is another extension with the name of that of this host, and can take its place"
                yield Failure("installed-twin", detail, {"path": where, "other": "/".join((*EXTENSIONS, EXTENSION))})
