"""Writes generations and states: everything beside what holds, and then one rename.

The order is what keeps a host whole when a run is killed: objects and records, then the generation, then the state,
then the pointer to it, then the line of the log. Until the pointer is renamed nothing of it counts, and the next change
removes it (`clean`).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from modseal.errors import Failure, ModsealError, RefusedError, UndecidedError
from modseal.files import folder, left_behind
from modseal.files.tree import Tree
from modseal.format.manifest import Entry, FileType
from modseal.format.times import time_text
from modseal.host import documents, event_log, image
from modseal.host.actor import Actor, refusal
from modseal.host.compare import differences
from modseal.host.damaged import prove_if_sound, recorded_modules
from modseal.host.documents import Generation, HostState, ModuleName, Reference
from modseal.host.installed import Installed
from modseal.host.keep import Staging
from modseal.host.scan import TOP, scan
from modseal.host.store import (
    CURRENT,
    GENERATION_FILE,
    GENERATIONS,
    IMAGE,
    OBJECTS,
    RECORDS,
    STATE_FILE,
    STATES,
    Store,
    object_name,
    open_store,
    record_name,
    records_of,
    remove_tree,
)

_FILE = 0o400


@contextmanager
def changing(root: Path, action: str, at: datetime, actor: Actor) -> Iterator[tuple[Store, Staging]]:
    """A store that nobody else changes meanwhile, what killed runs left in it removed, and a folder to stage in.

    The actor may make this change, or is refused here, which is logged. Every change but the first one of a host comes
    through here, or through `unlocking`. Raises what `open_store` raises, `InputError` where another change is running,
    `UndecidedError` (clock-set-back), `RefusedError` (host-locked-down).
    """
    with unlocking(root, at, actor) as (store, staging):
        if failure := refusal(store.state, actor, action):
            refuse(store, staging, at, failure)
        yield store, staging


@contextmanager
def unlocking(root: Path, at: datetime, actor: Actor) -> Iterator[tuple[Store, Staging]]:
    """As `changing`, for the one change that a lockdown does not stop: its end by a broken glass."""
    with open_store(root) as before, folder.locked(before.path, "another change of this host is running"):
        store = Store(root, before.descriptor)  # it may have changed while this waited
        store.require_clock(at)
        event_log.complete(store)
        clean(store)
        staging = Staging(store.descriptor, actor)
        failed = True
        try:
            yield store, staging
            failed = False
        finally:
            staging.close()
            with suppress(OSError, ModsealError):  # what cannot be cleaned now, the next change cleans
                clean(Store(root, store.descriptor), failed=failed)  # by the state that holds now, the old or the new


def clean(store: Store, *, failed: bool = False) -> None:
    """Remove what failed and killed runs left, and what was pruned.

    That is staging folders, states and generations that are not among those that hold, and parts that nothing needs.
    Raises `OSError`, `UndecidedError` (host-invalid).
    """
    newest = store.state.event.number
    left = [name for name in os.listdir(store.descriptor) if left_behind.is_ours(name)]
    kept = {str(one.number) for one in store.state.kept}
    left += [f"{GENERATIONS}/{name}" for name in store.names(GENERATIONS) if name not in kept]
    left += [f"{STATES}/{name}" for name in store.names(STATES) if name not in (str(newest), str(newest - 1))]
    for name in left:
        remove_tree(name, store.descriptor)
    if left or failed:
        with suppress(UndecidedError):  # where a record cannot be read, nobody knows what is still needed
            _sweep(store)


def _sweep(store: Store) -> None:
    """Remove objects that no image has a link to, and records that nothing refers to."""
    state = store.state
    wanted = {state.policy.text, *(digest for _, digest in state.policy.files)}
    wanted |= {*(one.sha256 for one in state.depots), *state.recalls}
    for kept in state.kept:
        for module in store.generation(kept).modules:
            wanted |= {module.record, *(digest for digest, _ in records_of(store.module(module.record)))}
    for where in (OBJECTS, RECORDS):
        for above in store.names(where):
            with suppress(OSError), folder.above(f"{where}/{above}/.", store.descriptor) as (descriptor, _):
                for name in os.listdir(descriptor):
                    unused = folder.status_of(name, descriptor)
                    if unused and unused.st_nlink == 1 and (where == OBJECTS or above + name not in wanted):
                        with suppress(OSError):  # bound by chattr: `host verify` says so, and nothing needs it
                            os.unlink(name, dir_fd=descriptor)
            with suppress(OSError), folder.above(f"{where}/{above}", store.descriptor) as (descriptor, name):
                os.rmdir(name, dir_fd=descriptor)  # unless others are in it


def add_generation(store: int, staging: Staging, generation: Generation, modules: Sequence[Installed]) -> Reference:
    """Write a generation of these modules, and what it needs of the staged parts. Nothing refers to it yet.

    Raises `OSError`.
    """
    named = tuple(
        ModuleName(one.manifest.vendor, one.name, one.version, staging.record(documents.encode(one.record)))
        for one in modules
    )
    generation = replace(generation, modules=named)
    paths = image.layout(module.entries for module in modules)
    objects = {path: _object(entry) for path, entry in paths.items() if entry.type is FileType.FILE}
    staging.add_object(image.RELEASE, 0o644)
    records = [record_name(digest) for one in modules for digest, _ in records_of(one.record)]
    staging.place([*objects.values(), *records, *(record_name(one.record) for one in named)])
    data = documents.encode(generation)
    name = f"{GENERATIONS}/{generation.number}"
    _stage(staging.descriptor, GENERATION_FILE, data)
    _build(staging.descriptor, paths, objects, store)
    _require_built(staging.descriptor, paths, store)
    os.sync()  # all of it in one call: after a power cut nothing may be empty under its name
    _move("new", staging.descriptor, name, store)
    _sync(GENERATIONS, store)
    return Reference(generation.number, documents.sha256_of(data))


def heal(store: Store, staging: Staging, names: Collection[str], at: datetime) -> None:
    """Put these objects, which are good, into the images of all generations, where one of their own has the file.

    Images share their files: else nobody could go back to a generation that has one of them, if it was damaged. Where a
    file belongs says the signed manifest: what is there by now may be any file, also one of another module.
    """
    for reference in store.state.kept:
        for module in recorded_modules(store, reference, []) or ():
            found = prove_if_sound(store, module, None, at, [])
            for entry in found.entries if found else ():
                if entry.type is FileType.FILE and _object(entry) in names:
                    with suppress(OSError):  # bound, or a folder is in its place: whoever goes there is told
                        _put(store, staging, _object(entry), f"{GENERATIONS}/{reference.number}/{IMAGE}/{entry.path}")


def _put(store: Store, staging: Staging, name: str, path: str) -> None:
    with folder.above(path, store.descriptor) as (parent, last), folder.above(name, store.descriptor) as (above, good):
        there, wanted = folder.status_of(last, parent), folder.status_of(good, above)
        if wanted and not (there and os.path.samestat(there, wanted)):
            healed = left_behind.new_name()
            os.link(good, healed, src_dir_fd=above, dst_dir_fd=staging.descriptor, follow_symlinks=False)
            os.rename(healed, last, src_dir_fd=staging.descriptor, dst_dir_fd=parent)


def _object(entry: Entry) -> str:
    return object_name(entry.sha256.hex() if entry.sha256 else "", entry.mode or 0)


def _stage(staging: int, name: str, data: bytes) -> None:
    """A new folder `new` in the staging folder, with this file."""
    os.close(folder.make("new", staging))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(f"new/{name}", flags, _FILE, dir_fd=staging), "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), _FILE)  # whatever the umask is
        os.fsync(file.fileno())


def _build(staging: int, paths: Mapping[str, Entry], objects: Mapping[str, str], store: int) -> None:
    descriptor = folder.make(f"new/{IMAGE}", staging)
    try:
        tree = Tree(descriptor)
        try:
            image.build(tree, paths, objects, store)
        finally:
            tree.close()
        os.fchmod(descriptor, image.FOLDER_MODE)
    finally:
        os.close(descriptor)


def switch(store: int, staging: Staging, state: HostState) -> None:
    """Make a state the one that holds. From the rename of the pointer on it does. Raises `OSError`."""
    name = f"{STATES}/{state.event.number}"
    remove_tree(name, store)  # what a killed run left, if anything
    _stage(staging.descriptor, STATE_FILE, documents.encode(state))
    os.symlink(f"../../{GENERATIONS}/{state.generation.number}/{IMAGE}", f"new/{IMAGE}", dir_fd=staging.descriptor)
    _sync("new", staging.descriptor)
    _move("new", staging.descriptor, name, store)
    _sync(STATES, store)
    os.symlink(name, CURRENT, dir_fd=staging.descriptor)
    os.rename(CURRENT, CURRENT, src_dir_fd=staging.descriptor, dst_dir_fd=store)
    folder.sync(store)
    with suppress(OSError):  # the event is in the state, and the next change adds its line
        event_log.append(store, state.event)
    remove_tree(f"{STATES}/{state.event.number - 2}", store)  # the one before stays for who reads it right now


def _require_built(staging: int, paths: Mapping[str, Entry], store: int) -> None:
    """The files were good when they were looked at; what was linked since then must be those.

    Raises `UndecidedError` (host-invalid).
    """
    expected = {**paths, TOP: Entry(TOP, FileType.DIRECTORY, image.FOLDER_MODE)}
    descriptor = folder.open_below(f"new/{IMAGE}", staging)
    try:
        found = scan(descriptor, frozenset(entry.size for entry in paths.values() if entry.size is not None))
    finally:
        os.close(descriptor)
    status = os.fstat(store)
    for one in differences(expected, {}, found, (status.st_uid, status.st_gid)):
        detail = f"somebody changed the store meanwhile, so nothing was made active: {one.failure.detail}"
        raise UndecidedError("host-invalid", detail, **one.failure.evidence)


def _move(name: str, staging: int, path: str, store: int) -> None:
    with folder.above(path, store) as (parent, last):
        os.rename(name, last, src_dir_fd=staging, dst_dir_fd=parent)


def _sync(name: str, parent: int) -> None:
    descriptor = os.open(name, folder.FLAGS, dir_fd=parent)
    try:
        folder.sync(descriptor)
    finally:
        os.close(descriptor)


def advance(
    store: Store, staging: Staging, at: datetime, event: str, facts: Mapping[str, str], **changes: object
) -> None:
    """Change the state, and log that as an event. Raises `OSError`."""
    following = event_log.following(store.state.event, at, event, facts, staging.actor)
    changes = {"changed": following.time, **changes}
    state = documents.bound(replace(store.state, event=following, **changes))  # type: ignore[arg-type]
    switch(store.descriptor, staging, state)


def refuse(store: Store, staging: Staging, at: datetime, failure: Failure) -> NoReturn:
    """Log that somebody was refused a change, and raise that as a `RefusedError`. Raises `OSError`.

    The host's clock stays: else anybody who is refused at a wrong time, far ahead, would stop those who may change it.
    """
    facts = {"code": failure.code, "detail": event_log.bounded(failure.detail)}
    advance(store, staging, at, "refused", facts, changed=store.state.changed)
    raise RefusedError(failure.code, failure.detail, **failure.evidence)


def retained(
    store: Store, there: Sequence[Reference], active: Reference, pending: Reference | None, most: int
) -> tuple[Reference, ...]:
    """The generations that stay of those that are there: the newest ones, so many, and those that are needed.

    Needed are the active one, the one that waits, and the one that each was made from, where a rollback goes to.
    Raises `UndecidedError` (host-invalid).
    """
    needed = [active, *([pending] if pending else [])]
    numbers = {one.number for one in needed} | {store.generation(one).parent for one in needed}
    newest = there[-most:]
    return tuple(one for one in there if one in newest or one.number in numbers)


def numbers_text(references: Sequence[Reference]) -> str:
    """Generations as the log has them."""
    return ", ".join(str(one.number) for one in references)


def next_generation(store: Store, at: datetime, action: str) -> Generation:
    """The generation after the newest one, without modules."""
    return Generation(store.state.last + 1, store.newest.number, time_text(at), action)
