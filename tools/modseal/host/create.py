"""Makes an image store below a root: its folders, the policy as its original bytes, and generation 0, an empty one."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from modseal.errors import InputError, PolicyError, UsageError
from modseal.files import folder
from modseal.format.break_glass import new_random
from modseal.format.level import Level
from modseal.format.times import time_text
from modseal.host import event_log
from modseal.host.actor import LOCAL, Actor
from modseal.host.documents import Generation, HostState, PolicyRecord, bound
from modseal.host.extension import EXTENSIONS, link_of_extension
from modseal.host.image import EXTENSION
from modseal.host.keep import Staging
from modseal.host.store import FOLDERS, PLACE, record_name, remove_tree
from modseal.host.write import add_generation, switch
from modseal.trust.policy import Policy


def create(root: Path, policy: Policy, level: Level | None, at: datetime, *, actor: Actor = LOCAL) -> HostState:
    """Make the store of a host, with a policy and a level (None: the policy's minimum).

    Raises `UsageError` where there is one already, `InputError`; then nothing is left.
    """
    made: list[tuple[str, int]] = []
    descriptors: list[int] = []
    try:
        descriptors.append(_root(root))
        for path in (PLACE, EXTENSIONS):
            above = descriptors[0]
            for name in path:
                above = _enter(name, above, made, is_store=name == PLACE[-1])
                descriptors.append(above)
        state = _fill(descriptors[len(PLACE)], policy, level or policy.minimum_level, at, actor)
        _extend(root, descriptors[-1], made)
    except BaseException as error:
        for name, parent in reversed(made):
            remove_tree(name, parent)
        if isinstance(error, OSError):
            raise InputError.of(root, error) from error
        raise
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return state


def _root(root: Path) -> int:
    try:
        return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UsageError(f"there is no folder {root}; make it first, or name another --root") from None
    except NotADirectoryError:
        raise UsageError(f"{root} is not a folder; name one with --root") from None


def _enter(name: str, above: int, made: list[tuple[str, int]], *, is_store: bool) -> int:
    """A folder below another one, made where it is missing; the store must be. No link is followed.

    Raises `UsageError`, `OSError`.
    """
    if folder.status_of(name, above) is None:
        descriptor = folder.make(name, above)
        made.append((name, above))
        if not is_store:
            os.fchmod(descriptor, 0o755)
        return descriptor
    if is_store:
        raise UsageError(f"there is an image store below this root already: /{'/'.join(PLACE)}")
    return os.open(name, folder.FLAGS, dir_fd=above)


def _fill(store: int, policy: Policy, level: Level, at: datetime, actor: Actor) -> HostState:
    for name in FOLDERS:
        os.close(folder.make(name, store))
    staging = Staging(store, actor)
    try:
        record = keep_policy(staging, policy)
        staging.place([record_name(digest) for digest in (record.text, *(each for _, each in record.files))])
        empty = Generation(0, None, time_text(at), "init")
        reference = add_generation(store, staging, empty, ())
        facts = {
            "policy": policy.source,
            "policy_sha256": policy.origin.digest if policy.origin else "",
            "level": str(level),
        }
        event = event_log.following(None, at, "init", facts, actor)
        host = new_random()
        state = bound(HostState(reference, None, 0, (reference,), level, record, event, host, event.time))
        switch(store, staging, state)
        return state
    finally:
        staging.close()


def keep_policy(staging: Staging, policy: Policy) -> PolicyRecord:
    """Stage the original bytes of a policy and of each file that it names. Raises `PolicyError`."""
    if policy.origin is None:
        raise PolicyError(f"{policy.source}: a policy that was not read from bytes cannot be kept")
    files = tuple((name, staging.record(data)) for name, data in policy.origin.files)
    return PolicyRecord(policy.source, policy.origin.built_in, staging.record(policy.origin.text), files)


def _extend(root: Path, extensions: int, made: list[tuple[str, int]]) -> None:
    """The name under which systemd-sysext finds the active image. It leads there whatever the root is mounted as."""
    _, target = link_of_extension(root)
    if folder.status_of(EXTENSION, extensions) is None:
        os.symlink(target, EXTENSION, dir_fd=extensions)
        made.append((EXTENSION, extensions))
    elif not _leads(EXTENSION, extensions, target):
        raise UsageError(f"{root.joinpath(*EXTENSIONS, EXTENSION)} is there already, and is something else; remove it")


def _leads(name: str, above: int, target: str) -> bool:
    try:
        return os.readlink(name, dir_fd=above) == target
    except OSError:
        return False
