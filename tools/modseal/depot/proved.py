"""Proves the index of a signed depot: who signed it, that it is current, and that nothing newer was seen.

Read `prove` top to bottom. It does no I/O and reads no clock. Whoever has a `ProvedIndex` knows that its bundles are
what the depot's publisher lists now; whether each bundle is to be trusted, its own signature says.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from modseal.depot.index import DepotIndex
from modseal.errors import RefusedError, UndecidedError
from modseal.format.recall import Recall
from modseal.format.shape import quote
from modseal.policy.succession import SuccessionKind, advance, require_clock, require_threshold
from modseal.trust.examination import Examination, Verdict
from modseal.trust.policy import Policy
from modseal.trust.statement import examine_statement, withdrawn
from modseal.values import dataclass

INDEX_KIND = SuccessionKind(
    what="depot's index",
    older="depot-rollback",
    conflict="depot-conflict",
    threshold="depot-threshold",
    expired="depot-expired",
    invalid="index-invalid",
)


@dataclass(frozen=True, slots=True)
class ProvedIndex:
    """An index that holds, and the examination that its signers passed. Only `prove` makes one."""

    index: DepotIndex
    examination: Examination


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest index of a depot that was proved before, the newest time of all checks, and the recalls that counted.

    A recall stays among them until a newer version replaces it, as `trust.recalls` has it.
    """

    index: DepotIndex
    newest: datetime
    recalls: tuple[Recall, ...] = ()


def prove(
    index: DepotIndex,
    rotations: Sequence[DepotIndex],
    policy: Policy,
    at: datetime,
    *,
    seen: Seen | None = None,
    name: str | None = None,
) -> ProvedIndex:
    """The index, once it is proved under a policy at a time (aware, UTC).

    `rotations` are earlier indexes that the depot keeps; `name` is the depot that is wanted. Raises `RefusedError`
    (depot-rollback, -conflict, -threshold, -expired, -name-mismatch, index-invalid, and what speaks against the
    signers), `UndecidedError` (clock-set-back, and where a signer cannot be judged).
    """
    # (1) It is the depot that is wanted.
    for wanted in (name, seen.index.name if seen else None):
        if wanted is not None and wanted != index.name:
            detail = f"this is the depot {quote(index.name)}, not {quote(wanted)}"
            raise RefusedError("depot-name-mismatch", detail, name=index.name, wanted=wanted)
    if not index.signature:
        detail = "the depot has no signature over this index: nobody signed it, or it was changed after it was signed"
        raise RefusedError("unsigned", detail, sha256=index.sha256)
    # (2) Its signers: steps 1 to 6, as for a bundle, for all modules that it lists.
    examination = _examine(index, policy, at)
    _require_accepted(examination)
    # (3) Version by version from the one that was seen, each signed by the root before it; and its expiry. Where the
    #     policy has withdrawn its trust from the signers of what was seen, that counts no more: else a stolen key could
    #     lock the depot for ever with a high version (TUF 5.3.11, recovery from fast-forward attacks).
    trusted = seen and not withdrawn(_examine(seen.index, policy, at))
    current = advance(
        INDEX_KIND,
        seen.index if seen and trusted else None,
        seen.newest if seen else None,
        [*rotations, index] if trusted else [index],
        lambda first: require_threshold(INDEX_KIND, first, None, at),
        at,
    )
    if current.sha256 != index.sha256:
        raise AssertionError("the newest of the candidates is the index itself")
    # (4) Recalls never go back either.
    _require_recalls(index, seen.index if seen and trusted else None)
    return ProvedIndex(index, examination)


def require_next(before: DepotIndex | None, seen: Seen, at: datetime) -> None:
    """Whoever publishes the next version builds on the newest that was seen, or on one that came after it.

    Else what was taken back on its way here, a removed module too, would be signed anew. Raises `RefusedError`
    (depot-rollback, -conflict, -name-mismatch), `UndecidedError` (clock-set-back).
    """
    require_clock(seen.newest, at)
    last = seen.index
    if before is None:
        detail = f"version {last.version} of {quote(last.name)} was seen already, and this would build on none"
        raise RefusedError("depot-rollback", detail, seen=last.version)
    if before.name != last.name:
        detail = f"this is the depot {quote(before.name)}, not {quote(last.name)}"
        raise RefusedError("depot-name-mismatch", detail, name=before.name, wanted=last.name)
    if before.version < last.version:
        detail = f"version {before.version} is older than version {last.version}, which was seen already"
        raise RefusedError("depot-rollback", detail, version=before.version, seen=last.version)
    if before.version == last.version and before.sha256 != last.sha256:
        detail = f"another depot's index has version {last.version}"
        raise RefusedError("depot-conflict", detail, version=last.version, sha256=before.sha256, other=last.sha256)
    _require_recalls(before, last)


def _require_accepted(examination: Examination) -> None:
    """Raises `RefusedError` or `UndecidedError` with what decided first against the signers."""
    reason = examination.primary
    if examination.verdict is Verdict.ACCEPTED:
        return
    kind = RefusedError if examination.verdict is Verdict.REJECTED else UndecidedError
    if reason is None or reason.code is None:
        raise kind("internal-error", "something could not be examined")
    raise kind(reason.code, reason.detail, **reason.evidence)


def _examine(index: DepotIndex, policy: Policy, at: datetime) -> Examination:
    return examine_statement(index.signed, index.signature, index.subjects, "the depot's index", policy, at)


def _require_recalls(index: DepotIndex, seen: DepotIndex | None) -> None:
    """A recall that was seen is there, in its version or a newer one: what it withdraws stays withdrawn."""
    found = {one.name: one for one in index.recalls}
    for one in seen.recalls if seen else ():
        now = found.get(one.name)
        if now is None or now.version < one.version:
            there = f"version {now.version}" if now else "missing"
            detail = f"the recall {quote(one.name)} is {there}, and version {one.version} was seen already"
            raise RefusedError("depot-rollback", detail, recall=one.name, seen=one.version)
        if now.version == one.version and now.sha256 != one.sha256:
            detail = f"another recall {quote(one.name)} has version {one.version}"
            raise RefusedError("depot-conflict", detail, recall=one.name, sha256=now.sha256, other=one.sha256)
