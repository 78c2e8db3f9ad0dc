"""Checks a depot: its index, whether exactly what it lists is there, and every bundle under the policy.

A signed depot is proved first (`depot.proved`), then what was proved is remembered, then each bundle is held against
the index and examined like any other. An offline bundle has no signature: there the bundles decide, and what the
metadata says is only held against them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from modseal import limits
from modseal.bundle.fence import fenced
from modseal.bundle.open import OpenBundle
from modseal.bundle.verify import Result
from modseal.codes import CODES
from modseal.depot import compare, signed, state
from modseal.depot.compare import BundleOrigin, DepotBundle
from modseal.depot.files import DepotFiles
from modseal.depot.index import INDEX, DepotIndex, Listed, listed, signature_path
from modseal.depot.proved import ProvedIndex, prove
from modseal.depot.values import unequal
from modseal.errors import Failure, ModsealError, RefusedError, UndecidedError
from modseal.format import rules
from modseal.format.image_profile import ImageProfile, ProfileModule
from modseal.format.manifest import Manifest
from modseal.format.shape import quote
from modseal.format.source import Source
from modseal.policy.sources import with_recalls
from modseal.trust.examination import WORST_LAST, Examination, Verdict
from modseal.trust.examine import examine
from modseal.trust.policy import Policy
from modseal.trust.recalls import to_keep
from modseal.trust.statement import examine_profile
from modseal.values import dataclass

Progress = Callable[[int, int, str], None]
"""Told before each step of long work: how many are done, how many there are, and what is next."""

_HARMLESS = frozenset({"metadata-order"})
"""Failures of metadata that speak against nothing."""


def quiet(_done: int, _all: int, _what: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a depot: of its index, of each bundle, and all that is wrong besides.

    `index` is what the depot says, `proved` the same once it holds; both are None for an offline bundle.
    """

    depot: str
    index: DepotIndex | None
    proved: ProvedIndex | None
    results: tuple[Result, ...] = ()
    failures: tuple[Failure, ...] = ()
    recalls: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()

    @property
    def against(self) -> tuple[Failure, ...]:
        """The failures that speak against the depot."""
        return tuple(failure for failure in self.failures if failure.code not in _HARMLESS)

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        verdicts = [result.verdict for result in self.results]
        verdicts += [Verdict.UNDECIDED if CODES[one.code].undecided else Verdict.REJECTED for one in self.against]
        return max(verdicts, key=WORST_LAST.index, default=Verdict.ACCEPTED)


def check(
    files: DepotFiles,
    policy: Policy,
    at: datetime,
    *,
    state_file: Path | None = None,
    name: str | None = None,
    remember: bool = True,
    progress: Progress = quiet,
) -> Checked:
    """Check an open depot at a time (aware, UTC). What is wrong with the depot is in the result, and not raised.

    `remember` is for checks at the time that it is, or was: what holds at a later one is not yet proved, and a clock
    that was seen to be there would stop every check until then. Raises `UndecidedError` where the state file cannot be
    used, `InputError` where it cannot be written.
    """
    if not signed.is_signed_depot(files):
        if state_file or name:
            detail = f"{files.name} has no {INDEX} that can be read, and an offline bundle has neither version nor name"
            return Checked(files.name, None, None, failures=(Failure("index-invalid", detail), *files.failures))
        return _check_offline(files, policy, at, progress)
    index: DepotIndex | None = None
    with state.held(state_file) if state_file else nullcontext():
        seen = state.read(state_file) if state_file else None
        try:
            index = signed.read_index(files)
            proved = prove(index, signed.read_rotations(files, index), policy, at, seen=seen, name=name)
            found = signed.read_recalls(files, index)
            profiles = signed.read_profiles(files, index)
            # What was withdrawn before stays withdrawn: another signer's newer list of the same name replaces none.
            policy = replace(policy, kept_recalls=(*policy.kept_recalls, *(seen.recalls if seen else ())))
            kept = to_keep((recall for recall, _ in found), policy, at) if state_file else ()
            if len(kept) > limits.RECALLS:
                detail = f"{len(kept)} recalls of this depot would have to be remembered, and {limits.RECALLS} may be"
                raise RefusedError("limit-exceeded", detail)
        except ModsealError as error:
            return Checked(files.name, index, None, failures=(error.failure,))
        if state_file and remember:
            state.write(state_file, proved, seen, at, kept)
    failures = [*files.failures, *presence(files.sizes, index, complete=files.complete)]
    # What the depot's recalls withdraw is not accepted from it, nor is anything while one of them does not count.
    policy = with_recalls(policy, [data for _, data in found])
    results = []
    manifests: dict[str, str] = {}
    for done, one in enumerate(index.bundles):
        progress(done, len(index.bundles), one.path)
        if one.path in files.sizes:
            result, more, manifest = _check_bundle(files, one, policy, at)
            results.append(result)
            failures += more
            manifests |= {one.path: manifest} if manifest else {}
    for profile, _ in profiles:
        failures += profile_failures(profile, index, policy, at)
        failures += _changed_modules(profile, index, manifests)
    recalls = tuple(f"{recall.name}, version {recall.version}" for recall, _ in found)
    names = tuple(f"{profile.name}, version {profile.version}" for profile, _ in profiles)
    return Checked(files.name, index, proved, tuple(results), tuple(failures), recalls, names)


def require_accepted(files: DepotFiles, policy: Policy, at: datetime) -> None:
    """Raises `RefusedError` or `UndecidedError` with the first thing that speaks against a depot."""
    found = check(files, policy, at)
    for failure in found.against:
        kind = UndecidedError if CODES[failure.code].undecided else RefusedError
        raise kind(failure.code, f"{files.name}: {failure.detail}", **failure.evidence)
    for result in found.results:
        result.require()


def examine_bundle(source: Source, name: str, policy: Policy, at: datetime) -> tuple[Examination, str]:
    """The examination of a bundle, and the SHA-256 of the very bytes that were examined. Raises what reading raises."""
    with fenced(name):
        bundle = OpenBundle(source, name, with_digest=True)
        return examine(bundle, policy, at), bundle.sha256()


def _check_bundle(
    files: DepotFiles, one: Listed, policy: Policy, at: datetime
) -> tuple[Result, list[Failure], str | None]:
    """The verdict on a bundle, where it is not what the index lists, and the SHA-256 of its manifest."""
    try:
        with files.open(one.path) as source:
            size = source.size
            examination, sha256 = examine_bundle(source, f"{files.name}/{one.path}", policy, at)
            manifest = hashlib.sha256(OpenBundle(source, one.path).manifest).hexdigest()
    except ModsealError as error:
        # Of what the server sends beyond the listed size nothing is read, and yet it is known not to be the bundle.
        unlike = [error.failure] if error.failure.code == "bundle-digest-mismatch" else []
        return Result(one.path, None, None, error.failure), unlike, None
    result = Result(one.path, sha256, examination)
    unlike = list(signed.unlike_listed(one.path, one.sha256, sha256, one.size, size))
    return result, unlike or list(differences(one, examination.manifest)), manifest


def differences(one: Listed, manifest: Manifest | None) -> Iterator[Failure]:
    """Where the index says something else than the bundle's own manifest, although the bundle is the listed one."""
    if manifest is None:
        return
    there = listed(manifest, one.path, one.size, one.sha256)
    values = [
        {name: getattr(each, name) for name in ("kind", "vendor", "name", "version", "level", "type", "summary")}
        | dict(each.relationships.by_label())
        | {"platforms": each.platforms}
        for each in (one, there)
    ]
    for field_, here, other in unequal(*values):
        detail = f"the index says {field_} {here} of {quote(one.path, 200)}; its manifest says {other}"
        yield Failure("metadata-mismatch", detail, {"path": rules.shown(one.path), "field": field_})


def profile_failures(profile: ImageProfile, index: DepotIndex, policy: Policy, at: datetime) -> Iterator[Failure]:
    """An image profile is signed by who may speak for its modules, and the depot has them all."""
    label = f"the image profile {profile.name}, version {profile.version}"
    examination = examine_profile(profile, policy, at)
    reason = examination.primary
    if examination.verdict is not Verdict.ACCEPTED:
        code = (reason.code if reason else None) or "internal-error"
        yield Failure(code, f"{label}: {reason.detail if reason else 'undecided'}", reason.evidence if reason else {})
    there = set(map(_id, index.bundles))
    for one in profile.modules:
        if _id(one) not in there:
            detail = f"{label} names {one.name} {one.version}, which the index does not list"
            yield Failure("profile-module-missing", detail, {"module": one.name, "profile": profile.name})


def _id(one: Listed | ProfileModule) -> tuple[str, ...]:
    return one.vendor, one.name, one.version, one.kind


def _changed_modules(profile: ImageProfile, index: DepotIndex, manifests: Mapping[str, str]) -> Iterator[Failure]:
    """An image profile names each module by its manifest: another content of the same id is not what it is about.

    `manifests` has the SHA-256 of the manifests that could be read, by the paths of the bundles.
    """
    there: dict[tuple[str, ...], list[str]] = {}
    for listed_one in index.bundles:
        if listed_one.path in manifests:
            there.setdefault(_id(listed_one), []).append(listed_one.path)
    for one in profile.modules:
        same = there.get(_id(one), [])
        if same and one.manifest not in (manifests[path] for path in same):
            detail = (
                f"the image profile {profile.name}, version {profile.version}, names {one.name} {one.version} with the "
                f"manifest {one.manifest}; that of {quote(same[0], 200)} has the SHA-256 {manifests[same[0]]}"
            )
            evidence = {"module": one.name, "profile": profile.name, "said": one.manifest, "found": manifests[same[0]]}
            yield Failure("profile-module-changed", detail, evidence)


def presence(paths: Collection[str], index: DepotIndex, *, complete: bool = True) -> Iterator[Failure]:
    """Exactly the listed files are there: none withheld, and none added, which only `complete` paths can say."""
    indexes = [index.sha256, *(sha256 for _, sha256 in index.rotations)]
    expected = {INDEX, *index.files, *map(signature_path, indexes)}
    for path in sorted(expected.difference(paths)):
        detail = f"the index lists {quote(path, 200)}, which the depot does not have"
        yield Failure("bundle-missing", detail, {"bundle": rules.shown(path)})
    for path in sorted(set(paths) - expected) if complete else ():
        detail = f"the depot has {quote(path, 200)}, which its index does not list"
        yield Failure("bundle-unlisted", detail, {"bundle": rules.shown(path)})


def _check_offline(files: DepotFiles, policy: Policy, at: datetime, progress: Progress) -> Checked:
    """Every bundle, and the metadata held against them."""
    metadata = files.metadata
    failures = list(files.failures)
    results, origins = [], []
    paths = files.bundles
    for done, path in enumerate(paths):
        progress(done, len(paths), path)
        try:
            with files.open(path) as source:
                examination, sha256 = examine_bundle(source, f"{files.name}/{path}", policy, at)
                size = source.size
        except ModsealError as error:
            results.append(Result(path, None, None, error.failure))
            origins.append(BundleOrigin(path, None, proved=False))
            continue
        results.append(Result(path, sha256, examination))
        found = DepotBundle(path, size, sha256, examination.manifest, bool(examination.trusted))
        origins.append(found.origin)
        failures += compare.bundle_failures(metadata, found)
    failures += compare.depot_failures(metadata, files.paths, origins)
    return Checked(files.name, None, None, tuple(results), tuple(failures))
