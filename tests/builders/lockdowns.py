"""Hosts in strict mode for tests, and files that break the glass: `glass` gives a good one, of two of three keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from builders import cms as cms_builder
from builders.hosts import Host
from builders.pki import NOW, Identity, leaf, new_key
from modseal.format import break_glass, rules
from modseal.format.break_glass import BreakGlass
from modseal.host import lockdown
from modseal.host.actor import Actor
from modseal.host.documents import Lockdown
from modseal.host.lockdown import LockdownKeys


def holder(number: int, kind: str = "p256", **changes: Any) -> Identity:
    """Somebody with a key of their own. Each call makes another certificate for that key."""
    return leaf(f"Holder {number}", key=new_key(kind, number), **changes)


def id_of(identity: Identity) -> str:
    return rules.key_name(identity.parsed.key_der)


CONTROLLER, STRANGER = 100, 101
HOLDERS = (110, 111, 112)


def actor(number: int = CONTROLLER) -> Actor:
    """Somebody elsewhere whose key is proved; by default the controller."""
    return Actor(id_of(holder(number)), f"CN=Holder {number}")


def keys(threshold: int = 2, controllers: Sequence[int] = (CONTROLLER,)) -> LockdownKeys:
    """One controller, and three keys of which two break the glass."""
    return LockdownKeys(
        tuple(id_of(holder(one)) for one in controllers), tuple(id_of(holder(one)) for one in HOLDERS), threshold
    )


def lock(host: Host, **changes: Any) -> Lockdown:
    """Put a host into strict mode."""
    return lockdown.set_lockdown(host.root, "strict", keys(**changes), NOW).after


def glass(host: Host, /, *by: Identity, **changes: Any) -> bytes:
    """A file that breaks the glass of a host; each keyword changes a field of it."""
    with host.store() as store:
        state = store.state
    fields = {
        "host": state.host,
        "lock": state.lockdown.lock,
        "not_before": NOW - timedelta(hours=1),
        "expires": NOW + timedelta(hours=1),
        "reason": "the controller has burnt",
    }
    return signed(BreakGlass(**{**fields, **changes}), *(by or (holder(110), holder(111))))


def signed(made: BreakGlass, *by: Identity) -> bytes:
    """The file with one signature block of each."""
    declared = break_glass.declare(made)
    blocks = b"".join(cms_builder.pem(cms_builder.block(declared, one)) for one in by)
    return break_glass.encode(replace(made, signed=declared, signature=blocks))
