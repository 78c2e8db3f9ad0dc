"""Attack catalogue, section 3: certificates and time. Each test is named by the id of its row.

X5-05 to X5-10 (PKITS, name constraints, CRLs) and X5-11, X5-12 (timestamps) have tests of their own.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from builders import pki, policies
from builders.bundles import KINDS, accepted, make, refused
from builders.pki import CODE_SIGNING, FAR, NOW, ca, leaf, new_key, root, signer
from builders.policies import pin, trusting
from builders.transcript import run
from modseal.format.level import Level
from modseal.format.manifest import Kind
from modseal.policy.sources import BUILT_IN, load

kinds = pytest.mark.parametrize("kind", KINDS)
SERVER, ANY = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE


@kinds
@pytest.mark.parametrize("purposes", [None, (SERVER,), (ANY,), (ExtendedKeyUsageOID.EMAIL_PROTECTION, SERVER)])
def test_X5_01_a_leaf_must_name_code_signing(kind: Kind, purposes: object, tmp_path: Path) -> None:
    refused(make(kind, leaf("Leaf", purposes=purposes)), trusting(), "wrong-purpose", tmp_path)


@kinds
def test_X5_01_code_signing_among_others_is_enough(kind: Kind) -> None:
    accepted(make(kind, leaf("Leaf", purposes=(SERVER, CODE_SIGNING))), trusting())


@kinds
@pytest.mark.parametrize("purposes", [(SERVER,), (ExtendedKeyUsageOID.TIME_STAMPING,)])
def test_X5_01_a_ca_that_names_purposes_must_name_code_signing(kind: Kind, purposes: object, tmp_path: Path) -> None:
    middle = ca("Narrow", issuer=root(), key=new_key("p256", 60), purposes=purposes)
    refused(make(kind, leaf("Leaf", issuer=middle).with_chain(middle)), trusting(), "wrong-purpose", tmp_path)
    fine = ca("Wide", issuer=root(), key=new_key("p256", 60), purposes=(CODE_SIGNING,))
    accepted(make(kind, leaf("Leaf", issuer=fine).with_chain(fine)), trusting())


@kinds
@pytest.mark.parametrize(
    "change",
    [
        {"basic": (True, None)},
        {"basic": (True, 0), "usage": ("digital_signature", "key_cert_sign")},
        {"usage": None},
        {"usage": ("key_encipherment",)},
        {"usage": ("content_commitment",)},
    ],
)
def test_X5_02_a_leaf_is_no_ca_and_signs(kind: Kind, change: dict[str, object], tmp_path: Path) -> None:
    odd = leaf("Odd", **change)
    refused(make(kind, odd), trusting(), "wrong-purpose", tmp_path)
    accepted(make(kind, odd), trusting(pin(odd)))


@kinds
def test_X5_02_a_pin_is_one_exact_certificate(kind: Kind, tmp_path: Path) -> None:
    twin = leaf("Test signer", key=signer().key)
    refused(make(kind, twin), trusting(pin(signer())), "no-path", tmp_path)
    accepted(make(kind, signer()), trusting(pin(signer())))


@kinds
def test_X5_02_a_pin_lends_no_trust_to_what_it_issued(kind: Kind, tmp_path: Path) -> None:
    pinned = leaf("Pinned CA", basic=(True, None), usage=("digital_signature", "key_cert_sign"))
    below = leaf("Below a pin", issuer=pinned).with_chain(pinned)
    refused(make(kind, below), trusting(pin(pinned)), "no-path", tmp_path)


@kinds
def test_X5_03_an_expired_leaf_is_refused(kind: Kind, tmp_path: Path) -> None:
    expired = leaf("Expired", end=NOW - timedelta(days=1))
    found = refused(make(kind, expired), trusting(), "expired", tmp_path)
    assert found.proven_level is None
    accepted(make(kind, expired), trusting(), NOW - timedelta(days=2))
    refused(make(kind, expired), trusting(pin(expired)), "expired", tmp_path)
    accepted(make(kind, expired), trusting(pin(expired, accept_expired=True)))


@kinds
def test_X5_03_validity_includes_its_first_and_last_second(kind: Kind, tmp_path: Path) -> None:
    start, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)
    short = make(kind, leaf("Short", start=start, end=end))
    for at in (start, end):
        accepted(short, trusting(), at)
    refused(short, trusting(), "not-yet-valid", tmp_path, at=start - timedelta(seconds=1))
    refused(short, trusting(), "expired", tmp_path, at=end + timedelta(seconds=1))


def test_X5_03_an_expired_certificate_does_not_sign(tmp_path: Path) -> None:
    expired = leaf("Expired", end=NOW - timedelta(days=1))
    for name, data in (("a", make("seal").unsigned().data), ("key", expired.key_pem), ("cert", expired.pem)):
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o600)
    done = run("sign", "a", "--key", "key", "--cert", "cert", cwd=tmp_path)
    assert (done.code, "is expired at" in done.err) == (1, True)


@kinds
@pytest.mark.parametrize("which", ["intermediate", "root"])
def test_X5_04_an_expired_issuer_is_not_hidden_by_a_valid_leaf(kind: Kind, which: str, tmp_path: Path) -> None:
    """CVE-2026-24122: root 12 to 14 h, CA 12:30 to 13:30, leaf 13 to 15 h; judged at 14:30 and before."""
    day = datetime(2025, 6, 1, tzinfo=UTC)

    def hours(start: float, end: float) -> dict[str, datetime]:
        return {"start": day + timedelta(hours=start), "end": day + timedelta(hours=end)}

    top = ca("Short root", key=new_key("p256", 62), **hours(12, 14 if which == "root" else 24))
    middle = ca("Short CA", issuer=top, key=new_key("p256", 63), **hours(12.5, 13.5 if which == "intermediate" else 24))
    bundle = make(kind, leaf("Leaf", issuer=middle, **hours(13, 15)).with_chain(middle))
    accepted(bundle, trusting(top), day + timedelta(hours=13.25))
    refused(bundle, trusting(top), "expired", tmp_path, at=day + timedelta(hours=14.5))
    refused(bundle, trusting(top), "not-yet-valid", tmp_path, at=day + timedelta(hours=12.75))


@kinds
def test_X5_08_a_certificate_that_another_key_signed_is_refused(kind: Kind, tmp_path: Path) -> None:
    forged = leaf("Forged", signing_key=new_key("p256", 72))
    refused(make(kind, forged), trusting(), "no-path", tmp_path)


@kinds
def test_X5_08_a_loop_of_issuers_ends(kind: Kind, tmp_path: Path) -> None:
    one, two = ca("One", key=new_key("p256", 73)), ca("Two", key=new_key("p256", 74))
    by_two = ca("One", issuer=two, key=one.key)
    by_one = ca("Two", issuer=one, key=two.key)
    looping = leaf("Looping", issuer=one).with_chain(by_two, by_one)
    refused(make(kind, looping), trusting(), "no-path", tmp_path)
    bridge = ca("Two", issuer=root(), key=two.key)
    accepted(make(kind, looping.with_chain(by_two, by_one, bridge)), trusting())


@kinds
def test_X5_09_an_unknown_critical_extension_is_refused(kind: Kind, tmp_path: Path) -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.7"), b"\x05\x00")
    refused(make(kind, leaf("Critical", extensions=[(unknown, True)])), trusting(), "unsupported-extension", tmp_path)
    accepted(make(kind, leaf("Not critical", extensions=[(unknown, False)])), trusting())


def test_X5_13_no_root_is_trusted_by_default(tmp_path: Path) -> None:
    assert load("strict").anchors == ()
    assert all(anchor.certificate is None for anchor in load("vmware").anchors)
    assert set(BUILT_IN) == {"strict", "vmware"}
    refused(make("seal"), load("strict"), "no-anchors", tmp_path)


@pytest.mark.parametrize("minimum", tuple(Level))
def test_X5_13_an_empty_list_of_anchors_accepts_nothing_signed(minimum: Level, tmp_path: Path) -> None:
    from modseal.trust.policy import Policy

    refused(make("seal"), Policy("empty", minimum, allow_unsigned_community=True), "no-anchors", tmp_path)


def test_X5_14_the_time_of_judgement_is_in_the_report(tmp_path: Path) -> None:
    policies.write(tmp_path)
    (tmp_path / "a").write_bytes(make("seal").data)
    plain = json.loads(
        run(
            "verify", "a", "--policy", "policy.toml", "--at", "2025-03-04T05:06:07Z", "--format", "json", cwd=tmp_path
        ).out
    )
    assert plain["at"] == "2025-03-04T05:06:07Z"
    (check,) = [check for check in plain["results"][0]["checks"] if check["step"] == 2]
    assert "2025-03-04T05:06:07Z" in check["detail"]


@pytest.mark.parametrize(
    "at",
    [
        "2025-03-04T05:06:07",
        "2025-03-04T05:06:07+01:00",
        "04.03.2025",
        "2025-03-04 05:06:07Z",
        "1e9",
        "2016-12-31T23:59:60Z",
        "0000-01-01",
        "2025-03-04T24:00:00Z",
        "2025-02-31",
        "٢025-03-04",
    ],
)
def test_X5_14_a_time_without_its_one_form_is_usage(at: str, tmp_path: Path) -> None:
    policies.write(tmp_path)
    (tmp_path / "a").write_bytes(make("seal").data)
    assert run("verify", "a", "--policy", "policy.toml", "--at", at, cwd=tmp_path).code == 2


def test_the_builders_certificates_never_expire_in_practice() -> None:
    assert min(root().parsed.not_after, signer().parsed.not_after) == FAR
    assert pki.EPOCH < NOW < FAR
