"""Goes from one generation to another one: back to an earlier one, or on to the one that waits.

The generation that a host goes to is proved first, its modules and each of its files: what was fine once may be revoked
or damaged by now.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from modseal.errors import RefusedError, UndecidedError
from modseal.host import plan as planning
from modseal.host.actor import LOCAL, Actor
from modseal.host.change import Change, facts_of, opened
from modseal.host.damaged import lost_failure
from modseal.host.documents import ModuleName, Reference
from modseal.host.extension import make_link
from modseal.host.installed import Installed, prove
from modseal.host.keep import Staging
from modseal.host.progress import SILENT, Progress
from modseal.host.store import Store, open_store
from modseal.host.verify import verify_generation
from modseal.host.write import advance


def rollback(
    root: Path,
    to: int | None,
    at: datetime,
    *,
    dry_run: bool = False,
    actor: Actor = LOCAL,
    progress: Progress = SILENT,
) -> Change:
    """Go back to a generation: by default give up the one that waits, else go to the one before the active one.

    Raises `RefusedError` (no-generation), and what `change.install` raises.
    """
    with opened(root, "rollback", at, actor, dry_run=dry_run) as (store, staging):
        state = store.state
        if state.pending and to in (None, state.generation.number):
            return _give_up(store, staging, at, state.pending)
        number = _parent(store) if to is None else to
        target = next((one for one in state.kept if one.number == number), None)
        if target is None:
            wanted = "before the active one" if number is None else str(number)
            raise RefusedError("no-generation", f"there is no generation {wanted}", generation=number)
        return _go(store, staging, at, "rollback", target, progress)


def activate(
    root: Path, at: datetime, *, dry_run: bool = False, actor: Actor = LOCAL, progress: Progress = SILENT
) -> Change:
    """Make the generation active that waits. Raises what `change.install` raises."""
    with open_store(root) as store:  # each boot asks: where nothing waits, nobody is refused
        if store.state.pending is None:
            return Change("activate")
    with opened(root, "activate", at, actor, dry_run=dry_run) as (store, staging):
        if store.state.pending is None:
            return Change("activate")
        return _go(store, staging, at, "activate", store.state.pending, progress)


def _parent(store: Store) -> int | None:
    """The generation that the active one was made from. Raises `RefusedError` (no-generation)."""
    number = store.state.generation.number
    try:
        return store.generation(store.state.generation).parent
    except UndecidedError as error:
        detail = f"generation {number}, which is active, is damaged, so nothing says which one was before it: name one"
        raise RefusedError("no-generation", f"{detail} with --to", generation=number) from error


def _left(store: Store, reference: Reference, at: datetime) -> tuple[list[Installed], list[ModuleName]]:
    """The modules of a generation that a host leaves, and those that nothing proves: it leaves them all the same.

    None are known where nothing says which they were.
    """
    try:
        recorded = store.generation(reference).modules
    except UndecidedError:
        return [], []
    found: list[Installed] = []
    lost: list[ModuleName] = []
    for one in recorded:
        try:
            found.append(prove(store, one, store.policy, at, unpack=False))
        except UndecidedError:
            lost.append(one)
    return found, lost


def _give_up(store: Store, staging: Staging | None, at: datetime, pending: Reference) -> Change:
    """The generation that waits is given up: the active one stays."""
    (before, lost), (after, _) = (_left(store, one, at) for one in (pending, store.state.generation))
    found = replace(planning.exchange(before, after), lost=tuple(lost), waits=())
    if staging:
        facts = {"generation": str(store.state.generation.number), "given_up": str(pending.number)}
        advance(store, staging, at, "rollback", facts, pending=None)
    return Change("rollback", plan=found, generation=store.state.generation.number)


def _go(
    store: Store, staging: Staging | None, at: datetime, action: str, target: Reference, progress: Progress
) -> Change:
    state = store.state
    if target.number == state.generation.number:
        return Change(action)
    if lost := lost_failure(store, target):  # all else that would be found of it follows from that
        return Change(action, failures=(lost,))
    progress.plan(3)
    looked = verify_generation(store, target, store.policy, at, progress)
    progress.begin("the active generation")
    before, gone = _left(store, state.generation, at)
    found = replace(planning.exchange(before, looked.modules), lost=tuple(gone))
    failures = tuple(finding.failure for finding in looked.findings)
    if failures:
        return Change(action, plan=found, failures=failures)
    waits = bool(found.waits) and action != "activate"
    if staging:
        where = {"pending": target} if waits else {"generation": target, "pending": None}
        make_link(store)
        advance(store, staging, at, action, facts_of(found, target.number, waits=waits), **where)
    return Change(action, plan=found, generation=target.number, waits=waits)
