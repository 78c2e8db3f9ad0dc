"""Which anchors a signer leads to: pins count before chains, and a certificate stands for what each anchor says."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from builders import crls
from builders.paths import revocation_failures
from builders.pki import NOW, Identity, ca, leaf, new_key, root, signer
from builders.policies import anchor, pin, trusting
from modseal import limits
from modseal.format.level import Level
from modseal.pki.effort import Effort
from modseal.pki.path import NoPath
from modseal.pki.revocation import RevocationRules
from modseal.trust.anchors import AnchoredPath, anchored_paths
from modseal.trust.policy import Anchor, Policy

HOUR = timedelta(hours=1)
DIRECT, BELOW_ONE = 42, 74
"""What a search costs for a signer below the anchor, and for one below a CA below it (tests/pki/test_effort.py)."""


def paths_for(one: Identity, *between: Identity, policy: Policy) -> tuple[AnchoredPath, ...]:
    found = anchored_paths(one.parsed, [each.parsed for each in between], policy, NOW)
    assert not isinstance(found, NoPath), found
    return found


def codes_for(one: Identity, *between: Identity, policy: Policy, at: datetime = NOW, **more: Any) -> list[str]:
    found = anchored_paths(one.parsed, [each.parsed for each in between], policy, at, **more)
    return [failure.code for failure in found.failures] if isinstance(found, NoPath) else []


def test_a_pin_anchors_nothing_else() -> None:
    top = ca("Pinned CA")
    assert codes_for(leaf(issuer=top), top, policy=trusting(pin(top))) == ["no-path"]
    assert codes_for(top, policy=trusting(pin(top))) == []


def test_a_policy_without_anchors_says_so() -> None:
    assert codes_for(signer(), policy=Policy("nobody", Level.COMMUNITY)) == ["no-anchors"]


def test_a_pin_counts_before_a_chain() -> None:
    (found,) = paths_for(signer(), policy=trusting(root(), pin(signer())))
    assert found.pinned
    assert found.certificates == (signer().parsed,)


def test_every_pin_of_a_signer_counts() -> None:
    pins = pin(signer(), name="One"), pin(signer(), Level.PARTNER, name="Two")
    assert [one.anchor for one in paths_for(signer(), policy=trusting(*pins))] == list(pins)


def test_an_expired_pin_is_refused_unless_it_says_otherwise() -> None:
    old = leaf("Old", end=NOW - HOUR)
    assert codes_for(old, policy=trusting(pin(old))) == ["expired"]
    assert codes_for(old, policy=trusting(pin(old, accept_expired=True))) == []
    both = trusting(pin(old, name="Strict"), pin(old, name="Patient", accept_expired=True))
    assert [one.anchor.name for one in paths_for(old, policy=both)] == ["Patient"]


def test_a_pinned_path_is_valid_at_the_time_that_was_asked_for() -> None:
    (found,) = paths_for(signer(), policy=trusting(pin(signer())))
    assert (found.path.at, found.pinned, found.certificates) == (NOW, True, (signer().parsed,))


def test_several_anchors_with_one_certificate_each_count() -> None:
    anchors = anchor(root(), name="One"), anchor(root(), Level.PARTNER, name="Two", vendors=("Acme",))
    found = paths_for(signer(), policy=trusting(*anchors))
    assert [one.anchor for one in found] == list(anchors)
    assert len({one.path for one in found}) == 1


def test_two_equal_policies_are_not_confused() -> None:
    """The path is remembered; what its end stands for is the policy's word alone."""
    first, second = trusting(anchor(root(), name="One")), trusting(anchor(root(), Level.PARTNER, name="Two"))
    for policy in (first, second, first):
        (found,) = paths_for(signer(), policy=policy)
        assert found.anchor is policy.anchors[0]


def test_an_anchor_without_a_certificate_ends_no_chain() -> None:
    nobody = Anchor("Pin of somebody else", Level.CERTIFIED, fingerprint="0" * 64)
    assert codes_for(signer(), policy=trusting(nobody)) == ["no-path"]
    assert codes_for(signer(), policy=trusting(nobody, anchor(root()))) == []


def spent(one: Identity, *between: Identity, policy: Policy) -> int:
    effort = Effort()
    anchored_paths(one.parsed, [each.parsed for each in between], policy, NOW, effort=effort)
    return effort.spent


def test_every_question_costs_a_unit_and_a_search_what_it_does() -> None:
    middle = ca("CA", issuer=root())
    nobody = Policy("nobody", Level.COMMUNITY)
    assert [spent(signer(), policy=policy) for policy in (trusting(pin(signer())), nobody)] == [1, 1]
    assert spent(signer(), policy=trusting()) == 1 + DIRECT
    assert spent(leaf(issuer=middle), middle, policy=trusting()) == 1 + BELOW_ONE


def test_where_nothing_is_left_to_spend_a_pin_is_not_looked_at() -> None:
    effort = Effort()
    effort.spend(limits.EFFORT)
    for policy in (trusting(pin(signer())), trusting()):
        assert codes_for(signer(), policy=policy, effort=effort) == ["limit-exceeded"]


def test_lists_are_judged_at_the_time_of_verification_and_certificates_when_it_was_signed() -> None:
    """Of two paths to one anchor the one that is revoked now is not taken, for a signature made then."""
    then, day = NOW - timedelta(days=90), timedelta(days=1)
    twins = [ca("Twin", issuer=root(), key=new_key("p256", 495), serial=number) for number in (1, 2)]
    one = leaf("Below twins", issuer=twins[0], end=NOW - day)
    for revoked, other in (twins, twins[::-1]):
        lists = crls.read(crls.make(root(), revoked, start=NOW - day, end=NOW + day))
        policy = trusting(revocation=RevocationRules(lists))
        found = anchored_paths(one.parsed, [each.parsed for each in twins], policy, then, verified_at=NOW)
        assert not isinstance(found, NoPath)
        assert [path.certificates[1] for path in found] == [other.parsed]


def test_a_pin_is_withdrawn_in_the_policy_alone() -> None:
    policy = trusting(pin(signer()), revocation=RevocationRules(crls.read(crls.make(root(), signer())), required=True))
    (found,) = paths_for(signer(), policy=policy)
    assert revocation_failures(found.path, policy, NOW) == []
