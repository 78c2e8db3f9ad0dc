"""Recalls: what a vendor or a site has withdrawn, once its signer is proved.

Any signer may give a list any name. So a newer version replaces an older one only where its signers may speak for all
that the older one withdraws; else nobody's list would be safe from a higher number, and both count.

A list counts only from a signer whose anchor covers every module that it names, as `statement` has it; while it is
current; and where it is not older than the policy's lowest version of it. A list that does not count leaves the
question open, so that a bundle is undecided: it may be one of those that a better list withdraws.

A list that a host or a state file keeps (`Policy.kept_recalls`) counted once. What it withdraws stays withdrawn, even
when the list or its signer's certificate has run out: only a newer version ends that, or a policy that has withdrawn
its trust from whoever signed it. It leaves nothing open, because a host has to start on the day after, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Protocol

from modseal.errors import Evidence, Failure
from modseal.format.recall import Recall, Withdrawn
from modseal.format.times import time_text
from modseal.trust.examination import Examination, Verdict
from modseal.trust.policy import Policy
from modseal.trust.statement import examine_statement, withdrawn
from modseal.trust.version import holds, version_key


class Named(Protocol):
    """What a recall is about: a manifest, or what an index says of one."""

    @property
    def vendor(self) -> str:
        """The module's vendor."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def version(self) -> str:
        """Its version."""


def recall_failures(manifest: Named, policy: Policy, at: datetime) -> Iterator[Failure]:
    """Why a module is withdrawn under a policy, and which of the policy's lists do not count."""
    current = {recall.sha256 for recall in policy.recalls}
    for recall in not_replaced((*policy.recalls, *policy.kept_recalls), policy, at):
        if recall.sha256 not in current:
            if withdrawn(_examine(recall, policy, at)):
                continue
        elif problem := recall_problem(recall, policy, at):
            yield problem
            continue
        for one in recall.modules:
            if withdraws(one, manifest):
                better = f"; use {one.replacement}" if one.replacement else ""
                detail = f"{recall.name}, version {recall.version}, withdraws it: {one.reason}{better}"
                yield Failure(
                    "recalled",
                    detail,
                    {"recall": recall.name, "version": recall.version, "replacement": one.replacement or None},
                )


def not_replaced(recalls: Iterable[Recall], policy: Policy, at: datetime) -> Iterator[Recall]:
    """The lists that no newer version of the same name replaces; two contents of one version both stay."""
    named: dict[str, dict[str, Recall]] = {}
    for recall in recalls:
        named.setdefault(recall.name, {}).setdefault(recall.sha256, recall)
    for name in sorted(named):
        lists = sorted(named[name].values(), key=lambda one: one.version, reverse=True)
        for one in lists:
            newer = (other for other in lists if other.version > one.version)
            if not any(_may_replace(other, one, policy, at) for other in newer):
                yield one


def newer_of_its_name(recall: Recall, policy: Policy, at: datetime) -> Recall | None:
    """The kept list that a list of the same name is too old beside; None where it counts beside those that are kept."""
    kept = [one for one in policy.kept_recalls if one.name == recall.name and one.version > recall.version]
    kept.sort(key=lambda one: one.version)
    return next((one for one in reversed(kept) if _may_replace(one, recall, policy, at)), None)


def is_distrusted(recall: Recall, policy: Policy, at: datetime) -> bool:
    """Whether the policy has withdrawn its trust from everybody who signed a list."""
    return withdrawn(_examine(recall, policy, at))


def anchors_of(recall: Recall, policy: Policy, at: datetime) -> frozenset[str]:
    """The names of the anchors that the signers of a list lead to."""
    outcomes = (one for judgement in _examine(recall, policy, at).judgements for one in judgement.outcomes)
    return frozenset(one.path.anchor.name for one in outcomes if one.path)


def to_keep(coming: Iterable[Recall], policy: Policy, at: datetime) -> tuple[Recall, ...]:
    """The lists that whoever keeps some goes on with: the kept ones that are still trusted, and new ones that count.

    What a newer version replaces is left out.
    """
    kept = [one for one in policy.kept_recalls if not is_distrusted(one, policy, at)]
    return tuple(not_replaced([*kept, *(one for one in coming if not recall_problem(one, policy, at))], policy, at))


def _may_replace(newer: Recall, older: Recall, policy: Policy, at: datetime) -> bool:
    """Whether the signers of a list may speak for all that it and the older one withdraw."""
    subjects = dict.fromkeys((*newer.subjects, *older.subjects))
    found = examine_statement(newer.signed, newer.signature, subjects, "the recall", policy, at)
    return found.verdict is Verdict.ACCEPTED


def recall_problem(recall: Recall, policy: Policy, at: datetime) -> Failure | None:
    """Why a list does not count; None where it does."""
    evidence: Evidence = {"recall": recall.name, "version": recall.version}
    what = f"the recall {recall.name}, version {recall.version},"
    lowest = policy.recall_floors.get(recall.name, 1)
    if recall.version < lowest:
        return Failure("recall-rollback", f"{what} is older than version {lowest}", {**evidence, "lowest": lowest})
    if at < recall.issued:
        detail = f"{what} was made later, on {time_text(recall.issued)}"
        return Failure("recall-expired", detail, {**evidence, "issued": time_text(recall.issued)})
    if at >= recall.expires:
        detail = f"{what} expired on {time_text(recall.expires)}"
        return Failure("recall-expired", detail, {**evidence, "expires": time_text(recall.expires)})
    examination = _examine(recall, policy, at)
    reason = examination.primary
    if examination.verdict is not Verdict.ACCEPTED and reason:
        return Failure(
            "recall-not-trusted", f"{what} does not count: {reason.detail}", {**evidence, "why": reason.code}
        )
    return None


def _examine(recall: Recall, policy: Policy, at: datetime) -> Examination:
    return examine_statement(recall.signed, recall.signature, recall.subjects, "the recall", policy, at)


def withdraws(one: Withdrawn, manifest: Named) -> bool:
    """Whether an entry is about this module and version. Versions compare as `trust.version` says."""
    if (one.vendor, one.name) != (manifest.vendor, manifest.name):
        return False
    key = version_key(manifest.version)
    return all(holds(key, relation, version_key(version)) for relation, version in one.versions)
