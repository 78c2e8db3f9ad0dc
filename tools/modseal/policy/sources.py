"""Where a policy comes from: a file, the package, a trust store, or the bytes that another process has read it from."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from modseal import limits
from modseal.causes import CauseName, of_errno
from modseal.errors import ModsealError, PolicyError, UndecidedError
from modseal.files.small import read_small
from modseal.files.stream import descriptor_of
from modseal.format.shape import suggestion
from modseal.policy.file import parse
from modseal.trust.policy import Policy, PolicyBytes

BUILT_IN = ("strict", "vmware")
STORE = "store:"
"""How a reference to a trust store starts."""


def load(reference: str, now: datetime | None = None) -> Policy:
    """The policy of a file, a built-in one by its name, or the one in force in a trust store.

    A folder is a trust store, and so is `store:` (this machine's) or `store:DIR`; `now` is the clock that
    its trust bundle must be current at, and is read here where it is not given, so that no caller can
    leave that out. Raises `PolicyError`, and for a trust store what `store.load_policy` raises.
    """
    if reference in BUILT_IN:
        from importlib import resources  # brings tempfile and more, which a policy file has no use for

        text = resources.files("modseal.policy").joinpath("builtin", f"{reference}.toml").read_bytes()
        return parse(text, f"built-in policy {reference}", _no_files, built_in=True)
    if reference.startswith(STORE) or os.path.isdir(reference):
        from modseal.policy import store  # brings the reader of trust bundles, which a policy file has no use for

        if not reference.startswith(STORE) and not os.path.lexists(Path(reference, store.STATE)):
            detail = f"{reference} is a folder, and neither a policy nor a trust store: it has no {store.STATE}"
            raise UndecidedError("trust-store-invalid", detail).because("no-store-here")
        folder = store.folder_of(reference.removeprefix(STORE), os.environ)
        return store.load_policy(folder, now or datetime.now(UTC))
    path = Path(reference)
    try:
        data = read_bounded(path)
    except OSError as error:
        hint = suggestion(reference, (*BUILT_IN, STORE)) or f"; give a file, or {' or '.join(BUILT_IN)}"
        cause: CauseName | None = of_errno(error.errno) if path.exists() else "policy-not-found"
        raise PolicyError(f"policy {reference}: {error.strerror}{hint}").because(cause) from None
    try:
        folder = Path() if descriptor_of(path) is not None else path.parent  # beside a stream there is nothing
        return parse(data, reference, lambda name: read_bounded(folder / name))
    except PolicyError:
        _require_text(data, reference)
        raise


def files_of(reference: str) -> list[Path]:
    """The files that a policy is read from: its own and those that it names, or all of a trust store.

    None of a built-in policy, and none of one that cannot be used; one in a pipe is not read twice.
    """
    if reference in BUILT_IN:
        return []
    if reference.startswith(STORE) or os.path.isdir(reference):
        from modseal.policy import store

        folder = store.folder_of(reference.removeprefix(STORE), os.environ)
        return [path for path in folder.rglob("*") if path.is_file()]
    path = Path(reference)
    try:
        origin = load(reference).origin if path.is_file() else None
    except ModsealError:
        return [path]
    return [path, *(path.parent / name for name, _ in origin.files)] if origin else [path]


def _require_text(data: bytes, reference: str) -> None:
    """Raises `PolicyError` for what is plainly another kind of file, in better words than those of TOML."""
    from modseal.format.lookalikes import not_text  # only a failure needs them
    from modseal.format.trust_bundle import is_trust_bundle

    if is_trust_bundle(data):
        detail = f"{reference} is a trust bundle, whose policy holds once it is installed"
        raise PolicyError(detail).because("policy-is-trust-bundle")
    if what := not_text(data):
        raise PolicyError(f"{reference} is not a policy: {what}").because("not-a-policy")


def read_bounded(path: Path) -> bytes:
    """The bytes of a policy, or of a file that it names. Raises `OSError` (also for more than it may have)."""
    return read_small(path, limits.POLICY_FILE_SIZE, lambda why: OSError(errno.EIO, why), pipes=True).data


def _no_files(name: str) -> bytes:
    raise FileNotFoundError(2, "a built-in policy names no files", name)


def from_bytes(origin: PolicyBytes, source: str) -> Policy:
    """The policy that was read from these bytes, in another process. Raises `PolicyError`."""
    files = dict(origin.files)
    policy = parse(origin.text, source, files.__getitem__, built_in=origin.built_in)
    return with_recalls(policy, origin.recalls)


def with_recall_files(policy: Policy, paths: Sequence[Path]) -> Policy:
    """The policy with the recalls of some files beside its own. Raises `InputError`, `FormatError` (recall-invalid)."""
    return with_recalls(policy, [read_small(path, limits.RECALL_SIZE).data for path in paths])


def with_recalls(policy: Policy, contents: Sequence[bytes]) -> Policy:
    """The policy with some recalls more, each as the bytes of its file. Raises `FormatError` (recall-invalid)."""
    if not contents:
        return policy
    from modseal.format import recall

    more = tuple(map(recall.decode, contents))
    origin = policy.origin and replace(policy.origin, recalls=(*policy.origin.recalls, *contents))
    return replace(policy, recalls=(*policy.recalls, *more), origin=origin)
