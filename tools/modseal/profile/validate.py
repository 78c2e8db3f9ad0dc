"""Whether an image profile holds: each of its modules, proved from depots, and all of them together.

Read `validate` top to bottom. What a profile says decides nothing: it only picks modules, by the digests of their
manifests, and each is then held to the policy, to what the profile says of it, and to all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from modseal.codes import CODES
from modseal.depot import ownership, relations
from modseal.depot.check import Progress, quiet
from modseal.errors import Failure
from modseal.format.image_profile import ImageProfile, ProfileModule
from modseal.format.level import Level
from modseal.format.shape import quote
from modseal.policy.shape import PATH_LISTS
from modseal.profile.candidates import Candidate, Refused, Shelf
from modseal.profile.platform import BASE, release
from modseal.profile.proved import ProvedModule, Prover
from modseal.profile.resolver import is_misfit
from modseal.trust.examination import WORST_LAST, Examination, Verdict
from modseal.trust.granted import placement_failures
from modseal.trust.policy import Policy
from modseal.trust.statement import examine_profile


@dataclass(frozen=True, slots=True)
class ModuleOutcome:
    """What became of one module of a profile: proved, or why not."""

    said: ProfileModule
    proved: ProvedModule | None
    failures: tuple[Failure, ...] = ()
    undecided: bool = False

    @property
    def verdict(self) -> Verdict:
        """Whether it may be in the profile."""
        if not self.failures:
            return Verdict.ACCEPTED
        return Verdict.UNDECIDED if self.undecided else Verdict.REJECTED


@dataclass(frozen=True, slots=True)
class Validation:
    """What became of a profile. `signature` is None where nobody signed it; `failures` are those of the whole."""

    profile: ImageProfile
    signature: Examination | None
    outcomes: tuple[ModuleOutcome, ...]
    failures: tuple[Failure, ...] = ()

    @property
    def proved(self) -> tuple[ProvedModule, ...]:
        """The modules that are proved."""
        return tuple(one.proved for one in self.outcomes if one.proved)

    @property
    def signers(self) -> tuple[str, ...]:
        """The names of the anchors of those who signed it, and whom the policy trusts with it."""
        trusted = self.signature.trusted if self.signature else ()
        return tuple(dict.fromkeys(anchor for _, anchor in trusted))

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        verdicts = [one.verdict for one in self.outcomes]
        verdicts += [Verdict.UNDECIDED if CODES[one.code].undecided else Verdict.REJECTED for one in self.failures]
        return max(verdicts, key=WORST_LAST.index, default=Verdict.ACCEPTED)

    def all_failures(self) -> Iterator[Failure]:
        """Those of the whole, then those of each module."""
        yield from self.failures
        for one in self.outcomes:
            yield from one.failures


def validate(
    profile: ImageProfile,
    shelf: Shelf,
    policy: Policy,
    at: datetime,
    *,
    signed: bool = False,
    path_list: str | None = None,
    tell: Progress = quiet,
) -> Validation:
    """A profile under a policy at a time (aware, UTC), with the bundles of some depots. Never raises for what they are.

    `signed` refuses a profile that nobody signed. `path_list` is one of `PATH_LISTS`: where community modules may bring
    files on the target, besides what the policy says.
    """
    # (1) Whoever signed it may speak for all its modules. A signature that does not hold is never passed over.
    signature = examine_profile(profile, policy, at) if profile.signature or signed else None
    failures = list(_signature_failures(signature))
    # (2) Each module: there, accepted, what the profile says of it, and at its level.
    refused: list[Refused] = []
    wanted = {one.name for one in profile.modules}
    by_name: dict[str, list[Candidate]] = {}
    for one in shelf.candidates(None, refused):
        if one.name in wanted:
            by_name.setdefault(one.name, []).append(one)
    prover = Prover(shelf, at)
    outcomes = []
    for done, said in enumerate(profile.modules):
        tell(done, len(profile.modules), f"{said.name} {said.version}")
        found = _outcome(said, by_name.get(said.name, ()), prover, profile.level, path_list)
        if not found.proved and any(one.undecided for one in refused):  # what cannot be read may be the missing one
            found = replace(found, undecided=True)
        outcomes.append(found)
    # (3) All of them together.
    proved = [one.proved for one in outcomes if one.proved]
    failures += together_failures(proved, whole=len(proved) == len(outcomes))
    return Validation(profile, signature, tuple(outcomes), tuple(failures))


def together_failures(modules: Sequence[ProvedModule], *, whole: bool = True) -> Iterator[Failure]:
    """Why some modules cannot be together. Of a set that is not `whole`, needs are not asked for."""
    for failure in relations.set_failures(modules, "which no module of the profile offers"):
        if failure.code != "dependency-missing":
            yield failure
        elif whole:
            yield replace(failure, evidence={**failure.evidence, "cause": "profile-needs"})
    yield from relations.replaced_failures(modules, modules)
    yield from ownership.collisions(modules)
    base = next((one for one in modules if one.name == BASE), None)
    for one in modules:
        if base and one is not base and is_misfit(one.candidate, base.candidate):
            detail = f"{one.name} {one.version} {one.candidate.only_for}, and the profile has {BASE} {base.version}"
            yield Failure("platform-mismatch", detail, {"module": one.name, "target": release(base.version)})


def level_failure(proved: ProvedModule, level: Level) -> Failure | None:
    """Why a module is below the level of a profile; None where it is not."""
    if proved.level >= level:
        return None
    detail = f"{proved.name} {proved.version} is proved for {proved.level}, and the profile is for {level} or above"
    return Failure(
        "level-below-profile",
        detail,
        {"module": proved.name, "level": str(proved.level), "profile": str(level)},
    )


def _signature_failures(signature: Examination | None) -> Iterator[Failure]:
    if signature and signature.verdict is not Verdict.ACCEPTED:
        reason = signature.primary
        detail = reason.detail if reason else "something of it could not be examined"
        code = (reason.code if reason else None) or "internal-error"
        evidence = {
            **(reason.evidence if reason else {}),
            **({"cause": "profile-unsigned"} if code == "unsigned" else {}),
        }
        yield Failure(code, f"the signature of the profile: {detail}", evidence)


def _outcome(
    said: ProfileModule, found: Sequence[Candidate], prover: Prover, level: Level, path_list: str | None
) -> ModuleOutcome:
    same = [one for one in found if one.digest == said.manifest]
    if not same:
        return ModuleOutcome(said, None, (_absent(said, found),))
    refusals = list[Refused]()
    for one in same:  # the same manifest, maybe with other signatures: one that is accepted is enough
        if refusal := prover.why_not(one):
            refusals.append(refusal)
            continue
        proved = prover.proved[one]
        return ModuleOutcome(said, proved, tuple(_module_failures(said, proved, level, path_list)))
    first = next((one for one in refusals if not one.undecided), refusals[0])
    detail = f"{said.name} {said.version}: {first.failure.detail}"
    return ModuleOutcome(said, None, (Failure(first.failure.code, detail, first.failure.evidence),), first.undecided)


def _module_failures(
    said: ProfileModule, proved: ProvedModule, level: Level, path_list: str | None
) -> Iterator[Failure]:
    for name in ("vendor", "name", "version", "kind", "type", "level", "size"):
        here, there = getattr(said, name), getattr(proved.module, name)
        if here != there:
            detail = f"the profile says {name} {quote(str(here))} of {said.name}; its manifest says {quote(str(there))}"
            yield Failure("profile-mismatch", detail, {"module": said.name, "field": name})
    if failure := level_failure(proved, level):
        yield failure
    if path_list:
        yield from placement_failures(proved.manifest, proved.entries, PATH_LISTS[path_list], path_list)


def _absent(said: ProfileModule, found: Sequence[Candidate]) -> Failure:
    """Why no depot has a module of a profile: none of that name and version, or one with another content."""
    for one in found:
        if (one.vendor, one.version) == (said.vendor, said.version):
            detail = (
                f"{said.name} {said.version} has another content in {one.depot}: its manifest has the SHA-256 "
                f"{one.digest}, and the profile names {said.manifest}"
            )
            evidence = {"module": said.name, "said": said.manifest, "found": one.digest}
            return Failure("profile-module-changed", detail, evidence)
    detail = f"no depot has {said.name} {said.version} of {quote(said.vendor)} with the manifest {said.manifest}"
    return Failure("profile-module-missing", detail, {"module": said.name, "said": said.manifest})
