"""What people do with a host: install, update, remove, roll back, activate, set its level and its policy.

Each is one story: examine, plan, and where nothing speaks against it write a generation and switch to it. With
`dry_run` everything is the same, but nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from modseal import limits
from modseal.bundle.verify import Result
from modseal.codes import CODES
from modseal.errors import Failure, RefusedError, UndecidedError, error_of
from modseal.format import rules
from modseal.format.manifest import Entry
from modseal.host import plan as planning
from modseal.host.actor import LOCAL, Actor, refusal
from modseal.host.admit import Admitted, Keeper, admit
from modseal.host.bound import flags_of, generation_failures, state_failures
from modseal.host.extension import link_failures, make_link, mount_failures
from modseal.host.inodes import flag_failures
from modseal.host.installed import Installed, prove
from modseal.host.keep import Nothing, Staging, damaged_entry, hidden_failures, objects_of
from modseal.host.plan import ChangePlan, LostModule
from modseal.host.progress import SILENT, Progress
from modseal.host.store import Store, object_name, open_store
from modseal.host.verify import verify_generation
from modseal.host.write import add_generation, advance, changing, heal, next_generation, numbers_text, retained
from modseal.trust.examination import WORST_LAST, Verdict
from modseal.trust.policy import Policy
from modseal.values import dataclass

if TYPE_CHECKING:  # depots and solvers are loaded where modules come from depots
    from modseal.host.learned import Learned, LearnedDepot
    from modseal.profile.candidates import Refused


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a change, or would become of it.

    `results` has every bundle that was examined, from depots each that was chosen; `refused` those that could not be.
    `generation` is the one that was made or gone to; None where there was nothing to do. `waits` says that it becomes
    active with `host activate`. `depots` are the signed ones that were used.
    """

    action: str
    results: tuple[Result, ...] = ()
    plan: ChangePlan | None = None
    failures: tuple[Failure, ...] = ()
    generation: int | None = None
    waits: bool = False
    refused: tuple[Refused, ...] = ()
    depots: tuple[LearnedDepot, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Rejected or undecided where something speaks against it: the worst of all."""
        undecided = [CODES[failure.code].undecided for failure in self.failures]
        found = [Verdict.UNDECIDED if one else Verdict.REJECTED for one in undecided]
        return max([*found, *(one.verdict for one in self.results)], key=WORST_LAST.index, default=Verdict.ACCEPTED)


@contextmanager
def opened(
    root: Path, action: str, at: datetime, actor: Actor, *, dry_run: bool
) -> Iterator[tuple[Store, Staging | None]]:
    """The store, and where to stage; None for a dry run, which takes no lock and leaves no trace.

    Raises what `write.changing` raises: a dry run is refused to whom the change would be.
    """
    if dry_run:
        with open_store(root) as store:
            store.require_clock(at)
            if failure := refusal(store.state, actor, action):
                raise RefusedError(failure.code, failure.detail, **failure.evidence)
            store.require_writable()
            _require_unbound(store)
            yield store, None
    else:
        with changing(root, action, at, actor) as opened:
            _require_unbound(opened[0])
            yield opened


def _require_unbound(store: Store) -> None:
    for failure in (*state_failures(store.descriptor), *mount_failures(store.descriptor), *link_failures(store)):
        raise error_of(failure)


def present(
    store: Store, policy: Policy, at: datetime, progress: Progress = SILENT
) -> tuple[list[Installed], list[LostModule]]:
    """The modules of the newest generation, proved again under a policy; and those that cannot be."""
    found: list[Installed] = []
    lost: list[LostModule] = []
    recorded = store.generation(store.newest).modules
    progress.begin("installed modules", found, len(recorded))
    for module in recorded:
        try:
            found.append(prove(store, module, policy, at))
        except UndecidedError as error:
            detail = f"{module.name} {module.version}, which is installed: {error.failure.detail}"
            lost.append(LostModule(module, Failure("installed-changed", detail, {"module": module.name})))
    return found, lost


def install(
    root: Path,
    bundles: Sequence[Path],
    at: datetime,
    *,
    update: bool = False,
    dry_run: bool = False,
    actor: Actor = LOCAL,
    progress: Progress = SILENT,
) -> Change:
    """Install bundles, or with `update` only newer ones of modules that are installed. All of them, or none.

    Raises `UsageError`, `InputError`, `UndecidedError` (host-invalid, clock-set-back), `PolicyError`, `RefusedError`
    (host-locked-down).
    """
    action = "update" if update else "install"
    with opened(root, action, at, actor, dry_run=dry_run) as (store, staging):
        keeper: Keeper = staging or Nothing()
        admitted: list[Admitted] = []
        progress.plan(4)
        progress.begin("bundles", admitted, len(bundles))
        admitted += (admit(path, store.policy, at, keeper) for path in bundles)
        results = tuple(one.result for one in admitted)
        coming = {_content(one.module): one.module for one in admitted if one.module}  # named twice counts once
        if not all(one.module for one in admitted):
            return Change(action, results)
        found = planning.arrival(
            *present(store, store.policy, at, progress), [*coming.values()], store.state.level, update=update
        )
        if found.skipped and not found.failures and not found.changes:
            looked = verify_generation(store, store.newest, store.policy, at)
            found = planning.repair(found, {finding.module for finding in looked.findings})
        return carry_out(store, staging, at, Change(action, results, found), progress=progress)


def _content(module: Installed) -> tuple[str, str]:
    return module.record.manifest, module.record.signature


def remove(
    root: Path,
    names: Sequence[str],
    at: datetime,
    *,
    dry_run: bool = False,
    actor: Actor = LOCAL,
    progress: Progress = SILENT,
) -> Change:
    """Remove modules by their names. Raises what `install` raises."""
    with opened(root, "remove", at, actor, dry_run=dry_run) as (store, staging):
        progress.plan(3)
        found = planning.removal(*present(store, store.policy, at, progress), tuple(dict.fromkeys(names)))
        return carry_out(store, staging, at, Change("remove", plan=found), progress=progress)


def carry_out(
    store: Store,
    staging: Staging | None,
    at: datetime,
    change: Change,
    learned: Learned | None = None,
    progress: Progress = SILENT,
) -> Change:
    """Make a change that is planned, where nothing speaks against it; what was learned is kept in any case.

    Raises `OSError`.
    """
    found, action = change.plan or ChangePlan(()), change.action
    change = replace(change, failures=found.failures, depots=learned.seen if learned else ())
    told, more = ({}, {})
    if learned and learned.is_new and staging:
        if found.failures:
            staging.discard_all_but(learned.records)
        told, more = learned.facts(), learned.changes(staging)
    if found.changes and not found.failures:
        found = _with_good_files(store, found, progress)
        change = replace(change, plan=found, failures=found.failures)
    if found.failures or not found.changes:
        if more and staging:
            advance(store, staging, at, "depot", told, **more)
        return change
    generation = next_generation(store, at, action)
    waits = bool(found.waits) or store.state.pending is not None  # what is made from one that waits, waits as well
    progress.begin("the new generation")
    if staging:
        reference = add_generation(store.descriptor, staging, generation, found.modules)
        if good := staging.replaced.union(*map(objects_of, found.repaired)):
            heal(store, staging, good, at)
        active, pending = (store.state.generation, reference) if waits else (reference, None)
        kept = retained(store, (*store.state.kept, reference), active, pending, limits.HOST_GENERATIONS)
        facts = facts_of(found, reference.number, waits=waits)
        pruned = [one for one in store.state.kept if one not in kept]
        facts |= {"pruned": numbers_text(pruned)} if pruned else {}
        changes = {"generation": active, "pending": pending, "last": reference.number, "kept": kept, **more}
        make_link(store)
        advance(store, staging, at, action, {**facts, **told}, **changes)
    return replace(change, generation=generation.number, waits=waits)


def _with_good_files(store: Store, found: ChangePlan, progress: Progress) -> ChangePlan:
    """A plan whose modules that stay have good files in the store: a new generation links to them.

    Each is read and held against its signed digest, in a dry run as well. A module whose bundle is here is laid out
    again from it; what is left is a failure.
    """
    staying = [one for one in found.modules if one.name not in _brought(found)]
    looked: list[tuple[str, Entry | None]] = []
    progress.begin("files of modules that stay", looked, len(staying))
    looked += ((one.name, damaged_entry(store, one)) for one in staying)
    lost = {name: entry for name, entry in looked if entry}
    found = planning.repair(found, lost)
    brought = _brought(found)
    failures = [_lost_failure(store, name, entry) for name, entry in lost.items() if name not in brought]
    again = [one for one in found.modules if one.name in brought]
    failures += hidden_failures(store, (one for one in staying if one.name not in brought))
    return replace(found, failures=(*failures, *generation_failures(store, found.modules, again)))


def _lost_failure(store: Store, name: str, entry: Entry) -> Failure:
    path = rules.shown(entry.path)
    flags = flags_of(object_name(entry.sha256.hex() if entry.sha256 else "", entry.mode or 0), store.descriptor)
    for failure in flag_failures(entry.path, flags):
        return replace(failure, evidence={"module": name, **failure.evidence})
    detail = f"{name}, installed: the store's file for {path!r} is missing or not the signed one"
    return Failure("installed-changed", detail, {"module": name, "path": path})


def _brought(found: ChangePlan) -> set[str]:
    """The modules of a plan whose bundles are here. One that is repaired without its bundle is the installed one."""
    coming = (*found.installed, *(new for _, new in found.updated))
    again = (one for one in found.repaired if not any(one is other for other in found.modules))
    return {one.name for one in (*coming, *again)}


def facts_of(found: ChangePlan, number: int, *, waits: bool) -> dict[str, str]:
    """What the log says of a plan."""
    facts = {"generation": str(number)}
    facts |= {"waits": "; ".join(found.waits) or "an earlier change waits"} if waits else {}
    names = {
        "installed": [f"{one.name} {one.version} ({one.record.manifest})" for one in found.installed],
        "updated": [f"{one.name} {old.version} -> {one.version} ({one.record.manifest})" for old, one in found.updated],
        "removed": [
            *(f"{one.name} {one.version}" for one in found.removed),
            *(f"{one.name} {one.version}" for one in found.lost),
        ],
        "repaired": [f"{one.name} {one.version}" for one in found.repaired],
    }
    return facts | {label: ", ".join(each) for label, each in names.items() if each}
