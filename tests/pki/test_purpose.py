"""What a certificate may be used for: one thing wrong each, and its one code."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from builders.pki import CODE_SIGNING, ISSUE, NOW, Identity, ca, leaf, new_key, root, signer
from modseal import limits
from modseal.pki import purpose
from modseal.pki.purpose import CRL_SIGNING_PROFILE, TIME_STAMPING_PROFILE

EMAIL = ExtendedKeyUsageOID.EMAIL_PROTECTION
ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE


def codes(failures: Any) -> list[str]:
    return [failure.code for failure in failures]


def test_a_good_signer_may_sign() -> None:
    assert not list(purpose.leaf_failures(signer().parsed))


@pytest.mark.parametrize(
    "change",
    [
        {"purposes": None},
        {"purposes": [EMAIL]},
        {"purposes": [ANY]},
        {"usage": None},
        {"usage": frozenset({"content_commitment"})},
        {"usage": ISSUE},
        {"basic": (True, None)},
    ],
)
def test_a_signer_with_one_thing_wrong_is_not_for_code_signing(change: dict[str, Any]) -> None:
    assert codes(purpose.leaf_failures(leaf(**change).parsed)) == ["wrong-purpose"]


@pytest.mark.parametrize("change", [{"purposes": [EMAIL, CODE_SIGNING]}, {"basic": None}])
def test_what_does_not_matter_is_no_failure(change: dict[str, Any]) -> None:
    assert not list(purpose.leaf_failures(leaf(**change).parsed))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"usage": None}, []),
        ({"basic": None}, ["invalid-chain"]),
        ({"basic": (False, None)}, ["invalid-chain"]),
        ({"usage": frozenset({"crl_sign"})}, ["invalid-chain"]),
        ({"purposes": [EMAIL]}, ["wrong-purpose"]),
        ({"purposes": [ANY]}, ["wrong-purpose"]),
        ({"purposes": [EMAIL, CODE_SIGNING]}, []),
    ],
)
def test_an_issuer_is_a_ca_that_may_issue_for_code_signing(change: dict[str, Any], expected: list[str]) -> None:
    assert codes(purpose.issuer_failures(ca("CA", issuer=root(), **change).parsed)) == expected


def test_another_profile_asks_for_another_purpose() -> None:
    one = ca("CA", issuer=root(), purposes=[ExtendedKeyUsageOID.TIME_STAMPING]).parsed
    assert codes(purpose.issuer_failures(one)) == ["wrong-purpose"]
    assert codes(purpose.issuer_failures(one, TIME_STAMPING_PROFILE)) == []
    assert codes(purpose.issuer_failures(one, CRL_SIGNING_PROFILE)) == []


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521", "ed25519", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87"])
def test_these_keys_are_strong_enough(kind: str) -> None:
    assert not list(purpose.key_failures(with_key(kind).parsed))


@pytest.mark.parametrize("kind", ["rsa-1024", "p192", "k256", "dsa", "ed448"])
def test_these_keys_are_not(kind: str) -> None:
    assert codes(purpose.key_failures(with_key(kind).parsed)) == ["weak-key"]


def test_the_least_size_of_rsa_is_the_policys() -> None:
    one = with_key("rsa").parsed
    assert not list(purpose.key_failures(one, 2048))
    assert codes(purpose.key_failures(one, 2049)) == ["weak-key"]


def test_an_rsa_key_can_be_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RSA_BITS", 2048)
    assert not list(purpose.key_failures(with_key("rsa").parsed))
    one = with_key("rsa").parsed
    monkeypatch.setattr(limits, "RSA_BITS", 2047)
    assert codes(purpose.key_failures(one)) == ["weak-key"]


def with_key(kind: str) -> Identity:
    return leaf(f"{kind} signer", key=new_key(kind, 6))


def test_validity_is_a_closed_interval() -> None:
    one, second = leaf(start=NOW, end=NOW).parsed, timedelta(seconds=1)
    assert purpose.validity_failure(one, NOW) is None
    early, late = purpose.validity_failure(one, NOW - second), purpose.validity_failure(one, NOW + second)
    assert early is not None
    assert late is not None
    assert (early.code, late.code) == ("not-yet-valid", "expired")
    assert "is not valid yet at 20" in early.detail  # both times: the one that is judged at may lie in the future
    assert ": valid only from 20" in early.detail
    assert "is expired at 20" in late.detail
    assert ": valid until 20" in late.detail
