"""The rules about who stands for a bundle, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from builders.bundles import KINDS, Bundle, accepted, make
from builders.pki import NOW, Identity, ca, leaf, new_key, root, signer
from builders.policies import anchor, pin, trusting
from builders.rules import found, record
from builders.tsa import stamped, token, tsa_root
from modseal.auditing.rules import BY_ID
from modseal.auditing.rules.signers import WINDOW
from modseal.format.level import Level
from modseal.format.manifest import Kind
from modseal.trust.policy import Policy

kinds = pytest.mark.parametrize("kind", KINDS)
DAY = timedelta(days=1)
SOON, LATE, PAST = NOW + 89 * DAY, NOW + 91 * DAY, NOW - DAY
SIGNED = NOW - 30 * DAY


def timestamped(by: Identity, time: datetime = SIGNED) -> Bundle:
    good = make()
    return good.with_block(stamped(good.manifest_bytes, by, lambda signature: token(signature, time)))


def trusting_tsa(*anchors: Identity) -> Policy:
    return trusting(*anchors, timestamp_anchors=(tsa_root().parsed,))


# claim-above-proven.


@kinds
def test_a_claim_that_nobody_grants_is_told(kind: Kind) -> None:
    good = make(kind, claimed_level=Level.CERTIFIED)
    assert followed(good) == []
    assert followed(good.unsigned()) == ["unsigned"]
    assert followed(good, trusting(anchor(root(), Level.PARTNER))) == ["level-not-granted"]
    assert followed(make(kind, claimed_level=Level.COMMUNITY).unsigned()) == []


def followed(bundle: Bundle, policy: Policy | None = None) -> list[str]:
    """The findings that a claim above the proven level follows from."""
    return [one.rule for one in record(bundle, policy).findings if "claim-above-proven" in one.consequences]


# unknown-signer-beside.


@kinds
def test_a_stranger_beside_a_trusted_signer_is_told(kind: Kind) -> None:
    stranger = leaf("Stranger", issuer=root(7))
    (finding,) = found("unknown-signer-beside", make(kind, signer(), stranger))
    assert finding.evidence == {"signer": stranger.fingerprint, "subject": stranger.parsed.subject}
    assert found("unknown-signer-beside", make(kind, signer(), signer("p384"))) == []


def test_a_stranger_alone_is_a_matter_of_the_checks() -> None:
    assert found("unknown-signer-beside", make("seal", leaf("Stranger", issuer=root(7)))) == []


# signature-set-aside.


@kinds
def test_a_block_that_was_set_aside_is_told(kind: Kind) -> None:
    newer = leaf("Newer", key=new_key("k256"))
    both = make(kind, signer(), newer)
    accepted(both, trusting())
    (finding,) = found("signature-set-aside", both)
    assert finding.evidence["code"] == "unsupported-algorithm"
    assert finding.evidence["block"] == 2
    assert found("signature-set-aside", make(kind, signer())) == []
    assert found("signature-set-aside", make(kind, newer)) == []  # undecided: a check says so


# signer-expires-soon.


def ends_soon(bundle: Bundle, policy: Policy | None = None, at: datetime = NOW) -> list[str]:
    """The certificates that are said to end soon."""
    return [str(finding.evidence["certificate"]) for finding in found("signer-expires-soon", bundle, policy, at)]


@kinds
def test_a_signer_who_ends_within_the_window_is_told(kind: Kind) -> None:
    soon, late = leaf("Soon", end=SOON), leaf("Late", end=LATE)
    (finding,) = found("signer-expires-soon", make(kind, soon))
    assert finding.evidence["not_after"] == SOON.isoformat()
    assert finding.severity.value == "medium"
    assert ends_soon(make(kind, late)) == []


def test_the_window_begins_and_ends_to_the_second() -> None:
    bundle, second = make("seal", leaf("Soon", end=SOON)), timedelta(seconds=1)
    assert len(ends_soon(bundle, at=SOON - WINDOW)) == 1
    assert ends_soon(bundle, at=SOON - WINDOW - second) == []
    assert len(ends_soon(bundle, at=SOON)) == 1
    assert ends_soon(bundle, at=SOON + second) == []  # now a check says that it has ended


def test_the_beginning_of_the_window_is_a_moment() -> None:
    bundle, second = make("seal", leaf("Soon", end=SOON)), timedelta(seconds=1)
    assert record(bundle, at=SOON - WINDOW).holds is None
    before, within = record(bundle, at=SOON - WINDOW - second).holds, record(bundle, at=NOW).holds
    assert before is not None
    assert within is not None
    assert (before[1], within) == (SOON - WINDOW, (SOON - WINDOW, SOON))


def test_a_ca_that_ends_first_is_the_one_that_counts() -> None:
    issuing = ca("Issuing", issuer=root(), end=SOON)
    bundle = make("seal", leaf("Long", issuer=issuing).with_chain(issuing))
    assert ends_soon(bundle) == [issuing.fingerprint]
    short_root = ca("Short root", end=SOON)
    assert ends_soon(make("seal", leaf("Long", issuer=short_root)), trusting(short_root)) == [short_root.fingerprint]


def test_a_pin_ends_unless_it_accepts_that() -> None:
    soon = leaf("Soon", end=SOON)
    bundle = make("seal", soon)
    assert ends_soon(bundle, trusting(pin(soon))) == [soon.fingerprint]
    assert ends_soon(bundle, trusting(pin(soon, accept_expired=True))) == []


def test_a_timestamp_makes_the_end_harmless() -> None:
    bundle = timestamped(leaf("Soon", end=SOON))
    assert ends_soon(bundle, trusting_tsa()) == []
    assert len(ends_soon(bundle)) == 1  # where the policy trusts no timestamp


def test_another_signer_who_stays_makes_the_end_harmless() -> None:
    soon = leaf("Soon", end=SOON)
    bundle = make("seal", soon, signer())
    assert ends_soon(bundle) == []
    assert ends_soon(bundle, trusting(minimum_signers=2)) == [soon.fingerprint]
    assert ends_soon(bundle, trusting(required_signers=(soon.fingerprint,))) == [soon.fingerprint]
    assert ends_soon(bundle, trusting(required_signers=("Anchor 0",))) == []


def test_two_certificates_of_one_key_are_one_signer() -> None:
    key = new_key("p256", 77)
    soon, late = leaf("Soon", key=key, end=SOON), leaf("Late", key=key)
    policy = trusting(minimum_signers=2)
    assert ends_soon(make("seal", soon, late, signer()), policy) == []
    other = leaf("Other", end=SOON)
    assert ends_soon(make("seal", late, other), policy) == [other.fingerprint]


def test_a_signer_who_is_not_trusted_may_end() -> None:
    assert ends_soon(make("seal", leaf("Stranger", issuer=root(7), end=SOON))) == []


# signer-expired-pinned, signer-expired-timestamped.


@kinds
def test_a_pin_that_keeps_an_expired_signer_is_told(kind: Kind) -> None:
    expired = leaf("Ended", end=PAST)
    policy = trusting(pin(expired, accept_expired=True))
    accepted(make(kind, expired), policy)
    (finding,) = found("signer-expired-pinned", make(kind, expired), policy)
    assert finding.evidence == {"signer": expired.fingerprint, "anchor": "Test pin"}
    assert found("signer-expired-timestamped", make(kind, expired), policy) == []


@pytest.mark.parametrize("rule", ["signer-expired-pinned", "signer-expired-timestamped"])
def test_a_pin_that_could_keep_one_who_has_not_ended_is_not_told(rule: str) -> None:
    current = leaf("Current", end=SOON)
    assert found(rule, make("seal", current), trusting(pin(current, accept_expired=True))) == []
    assert found(rule, make("seal", leaf("Ended", end=PAST))) == []  # not trusted: a check says so


def test_a_timestamp_that_keeps_an_expired_signer_is_told() -> None:
    expired = leaf("Ended", end=PAST)
    bundle = timestamped(expired)
    accepted(bundle, trusting_tsa())
    (finding,) = found("signer-expired-timestamped", bundle, trusting_tsa())
    assert finding.evidence == {"signer": expired.fingerprint, "certificate": expired.fingerprint}
    assert found("signer-expired-pinned", bundle, trusting_tsa()) == []
    assert found("signer-expired-timestamped", timestamped(signer()), trusting_tsa()) == []


def test_a_timestamp_over_a_pinned_signature_is_what_keeps_it() -> None:
    expired = leaf("Ended", end=PAST)
    policy = replace(trusting_tsa(), anchors=(pin(expired, accept_expired=True),))
    assert len(found("signer-expired-timestamped", timestamped(expired), policy)) == 1
    assert found("signer-expired-pinned", timestamped(expired), policy) == []


@pytest.mark.parametrize(
    ("rule", "policy_for"),
    [
        ("signer-expired-pinned", lambda one: trusting(pin(one, accept_expired=True))),
        ("signer-expired-timestamped", lambda _one: trusting_tsa()),
    ],
)
def test_the_day_on_which_a_signer_ends_is_a_moment(rule: str, policy_for: Callable[[Identity], Policy]) -> None:
    ending = leaf("Ending", end=NOW + DAY)
    bundle, policy = timestamped(ending), policy_for(ending)
    holds = record(bundle, policy).holds
    assert holds is not None
    assert holds[1] == NOW + DAY
    assert found(rule, bundle, policy, NOW + DAY) == []
    assert len(found(rule, bundle, policy, NOW + DAY + timedelta(seconds=1))) == 1


# no-timestamp.


@kinds
def test_a_signature_without_a_timestamp_is_told(kind: Kind) -> None:
    (finding,) = found("no-timestamp", make(kind), trusting_tsa())
    assert finding.evidence == {"signer": signer().fingerprint, "timestamps": 0}
    assert "modseal timestamp" in finding.next_step


def test_a_signature_with_a_timestamp_that_counts_is_not() -> None:
    assert found("no-timestamp", timestamped(signer()), trusting_tsa()) == []


def test_a_timestamp_that_the_policy_ignores_is_told_with_another_next_step() -> None:
    (finding,) = found("no-timestamp", timestamped(signer()), trusting())
    assert finding.evidence["timestamps"] == 1
    assert "[time] anchors" in finding.next_step


def test_a_pinned_signer_needs_no_timestamp() -> None:
    assert found("no-timestamp", make(), trusting(pin(signer()))) == []


# weak-algorithm.


def weak(*signers: Identity, policy: Policy | None = None) -> list[str]:
    return [finding.detail for finding in found("weak-algorithm", make("seal", *signers), policy)]


def test_a_short_rsa_key_and_a_small_exponent_are_told() -> None:
    (short,) = weak(signer("rsa"))
    assert short.endswith("has 2048 bits, less than 3072")
    (both,) = weak(signer("rsa-e3"))
    assert both.endswith("has 2048 bits, less than 3072 and the public exponent 3, less than 65537")


def test_rsa_with_3072_bits_is_strong_enough() -> None:
    assert weak(leaf("Strong", key=rsa.generate_private_key(65537, 3072))) == []


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "ed25519", "ml-dsa-44"])
def test_other_keys_are_strong_enough(kind: str) -> None:
    assert weak(signer(kind)) == []


def test_a_weak_ca_is_told_and_each_certificate_once() -> None:
    old = ca("Old root", key=new_key("rsa", 5))
    one, two = leaf("One", issuer=old), leaf("Two", issuer=old)
    (told,) = weak(one, two, policy=trusting(old))
    assert "Old root" in told


def test_a_weak_signer_who_is_not_trusted_is_not_told() -> None:
    assert weak(leaf("Stranger", key=new_key("rsa", 6), issuer=root(7))) == []
    assert weak(signer("rsa"), policy=trusting(minimum_rsa_bits=3072)) == []


# All of them.


def test_a_good_bundle_under_a_good_policy_has_no_finding() -> None:
    bundle = timestamped(signer())
    assert record(bundle, trusting_tsa()).findings == ()


@kinds
def test_rules_of_signers_say_nothing_of_a_bundle_that_nobody_signed(kind: Kind) -> None:
    told = {finding.rule for finding in record(make(kind).unsigned()).findings if finding.rule in BY_ID}
    assert told <= {"claim-above-proven", "not-removable-live"}


def test_no_rule_minds_a_file_that_is_no_bundle() -> None:
    for data in (b"", b"!<arch>\n", make("vib").data[:700], b"x" * 100):
        told = [finding.rule for finding in record(data).findings]
        assert told
        assert BY_ID.keys().isdisjoint(told)
