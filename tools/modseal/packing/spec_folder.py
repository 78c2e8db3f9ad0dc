"""The folder of a spec: what in it leads out of it, and what in it nothing packs.

A link is followed to what it leads to, so that one which leads out of the folder would ship what nobody sees in it.
And a file that was put beside the packed ones, without a line in the spec, would be missing without a word.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from modseal import limits
from modseal.errors import SpecProblem
from modseal.packing.collect import is_litter, is_secret

_BESIDE = re.compile(
    r"(module|policy)\.toml|descriptor\.xml|modseal\.toml|.*\.(seal|vib|trust|zip|pem|crt|cer|der|crl|csr|pub|sha256)",
    re.IGNORECASE,
)
"""What is beside a module's files and not one of them: specs, policies, outputs, certificates and public keys."""


def leads_outside(folder: Path, name: str) -> SpecProblem | None:
    """The symbolic link on the way to `name` that leads out of `folder`, as a problem; None where there is none.

    `..` in the name itself is none: whoever reads the spec sees it.
    """
    real = os.path.realpath(folder)
    here = folder
    for part in Path(name).parts:
        here /= part
        if not os.path.islink(here):
            continue
        target = os.path.realpath(here)
        if not Path(target).is_relative_to(real):
            what = "is" if here == folder / name else "goes through"
            line = f"{name!r} {what} the symbolic link {str(here)!r} to {target!r}, outside of the spec's own folder"
            return SpecProblem(line, "source-outside")
    return None


def unpacked(
    folder: Path, trees: Iterable[Path], sources: Iterable[Path], left_out: Callable[[str], bool]
) -> list[str]:
    """The files of a spec's folder that nothing packs, sorted; a folder of which nothing is packed is one, with `/`.

    `left_out` says of a path in the folder that the spec leaves it out. What nobody means to ship, or looks like a key
    or a password, is not among them, nor is what has a dot in front. Of folders that cannot be read nothing is said.
    """
    roots = {os.path.realpath(tree) for tree in trees}
    packed = roots | {os.path.realpath(source) for source in sources}
    above = {str(parent) for path in packed for parent in Path(path).parents}
    found: list[str] = []
    folders = [(os.path.realpath(folder), "")]
    while folders:
        where, prefix = folders.pop()
        for item in _notable(where):
            path = os.path.realpath(item.path)
            if path in packed or left_out(prefix + item.name):
                continue
            if not item.is_dir():
                found.append(prefix + item.name)
            elif path in above and not item.is_symlink():
                folders.append((path, f"{prefix}{item.name}/"))
            elif path not in above and _has_files(path):
                found.append(f"{prefix}{item.name}/")
    return sorted(found)


def _notable(folder: str) -> Iterator[os.DirEntry[str]]:
    """The files and folders in a folder that somebody may mean to ship."""
    try:
        with os.scandir(folder) as listing:
            found = sorted(listing, key=lambda item: item.name)
    except OSError:
        return
    for item in found:
        if item.name.startswith(".") or is_litter(item.name) or _BESIDE.fullmatch(item.name):
            continue
        try:
            if item.is_dir() or (item.is_file() and not is_secret(item.name, os.fsencode(item.path))):
                yield item
        except OSError:
            yield item


def _has_files(folder: str) -> bool:
    """Whether somebody may mean to ship something of a folder."""
    waiting = [folder]
    for _ in range(limits.FILES):
        if not waiting:
            return False
        for item in _notable(waiting.pop()):
            if not item.is_dir():
                return True
            if not item.is_symlink():
                waiting.append(item.path)
    return True
