"""The documents of an image store: what is written down about a host, each with the one form of its bytes.

Canonical JSON and a line feed. All of them are records of what was done, none of them proves anything: what a module is
and who signed it is proved from the manifest's and the signature's own bytes, which are kept as they were
(`host.installed`). A document is named by the SHA-256 of its bytes by whatever refers to it, from the state down.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, TypeVar

from modseal import limits
from modseal.errors import FormatError, UndecidedError
from modseal.format import canonical_json, rules
from modseal.format.break_glass import RANDOM
from modseal.format.level import Level
from modseal.format.manifest import Kind
from modseal.format.recall import NAME
from modseal.format.shape import (
    UNBOUNDED,
    Array,
    Boolean,
    Integer,
    Nullable,
    Problems,
    Shape,
    Table,
    Text,
    TextMap,
    Trail,
)
from modseal.format.times import parse_time
from modseal.values import dataclass

STATE = "modseal/host-state@1"
GENERATION = "modseal/host-generation@1"
MODULE = "modseal/host-module@1"
MOST = 2**53 - 1
"""The largest number of a state or generation: what JSON readers agree on (RFC 8259 section 6)."""

_SHA256 = Text(re.compile("[0-9a-f]{64}"), form="64 lower-case hex digits", least=64, most=64)
_KEY = Text(rules.KEY_NAME, form=rules.KEY_NAME_FORM, most=75)
_NUMBER = Integer(0, MOST)


class _Time(Text):
    """A time that there is: month 13 has the form of one."""

    def check(self, value: object, trail: Trail, found: Problems) -> None:
        """See `Shape.check`."""
        before = len(found.problems)
        super().check(value, trail, found)
        if len(found.problems) == before:
            try:
                parse_time(str(value))
            except ValueError:
                found.add(trail, "is no time that there is")


_TIME = _Time(re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"), form="a time", most=20)
_LEVEL = Text(choices=tuple(map(str, Level)))
_PATH = Text(most=limits.PATH_LENGTH)
_ANY = Text(least=0, most=UNBOUNDED)
_IDENTITY: dict[str, Shape] = {
    "vendor": Text(most=limits.NAME_LENGTH),
    "name": Text(rules.MODULE_NAME, form=rules.MODULE_NAME_FORM, most=limits.NAME_LENGTH),
    "version": Text(rules.VERSION, form=rules.VERSION_FORM, most=limits.NAME_LENGTH),
}
_REFERENCE = Table({"number": _NUMBER, "sha256": _SHA256})
_POLICY = Table(
    {
        "source": _ANY,
        "built_in": Boolean(),
        "text": _SHA256,
        "files": Array(
            Array(_ANY, least=2, most=2), most=limits.ITEMS, about="The name in the policy, and the SHA-256."
        ),
    }
)
EVENT = Table(
    {
        "number": _NUMBER,
        "time": _TIME,
        "by": TextMap(Text(most=32), _ANY, most=8),
        "event": Text(most=32),
        "facts": TextMap(Text(most=64), Text(least=0, most=limits.HOST_FACT_SIZE), most=limits.HOST_FACTS),
        "previous": Nullable(_SHA256),
    },
    about="One line of the event log. `previous` is the SHA-256 of the line before, its line feed included.",
)
_LOCKDOWN = Table(
    {
        "lock": Nullable(RANDOM),
        "controllers": Array(_KEY, most=limits.HOST_KEYS),
        "keys": Array(_KEY, most=limits.HOST_KEYS),
        "threshold": Integer(0, limits.HOST_KEYS),
    }
)
_SHAPES: dict[str, Table] = {
    STATE: Table(
        {
            "schema": Text(choices=(STATE,)),
            "host": RANDOM,
            "changed": _TIME,
            "generation": _REFERENCE,
            "pending": Nullable(_REFERENCE),
            "last": _NUMBER,
            "kept": Array(_REFERENCE, least=1, most=UNBOUNDED),
            "level": _LEVEL,
            "policy": _POLICY,
            "depots": Array(Table({"name": NAME, "sha256": _SHA256}), most=limits.HOST_DEPOTS),
            "recalls": Array(_SHA256, most=limits.HOST_RECALLS),
            "lockdown": _LOCKDOWN,
            "event": EVENT,
        }
    ),
    GENERATION: Table(
        {
            "schema": Text(choices=(GENERATION,)),
            "number": _NUMBER,
            "parent": Nullable(_NUMBER),
            "made": _TIME,
            "action": Text(most=32),
            "modules": Array(Table({**_IDENTITY, "record": _SHA256}), most=limits.HOST_MODULES),
        }
    ),
    MODULE: Table(
        {
            "schema": Text(choices=(MODULE,)),
            "kind": Text(choices=("seal", "vib")),
            "manifest": _SHA256,
            "signature": _SHA256,
            "bundle": _SHA256,
            "payloads": Array(
                Table({"name": _PATH, "size": Integer(0, MOST), "sha256": _SHA256}), most=limits.PAYLOADS
            ),
            "attachments": Array(
                Table({"name": _PATH, "size": Integer(0, MOST), "sha256": _SHA256}), most=limits.ATTACHMENTS
            ),
            "relocatable": Array(_PATH, most=limits.FILES),
            "decision": _SHA256,
        }
    ),
}


@dataclass(frozen=True, slots=True)
class Event:
    """What was done: by whom, when, and the digest of the event before. `by` and `facts` are free texts by name."""

    number: int
    time: str
    by: Mapping[str, str]
    event: str
    facts: Mapping[str, str]
    previous: str | None


@dataclass(frozen=True, slots=True)
class Reference:
    """A generation: its number, and the SHA-256 of its document."""

    number: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """A policy by the digests of its text and of the files that it names. `source` is where it came from."""

    source: str
    built_in: bool
    text: str
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class DepotRecord:
    """What a host has seen of a signed depot: its name, and the SHA-256 of its state (`depot.state`)."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Lockdown:
    """Who may change a host: in strict mode its controllers alone, else everybody who can.

    `lock` is random, and a new one each time that strict mode begins or is changed; None in normal mode. `controllers`,
    and `keys` of which `threshold` break the glass, are names of keys (`rules.key_name`), sorted; normal mode keeps
    them.
    """

    lock: str | None = None
    controllers: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    threshold: int = 0

    @property
    def is_strict(self) -> bool:
        """Whether the controllers alone may change the host."""
        return self.lock is not None

    @property
    def mode(self) -> str:
        """What people call it."""
        return "strict" if self.is_strict else "normal"


@dataclass(frozen=True, slots=True)
class HostState:
    """Everything that holds on a host now.

    `host` is the host's random name, for ever the same. `changed` is when it was last changed: the time of `event`,
    except where that is a refusal, which must not move the clock of the host.
    `pending` waits to become the active generation. `kept` are all generations that there are, in order of their
    numbers; another one was left by a run that was killed. `last` is the highest number that was ever given to one.
    `recalls` are the SHA-256 of lists that the host keeps.
    """

    generation: Reference
    pending: Reference | None
    last: int
    kept: tuple[Reference, ...]
    level: Level
    policy: PolicyRecord
    event: Event
    host: str
    changed: str
    depots: tuple[DepotRecord, ...] = ()
    recalls: tuple[str, ...] = ()
    lockdown: Lockdown = Lockdown()


@dataclass(frozen=True, slots=True)
class ModuleName:
    """A module of a generation, as recorded: `record` is the SHA-256 of its `ModuleRecord`."""

    vendor: str
    name: str
    version: str
    record: str


@dataclass(frozen=True, slots=True)
class Generation:
    """The modules that are installed together. Never changed once it is written."""

    number: int
    parent: int | None
    made: str
    action: str
    modules: tuple[ModuleName, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A payload or attachment: its member's name, size and SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ModuleRecord:
    """What is kept of an installed module: the digests of its original bytes, and what was found when it came.

    `bundle` is the SHA-256 of the file that it came in, `relocatable` are the paths of ELF relocatable objects,
    `decision` is the report of the verification.
    """

    kind: Kind
    manifest: str
    signature: str
    bundle: str
    payloads: tuple[Part, ...]
    attachments: tuple[Part, ...]
    relocatable: tuple[str, ...]
    decision: str


_SCHEMA_OF = {HostState: STATE, Generation: GENERATION, ModuleRecord: MODULE}
T = TypeVar("T")


def sha256_of(data: bytes) -> str:
    """The name of a document: SHA-256, lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def encode(document: HostState | Generation | ModuleRecord) -> bytes:
    """The bytes of a document."""
    plain = {"schema": _SCHEMA_OF[type(document)], **asdict(document)}
    if isinstance(document, HostState):
        plain["level"] = str(document.level)
    return canonical_json.dump(plain) + b"\n"


def digest_of(state: HostState) -> str:
    """The SHA-256 of all that a state says but its event, which has it among its facts."""
    plain = {**asdict(state), "level": str(state.level)}
    del plain["event"]
    return sha256_of(canonical_json.dump(plain))


def bound(state: HostState) -> HostState:
    """A state whose event has its digest: who goes back to an old state without an event is found."""
    event = replace(state.event, facts={**state.event.facts, "state": digest_of(state)})
    return replace(state, event=event)


def encode_event(event: Event) -> bytes:
    """An event as a line of the log."""
    return canonical_json.dump(asdict(event)) + b"\n"


def decode_state(data: bytes, name: str) -> HostState:
    """The state of some bytes; `name` is for the message. Raises `UndecidedError` (host-invalid)."""
    plain = _load(data, _SHAPES[STATE], name)
    policy = plain["policy"]
    state = HostState(
        Reference(**plain["generation"]),
        plain["pending"] and Reference(**plain["pending"]),
        plain["last"],
        tuple(Reference(**one) for one in plain["kept"]),
        Level.parse(plain["level"]),
        PolicyRecord(
            policy["source"], policy["built_in"], policy["text"], tuple((one[0], one[1]) for one in policy["files"])
        ),
        Event(**plain["event"]),
        plain["host"],
        plain["changed"],
        tuple(DepotRecord(**one) for one in plain["depots"]),
        tuple(plain["recalls"]),
        _lockdown(plain["lockdown"], name),
    )
    numbers = [one.number for one in state.kept]
    if numbers != sorted(set(numbers)) or numbers[-1] > state.last:
        raise invalid(f"{name}: its generations are not in order, each once, up to the last number {state.last}")
    for one in (state.generation, state.pending):
        if one and one not in state.kept:
            raise invalid(f"{name}: generation {one.number}, which it names, is not among those that there are")
    return _same(state, encode(state), data, name)


def _lockdown(plain: dict[str, Any], name: str) -> Lockdown:
    found = Lockdown(plain["lock"], tuple(plain["controllers"]), tuple(plain["keys"]), plain["threshold"])
    for keys in (found.controllers, found.keys):
        if list(keys) != sorted(set(keys)):
            raise invalid(f"{name}: the keys of its lockdown are not sorted, each once")
    if not bool(found.keys) <= found.threshold <= len(found.keys):
        raise invalid(f"{name}: {found.threshold} of {len(found.keys)} keys cannot break the glass")
    if found.is_strict and not (found.controllers and found.keys):
        raise invalid(f"{name}: it is in strict mode, and nobody could end that")
    return found


def decode_generation(data: bytes, name: str) -> Generation:
    """The generation of some bytes; `name` is for the message. Raises `UndecidedError` (host-invalid)."""
    plain = _load(data, _SHAPES[GENERATION], name)
    modules = tuple(ModuleName(**one) for one in plain["modules"])
    generation = Generation(plain["number"], plain["parent"], plain["made"], plain["action"], modules)
    return _same(generation, encode(generation), data, name)


def decode_module(data: bytes, name: str) -> ModuleRecord:
    """The record of some bytes; `name` is for the message. Raises `UndecidedError` (host-invalid)."""
    plain = _load(data, _SHAPES[MODULE], name)
    record = ModuleRecord(
        plain["kind"],
        plain["manifest"],
        plain["signature"],
        plain["bundle"],
        tuple(Part(**one) for one in plain["payloads"]),
        tuple(Part(**one) for one in plain["attachments"]),
        tuple(plain["relocatable"]),
        plain["decision"],
    )
    return _same(record, encode(record), data, name)


def decode_event(data: bytes, name: str) -> Event:
    """The event of a line of the log; `name` is for the message. Raises `UndecidedError` (host-invalid)."""
    event = Event(**_load(data, EVENT, name))
    return _same(event, encode_event(event), data, name)


def invalid(detail: str, **evidence: str | int | None) -> UndecidedError:
    """The error for a store that cannot be used."""
    return UndecidedError("host-invalid", detail, **evidence)


def _load(data: bytes, shape: Table, name: str) -> Any:
    try:
        plain = canonical_json.load(data, name)
    except FormatError as error:
        raise invalid(error.failure.detail) from error
    problem = next(iter(shape.problems(plain)), None)
    if problem:
        raise invalid(f"{name}: {problem}")
    return plain


def _same(value: T, encoded: bytes, data: bytes, name: str) -> T:
    """A value whose bytes are the ones that it was read from: each document has one form."""
    if encoded != data:
        raise invalid(f"{name} is not in the form that modseal writes")
    return value
