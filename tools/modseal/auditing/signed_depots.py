"""Signed depots in an audit: their index is proved, and held against what lies there.

The index is read with the depot. What one bundle shows is found where the bundle is examined (`unlike`), what the whole
shows when the audit's policy and time are at hand (`findings`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from functools import cached_property

from modseal.auditing.finding import Finding, failure_finding
from modseal.auditing.rule import Hit
from modseal.auditing.rules import depots as rules
from modseal.codes import CODES
from modseal.depot import proved, signed
from modseal.depot.check import differences, presence, profile_failures
from modseal.depot.files import DepotFiles
from modseal.depot.index import DepotIndex, Listed
from modseal.errors import Failure, FormatError, ModsealError, UndecidedError
from modseal.format.image_profile import ImageProfile
from modseal.format.manifest import Manifest
from modseal.format.recall import Recall
from modseal.policy.sources import with_recalls
from modseal.trust.policy import Policy
from modseal.trust.recalls import recall_failures, recall_problem
from modseal.values import dataclass

BY_CODE = {"bundle-missing": rules.WITHHELD, "bundle-unlisted": rules.ADDED, "depot-expired": rules.EXPIRED}
"""The rule that has what a code says, where it is about a signed depot."""


@dataclass(frozen=True)
class SignedDepot:
    """What a depot says that it is, unproved. `index` is None where it cannot be read; `failures` say why."""

    index: DepotIndex | None
    rotations: tuple[DepotIndex, ...] = ()
    recalls: tuple[tuple[Recall, bytes], ...] = ()
    profiles: tuple[ImageProfile, ...] = ()
    failures: tuple[Failure, ...] = ()

    @property
    def documents(self) -> frozenset[str]:
        """The paths of its recalls and image profiles, which begin like bundles; not of what is only called one."""
        if self.index is None or self.failures:
            return frozenset()
        return frozenset(one.path for one in (*self.index.recalls, *self.index.profiles))

    @cached_property
    def listed(self) -> Mapping[str, Listed]:
        """What the index says of each bundle, by its path."""
        return {one.path: one for one in self.index.bundles} if self.index else {}


def read(files: DepotFiles) -> SignedDepot | None:
    """The signed index of a depot, and what it leads to; None where it has none. Raises `InputError`."""
    if not signed.is_signed_depot(files):
        return None
    try:
        index = signed.read_index(files)
    except FormatError as error:
        return SignedDepot(None, failures=(error.failure,))
    try:
        rotations, recalls = signed.read_rotations(files, index), signed.read_recalls(files, index)
        profiles = [profile for profile, _ in signed.read_profiles(files, index)]
        return SignedDepot(index, tuple(rotations), tuple(recalls), tuple(profiles))
    except FormatError as error:
        return SignedDepot(index, failures=(error.failure,))


def unlike(depot: SignedDepot, path: str, size: int, sha256: str, manifest: Manifest | None) -> Iterator[Failure]:
    """Where a bundle is not the one that the index lists, or the index says something else of it."""
    one = depot.listed.get(path)
    if one:
        found = list(signed.unlike_listed(path, one.sha256, sha256, one.size, size))
        yield from found or differences(one, manifest)


def findings(depot: SignedDepot, name: str, paths: Collection[str], policy: Policy, at: datetime) -> Iterator[Finding]:
    """What the whole depot shows under a policy at a time."""
    for failure in depot.failures:
        yield failure_finding(name, failure, undecided=CODES[failure.code].undecided)
    if depot.index is None:
        return
    if not depot.failures:
        yield from _unproved(depot, depot.index, name, policy, at)
    for failure in presence(paths, depot.index):
        yield BY_CODE[failure.code].finding(Hit(failure.detail, failure.evidence), name)
    for profile in depot.profiles:
        for failure in profile_failures(profile, depot.index, policy, at):
            yield failure_finding(name, failure, undecided=CODES[failure.code].undecided)
    yield from _recalled(depot, depot.index, name, policy, at)


def _unproved(depot: SignedDepot, index: DepotIndex, name: str, policy: Policy, at: datetime) -> Iterator[Finding]:
    try:
        proved.prove(index, depot.rotations, policy, at)
    except ModsealError as error:
        failure = error.failure
        rule = BY_CODE.get(failure.code, rules.UNPROVED)
        evidence = {**failure.evidence, "code": failure.code, "version": index.version}
        hit = Hit(failure.detail, evidence, remedy=failure.next_step, undecided=isinstance(error, UndecidedError))
        yield rule.finding(hit, name)


def _recalled(depot: SignedDepot, index: DepotIndex, name: str, policy: Policy, at: datetime) -> Iterator[Finding]:
    """What the depot's own recalls withdraw of what it lists, and which of them do not count."""
    for recall, _ in depot.recalls:
        if problem := recall_problem(recall, policy, at):
            evidence = {**problem.evidence, "code": problem.code}
            yield rules.UNPROVED.finding(Hit(problem.detail, evidence, undecided=True), name)
    known = {recall.sha256 for recall in policy.recalls}
    own = {(recall.name, recall.version) for recall, _ in depot.recalls if recall.sha256 not in known}
    with_own = with_recalls(policy, [data for _, data in depot.recalls])
    for one in index.bundles:
        for failure in recall_failures(one, with_own, at):
            if failure.code == "recalled" and (failure.evidence["recall"], failure.evidence["version"]) in own:
                detail = f"the depot offers {one.name} {one.version}, and {failure.detail}"
                yield rules.RECALLED.finding(Hit(detail, {**failure.evidence, "bundle": one.path}), name)
