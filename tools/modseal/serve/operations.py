"""All that can be asked of a host from outside, and the role that each needs: the one table, and nothing beside it.

Each operation calls the function of `modseal.host` that the command line calls, and gives the document that
`modseal host --format json` prints. It takes names and numbers, and bundles that are open; no path and no command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from modseal import limits
from modseal.errors import RefusedError, UsageError
from modseal.format import rules
from modseal.format.level import Level
from modseal.format.shape import Array, Boolean, Integer, Table, Text
from modseal.host import change, event_log, look, settings, switch, values
from modseal.host.actor import Actor
from modseal.host.documents import MOST, encode_event, sha256_of
from modseal.host.store import open_store
from modseal.host.verify import verify
from modseal.serve.roles import Caller, Role


@dataclass(frozen=True, slots=True)
class Asked:
    """A question whose arguments have the shape of its operation; `bundles` are files that were handed over."""

    root: Path
    arguments: Mapping[str, Any]
    bundles: Sequence[Path]
    at: datetime
    actor: Actor

    @property
    def dry_run(self) -> bool:
        """Whether nothing is to be changed."""
        return bool(self.arguments.get("dry_run", False))


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked for: the least role, the shape of its arguments, and whether it takes bundles."""

    role: Role
    arguments: Table
    run: Callable[[Asked], dict[str, Any]]
    takes_bundles: bool = False


def _list(asked: Asked) -> dict[str, Any]:
    pending = bool(asked.arguments.get("pending", False))
    with open_store(asked.root) as store:
        found = look.modules_of(store, store.newest if pending else store.state.generation, asked.at)
        return values.list_values(store, found, pending=pending)


def _get(asked: Asked) -> dict[str, Any]:
    with open_store(asked.root) as store:
        return values.get_values(look.module_named(store, store.state.generation, asked.arguments["name"], asked.at))


def _log(asked: Asked) -> dict[str, Any]:
    with open_store(asked.root) as store:
        return values.log_values(list(event_log.events(store)), sha256_of(encode_event(store.state.event)))


def _acceptance(asked: Asked) -> dict[str, Any]:
    with open_store(asked.root) as store:
        return values.acceptance_values(store.state.level, store.policy.minimum_level)


def _verify(asked: Asked) -> dict[str, Any]:
    return values.verification_values(verify(asked.root, asked.at), asked.at)


def _install(asked: Asked) -> dict[str, Any]:
    update = bool(asked.arguments.get("update", False))
    done = change.install(asked.root, asked.bundles, asked.at, update=update, dry_run=asked.dry_run, actor=asked.actor)
    return values.change_values(done)


def _remove(asked: Asked) -> dict[str, Any]:
    names = asked.arguments["names"]
    return values.change_values(change.remove(asked.root, names, asked.at, dry_run=asked.dry_run, actor=asked.actor))


def _rollback(asked: Asked) -> dict[str, Any]:
    to = asked.arguments.get("to")
    return values.change_values(switch.rollback(asked.root, to, asked.at, dry_run=asked.dry_run, actor=asked.actor))


def _activate(asked: Asked) -> dict[str, Any]:
    return values.change_values(switch.activate(asked.root, asked.at, dry_run=asked.dry_run, actor=asked.actor))


def _set_acceptance(asked: Asked) -> dict[str, Any]:
    settings.set_level(asked.root, Level.parse(asked.arguments["level"]), asked.at, actor=asked.actor)
    return _acceptance(asked)


_NAME = Text(rules.MODULE_NAME, form=rules.MODULE_NAME_FORM, most=limits.NAME_LENGTH)
_DRY_RUN = {"dry_run": Boolean()}

OPERATIONS: Mapping[str, Operation] = {
    "list": Operation(Role.READER, Table({}, {"pending": Boolean()}), _list),
    "get": Operation(Role.READER, Table({"name": _NAME}), _get),
    "log": Operation(Role.READER, Table({}), _log),
    "acceptance": Operation(Role.READER, Table({}), _acceptance),
    "verify": Operation(Role.READER, Table({}), _verify),
    "install": Operation(Role.OPERATOR, Table({}, {"update": Boolean(), **_DRY_RUN}), _install, takes_bundles=True),
    "remove": Operation(
        Role.OPERATOR, Table({"names": Array(_NAME, least=1, most=limits.HOST_MODULES)}, _DRY_RUN), _remove
    ),
    "rollback": Operation(Role.OPERATOR, Table({}, {"to": Integer(0, MOST), **_DRY_RUN}), _rollback),
    "activate": Operation(Role.OPERATOR, Table({}, _DRY_RUN), _activate),
    "set-acceptance": Operation(Role.ADMIN, Table({"level": Text(choices=tuple(map(str, Level)))}), _set_acceptance),
}
"""By name. What is not in it cannot be asked for."""


def perform(
    name: str, caller: Caller, root: Path, arguments: Mapping[str, Any], bundles: Sequence[Path], at: datetime
) -> dict[str, Any]:
    """Do what a proved caller asks for, if that one may.

    Raises `RefusedError` (role-too-low), `UsageError` for what is no question, and what the host's function raises.
    """
    operation = OPERATIONS.get(name)
    if operation is None:
        raise UsageError("there is no such operation")
    if caller.role < operation.role:
        detail = f"{name} needs the role {operation.role}, and {caller.name} is {caller.role}"
        raise RefusedError("role-too-low", detail, operation=name, role=str(caller.role), needs=str(operation.role))
    problem = next(iter(operation.arguments.problems(dict(arguments))), None)
    if problem:
        raise UsageError(f"{name}: {problem}")
    if bool(bundles) is not operation.takes_bundles:
        raise UsageError(f"{name} {'needs' if operation.takes_bundles else 'takes no'} bundles")
    return operation.run(Asked(root, arguments, bundles, at, Actor(caller.key, caller.name)))
