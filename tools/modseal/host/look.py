"""What people ask of a host: its modules, and one of them."""

from __future__ import annotations

from datetime import datetime

from modseal.errors import RefusedError
from modseal.host.documents import Reference
from modseal.host.installed import Installed, prove
from modseal.host.store import Store


def modules_of(store: Store, reference: Reference, at: datetime) -> tuple[Installed, ...]:
    """The modules of a generation: who signed each, and for which level, is proved under today's policy."""
    modules = store.generation(reference).modules
    return tuple(prove(store, module, store.policy, at, unpack=False) for module in modules)


def module_named(store: Store, reference: Reference, name: str, at: datetime) -> Installed:
    """One module of a generation, wholly examined. Raises `RefusedError` (not-installed)."""
    for module in store.generation(reference).modules:
        if module.name == name:
            return prove(store, module, store.policy, at)
    raise RefusedError("not-installed", f"no module {name!r} is installed", module=name)
