"""Removes old generations: never one that is active, that waits, or that a rollback would go to.

Which generations there are is part of the state, so that they go, with the line of the log that says so, by the one
rename that every change is made by. Their files are removed after it, by this run or the next one (`write.clean`).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from modseal.host.actor import LOCAL, Actor
from modseal.host.change import opened
from modseal.host.damaged import lost_generations
from modseal.host.documents import Reference
from modseal.host.write import advance, numbers_text, retained
from modseal.values import dataclass


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of the generations: those that went, and those that there are, in order of their numbers."""

    removed: tuple[Reference, ...]
    kept: tuple[Reference, ...]


def prune(root: Path, keep: int, at: datetime, *, dry_run: bool = False, actor: Actor = LOCAL) -> Pruned:
    """Keep the newest generations, so many of them, and those that are needed; what is lost goes off the list.

    Raises what `change.install` raises.
    """
    with opened(root, "prune", at, actor, dry_run=dry_run) as (store, staging):
        state = store.state
        there = [one for one in state.kept if one not in lost_generations(store)]
        kept = retained(store, there, state.generation, state.pending, keep)
        removed = tuple(one for one in state.kept if one not in kept)
        if staging and removed:
            facts = {"removed": numbers_text(removed), "keep": str(keep)}
            advance(store, staging, at, "prune", facts, kept=kept)
        return Pruned(removed, kept)
