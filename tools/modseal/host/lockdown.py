"""Sets who may change a host: everybody who can (normal mode), or its controllers alone (strict mode)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from modseal import limits
from modseal.errors import RefusedError, UsageError
from modseal.files.small import read_small
from modseal.format import pem, rules
from modseal.format.break_glass import new_random
from modseal.host.actor import LOCAL, Actor
from modseal.host.change import opened
from modseal.host.documents import Lockdown
from modseal.host.write import advance
from modseal.pki import purpose
from modseal.pki.certificate import Certificate
from modseal.values import dataclass

Mode = Literal["normal", "strict"]


@dataclass(frozen=True, slots=True)
class LockdownKeys:
    """Whom to name: None for those that are named already."""

    controllers: tuple[str, ...] | None = None
    break_glass: tuple[str, ...] | None = None
    threshold: int | None = None


@dataclass(frozen=True, slots=True)
class LockdownChange:
    """The lockdown of a host before a change and after it; the same where there was nothing to do."""

    host: str
    before: Lockdown
    after: Lockdown


def set_lockdown(
    root: Path,
    mode: Mode,
    keys: LockdownKeys,
    at: datetime,
    *,
    dry_run: bool = False,
    actor: Actor = LOCAL,
) -> LockdownChange:
    """Set the mode of a host, and whom it names.

    Strict mode that begins, or is changed, gets a new lock: no file that was made before breaks its glass.
    Raises `UsageError`, `RefusedError` (lockdown-incomplete), and what `change.install` raises.
    """
    with opened(root, "lockdown", at, actor, dry_run=dry_run) as (store, staging):
        before = store.state.lockdown
        after = changed(before, mode, keys)
        if staging and after != before:
            facts = {
                "from": before.mode,
                "to": after.mode,
                "controllers": ", ".join(after.controllers),
                "keys": ", ".join(after.keys),
                "threshold": str(after.threshold),
            }
            facts |= {"lock": after.lock} if after.lock else {}
            advance(store, staging, at, "lockdown", facts, lockdown=after)
        return LockdownChange(store.state.host, before, after)


def changed(before: Lockdown, mode: Mode, keys: LockdownKeys) -> Lockdown:
    """The lockdown that is wanted; the one before where that is the same.

    Raises `UsageError`, `RefusedError` (lockdown-incomplete).
    """
    if keys.break_glass is not None and keys.threshold is None:
        raise UsageError("say with --threshold how many of the keys that break the glass it takes")
    controllers = _keys(before.controllers if keys.controllers is None else keys.controllers)
    glass = _keys(before.keys if keys.break_glass is None else keys.break_glass)
    threshold = before.threshold if keys.threshold is None else keys.threshold
    if not bool(glass) <= threshold <= len(glass):
        raise UsageError(f"the threshold is {threshold}, and {len(glass)} keys break the glass")
    wanted = Lockdown(before.lock, controllers, glass, threshold)
    if mode == "normal":
        return replace(wanted, lock=None)
    if not controllers:
        raise RefusedError("lockdown-incomplete", "no controller is named: nobody could change this host any more")
    others = len(set(glass) - set(controllers))
    if not glass or others < threshold:
        detail = f"it takes {threshold or 1} of the keys that break the glass, and {others} of them are no controller's"
        raise RefusedError("lockdown-incomplete", detail, keys=len(glass), others=others, threshold=threshold)
    return wanted if wanted == before and before.is_strict else replace(wanted, lock=new_random())


def _keys(given: Sequence[str]) -> tuple[str, ...]:
    keys = tuple(sorted(set(given)))
    if len(keys) > limits.HOST_KEYS:
        raise UsageError(f"there are {len(keys)} keys of one kind, and a host names {limits.HOST_KEYS}")
    return keys


def read_key(text: str) -> str:
    """The name of a key (`format.rules.key_name`) from a text: the name itself, or a file with a certificate for it.

    The fingerprint of a certificate is refused: it would name a key that nobody has. Raises `UsageError`, `InputError`,
    `FormatError` for a damaged certificate, `RefusedError` (weak-key).
    """
    if rules.KEY_NAME.fullmatch(text):
        return text
    if text.startswith(("key-sha256:", "sha256:")):
        raise UsageError(
            f"{text!r} is not {rules.KEY_NAME_FORM}; `modseal keys show` prints the name of a certificate's key"
        )
    data = read_small(Path(text), limits.KEY_FILE_SIZE, pipes=True).data
    try:
        found = tuple(map(Certificate.parse, pem.contents(data, pem.CERTIFICATE)))
    except ValueError as error:
        raise UsageError(f"{text}: neither {rules.KEY_NAME_FORM} nor a file with a certificate: {error}") from error
    if len(found) != 1:
        raise UsageError(f"{text} has {len(found)} certificates; name a file with the one that is meant")
    for failure in purpose.key_failures(found[0]):
        raise RefusedError(failure.code, f"{text}: {failure.detail}", **failure.evidence)
    return rules.key_name(found[0].key_der)
