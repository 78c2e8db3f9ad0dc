"""Opens an image store of which something may be damaged: to verify or to show it, and for nothing else.

What cannot be read is a failure, so that the verdict is not "accepted" whatever else is found. What can be checked all
the same is checked by the state before the one that cannot be read, with the generation that is active now.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

from modseal import limits
from modseal.errors import Failure, InputError, PolicyError, UndecidedError
from modseal.files import folder
from modseal.format.level import Level
from modseal.format.recall import Recall
from modseal.host.compare import HostDifference
from modseal.host.documents import HostState, ModuleName, Reference
from modseal.host.installed import Installed, prove
from modseal.host.keep import is_good
from modseal.host.store import (
    CURRENT,
    GENERATIONS,
    IMAGE,
    STATE_LINK,
    STATES,
    Store,
    StoreFolder,
    open_place,
    record_name,
    require_private,
    status_below,
)
from modseal.trust.policy import Policy

T = TypeVar("T")

_PAUSE = 0.02
"""Seconds between two looks at whether a change has ended (`limits.HOST_CHANGE_LOOKS`)."""
_NOBODY = Policy("", Level.COMMUNITY)
"""Trusts nobody: what is examined under it says what a module brings, and nothing of who signed it."""


class OpenedStore(NamedTuple):
    """A store, and what is wrong with it so far. `holds` says that its state is the one that holds.

    `store` is None where no state can be read: then its folder is all that there is.
    """

    folder: StoreFolder
    store: Store | None
    holds: bool
    failures: list[Failure]


@contextmanager
def open_damaged(root: Path) -> Iterator[OpenedStore]:
    """An image store, whatever is damaged of it. Raises `UsageError`, `UndecidedError` where there is none."""
    descriptor = open_place(root)
    place = StoreFolder(root, descriptor)
    failures: list[Failure] = []
    try:
        with noted(failures):
            require_private(descriptor, place.path)
        try:
            found = OpenedStore(place, Store(root, descriptor), True, failures)
        except UndecidedError as error:
            failures.append(error.failure)
            found = OpenedStore(place, _stand_in(root, descriptor), False, failures)
        yield found
    except OSError as error:
        raise InputError.of(place.path, error) from error
    finally:
        os.close(descriptor)


def pointer(place: StoreFolder) -> str | None:
    """Where the one pointer to what holds leads: to another state after each change."""
    with suppress(OSError):
        return os.readlink(CURRENT, dir_fd=place.descriptor)
    return None


def is_changing(place: StoreFolder) -> bool:
    """Whether a change was being made just now; its end is waited for, but not for ever.

    A change that is being made has files of its own in the store, and its line of the log is written after its state.
    """
    for tried in range(limits.HOST_CHANGE_LOOKS):
        try:
            with folder.locked(place.path, "another change of this host is running"):
                return tried > 0
        except InputError:
            time.sleep(_PAUSE)
    return True


def at_rest(look: Callable[[], tuple[T, bool]]) -> tuple[T, bool]:
    """What a look at a host finds, and whether nobody changed the host meanwhile; else it looks a few times more."""
    found, held = look()
    for _ in range(1, limits.HOST_LOOKS):
        if held:
            break
        found, held = look()
    return found, held


@contextmanager
def noted(failures: list[Failure]) -> Iterator[None]:
    """Keep what the block finds to be damaged as a failure, and go on after it."""
    try:
        yield
    except (UndecidedError, PolicyError) as error:
        failures.append(error.failure)


def _stand_in(root: Path, descriptor: int) -> Store | None:
    """The store with the newest state that can be read, and in it the generation that systemd-sysext is led to."""
    current = None
    with suppress(OSError):
        current = os.readlink(CURRENT, dir_fd=descriptor)
    for number in sorted(_states(descriptor), reverse=True):
        with suppress(UndecidedError):
            store = Store(root, descriptor, f"{STATES}/{number}")
            if current and STATE_LINK.fullmatch(current):
                store.state_name = current
                store.state = _with_active(store, current)
            return store
    return None


def _states(descriptor: int) -> list[int]:
    with suppress(OSError):
        below = os.open(STATES, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
        try:
            return [int(name) for name in os.listdir(below) if STATE_LINK.fullmatch(f"{STATES}/{name}")]
        finally:
            os.close(below)
    return []


def _with_active(store: Store, current: str) -> HostState:
    """The state with the generation whose image is active, proved where an earlier state has named it."""
    number = image_number(store, current)
    if number is None:
        return store.state
    kept = next((one for one in store.state.kept if one.number == number), None)
    with suppress(UndecidedError):
        kept = kept or store.any_generation(number)[1]
    return replace(store.state, generation=kept or Reference(number, ""), pending=None)


def image_number(store: Store, state_name: str) -> int | None:
    """The generation that a state's link to an image names; None where it is no such link."""
    with suppress(OSError, ValueError):
        with folder.above(f"{state_name}/{IMAGE}", store.descriptor) as (state, name):
            _, _, _, number, image = os.readlink(name, dir_fd=state).split("/")
        return int(number) if image == IMAGE else None
    return None


def kept_policy(store: Store, failures: list[Failure]) -> Policy | None:
    """The host's policy, less the recalls that cannot be read; None where it cannot be read itself."""
    try:
        policy = store.own_policy()
    except (UndecidedError, PolicyError) as error:
        failures.append(error.failure)
        policy = None
    kept: list[Recall] = []
    for one in store.state.recalls:
        with noted(failures):
            kept.append(store.recall(one))
    return None if policy is None else replace(policy, kept_recalls=tuple(kept))


def recorded_modules(
    store: Store, reference: Reference, findings: list[HostDifference]
) -> tuple[ModuleName, ...] | None:
    """The modules that are recorded in a generation; if it is not the one that was made, those that it has now.

    None where its document cannot be read.
    """
    try:
        return store.generation(reference).modules
    except UndecidedError as error:
        findings.append(HostDifference(None, error.failure))
    try:
        return store.any_generation(reference.number)[0].modules
    except UndecidedError:
        return None


def prove_if_sound(
    store: Store,
    module: ModuleName,
    policy: Policy | None,
    at: datetime,
    findings: list[HostDifference],
) -> Installed | None:
    """A module as `installed.prove` gives it; None where its stored parts are not those that were installed.

    Without a policy nobody's signature counts.
    """
    try:
        return prove(store, module, policy or _NOBODY, at)
    except UndecidedError as error:
        failure = Failure("installed-changed", error.failure.detail, error.failure.evidence)
        findings.append(HostDifference(module.name, failure))
        return None


def unread_failures(store: Store, modules: Iterable[Installed]) -> Iterator[Failure]:
    """What is wrong with what proves no module: decisions about modules, what was seen of depots, old generations."""
    for digest in (*(one.record.decision for one in modules), *(one.sha256 for one in store.state.depots)):
        path = record_name(digest)
        if not is_good(path, store.descriptor, limits.HOST_DOCUMENT_SIZE):
            yield Failure("host-invalid", f"{path} is missing, or is not what was written", {"path": path})
    yield from lost_generations(store).values()


def lost_generations(store: Store) -> dict[Reference, Failure]:
    """The generations that are kept to go back to, and are not there; the others may be damaged all the same.

    What is in one is proved when somebody goes back to it.
    """
    back = [one for one in store.state.kept if one not in (store.state.generation, store.state.pending)]
    return {one: failure for one in back if (failure := lost_failure(store, one))}


def lost_failure(store: Store, reference: Reference) -> Failure | None:
    """Why nobody can go to a generation that is kept: its document is not the one that was made, or it has no image."""
    try:
        store.generation(reference)
        where = f"{GENERATIONS}/{reference.number}/{IMAGE}"
        why = f"{where} is missing" if status_below(where, store.descriptor) is None else ""
    except UndecidedError as error:
        why = error.failure.detail
    detail = f"nobody can go back to generation {reference.number}: {why}"
    return Failure("generation-lost", detail, {"generation": reference.number}) if why else None
