"""Ends a host's strict mode by a file that enough people have signed: the way back for who lost all controllers.

The file is bound to the host and to the one lockdown (`format.break_glass`), is signed by a threshold of the keys that
the host names, and may be used for a few days. It ends strict mode and does nothing else; anybody may bring it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from modseal.errors import Failure, FormatError, RefusedError
from modseal.format import break_glass as glass_format
from modseal.format import rules
from modseal.format.break_glass import BreakGlass
from modseal.format.times import time_text
from modseal.host.actor import LOCAL, Actor
from modseal.host.documents import HostState, Lockdown
from modseal.host.store import open_store
from modseal.host.write import advance, refuse, unlocking
from modseal.pki import purpose
from modseal.pki.certificate import Certificate
from modseal.trust.signature import verify_member
from modseal.values import dataclass


@dataclass(frozen=True, slots=True)
class BrokenGlass:
    """A file that has ended strict mode, or would: the reason that it gives, and the names of the keys that count."""

    glass: BreakGlass
    keys: tuple[str, ...]


def break_glass(root: Path, data: bytes, at: datetime, *, dry_run: bool = False, actor: Actor = LOCAL) -> BrokenGlass:
    """End strict mode by the bytes of a file. Every refusal is logged, but not that of a dry run.

    Raises `FormatError` (break-glass-invalid), `RefusedError` (break-glass-*), and what `write.unlocking` raises.
    """
    if dry_run:
        with open_store(root) as store:
            store.require_clock(at)
            found = judge(data, store.state, at)
            if isinstance(found, Failure):
                raise RefusedError(found.code, found.detail, **found.evidence)
            return found
    with unlocking(root, at, actor) as (store, staging):
        found = judge(data, store.state, at)
        if isinstance(found, Failure):
            refuse(store, staging, at, found)
        before = store.state.lockdown
        facts = {
            "lock": found.glass.lock,
            "sha256": found.glass.sha256,
            "reason": found.glass.reason,
            "keys": ", ".join(found.keys),
        }
        after = Lockdown(None, before.controllers, before.keys, before.threshold)
        advance(store, staging, at, "break-glass", facts, lockdown=after)
        return found


def judge(data: bytes, state: HostState, at: datetime) -> BrokenGlass | Failure:
    """Whether the bytes of a file end the strict mode of a host at an aware time, or why not."""
    try:
        glass = glass_format.decode(data)
    except FormatError as error:
        return error.failure
    # First, so that a damaged file is not taken for one of another host. A block that does not verify refuses the
    # whole; one that cannot be judged counts for nobody.
    signatures = verify_member(glass.signature, glass.signed)
    for failure in signatures.failures:
        if failure.code != "unsupported-algorithm":
            return glass_format.invalid(failure.detail, reason=failure.code).failure
    lockdown = state.lockdown
    if glass.host != state.host:
        detail = f"the file is for the host {glass.host}, and this is {state.host}"
        return Failure("break-glass-other-host", detail, {"host": state.host, "wanted": glass.host})
    if glass.lock != lockdown.lock:
        now = f"has the lock {lockdown.lock}" if lockdown.is_strict else "is in normal mode"
        detail = f"the file is for the lock {glass.lock} of this host, which {now}"
        return Failure("break-glass-used", detail, {"lock": lockdown.lock, "wanted": glass.lock})
    if at < glass.not_before:
        detail = f"the file may be used from {time_text(glass.not_before)} on, and it is {time_text(at)}"
        return Failure("break-glass-early", detail, {"not_before": time_text(glass.not_before)})
    if at >= glass.expires:
        detail = f"the file expired on {time_text(glass.expires)}, and it is {time_text(at)}"
        return Failure("break-glass-expired", detail, {"expires": time_text(glass.expires)})
    keys = tuple(sorted(set(counting(one.certificate for one in signatures.signers)) & set(lockdown.keys)))
    if len(keys) < lockdown.threshold:
        detail = f"{len(keys)} of the {lockdown.threshold} keys that this host asks for have signed the file"
        return Failure("break-glass-threshold", detail, {"keys": len(keys), "threshold": lockdown.threshold})
    return BrokenGlass(glass, keys)


def counting(certificates: Iterable[Certificate]) -> Iterator[str]:
    """The names of the keys of certificates, but of those that are too weak.

    When a certificate ends does not matter: the host names the key, and must not lose it to a date.
    """
    for certificate in certificates:
        if not any(purpose.key_failures(certificate)):
            yield rules.key_name(certificate.key_der)
