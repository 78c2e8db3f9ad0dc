"""Steps 2 to 6 of a signer: at which times it is judged, which of its anchors comes first, and what all of it costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from cryptography import x509

from builders import cms as cms_builder
from builders import crls
from builders.bundles import Bundle, codes, judge, make
from builders.pki import NOW, Identity, ca, leaf, new_key, root, signer
from builders.policies import anchor, trusting
from builders.tsa import stamped, token, tsa_root
from modseal import limits
from modseal.format import cms
from modseal.format.level import Level
from modseal.pki.effort import Effort
from modseal.pki.revocation import RevocationRules
from modseal.trust import examine, signers
from modseal.trust.examination import Examination, Judgement, Status, Verdict
from modseal.trust.levels import LevelClaim
from modseal.trust.policy import Policy
from modseal.trust.signature import verify_member

DAY = timedelta(days=1)
SIGNED = datetime(2025, 6, 1, tzinfo=UTC)
CLAIM = LevelClaim(Level.PARTNER, (("Acme", "acme-agent"),))


def timestamped(by: Identity | None = None) -> Bundle:
    good = make()
    return good.with_block(stamped(good.manifest_bytes, by or signer(), lambda signature: token(signature, SIGNED)))


def with_tsa(*anchors: Any, **changes: Any) -> Policy:
    return trusting(*anchors, timestamp_anchors=(tsa_root().parsed,), **changes)


def judged(one: Identity, policy: Policy, claim: LevelClaim = CLAIM) -> Judgement:
    bundle = make("seal", one)
    (found,) = verify_member(bundle.signature, bundle.manifest_bytes).signers
    return signers.judge(found, claim, policy, NOW, Effort())


# Times.


def twins(top: Identity) -> list[Identity]:
    """Two certificates of one CA, by the order in which a block has them."""
    made = [ca("Twin", issuer=top, key=new_key("p256", 141), serial=number) for number in (1, 2)]
    return sorted(made, key=lambda one: one.der)


def superseded(one: Identity, since: datetime) -> x509.RevokedCertificate:
    reason = [(x509.CRLReason(x509.ReasonFlags.superseded), False)]
    return crls.revoked(one.certificate.serial_number, since, reason)


@pytest.mark.parametrize("number", [0, 1])
def test_a_path_that_is_revoked_now_is_not_taken_for_a_signature_made_then(number: int) -> None:
    pair = twins(root())
    one = leaf("Below twins", issuer=pair[0]).with_chain(*pair)
    lists = [crls.make(root(), pair[number], start=NOW - DAY, end=NOW + DAY), crls.make(tsa_root())]
    policy = with_tsa(revocation=RevocationRules(crls.read(*lists)))
    found = judge(timestamped(one), policy)
    assert found.verdict is Verdict.ACCEPTED, codes(found)
    (judgement,) = found.judgements
    assert judgement.path is not None
    assert judgement.path.certificates[1] == pair[1 - number].parsed


@pytest.mark.parametrize("number", [0, 1])
def test_without_a_timestamp_no_signature_was_made_before_a_revocation(number: int) -> None:
    """A list may say that a certificate will be revoked in an hour."""
    pair = twins(root())
    one = leaf("Below twins", issuer=pair[0]).with_chain(*pair)
    listed = crls.make(root(), superseded(pair[number], NOW + timedelta(hours=1)))
    policy = trusting(revocation=RevocationRules(crls.read(listed), accept_signed_before=True))
    found = judge(make("seal", one), policy)
    assert found.verdict is Verdict.ACCEPTED, codes(found)


def test_a_judgement_keeps_the_time_that_a_timestamp_proves() -> None:
    stranger = leaf("Stranger", issuer=root(7))
    for one, path in ((signer(), True), (stranger, False)):
        (judgement,) = judge(timestamped(one), with_tsa()).judgements
        assert (judgement.proven_time, judgement.path is not None) == (SIGNED, path)
    (judgement,) = judge(make(), with_tsa()).judgements
    assert judgement.proven_time is None


def test_a_signer_that_nobody_has_judged_has_no_path_and_no_time() -> None:
    bundle = make()
    (found,) = verify_member(bundle.signature, bundle.manifest_bytes).signers
    one = Judgement(found)
    assert (one.path, one.proven_time, one.trusted, one.undecided) == (None, None, False, False)


def test_an_expired_signer_whose_timestamp_cannot_be_judged_yet_is_undecided_at_the_chain() -> None:
    ended = leaf("Ended", end=NOW - DAY)
    stale = crls.make(tsa_root(), end=NOW - DAY)
    found = judge(timestamped(ended), with_tsa(revocation=RevocationRules(crls.read(stale))))
    assert found.verdict is Verdict.UNDECIDED
    told = [(check.id, str(check.status)) for check in found.checks if 2 <= check.step <= 4]
    assert told == [
        ("time.timestamp", "inconclusive"),
        ("chain.examined", "inconclusive"),
        ("purpose.examined", "inconclusive"),
    ]


# Which anchor comes first.

FIRST, SECOND = root(41), root(42)


def below_both() -> Identity:
    """A signer below a CA that two roots have certified."""
    key = new_key("p256", 142)
    middles = [ca("Twice certified", issuer=top, key=key) for top in (FIRST, SECOND)]
    return leaf("Below both", issuer=middles[0]).with_chain(*middles)


def order(policy: Policy) -> list[str]:
    found = judged(below_both(), policy)
    return [one.path.anchor.name for one in found.outcomes if one.path]


def stale_for(*tops: Identity) -> RevocationRules:
    """Revocation where the lists of these roots are out of date."""
    ends = {top: NOW - DAY if top in tops else NOW + DAY for top in (FIRST, SECOND)}
    return RevocationRules(crls.read(*(crls.make(top, end=end) for top, end in ends.items())))


BOTH_WAYS = ((FIRST, SECOND), (SECOND, FIRST))
"""Which path is found first depends on the bytes of the certificates."""


@pytest.mark.parametrize(("top", "other"), BOTH_WAYS)
def test_an_anchor_that_trusts_a_signer_comes_before_one_that_cannot_be_decided(top: Identity, other: Identity) -> None:
    anchors = anchor(top, name="Current"), anchor(other, name="Stale")
    assert order(trusting(*anchors, revocation=stale_for(other))) == ["Current", "Stale"]


@pytest.mark.parametrize(("top", "other"), BOTH_WAYS)
def test_an_anchor_that_cannot_be_decided_comes_before_one_that_refuses(top: Identity, other: Identity) -> None:
    anchors = anchor(top, name="Stale"), anchor(other, name="Out of scope", vendors=("Other",))
    policy = trusting(*anchors, revocation=stale_for(top))
    assert order(policy) == ["Stale", "Out of scope"]
    assert judged(below_both(), policy).undecided


@pytest.mark.parametrize(("top", "other"), BOTH_WAYS)
def test_of_anchors_that_refuse_the_one_that_proves_the_claim_comes_first(top: Identity, other: Identity) -> None:
    anchors = anchor(top, Level.ACCEPTED, "High"), anchor(other, Level.COMMUNITY, "Low")
    assert order(trusting(*anchors, minimum=Level.CERTIFIED)) == ["High", "Low"]


@pytest.mark.parametrize(("top", "other"), BOTH_WAYS)
def test_of_anchors_that_prove_nothing_the_one_with_the_fewest_failures_comes_first(
    top: Identity, other: Identity
) -> None:
    near, far = anchor(top, name="Near", vendors=("X",)), anchor(other, name="Far", vendors=("X",), names=("x",))
    assert order(trusting(near, far)) == ["Near", "Far"]


def test_a_signer_is_put_under_another_anchor_only_where_that_one_trusts_it() -> None:
    policy = trusting(anchor(FIRST), anchor(SECOND), anchor(SECOND, name="Out", vendors=("Other",)))
    found = judged(below_both(), policy)
    first, second, out = [one.path.anchor for one in found.outcomes if one.path]
    assert out.name == "Out"
    under = found.under(second)
    assert [one.path.anchor for one in under.outcomes if one.path] == [second, first, out]
    for other in (first, out, None):
        assert found.under(other) == found


# What is said.


def test_a_failure_begins_with_who_claims_the_level() -> None:
    claim = LevelClaim(Level.PARTNER, (("Acme", "acme-agent"),), "the index needs a signer of level")
    found = judged(signer(), trusting(anchor(root(), Level.COMMUNITY)), claim)
    (failure,) = [check for check in found.outcomes[0].checks if check.status is Status.FAILED]
    assert failure.detail == "the index needs a signer of level partner, the signer's anchor grants community"


def test_a_signer_that_is_not_needed_is_set_aside_with_the_reason() -> None:
    stranger = leaf("Stranger", issuer=root(7))
    stale = RevocationRules(crls.read(crls.make(root(), end=NOW - DAY)))

    def aside(found: Examination) -> list[str]:
        return [check.detail.rpartition(" (")[2] for check in found.checks if check.code == "no-path"]

    bundle = make("seal", signer(), stranger)
    assert aside(judge(bundle, trusting())) == ["set aside: another signer suffices)"]
    assert aside(judge(bundle, trusting(revocation=stale))) == ["set aside: a signer that is undecided may suffice)"]


def test_a_signer_that_the_policy_needs_and_that_is_undecided_leaves_the_level_open() -> None:
    other = leaf("Other", issuer=root(43))
    stale = RevocationRules(crls.read(crls.make(root(43), end=NOW - DAY)))
    policy = trusting(root(), root(43), minimum_signers=2, revocation=stale)
    found = judge(make("seal", signer(), other), policy)
    assert found.verdict is Verdict.UNDECIDED
    assert [(check.step, check.id) for check in found.checks if check.id.endswith(".examined")] == [
        (6, "level.examined")
    ]


def test_a_signer_that_is_undecided_and_not_needed_leaves_nothing_open() -> None:
    other = leaf("Other", issuer=root(43))
    stale = RevocationRules(crls.read(crls.make(root(43), end=NOW - DAY)))
    found = judge(make("seal", signer(), other), trusting(root(), root(43), revocation=stale))
    assert found.verdict is Verdict.ACCEPTED, codes(found)
    assert [one.undecided for one in found.judgements] == [False, True]


# What it costs (tests/pki/test_effort.py has the prices).

SEARCH, P256, SECOND_OPINION = 42, 20, 250


def parts() -> tuple[Bundle, Policy, dict[str, int]]:
    """A timestamped bundle, a policy with lists, and what each part of its examination costs."""
    bundle, lists = timestamped(), crls.read(crls.make(root()), crls.make(tsa_root()))
    (block,) = cms.split_blocks(bundle.signature, "seal")
    data = cms.decode(block)
    (raw,) = data.signers[0].timestamps
    reading = 10 + len(raw) // 16
    costs = {
        "1 certificates": sum(10 + len(one) // 16 for one in data.certificates),
        "1 signature": P256,
        "2 token": reading + P256,
        "2 path of the authority": SEARCH + P256,
        "2 list about the authority": P256,
        "2 second opinion": SECOND_OPINION + reading,
        "3 path": 1 + SEARCH + P256,
        "5 list": P256,
    }
    return bundle, with_tsa(revocation=RevocationRules(lists)), costs


def examined(bundle: Bundle, policy: Policy) -> tuple[Examination, int]:
    effort = Effort()
    with mock.patch.object(examine, "Effort", return_value=effort):
        return judge(bundle, policy), effort.spent


def test_an_examination_costs_the_sum_of_its_parts() -> None:
    bundle, policy, costs = parts()
    found, spent = examined(bundle, policy)
    assert found.verdict is Verdict.ACCEPTED, codes(found)
    assert spent == sum(costs.values())


def test_an_examination_that_costs_too_much_ends_in_the_step_that_did(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, policy, costs = parts()
    before = 0
    for part, units in costs.items():
        for allowed in (before, before + units - 1):
            monkeypatch.setattr(limits, "EFFORT", allowed)
            found, _ = examined(bundle, policy)
            assert found.verdict is Verdict.REJECTED, part
            assert [check.step for check in found.checks if check.id.endswith(".effort")] == [int(part[0])], part
        before += units
    monkeypatch.setattr(limits, "EFFORT", before)
    assert examined(bundle, policy)[0].verdict is Verdict.ACCEPTED


def test_the_key_that_verifies_decides_what_a_signature_costs() -> None:
    bundle = make("seal")
    for identity, units in ((signer("rsa"), 7), (signer("p384"), 100), (signer("ed25519"), 60)):
        made = cms_builder.pem(cms_builder.block(bundle.manifest_bytes, identity))
        effort = Effort()
        (found,) = verify_member(made, bundle.manifest_bytes, effort=effort).signers
        assert effort.spent == sum(10 + len(one.der) // 16 for one in found.embedded) + units
