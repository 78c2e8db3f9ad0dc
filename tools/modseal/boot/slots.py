"""Which slot and which generation a host starts, tries, keeps, and goes back to. Decides; `update` and `machine` do it.

A host has two slots, a and b: boot program and root. Each remembers the generation of modules that it starts, and the
one before. A new state is tried once: the firmware is told to start another slot one time, or the document says that a
generation is to be started one time. What then runs well is kept; else the next start is that of before.

The document lies on the data partition, where whoever has the disk can change it. It says where to look, and nothing
in it is believed: what is started is proved by the firmware, the root hash and the policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from modseal.boot.documents import NUMBER, Sha256Text
from modseal.boot.requests import Request, RollbackRequest, Running, UpdateRequest, invalid
from modseal.errors import Failure, RefusedError, UndecidedError
from modseal.format import canonical_json
from modseal.format.shape import Boolean, Nullable, Table, Text, TextMap

SCHEMA = "modseal/image-slots@1"
FILE = "slots.json"
NAMES = ("a", "b")
_NAME = Text(choices=NAMES)
_STATE = Table({"version": NUMBER, "generation": NUMBER})
_SHAPE = Table(
    {
        "schema": Text(choices=(SCHEMA,)),
        "slots": TextMap(
            _NAME,
            Table({"version": NUMBER, "program": Sha256Text, "generation": NUMBER, "previous": Nullable(NUMBER)}),
            most=len(NAMES),
        ),
        "trial": Nullable(Table({"slot": _NAME, "before": _NAME, "state": _STATE, "started": Boolean()})),
        "newest": _STATE,
        "failed": Nullable(_STATE),
    }
)


@dataclass(frozen=True, slots=True)
class Slot:
    """What a slot has: its root's version, its program's digest, the generation that it starts, and the one before."""

    version: int
    program: str
    generation: int
    previous: int | None = None

    @property
    def state(self) -> Running:
        """What runs where this slot is started."""
        return Running(self.version, self.generation)


@dataclass(frozen=True, slots=True)
class Trial:
    """A state that is to be started once, in `slot`; `before` is the slot that was running when it was taken."""

    slot: str
    before: str
    state: Running
    started: bool = False


@dataclass(frozen=True, slots=True)
class Slots:
    """The whole document. `newest` is the newest version and the newest generation that ever ran well."""

    slots: dict[str, Slot]
    trial: Trial | None
    newest: Running
    failed: Running | None = None


@dataclass(frozen=True, slots=True)
class SlotStart:
    """What to start in this slot: whether it is on trial, and the document to write before anything else is done."""

    generation: int
    trial: bool
    slots: Slots


@dataclass(frozen=True, slots=True)
class Limits:
    """What a root image says of going back: the lowest version, and digests of programs that must not be started."""

    floor: int
    revoked: frozenset[str]


def first(version: int, program: str, generation: int) -> Slots:
    """The document of a disk as it is built: slot a is in use, and b is empty."""
    return Slots({"a": Slot(version, program, generation)}, None, Running(version, generation))


def other(slot: str) -> str:
    """The other slot's name."""
    return NAMES[1 - NAMES.index(slot)]


def start(found: Slots, slot: str) -> SlotStart:
    """What to start where the firmware has started this slot. Raises `UndecidedError` (host-invalid)."""
    own, trial = found.slots.get(slot), found.trial
    if own is None:
        raise UndecidedError("host-invalid", f"{FILE} does not know of slot {slot}, which the firmware has started")
    if trial and trial.slot == slot and (not trial.started or trial.before != slot):
        # In another slot than before, the firmware decides: it has been told to start it once, or for good.
        return SlotStart(trial.state.generation, True, replace(found, trial=replace(trial, started=True)))
    if trial:
        return SlotStart(own.generation, False, replace(found, trial=None, failed=trial.state))
    return SlotStart(own.generation, False, found)


def failure(found: Slots) -> Failure | None:
    """That the state that was tried last did not run well."""
    if found.failed is None:
        return None
    detail = f"{found.failed} was tried, and did not run well; this is what ran before"
    return Failure("update-failed", detail, {"version": found.failed.version, "generation": found.failed.generation})


def kept(found: Slots) -> Slots:
    """The document once what is on trial runs well."""
    trial = found.trial
    if trial is None:
        return found
    slot = found.slots[trial.slot]
    if trial.state.generation != slot.generation:
        slot = replace(slot, generation=trial.state.generation, previous=slot.generation)
    newest = Running(
        max(found.newest.version, trial.state.version), max(found.newest.generation, trial.state.generation)
    )
    return Slots({**found.slots, trial.slot: slot}, None, newest, None)


def target(request: Request, found: Slots, slot: str, host: str, limits: Limits) -> str:
    """The slot that a request is about, if it is to be followed here and now; `slot` is the one that runs.

    Raises `RefusedError` (update-invalid, version-downgraded, version-below-floor, denied, no-generation).
    """
    if request.host != host:
        raise invalid(f"it is for the host {request.host}, and this is {host}")
    if found.trial:
        raise invalid("an update is being tried; wait until it is kept or given up")
    running = found.slots[slot]
    if isinstance(request, RollbackRequest):
        return _back(request, found, slot, limits)
    newest = found.newest
    if request.state.generation <= newest.generation:
        raise _old(f"generation {request.state.generation}", f"generation {newest.generation}")
    if request.program == running.program and request.state.version == running.version:
        second = found.slots.get(other(slot))
        if second and request.state.generation in (second.generation, second.previous):
            raise _old(f"generation {request.state.generation}", f"that of slot {other(slot)}")
        return slot
    if request.state.version <= newest.version:
        raise _old(f"version {request.state.version} with another program", f"version {newest.version}")
    _require_allowed(request.state.version, request.program, limits)
    return other(slot)


def _back(request: RollbackRequest, found: Slots, slot: str, limits: Limits) -> str:
    running, second = found.slots[slot], found.slots.get(other(slot))
    if request.running != running.state:
        raise invalid(f"it leads back from {request.running}, and this host runs {running.state}")
    if request.state == Running(running.version, running.previous or 0):
        return slot
    if second is None or request.state != second.state:
        raise RefusedError("no-generation", f"the host does not have {request.state} any more")
    _require_allowed(second.version, second.program, limits)
    return other(slot)


def _require_allowed(version: int, program: str, limits: Limits) -> None:
    if version < limits.floor:
        detail = f"version {version} is below {limits.floor}, the floor of this host"
        raise RefusedError("version-below-floor", detail, version=version, floor=limits.floor)
    if program in limits.revoked:
        raise RefusedError("denied", f"the boot program {program} is revoked")


def _old(what: str, than: str) -> RefusedError:
    return RefusedError("version-downgraded", f"{what} is not newer than {than}, which this host has")


def cleared(found: Slots, slot: str) -> Slots:
    """The document while this slot is written to: it is empty."""
    return replace(found, slots={name: one for name, one in found.slots.items() if name != slot})


def tried(found: Slots, request: Request, slot: str, before: str) -> Slots:
    """The document that has the state of a request tried once in `slot`, while `before` runs."""
    filled = found.slots
    if isinstance(request, UpdateRequest) and slot != before:
        filled = {**filled, slot: Slot(request.state.version, request.program, request.state.generation)}
    return Slots(filled, Trial(slot, before, request.state), found.newest, None)


def generations(found: Slots) -> Iterator[int]:
    """The generations that the document names, and that must stay."""
    for one in found.slots.values():
        yield one.generation
        if one.previous:
            yield one.previous
    if found.trial:
        yield found.trial.state.generation


def encode(found: Slots) -> bytes:
    """The bytes of the document."""
    return canonical_json.dump({"schema": SCHEMA, **asdict(found)}) + b"\n"


def decode(data: bytes) -> Slots:
    """Raises `FormatError`."""
    plain: Any = canonical_json.load(data, FILE)
    problem = next(iter(_SHAPE.problems(plain)), None)
    if problem:
        raise canonical_json.bad(FILE, str(problem))
    trial, failed = plain["trial"], plain["failed"]
    return Slots(
        {name: Slot(**one) for name, one in plain["slots"].items()},
        Trial(**{**trial, "state": Running(**trial["state"])}) if trial else None,
        Running(**plain["newest"]),
        Running(**failed) if failed else None,
    )
