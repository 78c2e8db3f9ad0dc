"""Whose a path is: no two modules bring the same one, and none reaches into what is another's; for host and profiles.

The rules of one module's tree (`format.rules.check_tree`) hold for the trees of all modules together: no twins by
letter case or Unicode, nothing below a file or a link of another. Only a folder may be of several modules, if it is the
same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from modseal.depot.relations import Related
from modseal.errors import Failure
from modseal.format import rules
from modseal.format.manifest import Entry, FileType


class Placed(Related, Protocol):
    """A module with all that it brings."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Its files, folders and links, as they are in its payloads."""


def collisions(modules: Sequence[Placed]) -> Iterator[Failure]:
    """Every path that two of some modules both lay claim to."""
    owners: dict[str, tuple[Entry, Placed]] = {}
    entries: list[Entry] = []
    for module in modules:
        own: set[str] = set()  # payloads of one .vib may have the same folder, and were judged together
        for entry in module.entries:
            found = owners.get(entry.path)
            if found is None:
                owners[entry.path] = (entry, module)
                entries.append(entry)
            elif not _is_shared(found[0], entry) and entry.path not in own:
                yield _collision(entry.path, module, entry.path, found[1])
            own.add(entry.path)
    for failure in rules.check_tree(entries):
        yield _explained(failure, owners)
    yield from _closed_folders(modules, owners)


def _closed_folders(modules: Sequence[Placed], owners: Mapping[str, tuple[Entry, Placed]]) -> Iterator[Failure]:
    """Folders that one module declares with a mode of its own, and in which another has something.

    A module that declares no folder above its files has them below folders of the usual mode.
    """
    closed = {
        path: module
        for path, (entry, module) in owners.items()
        if entry.type is FileType.DIRECTORY and entry.mode != rules.FOLDER_MODE
    }
    for module in modules if closed else ():
        declared = {entry.path for entry in module.entries}
        above = {parent for path in declared for parent in rules.parents(path)} - declared
        for path in sorted(above & closed.keys()):
            yield _collision(path, closed[path], path, module)


def _is_shared(one: Entry, other: Entry) -> bool:
    return one.type is other.type is FileType.DIRECTORY and one.mode == other.mode


def _explained(failure: Failure, owners: dict[str, tuple[Entry, Placed]]) -> Failure:
    """A failure of the whole tree with the two modules that it is between."""
    path, other = str(failure.evidence["path"]), str(failure.evidence["other"])
    return _collision(path, _owner(path, owners), other, _owner(other, owners))


def _owner(shown: str, owners: dict[str, tuple[Entry, Placed]]) -> Placed:
    """Whose a path is, or, of a folder that nobody declares, who brings something below it."""
    for path, (_, module) in owners.items():
        if any(rules.shown(one) == shown for one in (path, *rules.parents(path))):
            return module
    raise AssertionError(f"nobody brings {shown}")


def _collision(path: str, module: Placed, other: str, owner: Placed) -> Failure:
    twin = "" if rules.shown(path) == rules.shown(other) else f" (as {rules.shown(other)!r})"
    detail = (
        f"{module.name} {module.version} brings {rules.shown(path)!r}, which {owner.name} {owner.version} has{twin}"
    )
    return Failure(
        "path-owned",
        detail,
        {"module": module.name, "path": rules.shown(path), "owner": owner.name, "other": rules.shown(other)},
    )
