"""What holds for a host besides its modules: the acceptance level, and the policy. Every change of them is logged."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from modseal.errors import RefusedError
from modseal.format.level import Level
from modseal.host.actor import LOCAL, Actor
from modseal.host.create import keep_policy
from modseal.host.installed import Installed, is_accepted, prove
from modseal.host.store import Store
from modseal.host.write import advance, changing
from modseal.trust.policy import Policy


def set_level(root: Path, level: Level, at: datetime, *, actor: Actor = LOCAL) -> Level:
    """Set the level that modules must at least be proved for; gives the one before.

    Raises `RefusedError` (level-in-use) where a module below it is installed, and names every one; and what
    `change.install` raises.
    """
    with changing(root, "acceptance", at, actor) as (store, staging):
        before = store.state.level
        low = [module for module in _modules(store, at) if not is_accepted(module) or module.level < level]
        if level > before and low:
            names = ", ".join(f"{one.name} {one.version} ({_proven(one)})" for one in low)
            detail = f"the level cannot be raised to {level}: installed below it: {names}"
            raise RefusedError("level-in-use", detail, level=str(level), modules=names)
        if level is not before:
            advance(store, staging, at, "acceptance", {"from": str(before), "to": str(level)}, level=level)
        return before


def set_policy(root: Path, policy: Policy, at: datetime, *, actor: Actor = LOCAL) -> tuple[Installed, ...]:
    """Give a host another policy; gives the installed modules that it does not accept.

    They stay, so that a policy that withdraws something can be set at once; `host.verify` finds them, and nothing new
    is installed beside them. Raises what `change.install` raises.
    """
    with changing(root, "policy", at, actor) as (store, staging):
        record = keep_policy(staging, policy)
        staging.place_records((record.text, *(each for _, each in record.files)))
        facts = {"policy": policy.source, "from": _digest(store.policy), "to": _digest(policy)}
        advance(store, staging, at, "policy", facts, policy=record)
        policy = store.with_recalls(policy)
        with_new = (prove(store, one, policy, at) for one in store.generation(store.newest).modules)
        return tuple(module for module in with_new if not is_accepted(module))


def _modules(store: Store, at: datetime) -> list[Installed]:
    """The modules of the active generation, and of the one that waits."""
    references = [store.state.generation, *([store.state.pending] if store.state.pending else [])]
    names = dict.fromkeys(one for reference in references for one in store.generation(reference).modules)
    return [prove(store, one, store.policy, at) for one in names]


def _proven(module: Installed) -> str:
    return str(module.level) if is_accepted(module) else "not accepted"


def _digest(policy: Policy) -> str:
    return policy.origin.digest if policy.origin else ""
