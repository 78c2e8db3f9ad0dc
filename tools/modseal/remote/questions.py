"""What is asked of a host for each command, in Redfish's words (DMTF DSP0266, version 1.22).

A host's own result is the document that `modseal host --format json` prints, under `Oem.Modseal` of the resource or of
the finished task, and under `error.Oem.Modseal` where it refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from modseal.host import values

ROOT = "/redfish/v1"
_INVENTORY = f"{ROOT}/UpdateService/SoftwareInventory"
_MANAGER = f"{ROOT}/Managers/host"
UPDATES = f"{ROOT}/UpdateService"
"""Has, as `MultipartHttpPushUri`, where bundles are sent to."""


@dataclass(frozen=True, slots=True)
class Question:
    """One command for a host. `schema` is that of the result; with `bundles`, these are sent and `body` says how."""

    word: str
    method: str
    path: str
    schema: str
    body: dict[str, Any] | None = None
    bundles: tuple[Path, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether something is other than before where no answer comes."""
        return self.method != "GET" and self.schema != values.VERIFICATION and not (self.body or {}).get("DryRun")


def push(word: str, bundles: tuple[Path, ...], *, dry_run: bool) -> Question:
    """`install` or `update`. There is no word by which a host could be told to leave a check out."""
    body = {"Oem": {"Modseal": {"Action": word, "DryRun": dry_run}}}
    return Question(word, "POST", UPDATES, values.CHANGE, body, bundles)


def remove(names: tuple[str, ...], *, dry_run: bool) -> Question:
    """All of the names, or none."""
    return _action("remove", values.CHANGE, Names=list(names), DryRun=dry_run)


def rollback(to: int | None, *, dry_run: bool) -> Question:
    """To a generation, or the one before."""
    return _action("rollback", values.CHANGE, DryRun=dry_run, **({} if to is None else {"To": to}))


def activate(*, dry_run: bool) -> Question:
    """The generation that waits."""
    return _action("activate", values.CHANGE, DryRun=dry_run)


def verify() -> Question:
    """Everything, under the host's policy, by the host's clock."""
    return _action("verify", values.VERIFICATION)


def modules(*, pending: bool) -> Question:
    """What is installed."""
    return Question("list", "GET", f"{_INVENTORY}{'?pending=true' if pending else ''}", values.LIST)


def module(name: str) -> Question:
    """One installed module."""
    return Question("get", "GET", f"{_INVENTORY}/{quote(name, safe='')}", values.MODULE)


def history() -> Question:
    """The generations."""
    return Question("history", "GET", f"{_MANAGER}/Oem/Modseal/Generations", values.HISTORY)


def log(*, verify: bool) -> Question:
    """The events; `verify` asks for the digest that stands for all of them, once the chain is proved."""
    path = f"{_MANAGER}/LogServices/Log/Entries{'?verify=true' if verify else ''}"
    return Question("log", "GET", path, values.LOG)


def acceptance() -> Question:
    """The acceptance level."""
    return Question("acceptance get", "GET", f"{_MANAGER}/Oem/Modseal/Acceptance", values.ACCEPTANCE)


def set_acceptance(level: str) -> Question:
    """Another acceptance level."""
    return _action("acceptance set", values.ACCEPTANCE, Level=level)


def lockdown() -> Question:
    """Who may change the host."""
    return Question("lockdown get", "GET", f"{_MANAGER}/Oem/Modseal/Lockdown", values.LOCKDOWN)


def set_lockdown(
    mode: str, controllers: tuple[str, ...], keys: tuple[str, ...], threshold: int | None, *, dry_run: bool
) -> Question:
    """Another mode; keys of a kind that is not given stay."""
    given = {"Controllers": list(controllers), "BreakGlassKeys": list(keys), "Threshold": threshold}
    asked = {name: value for name, value in given.items() if value}
    return _action("lockdown set", values.LOCKDOWN, Mode=mode, DryRun=dry_run, **asked)


def _action(word: str, schema: str, **body: Any) -> Question:
    name = "".join(part.capitalize() for part in reversed(word.split()))
    return Question(word, "POST", f"{_MANAGER}/Actions/Oem/Modseal.{name}", schema, body)
