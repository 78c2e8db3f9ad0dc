"""The result of a change that its asker did not live to see, from its line of the log and the generations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from modseal.errors import PolicyError, UndecidedError
from modseal.host import plan as planning
from modseal.host import values
from modseal.host.change import Change
from modseal.host.documents import Event, Reference
from modseal.host.look import modules_of
from modseal.host.prune import Pruned
from modseal.host.store import Store


def logged_result(store: Store, events: Sequence[Event], done: Event, at: datetime) -> dict[str, Any]:
    """The document that the command would have printed, of an event of a log that is whole.

    Modules are proved again, under today's policy; which bundles they came in is not known any more. Where a generation
    is gone or damaged by now, it is said which one was made, and not what changed with it.
    """
    if done.event == "prune":
        gone = set(done.facts["removed"].split(", "))
        kept = tuple(one for one in store.state.kept if str(one.number) not in gone)
        return {**values.pruned_values(Pruned((), kept)), "removed": sorted(map(int, gone))}
    number, plan = int(done.facts["generation"]), None
    with suppress(UndecidedError, PolicyError):
        references = {one.number: one for one in store.state.kept}
        before = _before(store, references, events, done)
        if before in references and number in references:
            plan = planning.exchange(*(modules_of(store, references[one], at) for one in (before, number)))
    waits = "waits" in done.facts and done.event != "activate"
    return values.change_values(Change(done.event, plan=plan, generation=number, waits=waits))


def _before(store: Store, references: Mapping[int, Reference], events: Sequence[Event], done: Event) -> int | None:
    """The generation that a change began with. Raises `UndecidedError`."""
    if "given_up" in done.facts:
        return int(done.facts["given_up"])
    number = int(done.facts["generation"])
    if done.event not in ("rollback", "activate"):
        return store.generation(references[number]).parent if number in references else None
    earlier = (one.facts for one in events if one.number < done.number)
    active = [int(facts["generation"]) for facts in earlier if "generation" in facts and "waits" not in facts]
    return active[-1] if active else 0
