"""Recalls: what they withdraw, from whom they count, and that one that does not count leaves nothing accepted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from builders import recalls
from builders.bundles import judge, make
from builders.pki import NOW, Identity, leaf, new_key, root, signer
from builders.policies import anchor, trusting
from modseal.format.recall import Recall
from modseal.trust import moments
from modseal.trust.examination import Examination, Verdict
from modseal.trust.policy import Policy

DAY = timedelta(days=1)
BUNDLE = make("seal", version="1.2")


def judged(*lists: Recall, policy: Policy | None = None, **floors: int) -> Examination:
    return judge(BUNDLE, replace(policy or trusting(), recalls=lists, recall_floors=floors))


def code(found: Examination) -> str | None:
    return found.primary.code if found.primary else None


@pytest.mark.parametrize(
    ("versions", "withdrawn"),
    [
        ((), True),
        ((("=", "1.2"),), True),
        ((("=", "1.3"),), False),
        ((("<<", "1.2"),), False),
        ((("<=", "1.2"),), True),
        (((">=", "1.0"), ("<<", "1.3")), True),
        (((">=", "1.3"), ("<<", "1.5")), False),
        (((">>", "1.1"),), True),
        (((">>", "1.2"),), False),
        ((("=", "1.02"),), True),  # versions compare as `trust.version` says
    ],
)
def test_a_recall_withdraws_the_versions_that_it_names(versions: tuple[tuple[str, str], ...], withdrawn: bool) -> None:
    found = judged(recalls.make(recalls.entry(versions=versions, replacement="acme-agent 2")))
    assert found.verdict is (Verdict.REJECTED if withdrawn else Verdict.ACCEPTED)
    if withdrawn:
        assert code(found) == "recalled"
        assert "it burns; use acme-agent 2" in found.primary.detail  # type: ignore[union-attr]


@pytest.mark.parametrize("entry", [recalls.entry("other"), recalls.entry(vendor="Other")])
def test_other_modules_are_left_alone(entry: object) -> None:
    assert judged(recalls.make(entry)).verdict is Verdict.ACCEPTED  # type: ignore[arg-type]


def test_a_recall_counts_only_from_a_signer_who_may_speak_for_the_vendor() -> None:
    policy = trusting(anchor(root(), vendors=("Acme",)), anchor(root(1), name="other", vendors=("Other",)))
    stranger = leaf("Other vendor", issuer=root(1), key=new_key("p256", 903))
    found = judged(recalls.make(by=[stranger]), policy=policy)
    assert found.verdict is Verdict.UNDECIDED
    assert code(found) == "recall-not-trusted"
    assert "may not speak for vendor 'Acme'" in found.primary.detail  # type: ignore[union-attr]
    own = judged(recalls.make(recalls.entry(vendor="Other"), by=[stranger]), policy=policy)
    assert own.verdict is Verdict.ACCEPTED


@pytest.mark.parametrize(
    "by", [[], [leaf("Nobody", issuer=root(5), key=new_key("p256", 904))]], ids=["none", "stranger"]
)
def test_a_recall_that_nobody_trusted_signed_leaves_everything_undecided(by: list[object]) -> None:
    found = judged(recalls.make(recalls.entry("other"), by=by))  # type: ignore[arg-type]
    assert (found.verdict, code(found)) == (Verdict.UNDECIDED, "recall-not-trusted")


@pytest.mark.parametrize("changes", [{"expires": NOW}, {"issued": NOW + DAY, "expires": NOW + 2 * DAY}])
def test_a_recall_counts_while_it_is_current(changes: dict[str, object]) -> None:
    found = judged(recalls.make(**changes))  # type: ignore[arg-type]
    assert (found.verdict, code(found)) == (Verdict.UNDECIDED, "recall-expired")


def test_an_older_list_is_refused() -> None:
    old, new = recalls.make(version=3), recalls.make(recalls.entry("other"), version=4)
    floors = replace(trusting(), recalls=(old,), recall_floors={"acme-recalls": 4})
    found = judge(BUNDLE, floors)
    assert (found.verdict, code(found)) == (Verdict.UNDECIDED, "recall-rollback")
    assert judged(old, new).verdict is Verdict.ACCEPTED  # of one list the newest version counts alone
    assert judged(new, old).verdict is Verdict.ACCEPTED


def test_two_contents_of_one_version_both_count() -> None:
    found = judged(recalls.make(), recalls.make(recalls.entry("other")))
    assert code(found) == "recalled"


def test_a_verdict_holds_until_a_recall_begins_or_ends() -> None:
    recall = recalls.make()
    found = moments.of_policy(replace(trusting(), recalls=(recall,)))
    assert {recall.issued, recall.expires, signer().certificate.not_valid_after_utc} <= found


# A name belongs to nobody: who may not speak for what the older list withdraws does not replace it.


def _two_vendors() -> tuple[Policy, Identity]:
    policy = trusting(anchor(root(), vendors=("Acme",)), anchor(root(1), name="other", vendors=("Other",)))
    return policy, leaf("Other vendor", issuer=root(1), key=new_key("p256", 903))


@pytest.mark.parametrize("floors", [{}, {"acme-recalls": 1}])
def test_a_newer_list_of_another_vendor_replaces_nothing(floors: dict[str, int]) -> None:
    policy, other = _two_vendors()
    old, foreign = recalls.make(), recalls.make(recalls.entry(vendor="Other"), version=9, by=[other])
    for lists in ([old, foreign], [foreign, old]):
        found = judge(BUNDLE, replace(policy, recalls=tuple(lists), recall_floors=floors))
        assert (found.verdict, code(found)) == (Verdict.REJECTED, "recalled")


def test_a_newer_list_of_another_vendor_satisfies_no_lowest_version() -> None:
    policy, other = _two_vendors()
    lists = recalls.make(recalls.entry("other")), recalls.make(recalls.entry(vendor="Other"), version=9, by=[other])
    found = judge(BUNDLE, replace(policy, recalls=lists, recall_floors={"acme-recalls": 5}))
    assert (found.verdict, code(found)) == (Verdict.UNDECIDED, "recall-rollback")


def test_a_newer_list_that_withdraws_nothing_replaces_only_what_its_signer_may_speak_for() -> None:
    policy, other = _two_vendors()
    nothing = Recall("acme-recalls", 9, NOW - DAY, NOW + DAY, ())
    lifted = judge(BUNDLE, replace(policy, recalls=(recalls.make(), recalls.signed(nothing, signer()))))
    assert lifted.verdict is Verdict.ACCEPTED
    found = judge(BUNDLE, replace(policy, recalls=(recalls.make(), recalls.signed(nothing, other))))
    assert (found.verdict, code(found)) == (Verdict.REJECTED, "recalled")


def test_a_newer_list_that_nobody_trusted_signed_replaces_nothing() -> None:
    found = judged(recalls.make(), recalls.make(recalls.entry("other"), version=9, by=[]))
    assert (found.verdict, code(found)) == (Verdict.REJECTED, "recalled")


def test_a_list_that_was_replaced_stays_replaced_when_a_third_one_follows() -> None:
    policy, other = _two_vendors()
    lists = (
        recalls.make(),
        recalls.make(recalls.entry("something"), version=2),
        recalls.make(recalls.entry(vendor="Other"), version=3, by=[other]),
    )
    assert judge(BUNDLE, replace(policy, recalls=lists)).verdict is Verdict.ACCEPTED
