"""Installs and updates from depots: what is asked for, with all that it needs.

`profile.solve` chooses by what manifests claim. What it chooses is examined and unpacked here in one pass over one open
bundle, like a bundle that is a file; where that is refused, the choice is made again without it. The plan of the change
is then judged by the rules of every change. So a solver or an index that is wrong can offer nothing that gets in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from modseal.bundle.verify import Result
from modseal.codes import CodeName
from modseal.depot.index import INDEX
from modseal.depot.open import open_depot
from modseal.depot.signed import is_signed_depot
from modseal.errors import Failure, FormatError, InputError, ModsealError, RefusedError, UndecidedError
from modseal.files.shown import shown
from modseal.format.image_profile import ImageProfile
from modseal.format.manifest import Constraint
from modseal.host import plan as planning
from modseal.host.actor import LOCAL, Actor
from modseal.host.admit import Admitted, Keeper, admit_source
from modseal.host.change import Change, carry_out, opened, present
from modseal.host.installed import Installed
from modseal.host.keep import Nothing, Staging
from modseal.host.learned import learn, seen_depots
from modseal.host.plan import ChangePlan, Skipped
from modseal.host.store import Store
from modseal.host.verify import verify_generation
from modseal.policy.sources import with_recalls
from modseal.profile.candidates import Candidate, Refused, Shelf, require_one_content
from modseal.profile.installed import TargetModules
from modseal.profile.solve import Solution, solve
from modseal.profile.validate import validate
from modseal.trust.examination import Verdict


def install_from(
    root: Path,
    asked: Sequence[Constraint],
    places: Sequence[str],
    at: datetime,
    *,
    update: bool = False,
    signed: bool = False,
    dry_run: bool = False,
    actor: Actor = LOCAL,
) -> Change:
    """Install what is asked for from some depots, or with `update` newer ones of installed modules (of all by default).

    `signed` refuses depots that have no signed index.
    Raises what `change.install` and `open_depot` raise, and what `depot.proved.prove` raises of a signed depot.
    """
    action = "update" if update else "install"
    with _visiting(root, action, places, at, actor, dry_run=dry_run, signed=signed) as visit:
        there = visit.there
        asked = asked or [Constraint(one.name) for one in there]
        unknown = {one.name for one in asked} - {one.name for one in there} if update else set()
        if unknown:
            return visit.refused(action, [planning.not_installed(name) for name in sorted(unknown)])
        unread: list[Refused] = []
        target = TargetModules(tuple(map(_as_candidate, there)))
        try:
            candidates = require_one_content(visit.shelf.candidates(None, unread))
            found = solve(asked, candidates, target, visit.why_not, unread) if asked else Solution()
        except (RefusedError, UndecidedError) as error:  # two contents of one version, or too many choices
            return visit.refused(action, [error.failure])
        if failures := _why_not(found, len(unread)) if asked else []:
            return visit.refused(action, failures, found.refused)
        same, missing = ([], []) if update else visit.same(asked, found, candidates)
        coming = [visit.admitted[one] for one in found.modules if not one.is_installed] + same
        return visit.carry_out(action, coming, missing, found.refused)


def install_profile(
    root: Path,
    profile: ImageProfile,
    places: Sequence[str],
    at: datetime,
    *,
    signed: bool = False,
    dry_run: bool = False,
    actor: Actor = LOCAL,
) -> Change:
    """Install the modules of an image profile from some depots, in its versions. What else is installed stays.

    The profile must hold (`profile.validate`), and be signed by who may speak for its modules where it is signed.
    Raises what `install_from` raises.
    """
    with _visiting(root, "install", places, at, actor, dry_run=dry_run, signed=signed) as visit:
        validation = validate(profile, visit.shelf, visit.policy, at)
        if failures := [*validation.all_failures()]:
            return visit.refused("install", failures)
        chosen = [one.candidate for one in validation.proved]
        refused = [found for one in chosen if (found := visit.why_not(one, is_set=True))]
        if refused:
            return visit.refused("install", [one.failure for one in refused])
        return visit.carry_out("install", [visit.admitted[one] for one in chosen])


def _as_candidate(module: Installed) -> Candidate:
    manifest = module.manifest
    return Candidate(
        manifest.name, manifest.version, manifest.vendor, manifest.relationships, digest=module.record.manifest
    )


@contextmanager
def _named(place: str) -> Iterator[None]:
    """Of several depots, the one that something is wrong with."""
    try:
        yield
    except ModsealError as error:
        if type(error) not in (FormatError, RefusedError, UndecidedError):
            raise  # the others name what they are about
        why = error.failure
        raise type(error)(why.code, f"{shown(place)}: {why.detail}", **why.evidence) from error


@contextmanager
def _visiting(
    root: Path, action: str, places: Sequence[str], at: datetime, actor: Actor, *, dry_run: bool, signed: bool
) -> Iterator[_Visit]:
    with opened(root, action, at, actor, dry_run=dry_run) as (store, staging), ExitStack() as stack:
        shelf = Shelf(store.policy, at, seen_depots(store))
        for place in places:
            with _named(place):
                files = stack.enter_context(open_depot(place))
                is_signed = is_signed_depot(files)
                if signed and not is_signed:
                    raise RefusedError("index-invalid", f"it has no {INDEX}, and only a signed depot was asked for")
                if not is_signed and not files.bundles:
                    raise FormatError("index-invalid", f"it has neither a {INDEX} nor a bundle, and is not a depot")
                shelf.add(files)
        try:
            yield _Visit(store, staging, shelf, at)
        except OSError as error:  # not of the depots: those are read by what converts its own errors
            raise InputError.of(store.path, error) from error


class _Visit:
    """A host at some open depots: examines what was chosen, has it kept, and carries out the change.

    `admitted` are the bundles that may be installed, `there` the modules that are installed.
    """

    def __init__(self, store: Store, staging: Staging | None, shelf: Shelf, at: datetime) -> None:
        self._store, self._staging, self._at = store, staging, at
        self._keeper: Keeper = staging or Nothing()
        self.shelf = shelf
        self.policy = with_recalls(store.policy, shelf.recalls)
        self._learned = learn(store, self._keeper, shelf.proved, shelf.recalls, at)
        self.there, self._lost = present(store, self.policy, at)
        self._by_name = {one.name: one for one in self.there}
        self.admitted: dict[Candidate, Admitted] = {}

    def refused(self, action: str, failures: Sequence[Failure], refused: Sequence[Refused] = ()) -> Change:
        """The change that is not made."""
        plan = ChangePlan((), failures=tuple(failures))
        change = Change(action, plan=plan, refused=tuple(refused))
        return carry_out(self._store, self._staging, self._at, change, self._learned)

    def carry_out(
        self,
        action: str,
        coming: Sequence[Admitted],
        missing: Sequence[Installed] = (),
        refused: Sequence[Refused] = (),
    ) -> Change:
        """The change that brings some bundles, or repairs what is there as they bring it.

        `missing` are modules that are installed as they were asked for, and whose bundles no depot has.
        """
        modules = [one.module for one in coming if one.module]
        plan = planning.arrival(self.there, self._lost, modules, self._store.state.level, update=False)
        plan = replace(plan, skipped=(*plan.skipped, *(Skipped(one, planning.SAME) for one in missing)))
        if plan.skipped and not plan.failures and not plan.changes:
            looked = verify_generation(self._store, self._store.newest, self.policy, self._at)
            plan = planning.repair(plan, {finding.module for finding in looked.findings})
        change = Change(action, tuple(one.result for one in coming), plan, refused=tuple(refused))
        return carry_out(self._store, self._staging, self._at, change, self._learned)

    def why_not(self, one: Candidate, *, is_set: bool = False) -> Refused | None:
        """Why a candidate cannot be installed; None where it can be, and is kept (`profile.solve.solve`).

        `is_set`: there is no other choice, so that the plan of the change says what is wrong with it on this host.
        """
        label = f"{one.name} {one.version}"
        found = self._admit(one)
        if isinstance(found, Refused):
            return found
        module = found.module
        if module is None:
            reason = _reason(found.result)
            return Refused(label, reason, undecided=found.result.verdict is Verdict.UNDECIDED)
        failure = None
        if not is_set:
            failure = next(planning.level_failures([module], self._store.state.level), None) or planning.refusal(
                self._by_name.get(module.name), module, self._by_name
            )
        if failure is None:
            self.admitted[one] = found
        return Refused(label, failure) if failure else None

    def _admit(self, one: Candidate) -> Admitted | Refused:
        files, _, listed = self.shelf.opened(one)
        label, name = f"{one.name} {one.version}", f"{one.depot}/{one.path}"
        try:
            with files.open(one.path) as source:
                found = admit_source(source, name, self.policy, self._at, self._keeper)
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
                missing.append(self._by_name[one.name])
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
