"""What a host remembers of the depots that it has used: the newest index of each, and every recall.

Both become part of the state, with the change that they came with, or alone where nothing else changes or the change is
refused. So an index or a recall that a host has seen once holds for it for ever, wherever the next bundle comes from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from modseal import limits
from modseal.codes import CODES
from modseal.depot import state as depot_state
from modseal.depot.proved import ProvedIndex, Seen
from modseal.errors import Failure, FormatError, RefusedError, UndecidedError
from modseal.files.small import read_small
from modseal.format import recall as recall_format
from modseal.format.recall import Recall
from modseal.host.actor import LOCAL, Actor
from modseal.host.admit import Keeper
from modseal.host.documents import DepotRecord, invalid
from modseal.host.keep import Staging
from modseal.host.store import Store
from modseal.host.write import advance, changing
from modseal.policy.sources import with_recalls
from modseal.trust.policy import Policy
from modseal.trust.recalls import anchors_of, is_distrusted, newer_of_its_name, not_replaced, recall_problem
from modseal.values import dataclass

_STATE_SIZE = limits.DEPOT_INDEX_SIZE + limits.SIGNATURE_MEMBER_SIZE + limits.KIB


@dataclass(frozen=True, slots=True)
class LearnedDepot:
    """A signed depot whose index is proved: its version now, and the one that the host had seen, None for none."""

    name: str
    version: int
    before: int | None


@dataclass(frozen=True, slots=True)
class Learned:
    """What the state will say of depots and recalls, and the digests of the records that are new for that."""

    depots: tuple[DepotRecord, ...]
    recalls: tuple[str, ...]
    records: tuple[str, ...] = ()
    seen: tuple[LearnedDepot, ...] = ()
    recall_names: tuple[str, ...] = ()

    @property
    def is_new(self) -> bool:
        """Whether the state would be another one."""
        return bool(self.records)

    def changes(self, staging: Staging) -> dict[str, Any]:
        """Place the records, and give what the state is to say. Raises `OSError`."""
        staging.place_records(self.records)
        return {"depots": self.depots, "recalls": self.recalls}

    def facts(self) -> dict[str, str]:
        """What the log says of it."""
        depots = [f"{one.name} version {one.version}" for one in self.seen if one.version != one.before]
        facts = {"depots": ", ".join(depots), "recalls": ", ".join(self.recall_names)}
        return {label: text for label, text in facts.items() if text}


def seen_depots(store: Store) -> dict[str, Seen]:
    """What the host has seen of each depot, by name. Raises `UndecidedError` (host-invalid)."""
    try:
        return {one.name: depot_state.decode(store.record(one.sha256, _STATE_SIZE)) for one in store.state.depots}
    except FormatError as error:
        raise invalid(f"{store.path}: {error.failure.detail}") from error


def learn(
    store: Store, keeper: Keeper, proved: Sequence[ProvedIndex], recalls: Sequence[bytes], at: datetime
) -> Learned:
    """What the state becomes by some proved indexes and the recalls of their depots. A dry run keeps nothing of it.

    Raises `RefusedError` (limit-exceeded).
    """
    before = seen_depots(store)
    depots = {one.name: one for one in store.state.depots}
    records: list[str] = []
    seen: list[LearnedDepot] = []
    for one in proved:
        old = before.get(one.index.name)
        seen.append(LearnedDepot(one.index.name, one.index.version, old.index.version if old else None))
        if old is None or old.index != one.index:
            digest = keeper.record(depot_state.encode(Seen(one.index, at)))
            depots[one.index.name] = DepotRecord(one.index.name, digest)
            records.append(digest)
    kept, new = _with_new(store, keeper, recalls, at)
    _require_room("depots", len(depots), limits.HOST_DEPOTS)
    names = tuple(_named(one) for one, _ in new)
    by_name = tuple(depots[name] for name in sorted(depots))
    return Learned(by_name, kept, (*records, *(digest for _, digest in new)), tuple(seen), names)


def _with_new(
    store: Store, keeper: Keeper, contents: Sequence[bytes], at: datetime
) -> tuple[tuple[str, ...], list[tuple[Recall, str]]]:
    """The digests of the recalls that a host keeps once some more have come, and those of them that are new.

    Of one list the newest stays, as `trust.recalls` has it. One that does not count is not kept, and where there is no
    room, neither is one whose signers the policy trusts no more.
    """
    policy = with_recalls(store.policy, contents)
    by_content = {one.sha256: digest for one, digest in zip(policy.kept_recalls, store.state.recalls, strict=True)}
    given = {one.sha256: (one, data) for one, data in zip(map(recall_format.decode, contents), contents, strict=True)}
    coming = [one for one, _ in given.values() if one.sha256 not in by_content and not recall_problem(one, policy, at)]
    stay = list(not_replaced([*policy.kept_recalls, *coming], policy, at))
    if len(stay) > limits.HOST_RECALLS_OF_ANCHOR:
        stay = [one for one in stay if one in coming or not is_distrusted(one, policy, at)]
        count = Counter(anchor for one in stay for anchor in anchors_of(one, policy, at))
        for anchor, held in count.items():
            _require_room(f"recalls of the anchor {anchor}", held, limits.HOST_RECALLS_OF_ANCHOR)
    new = [(one, keeper.record(given[one.sha256][1])) for one in coming if one in stay]
    by_content |= {one.sha256: digest for one, digest in new}
    _require_room("recalls", len(stay), limits.HOST_RECALLS)
    return tuple(by_content[one.sha256] for one in stay), new


def _require_room(what: str, count: int, most: int) -> None:
    if count > most:
        raise RefusedError("limit-exceeded", f"this host would have to remember {count} {what}, and takes {most}")


def keep_recalls(
    root: Path, files: Sequence[Path | bytes], at: datetime, *, actor: Actor = LOCAL
) -> tuple[Recall, ...]:
    """Keep the recalls of some files, or with these contents; gives those that are new.

    Raises what `with_given` and `change.install` raise.
    """
    with changing(root, "recalls", at, actor) as (store, staging):
        kept, new = _with_new(store, staging, _current(store.policy, files, at), at)
        if new:
            records, names = tuple(digest for _, digest in new), tuple(map(_named, (one for one, _ in new)))
            learned = Learned(store.state.depots, kept, records, (), names)
            advance(store, staging, at, "recall", learned.facts(), **learned.changes(staging))
        return tuple(one for one, _ in new)


def with_given(policy: Policy, files: Sequence[Path], at: datetime) -> Policy:
    """A host's policy with the recalls of some files.

    Raises `FormatError` (recall-invalid), `InputError`, `UndecidedError` with why a list does not count: it has to be
    current, signed by who may speak for its modules, and not older than the one of its name that the host keeps.
    """
    return with_recalls(policy, _current(policy, files, at))


def _current(policy: Policy, files: Sequence[Path | bytes], at: datetime) -> list[bytes]:
    contents = [one if isinstance(one, bytes) else read_small(one, limits.RECALL_SIZE).data for one in files]
    for number, (file, data) in enumerate(zip(files, contents, strict=True), 1):
        _require_current(policy, f"recall {number}" if isinstance(file, bytes) else str(file), data, at)
    return contents


def _named(recall: Recall) -> str:
    return f"{recall.name} version {recall.version}"


def _require_current(policy: Policy, path: str, data: bytes, at: datetime) -> None:
    recall = recall_format.decode(data)
    problem = recall_problem(recall, policy, at)
    if problem is None and (newer := newer_of_its_name(recall, policy, at)):
        seen, old = newer.version, recall.version
        detail = f"the recall {recall.name}, version {old}, is older than version {seen}, which is kept"
        problem = Failure("recall-rollback", detail, {"recall": recall.name, "version": old, "seen": seen})
    if problem:
        kind = UndecidedError if CODES[problem.code].undecided else RefusedError
        raise kind(problem.code, f"{path}: {problem.detail}", **problem.evidence)
