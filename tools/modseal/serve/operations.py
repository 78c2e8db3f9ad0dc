"""What may be asked of a host from outside: each operation is the one that `modseal host` has, by the same functions.

An operation takes arguments by name, each of a kind that is checked here; none is a path, and a module's name is looked
up among those that are installed. What it gives is the document that `modseal host --format json` prints.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modseal import limits
from modseal.errors import RefusedError, UsageError
from modseal.format import rules
from modseal.format.level import Level
from modseal.format.shape import Array, Boolean, Integer, Table, Text
from modseal.host import values
from modseal.host.actor import Actor
from modseal.host.progress import SILENT, Progress
from modseal.host.store import open_store
from modseal.trust.examination import Verdict
from modseal.values import dataclass

if TYPE_CHECKING:
    from modseal.host.change import Change

Document = dict[str, Any]
STATE = "modseal/host-state@1"
_LARGEST = 2**53 - 1
"""The largest whole number that each reader of JSON takes for what it is (RFC 8259, section 6)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, whose caller and arguments were checked. `bundles` are private copies of what was pushed."""

    root: Path
    arguments: Mapping[str, Any]
    at: datetime
    actor: Actor
    bundles: tuple[Path, ...] = ()
    progress: Progress = SILENT


@dataclass(frozen=True, slots=True)
class Answer:
    """A document, and what it says of the host: whether what was asked for was done."""

    verdict: Verdict
    document: Document


@dataclass(frozen=True, slots=True)
class Operation:
    """How an operation is carried out.

    `takes` is the shape of its arguments. A `task` may take long, and goes on when nobody waits for it; an operation
    that `changes` the host waits until no other does. `bundles` says that it needs some. `gives` is the schema of its
    document, of `documents.DOCUMENTS`; none where it gives nothing of its own.
    """

    act: Callable[[Asked], Answer]
    takes: Table = field(default_factory=lambda: Table({}))
    task: bool = False
    changes: bool = False
    bundles: bool = False
    gives: str = ""


def require_arguments(operation: Operation, arguments: Mapping[str, object]) -> None:
    """Raises `UsageError` for an argument that the operation has not, that is missing, or of another shape."""
    problems = operation.takes.problems(arguments)
    if problems:
        raise UsageError("; ".join(map(str, problems)))


def _good(document: Document) -> Answer:
    return Answer(Verdict.ACCEPTED, document)


def _state(asked: Asked) -> Answer:
    with open_store(asked.root) as store:
        state, minimum = store.state, store.policy.minimum_level
        return _good(
            {
                "schema": STATE,
                "host": state.host,
                "generation": state.generation.number,
                "pending": state.pending.number if state.pending else None,
                "level": str(state.level),
                "policy_minimum": str(minimum),
                "lockdown": state.lockdown.mode,
                "event": state.event.number,
                "changed": state.changed,
                "modules": len(store.generation(state.generation).modules),
            }
        )


def _modules(asked: Asked) -> Answer:
    from modseal.host.look import show_modules

    found = show_modules(asked.root, asked.at, pending=asked.arguments.get("pending", False))
    return Answer(found.verdict, values.list_values(found))


def _module(asked: Asked) -> Answer:
    from modseal.host.look import show_module

    found = show_module(asked.root, asked.arguments["name"], asked.at)
    return Answer(found.verdict, values.get_values(found))


def _inventory(asked: Asked) -> Answer:
    from modseal.host.look import show_modules
    from modseal.serve.inventory import inventory

    found = show_modules(asked.root, asked.at)
    return Answer(found.verdict, inventory(found))


def _proof(asked: Asked) -> Answer:
    from modseal.host.look import show_module
    from modseal.serve.inventory import proof

    found = show_module(asked.root, asked.arguments.get("name", ""), asked.at)
    return Answer(found.verdict, proof(found))


def _history(asked: Asked) -> Answer:
    from modseal.host.look import show_history

    found = show_history(asked.root)
    return Answer(found.verdict, values.history_values(found))


def _log(asked: Asked) -> Answer:
    """The whole log, proved; of `after` on, or the one line of a `number`."""
    from modseal.host import event_log
    from modseal.host.documents import encode_event, sha256_of
    from modseal.host.look import proved_log

    after, number = asked.arguments.get("after", -1), asked.arguments.get("number")
    with open_store(asked.root) as store:
        if after >= store.state.event.number:
            return _good(values.log_values(proved_log([], None)))
        events = list(event_log.events(store))
        head = sha256_of(encode_event(store.state.event))
    found = [one for one in events if one.number > after and number in (None, one.number)]
    if number is not None and not found:
        raise RefusedError("unknown-item", f"the log has no line {number}", number=number)
    return _good(values.log_values(proved_log(found, head)))


def changed(change: Change) -> Answer:
    """Of a pushed bundle the name that it was pushed under is shown, and not that of its copy."""
    results = tuple(replace(one, bundle=Path(one.bundle).name) for one in change.results)
    done = replace(change, results=results)
    return Answer(done.verdict, values.change_values(done))


def _how(asked: Asked) -> dict[str, Any]:
    """How a change is made, besides what it is."""
    dry_run = asked.arguments.get("DryRun", False)
    return {"dry_run": dry_run, "actor": asked.actor, "progress": asked.progress}


def _install(asked: Asked) -> Answer:
    from modseal.host.change import install

    update = asked.arguments.get("Action") == "update"
    return changed(install(asked.root, asked.bundles, asked.at, update=update, **_how(asked)))


def _remove(asked: Asked) -> Answer:
    from modseal.host.change import remove

    return changed(remove(asked.root, asked.arguments["Names"], asked.at, **_how(asked)))


def _activate(asked: Asked) -> Answer:
    from modseal.host.switch import activate

    return changed(activate(asked.root, asked.at, **_how(asked)))


def _rollback(asked: Asked) -> Answer:
    from modseal.host.switch import rollback

    return changed(rollback(asked.root, asked.arguments.get("To"), asked.at, **_how(asked)))


def _prune(asked: Asked) -> Answer:
    from modseal.host.prune import prune

    given = asked.arguments
    keep, dry_run = given.get("Keep", limits.HOST_GENERATIONS), given.get("DryRun", False)
    return _good(values.pruned_values(prune(asked.root, keep, asked.at, dry_run=dry_run, actor=asked.actor)))


def _verify(asked: Asked) -> Answer:
    from modseal.host.verify import verify

    found = verify(asked.root, asked.at, asked.at, progress=asked.progress)
    return Answer(found.verdict, values.verification_values(found, asked.at))


def _acceptance(asked: Asked) -> Answer:
    from modseal.host.settings import set_level

    wanted = Level.parse(asked.arguments["Level"])
    before = set_level(asked.root, wanted, asked.at, actor=asked.actor)
    with open_store(asked.root) as store:
        minimum = store.policy.minimum_level
    return _good(values.acceptance_values(wanted, minimum, before))


def _lockdown(asked: Asked) -> Answer:
    from modseal.host import lockdown

    given = asked.arguments
    named = [given.get(kind) for kind in ("Controllers", "BreakGlassKeys")]
    controllers, break_glass = [None if keys is None else tuple(keys) for keys in named]
    keys = lockdown.LockdownKeys(controllers, break_glass, given.get("Threshold"))
    dry_run = given.get("DryRun", False)
    done = lockdown.set_lockdown(asked.root, given["Mode"], keys, asked.at, dry_run=dry_run, actor=asked.actor)
    return _good(values.lockdown_values(done.host, done.after, dry_run=dry_run and done.after != done.before))


def _get_acceptance(asked: Asked) -> Answer:
    with open_store(asked.root) as store:
        return _good(values.acceptance_values(store.state.level, store.policy.minimum_level))


def _get_lockdown(asked: Asked) -> Answer:
    with open_store(asked.root) as store:
        return _good(values.lockdown_values(store.state.host, store.state.lockdown))


def _policy(asked: Asked) -> Answer:
    """The policy, and which of the installed modules it does not accept."""
    from modseal.host.installed import is_accepted
    from modseal.host.look import show_modules

    found = [one.module for one in show_modules(asked.root, asked.at).modules or () if one.module]
    with open_store(asked.root) as store:
        return _good(values.policy_values(store.policy, [one for one in found if not is_accepted(one)]))


def _recalls(asked: Asked) -> Answer:
    with open_store(asked.root) as store:
        return _good(values.recalls_values(store.policy.kept_recalls, ()))


def _keep_recalls(asked: Asked) -> Answer:
    from modseal.host.learned import keep_recalls

    given = [b64decode(text) for text in asked.arguments["Recalls"]]
    new = keep_recalls(asked.root, given, asked.at, actor=asked.actor)
    with open_store(asked.root) as store:
        return _good(values.recalls_values(store.policy.kept_recalls, new))


def _nothing(asked: Asked) -> Answer:  # noqa: ARG001 - as every operation
    return _good({})


_ANY = Text(least=0, most=limits.TEXT_LENGTH)
_KEYS = Array(
    Text(rules.KEY_NAME, form=rules.KEY_NAME_FORM), most=limits.HOST_KEYS, about="By name: no file is named here."
)
_NAMES = Array(_ANY, least=1, most=limits.ITEMS)
_BASE64 = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_RECALLS = Array(
    Text(re.compile(_BASE64), form="base64", most=limits.SERVE_BODY),
    least=1,
    most=limits.HOST_RECALLS,
    about="The files of recalls, each in base64.",
)
_NUMBER = Integer(0, _LARGEST)
_TRY = {"DryRun": Boolean(about="Say what would be done, and change nothing.")}
_FILES = {"Files": Array(_ANY, most=limits.SERVE_BUNDLES, about="The names of the parts; not for clients to say.")}
_PUSHED = {"Action": Text(choices=("install", "update")), **_TRY}
PARAMETERS = Table(
    {},
    {
        "Targets": Array(_ANY, most=0, about="None: a bundle says itself what it is."),
        "ForceUpdate": Boolean(about="Refused where it is true: nothing is forced."),
        "@Redfish.OperationApplyTime": Text(choices=("Immediate",)),
        "Oem": Table({}, {"Modseal": Table({}, _PUSHED)}),
    },
)
"""What Redfish calls the parameters of a push."""

OPERATIONS: Mapping[str, Operation] = {
    "whoami": Operation(_nothing),
    "state": Operation(_state, gives=STATE),
    "modules": Operation(_modules, Table({}, {"pending": Boolean()}), gives=values.LIST),
    "module": Operation(_module, Table({"name": _ANY}), gives=values.MODULE),
    "inventory": Operation(_inventory),
    "proof": Operation(_proof, Table({"name": _ANY})),
    "history": Operation(_history, gives=values.HISTORY),
    "log": Operation(_log, Table({}, {"after": Integer(-1, _LARGEST), "number": _NUMBER}), gives=values.LOG),
    "events": Operation(_log, Table({"after": Integer(-1, _LARGEST)}), gives=values.LOG),
    "install": Operation(
        *(_install, Table({}, {**_PUSHED, **_FILES})), task=True, changes=True, bundles=True, gives=values.CHANGE
    ),
    "remove": Operation(_remove, Table({"Names": _NAMES}, _TRY), task=True, changes=True, gives=values.CHANGE),
    "activate": Operation(_activate, Table({}, _TRY), task=True, changes=True, gives=values.CHANGE),
    "rollback": Operation(_rollback, Table({}, {"To": _NUMBER, **_TRY}), task=True, changes=True, gives=values.CHANGE),
    "prune": Operation(
        *(_prune, Table({}, {"Keep": Integer(1, _LARGEST), **_TRY})), task=True, changes=True, gives=values.PRUNED
    ),
    "verify": Operation(_verify, task=True, gives=values.VERIFICATION),
    "acceptance": Operation(
        _acceptance, Table({"Level": Text(choices=map(str, Level))}), changes=True, gives=values.ACCEPTANCE
    ),
    "lockdown": Operation(
        _lockdown,
        Table(
            {"Mode": Text(choices=("normal", "strict"))},
            {"Controllers": _KEYS, "BreakGlassKeys": _KEYS, "Threshold": Integer(0, limits.HOST_KEYS), **_TRY},
        ),
        changes=True,
        gives=values.LOCKDOWN,
    ),
    "level": Operation(_get_acceptance, gives=values.ACCEPTANCE),
    "keys": Operation(_get_lockdown, gives=values.LOCKDOWN),
    "policy": Operation(_policy, gives=values.POLICY),
    "recalls": Operation(_recalls, gives=values.RECALLS),
    "recall": Operation(_keep_recalls, Table({"Recalls": _RECALLS}), changes=True, gives=values.RECALLS),
}
"""Besides these there are `tasks` and `task`, which the broker answers itself."""
