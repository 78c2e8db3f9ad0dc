"""Rotation: which trust bundle may take the place of the installed one, and which may not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from builders import cms as cms_builder
from builders.pki import NOW, crl, issue, new_key, root, signer
from builders.trust_bundles import POLICY, A, B, C, D, files, keeper, make, root_of, seen, signed
from modseal.errors import ModsealError, PolicyError, UsageError
from modseal.format.trust_bundle import TrustBundle
from modseal.policy.rotation import InstalledBundle, advance, policy_of, shortfalls

ONE = make(1, [A, B, C], threshold=2)


def refused(
    code: str,
    installed: InstalledBundle | None,
    *bundles: TrustBundle,
    initial: Collection[str] = (),
    at: datetime = NOW,
) -> str:
    with pytest.raises(ModsealError) as caught:
        advance(installed, bundles, initial, at)
    assert caught.value.failure.code == code, caught.value.failure
    assert caught.value.failure.detail
    return caught.value.failure.detail


# The first one.


def test_a_first_trust_bundle_needs_a_person_who_names_its_root_signers() -> None:
    with pytest.raises(UsageError, match="--initial-root"):
        advance(None, [ONE], (), NOW)
    assert advance(None, [ONE], [A.fingerprint, B.fingerprint], NOW) is ONE


@pytest.mark.parametrize(
    ("named", "by"),
    [
        ([A], [A, B, C]),  # fewer are named than the trust bundle's own threshold
        ([A, D], [A, B, C, D]),  # one is named that is not a root signer of it
        ([A, B, C], [A, B]),  # one is named that has not signed
        ([A, B], []),
        ([D], [D]),
    ],
)
def test_a_first_trust_bundle_is_signed_by_all_that_are_named_and_they_alone_suffice(
    named: Sequence[object], by: Sequence[object]
) -> None:
    bundle = make(1, [A, B, C], by, threshold=2)  # type: ignore[arg-type]
    refused("trust-bundle-threshold", None, bundle, initial=[one.fingerprint for one in named])  # type: ignore[attr-defined]


def test_who_names_two_signers_is_not_bound_by_a_lower_threshold_in_the_file() -> None:
    forged = make(1, [A, B], [A], threshold=1)
    refused("trust-bundle-threshold", None, forged, initial=[A.fingerprint, B.fingerprint])


def test_nothing_to_install_is_a_wrong_call() -> None:
    with pytest.raises(UsageError):
        advance(None, [], (), NOW)


# Rotation.


def test_the_next_version_is_signed_by_a_threshold_of_the_old_and_of_the_new_root() -> None:
    two = make(2, [C, D], [A, B, C, D])
    assert advance(seen(ONE), [two], (), NOW) is two


@pytest.mark.parametrize(
    ("signers", "threshold", "by"),
    [
        ([A, B, C], 2, [A]),  # one short of both
        ([D], 1, [D]),  # its own alone: whoever makes one can do that
        ([D], 1, [A, D]),  # one short of the old root
        ([D], 1, [A, B]),  # the new root has not shown that it can sign
        ([C, D], 2, [A, B, D]),  # one short of the new root
        ([A, B, C], 2, []),
    ],
)
def test_a_version_that_either_root_has_not_signed_is_refused(signers: list, threshold: int, by: list) -> None:
    refused("trust-bundle-threshold", seen(ONE), make(2, signers, by, threshold=threshold))


def test_a_signer_counts_once_however_often_it_signs() -> None:
    refused("trust-bundle-threshold", seen(ONE), make(2, [A, B, C], [A, A, A], threshold=2))


def test_a_key_counts_once_however_many_certificates_it_has() -> None:
    twin = issue("Twin", key=A.key, serial=7777)
    refused("trust-bundle-threshold", None, make(1, [A, twin]), initial=[A.fingerprint, twin.fingerprint])


def test_a_stranger_with_the_name_and_serial_of_a_root_signer_counts_for_nobody() -> None:
    stranger = issue("Keeper 1", key=new_key("p256", 777), serial=9001)
    refused("trust-bundle-threshold", seen(ONE), make(2, [A, B, C], [A, stranger], threshold=2))


def test_a_signature_over_another_declaration_refuses_the_whole() -> None:
    two, other = make(2, [A, B, C], threshold=2), make(3, [A, B, C], threshold=2)
    refused("trust-bundle-invalid", seen(ONE), replace(two, signature=other.signature))
    refused("trust-bundle-invalid", seen(ONE), replace(two, signature=two.signature + other.signature))


def test_a_signature_that_we_cannot_judge_counts_for_nobody_and_does_no_harm() -> None:
    two = make(2, [A, B, C], [A, B], threshold=2)
    unknown = cms_builder.block(two.signed, C, signature_algorithm=cms_builder.algorithm(cms_builder.UNKNOWN))
    both = replace(two, signature=two.signature + cms_builder.pem(unknown))
    assert advance(seen(ONE), [both], (), NOW) is both
    alone = make(2, [A, B, C], [A], threshold=2)
    refused("trust-bundle-threshold", seen(ONE), replace(alone, signature=alone.signature + cms_builder.pem(unknown)))


@pytest.mark.parametrize(
    "validity",
    [
        {"end": NOW - timedelta(days=1)},
        {"start": NOW + timedelta(days=1)},
    ],
)
def test_a_root_signer_whose_certificate_is_not_valid_now_does_not_count(validity: dict) -> None:
    invalid = keeper(9, **validity)
    installed = make(1, [A, invalid], threshold=2)
    why = refused("trust-bundle-threshold", seen(installed), make(2, [A], [A, invalid]))
    assert "Keeper 9" in why


def test_a_weak_root_key_does_not_count() -> None:
    weak = issue("Weak", key=new_key("rsa-1024"))
    refused("trust-bundle-threshold", None, make(1, [weak]), initial=[weak.fingerprint])


def test_shortfalls_say_what_is_missing_for_both_roots() -> None:
    assert len(list(shortfalls(make(2, [D], []), ONE, NOW))) == 2
    assert not list(shortfalls(make(2, [D], [A, B, D]), ONE, NOW))


# Versions.


def test_SIG_09_an_older_version_is_refused() -> None:
    three = make(3, [A])
    refused("trust-bundle-rollback", seen(three), make(2, [A]))
    refused("trust-bundle-rollback", seen(three), make(1, [A]), make(2, [A]))


def test_the_installed_version_again_is_no_change() -> None:
    again = signed(ONE, C, B)
    assert again.signature != ONE.signature
    assert advance(seen(ONE), [again], (), NOW) is not again


def test_the_same_version_with_other_content_is_refused() -> None:
    other = make(1, [A, B, C], threshold=2, contents=files(**{"policy.toml": POLICY + b"# other\n"}))
    refused("trust-bundle-conflict", seen(ONE), other)
    refused("trust-bundle-conflict", None, ONE, other, initial=[A.fingerprint, B.fingerprint])


def test_a_version_left_out_is_refused_and_passed_along_it_is_not() -> None:
    two, three = make(2, [C, D], [A, B, C, D]), make(3, [D], [C, D])
    refused("trust-bundle-gap", seen(ONE), three)
    assert advance(seen(ONE), [two, three], (), NOW) is three
    assert advance(seen(ONE), [three, ONE, two], (), NOW) is three, "in any order, older ones passed over"


def test_every_step_of_a_chain_is_signed_by_the_one_before_it() -> None:
    two, three = make(2, [C, D], [A, B, C, D]), make(3, [A, B], [A, B])
    refused("trust-bundle-threshold", seen(ONE), two, three)


def test_a_withdrawn_root_signer_has_nothing_to_say_any_more() -> None:
    two = make(2, [C, D], [A, B, C, D])
    refused("trust-bundle-threshold", seen(two), make(3, [A, B], [A, B]))


# Time.


def test_an_expired_trust_bundle_is_refused_from_the_very_second_on() -> None:
    two = make(2, [A], [A, B])
    assert advance(seen(ONE), [make(2, [A], [A, B])], (), two.expires - timedelta(seconds=1))
    refused("trust-bundle-expired", seen(ONE), two, at=two.expires)
    refused("trust-bundle-expired", seen(ONE), ONE, at=ONE.expires)


def test_an_expired_version_on_the_way_to_a_current_one_is_no_obstacle() -> None:
    two = make(2, [A], [A, B], expires=NOW - timedelta(hours=1))
    three = make(3, [A])
    assert advance(seen(ONE), [two, three], (), NOW) is three
    refused("trust-bundle-expired", seen(ONE), two)


def test_a_clock_set_back_before_the_newest_time_seen_is_refused() -> None:
    refused("clock-set-back", seen(ONE, NOW + timedelta(seconds=1)), make(2, [A], [A, B]))
    assert advance(seen(ONE, NOW), [ONE], (), NOW).version == 1


def test_a_clock_before_the_trust_bundle_was_made_is_wrong_too() -> None:
    future = make(1, [A], issued=NOW + timedelta(days=1))
    refused("clock-set-back", None, future, initial=[A.fingerprint])


# The policy inside.


def test_the_policy_is_read_with_the_files_of_the_trust_bundle_alone() -> None:
    policy = policy_of(ONE, "stick")
    assert policy.anchors[0].certificate == root().parsed
    assert policy.source == "stick"


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        ({"policy.toml": POLICY}, "anchors/root.pem"),
        ({"policy.toml": POLICY, "anchors/root.pem": b"nonsense"}, "CERTIFICATE"),
        ({"policy.toml": b"schema = 1", "anchors/root.pem": root().pem}, "schema"),
        ({"policy.toml": POLICY, "anchors/root.pem": root().pem, "extra.pem": root().pem}, "extra.pem"),
    ],
)
def test_a_policy_that_cannot_be_used_is_not_installed(contents: dict[str, bytes], words: str) -> None:
    bundle = make(contents=contents)
    assert words in refused("trust-bundle-invalid", None, bundle, initial=[A.fingerprint])
    with pytest.raises(PolicyError, match=words):
        policy_of(bundle, "stick")


def test_a_policy_of_a_version_on_the_way_is_not_judged() -> None:
    two = make(2, [A], [A, B], contents={"policy.toml": b"written for another modseal"})
    assert advance(seen(ONE), [two, make(3, [A])], (), NOW).version == 3


def test_intermediates_and_crls_travel_with_the_policy() -> None:
    text = (
        POLICY.replace(b'"partner"', b'"partner"\nintermediates = ["more.pem"]')
        + b'[revocation]\ncrls = ["root.crl"]\n'
    )
    from cryptography.hazmat.primitives.serialization import Encoding

    listed = crl(root(), signer()).public_bytes(Encoding.PEM)
    contents = {"policy.toml": text, "anchors/root.pem": root().pem, "more.pem": signer().pem, "root.crl": listed}
    policy = policy_of(make(contents=contents), "stick")
    assert len(policy.intermediates) == len(policy.revocation.crls) == 1


def test_a_root_may_be_of_several_kinds_of_keys() -> None:
    keepers = [issue(kind, key=new_key(kind)) for kind in ("rsa", "p384", "ed25519")]
    bundle = make(1, keepers)
    assert bundle.root == root_of(3, *keepers)
    assert advance(None, [bundle], [one.fingerprint for one in keepers], NOW) is bundle
