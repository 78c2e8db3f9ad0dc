"""Installs and updates from depots: what is asked for, with all that it needs.

`profile.solve` chooses by what manifests claim. What it chooses is examined and unpacked here in one pass over one open
bundle, like a bundle that is a file; where that is refused, the choice is made again without it. The plan of the change
is then judged by the rules of every change. So a solver or an index that is wrong can offer nothing that gets in.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from modseal.bundle.verify import Result
from modseal.codes import CodeName
from modseal.depot.open import open_depot
from modseal.errors import Failure, ModsealError
from modseal.format.level import Level
from modseal.format.manifest import Constraint
from modseal.host import plan as planning
from modseal.host.admit import Admitted, Keeper, admit_source
from modseal.host.change import Change, carry_out, opened, present
from modseal.host.installed import Installed
from modseal.host.keep import Nothing
from modseal.host.learned import learn, seen_depots
from modseal.host.plan import ChangePlan, Skipped
from modseal.host.store import Store
from modseal.host.verify import verify_generation
from modseal.policy.sources import with_recalls
from modseal.profile.candidates import Candidate, Refused, Shelf, require_one_content
from modseal.profile.installed import TargetModules
from modseal.profile.solve import Solution, solve
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy


def install_from(
    root: Path,
    asked: Sequence[Constraint],
    places: Sequence[str],
    at: datetime,
    *,
    update: bool = False,
    dry_run: bool = False,
) -> Change:
    """Install what is asked for from some depots, or with `update` newer ones of installed modules (of all by default).

    Raises what `change.install` and `open_depot` raise, and what `depot.proved.prove` raises of a signed depot.
    """
    action = "update" if update else "install"
    with opened(root, dry_run=dry_run) as (store, staging), ExitStack() as stack:
        store.require_clock(at)
        keeper: Keeper = staging or Nothing()
        shelf = Shelf(store.policy, at, seen_depots(store))
        for place in places:
            shelf.add(stack.enter_context(open_depot(place)))
        learned = learn(store, keeper, shelf.proved, shelf.recalls, at)
        policy = with_recalls(store.policy, shelf.recalls)
        there, lost = present(store, policy, at)
        asked = asked or [Constraint(one.name) for one in there]
        unknown = {one.name for one in asked} - {one.name for one in there} if update else set()
        if unknown:
            failures = tuple(planning.not_installed(name) for name in sorted(unknown))
            return carry_out(store, staging, at, Change(action, plan=ChangePlan((), failures=failures)), learned)
        desk = _Desk(shelf, policy, at, keeper, store.state.level, there)
        unread: list[Refused] = []
        candidates = require_one_content(shelf.candidates(None, unread))
        target = TargetModules(tuple(map(_as_candidate, there)))
        found = solve(asked, candidates, target, desk.why_not, unread) if asked else Solution()
        failures = tuple(_why_not(found, len(unread))) if asked else ()
        if failures:
            plan = ChangePlan((), failures=failures)
            return carry_out(store, staging, at, Change(action, plan=plan, refused=found.refused), learned)
        same, missing = ([], []) if update else desk.same(asked, found, candidates)
        coming = [desk.admitted[one] for one in found.modules if not one.is_installed] + same
        modules = [one.module for one in coming if one.module]
        plan = planning.arrival(there, lost, modules, store.state.level, update=False)
        plan = replace(plan, skipped=(*plan.skipped, *(Skipped(one, planning.SAME) for one in missing)))
        if plan.skipped and not plan.failures and not plan.changes:
            plan = _repaired(store, plan, policy, at)
        change = Change(action, tuple(one.result for one in coming), plan, refused=found.refused)
        return carry_out(store, staging, at, change, learned)


def _as_candidate(module: Installed) -> Candidate:
    manifest = module.manifest
    return Candidate(
        manifest.name, manifest.version, manifest.vendor, manifest.relationships, digest=module.record.manifest
    )


class _Desk:
    """Examines what the solver chose, and has it kept: `admitted` are the bundles that may be installed."""

    def __init__(
        self, shelf: Shelf, policy: Policy, at: datetime, keeper: Keeper, level: Level, there: Sequence[Installed]
    ) -> None:
        self._shelf, self._policy, self._at, self._keeper = shelf, policy, at, keeper
        self._level, self._there = level, {one.name: one for one in there}
        self.admitted: dict[Candidate, Admitted] = {}

    def why_not(self, one: Candidate) -> Refused | None:
        """Why a candidate cannot be installed; None where it can be, and is kept (`profile.solve.solve`)."""
        label = f"{one.name} {one.version}"
        found = self._admit(one)
        if isinstance(found, Refused):
            return found
        module = found.module
        if module is None:
            reason = _reason(found.result)
            return Refused(label, reason, undecided=found.result.verdict is Verdict.UNDECIDED)
        failure = next(planning.level_failures([module], self._level), None) or planning.refusal(
            self._there.get(module.name), module, self._there
        )
        if failure is None:
            self.admitted[one] = found
        return Refused(label, failure) if failure else None

    def _admit(self, one: Candidate) -> Admitted | Refused:
        files, _, listed = self._shelf.opened(one)
        label, name = f"{one.name} {one.version}", f"{one.depot}/{one.path}"
        try:
            with files.open(one.path) as source:
                found = admit_source(source, name, self._policy, self._at, self._keeper)
        except ModsealError as error:
            return Refused(label, error.failure, undecided=error.exit_code == 3)
        module = found.module
        if module and (module.record.manifest != one.digest or listed not in (None, found.result.sha256)):
            detail = f"{name} is not the bundle that the index lists, or changed while it was read"
            return Refused(label, Failure("bundle-digest-mismatch", detail, {"found": found.result.sha256}))
        return found

    def same(
        self, asked: Sequence[Constraint], found: Solution, candidates: Sequence[Candidate]
    ) -> tuple[list[Admitted], list[Installed]]:
        """What was asked for and is installed as it is: the bundles of it that depots have, and what no depot has."""
        names = {one.name for one in asked}
        bundles: list[Admitted] = []
        missing: list[Installed] = []
        for one in (each for each in found.modules if each.is_installed and each.name in names):
            there = next((each for each in candidates if (each.name, each.digest) == (one.name, one.digest)), None)
            admitted = self._admit(there) if there else None
            if isinstance(admitted, Admitted) and admitted.module:
                bundles.append(admitted)
            else:
                missing.append(self._there[one.name])
        return bundles, missing


def _reason(result: Result) -> Failure:
    """What decided against a bundle."""
    check = result.examination.primary if result.examination else None
    if check is None:
        return result.failure or Failure("internal-error", f"{result.bundle}: something could not be examined", {})
    code: CodeName = check.code or "internal-error"
    return Failure(code, f"{result.bundle}: {check.detail}", check.evidence)


def _why_not(found: Solution, unread: int) -> list[Failure]:
    """Why there is no set: what was refused of what could be chosen, then the rules that nothing meets.

    What could not be examined is never passed over for an older version: then nothing is installed.
    """
    reasons = "; ".join(found.reasons)
    undecided = [one.failure for one in found.refused if one.undecided]
    if undecided:
        return [*undecided, *([] if found.modules else [Failure("set-unknown", reasons)])]
    return [] if found.modules else [*(one.failure for one in found.refused[unread:]), Failure("no-set", reasons)]


def _repaired(store: Store, plan: ChangePlan, policy: Policy, at: datetime) -> ChangePlan:
    _, findings, _ = verify_generation(store, store.newest, policy, at)
    return planning.repair(plan, {finding.module for finding in findings})
