"""Makes image profiles and their next versions, from modules that are proved. Whatever would break one is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from modseal.depot.check import Progress, quiet
from modseal.errors import Failure, UsageError
from modseal.format.image_profile import ImageProfile
from modseal.format.level import Level
from modseal.format.manifest import Constraint
from modseal.profile.candidates import Candidate, Refused, Shelf, require_one_content
from modseal.profile.installed import TargetModules
from modseal.profile.platform import parse_platform
from modseal.profile.proved import ProvedModule, Prover
from modseal.profile.solve import Solution, solve
from modseal.profile.validate import Validation, level_failure, together_failures, validate
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy


@dataclass(frozen=True, slots=True)
class ProfileDraft:
    """A profile that was asked for. It may be written where nothing is in `failures`, and `solution` has a set.

    `solution` is None where nothing had to be solved; `undecided` says that modseal cannot judge.
    """

    profile: ImageProfile | None
    solution: Solution | None = None
    failures: tuple[Failure, ...] = ()
    undecided: bool = False

    @property
    def verdict(self) -> Verdict:
        """Whether it may be written."""
        if self.profile and not self.failures:
            return Verdict.ACCEPTED
        return Verdict.UNDECIDED if self.undecided else Verdict.REJECTED


@dataclass(frozen=True, slots=True)
class ProfileHead:
    """What a new profile says of itself. What is empty or None comes from its modules."""

    name: str
    vendor: str = ""
    level: Level | None = None
    description: str = ""


def create(
    asked: Sequence[Constraint], head: ProfileHead, shelf: Shelf, at: datetime, platform: str | None = None
) -> ProfileDraft:
    """The first version of a profile with what is asked for, and all that it needs.

    Raises `RefusedError` (content-differs), `UndecidedError` (limit-exceeded), `UsageError`.
    """
    found, chosen = _solved(asked, TargetModules(), {}, shelf, Prover(shelf, at), platform)
    if not found.modules:
        return ProfileDraft(None, found, undecided=found.uncertain)
    vendors = sorted({one.manifest.vendor for one in chosen})
    if not head.vendor and len(vendors) > 1:
        raise UsageError(f"the modules are of {len(vendors)} vendors; say whose profile it is with --vendor")
    level = head.level or min(one.level for one in chosen)
    return _draft(ImageProfile(head.name, head.vendor or vendors[0], 1, level, (), head.description), chosen, found)


def add(
    profile: ImageProfile,
    asked: Sequence[Constraint],
    shelf: Shelf,
    policy: Policy,
    at: datetime,
    platform: str | None = None,
    tell: Progress = quiet,
) -> ProfileDraft:
    """The next version with what is asked for. What it has stays, gets newer, or is replaced by what comes."""
    before = validate(profile, shelf, policy, at, tell=tell)
    if before.verdict is not Verdict.ACCEPTED:
        return _not_now(before)
    # A bare copy stands for what the profile has already: for the solver it is there, whatever the depots have.
    there = {_bare(one): one for one in before.proved}
    found, chosen = _solved(asked, TargetModules(tuple(there)), there, shelf, Prover(shelf, at), platform)
    if not found.modules:
        return ProfileDraft(None, found, undecided=found.uncertain)
    return _draft(_next(profile), chosen, found)


def clone(
    base: ImageProfile,
    asked: Sequence[Constraint],
    head: ProfileHead,
    shelf: Shelf,
    policy: Policy,
    at: datetime,
    platform: str | None = None,
    tell: Progress = quiet,
) -> ProfileDraft:
    """The first version of a profile that begins as another one, with what is asked for besides.

    Raises as `create`.
    """
    start = replace(base, level=head.level or base.level)
    if asked:
        draft = add(start, asked, shelf, policy, at, platform, tell)
    else:
        found = validate(start, shelf, policy, at, tell=tell)
        draft = _draft(_next(start), found.proved) if found.verdict is Verdict.ACCEPTED else _not_now(found)
    if draft.profile is None:
        return draft
    vendor, description = head.vendor or base.vendor, head.description or base.description
    made = replace(draft.profile, name=head.name, vendor=vendor, version=1, description=description)
    return replace(draft, profile=made)


def remove(
    profile: ImageProfile, names: Sequence[str], shelf: Shelf, policy: Policy, at: datetime, tell: Progress = quiet
) -> ProfileDraft:
    """The next version without some modules. Raises `UsageError` for a name that it has not, or where none is left."""
    known = {one.name for one in profile.modules}
    for name in names:
        if name not in known:
            raise UsageError(f"the profile has no module {name!r}")
    kept = tuple(one for one in profile.modules if one.name not in names)
    if not kept:
        raise UsageError("no module would be left in the profile; delete the file instead")
    after = validate(replace(profile, modules=kept), shelf, policy, at, tell=tell)
    failures = tuple(map(_of_removal, after.all_failures()))
    if failures:
        return ProfileDraft(None, None, failures, undecided=after.verdict is Verdict.UNDECIDED)
    return _draft(_next(profile), after.proved)


def _of_removal(failure: Failure) -> Failure:
    """What stays and lacks something, lacks what would go."""
    if failure.code != "dependency-missing":
        return failure
    return Failure("module-needed", failure.detail, {**failure.evidence, "cause": "profile-needed"})


def set_level(
    profile: ImageProfile, level: Level, shelf: Shelf, policy: Policy, at: datetime, tell: Progress = quiet
) -> ProfileDraft:
    """The next version for another level, which every module has to be proved for."""
    after = validate(replace(profile, level=level), shelf, policy, at, tell=tell)
    if after.verdict is not Verdict.ACCEPTED:
        return _not_now(after)
    return _draft(replace(_next(profile), level=level), after.proved)


def _solved(
    asked: Sequence[Constraint],
    there: TargetModules,
    known: dict[Candidate, ProvedModule],
    shelf: Shelf,
    prover: Prover,
    platform: str | None,
) -> tuple[Solution, tuple[ProvedModule, ...]]:
    refused: list[Refused] = []
    target = parse_platform(platform, there.platform) if platform else None
    candidates = require_one_content(shelf.candidates(target, refused))
    found = solve(asked, candidates, there, prover.why_not, refused, target, prover.files_of)
    return found, tuple(known[one] if one in known else prover.proved[one] for one in found.modules)


def _bare(one: ProvedModule) -> Candidate:
    return replace(one.candidate, depot="", path="", files=one.entries)


def _next(profile: ImageProfile) -> ImageProfile:
    """The version after a profile, unsigned."""
    return replace(profile, version=profile.version + 1, signed=b"", signature=b"")


def _draft(empty: ImageProfile, chosen: Sequence[ProvedModule], solution: Solution | None = None) -> ProfileDraft:
    """A profile with these modules, or what speaks against it."""
    failures = [failure for one in chosen if (failure := level_failure(one, empty.level))]
    failures += together_failures(chosen)
    modules = tuple(sorted((one.module for one in chosen), key=lambda one: one.name))
    return ProfileDraft(replace(empty, modules=modules), solution, tuple(failures))


def _not_now(found: Validation) -> ProfileDraft:
    return ProfileDraft(None, None, tuple(found.all_failures()), undecided=found.verdict is Verdict.UNDECIDED)
