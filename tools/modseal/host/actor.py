"""Who asks for a change of a host, and whether that one may: the one rule for every change.

A host in strict mode is changed by its controllers and by nobody else, whatever user asks for it: root on the console
is nobody special. A controller is known by its key, which whoever calls must have seen proved (`key`).
"""

from __future__ import annotations

import hashlib

from modseal.errors import Failure
from modseal.host.documents import HostState
from modseal.values import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for a change.

    Without a `key` it is whoever runs this process. `key` is the key id (`key_id`) of somebody elsewhere who has proved
    to hold that key, as a TLS client does; `name` is what the log calls them.
    """

    key: str | None = None
    name: str = ""


LOCAL = Actor()
"""Whoever runs this process."""


def key_id(spki: bytes) -> str:
    """The name of a key: SHA-256 of its SubjectPublicKeyInfo in DER (RFC 5280 section 4.1.2.7), lower-case hex.

    A certificate that is renewed for the same key has the same one.
    """
    return hashlib.sha256(spki).hexdigest()


def refusal(state: HostState, actor: Actor, action: str) -> Failure | None:
    """Why somebody may not change a host; None where that is allowed."""
    if not state.lockdown.is_strict or actor.key in state.lockdown.controllers:
        return None
    detail = f"{action}: this host is in strict mode, and {shown(actor)} is none of its controllers"
    return Failure("host-locked-down", detail, {"action": action, "key": actor.key, "host": state.host})


def shown(actor: Actor) -> str:
    """An actor as messages have it."""
    return f"the key {actor.key}" if actor.key else "whoever asks on the host itself"
