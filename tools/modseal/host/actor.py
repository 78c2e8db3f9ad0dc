"""Who asks for a change of a host, and whether that one may: the one rule for every change.

A host in strict mode is changed by its controllers and by nobody else, whatever user asks for it: root on the console
is nobody special. A controller is known by its key, which whoever calls must have seen proved (`key`).
"""

from __future__ import annotations

from modseal.errors import Failure
from modseal.host.documents import HostState
from modseal.values import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for a change.

    Without a `key` it is whoever runs this process. `key` is that of somebody elsewhere who has proved to hold it, as a
    TLS client does (`format.rules.key_name`): a certificate that is renewed for it changes nothing. `name` is what the
    log calls them.
    """

    key: str | None = None
    name: str = ""
    task: str | None = None
    """The task that they asked for: who was interrupted finds in the log whether it was done."""


LOCAL = Actor()
"""Whoever runs this process."""


def refusal(state: HostState, actor: Actor, action: str) -> Failure | None:
    """Why somebody may not change a host; None where that is allowed."""
    if not state.lockdown.is_strict or actor.key in state.lockdown.controllers:
        return None
    detail = f"{action}: this host is in strict mode, and {shown(actor)} is none of its controllers"
    return Failure("host-locked-down", detail, {"action": action, "key": actor.key, "host": state.host})


def shown(actor: Actor) -> str:
    """An actor as messages have it."""
    return actor.key or "whoever asks on the host itself"
