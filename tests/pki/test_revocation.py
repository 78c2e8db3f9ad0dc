"""Step 5: each way in which a CRL cannot help has its own code, and nothing passes that is not known to be good."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from builders import crls
from builders.bundles import judge as examine
from builders.bundles import make
from builders.paths import find_path, revocation_failures
from builders.pki import EPOCH, FAR, NOW, SIGN, Identity, ca, leaf, new_key, root, signer
from builders.policies import trusting
from modseal.codes import CODES
from modseal.errors import Failure
from modseal.format import der
from modseal.pki.crl import Crl
from modseal.pki.path import Path
from modseal.pki.revocation import WITHOUT_MISUSE, RevocationRules
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy

DAY = timedelta(days=1)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.9"), b"\x05\x00")
CRL_SIGN = frozenset({"crl_sign"})


def policy_with(*lists: bytes, required: bool = True, anchor: Identity | None = None, **rules: Any) -> Policy:
    return trusting(anchor or root(), revocation=RevocationRules(crls.read(*lists), required, **rules))


def failures_for(
    one: Identity, *between: Identity, policy: Policy, at: datetime = NOW, signed_at: datetime | None = None
) -> list[Failure]:
    path = find_path(one.parsed, [each.parsed for each in between], policy, signed_at or at, verified_at=at)
    assert isinstance(path, Path), path
    return revocation_failures(path, policy, at, signed_at)


def codes(one: Identity, *between: Identity, lists: Sequence[bytes], **more: Any) -> list[str]:
    rules = {
        name: more.pop(name) for name in ("required", "anchor", "maximum_age", "accept_signed_before") if name in more
    }
    return [failure.code for failure in failures_for(one, *between, policy=policy_with(*lists, **rules), **more)]


# One list.


def test_a_certificate_that_a_current_list_does_not_name_passes() -> None:
    assert codes(signer(), lists=[crls.make(root())]) == []
    assert codes(signer(), lists=[crls.make(root(), leaf("Another"))]) == []


def test_a_certificate_that_the_list_names_is_revoked() -> None:
    (failure,) = failures_for(signer(), policy=policy_with(crls.make(root(), signer())))
    assert failure.code == "revoked"
    assert failure.evidence["revoked_at"] == EPOCH.isoformat()
    assert failure.evidence["certificate"] == signer().fingerprint


def test_a_revoked_certificate_is_refused_where_revocation_is_not_required() -> None:
    assert codes(signer(), lists=[crls.make(root(), signer())], required=False) == ["revoked"]


@pytest.mark.parametrize("reason", list(x509.ReasonFlags))
def test_every_reason_revokes(reason: x509.ReasonFlags) -> None:
    """Also certificateHold, and removeFromCRL, which only a delta CRL may say."""
    extensions = [(x509.CRLReason(reason), False)]
    if reason in (x509.ReasonFlags.unspecified, x509.ReasonFlags.remove_from_crl):
        extensions = []
    listed = crls.revoked(signer().certificate.serial_number, EPOCH, extensions)
    assert codes(signer(), lists=[crls.make(root(), listed)]) == ["revoked"]


def test_an_entry_that_takes_itself_back_still_revokes() -> None:
    value = der.encode(der.SEQUENCE, der.encode_oid("2.5.29.21"), der.encode(der.OCTET_STRING, b"\x0a\x01\x08"))
    serial = der.encode_integer(signer().certificate.serial_number)
    entry = der.encode(der.SEQUENCE, serial, der.encode_time("2024-01-01T00:00:00Z"), der.encode(der.SEQUENCE, value))
    data = crls.edited(
        crls.make(root()), lambda fields: [*fields[:5], der.encode(der.SEQUENCE, entry), *fields[5:]], root().key
    )
    assert codes(signer(), lists=[data]) == ["revoked"]


def test_a_revocation_in_the_future_counts_already() -> None:
    listed = crls.revoked(signer().certificate.serial_number, NOW + DAY)
    assert codes(signer(), lists=[crls.make(root(), listed)]) == ["revoked"]


BAD_LISTS: dict[str, tuple[bytes | None, str]] = {
    "no list": (None, "revocation-unknown"),
    "a list of another issuer": (crls.make(ca("Other root")), "crl-wrong-issuer"),
    "a list that another key signed": (crls.make(root(), key=new_key("p256", 80)), "crl-bad-signature"),
    "a list past its next update": (crls.make(root(), end=NOW - DAY), "crl-stale"),
    "a list from the future": (crls.make(root(), start=NOW + DAY), "crl-not-yet-valid"),
    "a delta list": (crls.make(root(), extensions=[(x509.DeltaCRLIndicator(1), True)]), "crl-invalid"),
    "an unknown critical extension": (crls.make(root(), extensions=[(UNKNOWN, True)]), "crl-invalid"),
    "an unknown critical entry extension": (
        crls.make(root(), crls.revoked(5, EPOCH, [(UNKNOWN, True)])), "crl-invalid"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_LISTS)
def test_each_bad_list_has_its_code_and_no_verdict(case: str) -> None:
    data, code = BAD_LISTS[case]
    policy = policy_with(*([data] if data else []))
    assert [failure.code for failure in failures_for(signer(), policy=policy)] == [code]
    assert CODES[code].undecided
    examination = examine(make("seal"), policy)
    assert examination.verdict is Verdict.UNDECIDED
    assert examination.primary is not None
    assert (examination.primary.step, examination.primary.code) == (5, code)


def test_SIG_09_a_list_without_a_next_update_is_stale() -> None:
    data = crls.edited(crls.make(root()), lambda fields: [*fields[:4], *fields[5:]], root().key)
    assert codes(signer(), lists=[data]) == ["crl-stale"]


def test_an_issuer_that_may_not_sign_lists_is_the_wrong_one() -> None:
    top = ca("Root without cRLSign", usage=frozenset({"key_cert_sign"}))
    assert codes(leaf(issuer=top), lists=[crls.make(top)], anchor=top) == ["crl-wrong-issuer"]


def test_a_signature_that_is_changed_is_bad() -> None:
    data = crls.make(root())
    assert codes(signer(), lists=[data[:-1] + bytes([data[-1] ^ 1])]) == ["crl-bad-signature"]


def test_without_a_need_a_missing_list_is_no_failure_and_a_bad_one_is() -> None:
    assert codes(signer(), lists=[], required=False) == []
    assert codes(signer(), lists=[crls.make(ca("Other root"))], required=False) == []
    for data, code in BAD_LISTS.values():
        if data and code != "crl-wrong-issuer":
            assert codes(signer(), lists=[data], required=False) == [code]


def test_a_list_is_current_up_to_its_next_update() -> None:
    listed = [crls.make(root(), start=NOW, end=NOW + DAY)]
    assert codes(signer(), lists=listed, at=NOW) == codes(signer(), lists=listed, at=NOW + DAY) == []
    assert codes(signer(), lists=listed, at=NOW + DAY + timedelta(seconds=1)) == ["crl-stale"]
    assert codes(signer(), lists=listed, at=NOW - timedelta(seconds=1)) == ["crl-not-yet-valid"]


def test_a_policy_can_ask_for_a_younger_list() -> None:
    listed = [crls.make(root(), start=NOW - 3 * DAY)]
    assert codes(signer(), lists=listed, maximum_age=3 * DAY) == []
    assert codes(signer(), lists=listed, maximum_age=2 * DAY) == ["crl-stale"]


def test_a_stale_list_still_proves_what_it_says_is_revoked() -> None:
    assert codes(signer(), lists=[crls.make(root(), signer(), end=NOW - DAY)]) == ["revoked"]
    assert codes(signer(), lists=[crls.make(root(), signer(), start=NOW + DAY)]) == ["revoked"]


def test_a_list_that_nobody_signed_proves_nothing() -> None:
    assert codes(signer(), lists=[crls.make(root(), signer(), key=new_key("p256", 80))]) == ["crl-bad-signature"]


def test_a_list_that_does_not_cover_the_certificate_is_no_list() -> None:
    for_cas = x509.IssuingDistributionPoint(None, None, False, True, None, False, False)
    listed = [crls.make(root(), extensions=[(for_cas, True)])]
    assert codes(signer(), lists=listed) == ["revocation-unknown"]
    assert codes(signer(), lists=[*listed, crls.make(root())]) == []


# Several lists.


@pytest.mark.parametrize("case", BAD_LISTS)
def test_a_good_list_helps_beside_a_bad_one_unless_the_issuer_signed_what_is_not_judged(case: str) -> None:
    data, code = BAD_LISTS[case]
    lists = [crls.make(root()), *([data] if data else [])]
    expected = [code] if code == "crl-invalid" else []
    assert codes(signer(), lists=lists) == codes(signer(), lists=lists[::-1]) == expected


@pytest.mark.parametrize("case", BAD_LISTS)
def test_revoked_in_one_list_counts_whatever_the_others_say(case: str) -> None:
    data, _ = BAD_LISTS[case]
    lists = [crls.make(root()), crls.make(root(), signer()), *([data] if data else [])]
    assert codes(signer(), lists=lists) == codes(signer(), lists=lists[::-1]) == ["revoked"]


def test_of_several_bad_lists_the_one_that_says_most_is_reported() -> None:
    lists = [BAD_LISTS["a list that another key signed"][0], BAD_LISTS["a list past its next update"][0]]
    for ordered in (lists, lists[::-1]):
        assert codes(signer(), lists=[data for data in ordered if data]) == ["crl-stale"]


# Chains.


def test_every_certificate_below_the_anchor_is_looked_up() -> None:
    middle = ca("CA", issuer=root())
    one = leaf(issuer=middle)
    good = [crls.make(root()), crls.make(middle)]
    assert codes(one, middle, lists=good) == []
    assert codes(one, middle, lists=good[1:]) == ["revocation-unknown"]
    assert codes(one, middle, lists=good[:1]) == ["revocation-unknown"]
    assert codes(one, middle, lists=[crls.make(root(), middle), crls.make(middle, one)]) == ["revoked", "revoked"]


def test_a_serial_number_counts_for_its_own_issuer_alone() -> None:
    middle = ca("CA", issuer=root(), serial=77)
    one = leaf(issuer=middle, serial=88)
    lists = [crls.make(root(), crls.revoked(88)), crls.make(middle, crls.revoked(77))]
    assert codes(one, middle, lists=lists) == []


def test_the_anchor_is_withdrawn_in_the_policy_alone() -> None:
    assert codes(signer(), lists=[crls.make(root(), root())]) == []


# Lists that another key of the CA signs.


def key_holder(name: str = "CA", issuer: Identity | None = None, **changes: Any) -> Identity:
    """A certificate in the CA's name that signs CRLs and nothing else."""
    issuer = issuer or root()
    return ca(
        name, **{"issuer": issuer, "usage": CRL_SIGN, "basic": (False, None), "key": new_key("p256", 81), **changes}
    )


MIDDLE = ca("CA", issuer=root(), usage=frozenset({"key_cert_sign"}))


def with_holder(holder: Identity, *more: bytes, revoked: Sequence[Identity] = ()) -> list[str]:
    one = leaf("Below", issuer=MIDDLE, key=new_key("p256", 82), serial=4242)
    lists = [crls.make(root()), *more, crls.make(holder, *revoked, name=MIDDLE.certificate.subject)]
    return codes(one, MIDDLE, holder, lists=lists)


def test_a_ca_can_sign_its_lists_with_another_key() -> None:
    assert with_holder(key_holder()) == []
    revoked = leaf("Below", issuer=MIDDLE, key=new_key("p256", 82), serial=4242)
    assert with_holder(key_holder(), revoked=[revoked]) == ["revoked"]


@pytest.mark.parametrize(
    "holder",
    [
        key_holder(usage=SIGN),
        key_holder(usage=None),
        key_holder("Another name"),
        key_holder(issuer=ca("Stranger")),
        key_holder(end=NOW - DAY),
        key_holder(extensions=[(UNKNOWN, True)]),
        key_holder(key=new_key("rsa-1024", 83)),
        key_holder(signing_key=new_key("p256", 84)),
    ],
    ids=[
        "no cRLSign",
        "no key usage",
        "another name",
        "another root",
        "expired",
        "critical extension",
        "weak key",
        "forged",
    ],
)
def test_a_key_that_the_ca_has_not_got_signs_no_lists(holder: Identity) -> None:
    assert with_holder(holder) == ["crl-bad-signature"]


def test_a_ca_for_another_purpose_may_certify_who_signs_lists() -> None:
    """An extended key usage limits what a CA may issue for a purpose, and signing lists is none of them."""
    servers = ca("CA for servers", issuer=root(), purposes=[ExtendedKeyUsageOID.SERVER_AUTH])
    one = leaf("Below", issuer=MIDDLE, key=new_key("p256", 82))
    holder = key_holder(issuer=servers)
    lists = [crls.make(root()), crls.make(servers), crls.make(holder, name=MIDDLE.certificate.subject)]
    assert codes(one, MIDDLE, holder, servers, lists=lists) == []


def test_what_the_anchor_demands_holds_for_who_signs_lists() -> None:
    top = ca("Short root", basic=(True, 1))
    middle = ca("CA", issuer=top, usage=frozenset({"key_cert_sign"}))
    lower = ca("Lower", issuer=middle)
    one = leaf("Below", issuer=middle, key=new_key("p256", 82))
    for holder, expected in ((key_holder(issuer=middle), []), (key_holder(issuer=lower), ["crl-bad-signature"])):
        listed = crls.read(crls.make(holder, name=middle.certificate.subject))
        policy = trusting(top, revocation=RevocationRules(listed))
        assert [failure.code for failure in failures_for(one, middle, lower, holder, policy=policy)] == expected


def test_a_revoked_key_signs_no_lists() -> None:
    one = leaf(issuer=MIDDLE)
    holder = key_holder()
    lists = [crls.make(root(), holder), crls.make(holder, name=MIDDLE.certificate.subject)]
    assert codes(one, MIDDLE, holder, lists=lists) == ["crl-bad-signature"]


def test_a_key_does_not_vouch_for_itself() -> None:
    """PKITS 4.6.17 and 4.12.9 have it so; whoever stole the key could sign that it was not stolen."""
    old = ca("CA", issuer=root())
    new = ca("CA", issuer=old, key=new_key("p256", 85))
    one = leaf(issuer=new)
    assert codes(one, old, new, lists=[crls.make(root()), crls.make(new)]) == ["crl-bad-signature"]
    assert codes(one, old, new, lists=[crls.make(root()), crls.make(old), crls.make(new)]) == []


def test_a_list_of_the_old_key_covers_what_the_new_one_issued() -> None:
    old = ca("CA", issuer=root())
    new = ca("CA", issuer=root(), key=new_key("p256", 86))
    one = leaf(issuer=new)
    assert codes(one, new, old, lists=[crls.make(root()), crls.make(old)]) == []
    assert codes(one, new, lists=[crls.make(root()), crls.make(old)]) == ["crl-bad-signature"]
    assert codes(one, new, old, lists=[crls.make(root()), crls.make(old, one)]) == ["revoked"]


# The time of signing.


@pytest.mark.parametrize("reason", list(x509.ReasonFlags))
def test_a_signature_before_the_revocation_stands_where_the_policy_says_so(reason: x509.ReasonFlags) -> None:
    extensions = (
        []
        if reason in (x509.ReasonFlags.unspecified, x509.ReasonFlags.remove_from_crl)
        else [(x509.CRLReason(reason), False)]
    )
    listed = [crls.make(root(), crls.revoked(signer().certificate.serial_number, NOW - DAY, extensions))]
    before, after = NOW - 2 * DAY, NOW - DAY
    forgiven = reason.value in WITHOUT_MISUSE
    assert codes(signer(), lists=listed, accept_signed_before=True, signed_at=before) == (
        [] if forgiven else ["revoked"]
    )
    assert codes(signer(), lists=listed, accept_signed_before=True, signed_at=after) == ["revoked"]
    assert codes(signer(), lists=listed, accept_signed_before=True) == ["revoked"]
    assert codes(signer(), lists=listed, signed_at=before) == ["revoked"]


def test_a_list_must_be_current_at_the_verification_and_not_at_the_signing() -> None:
    listed = [crls.make(root(), start=NOW - DAY, end=FAR)]
    assert codes(signer(), lists=listed, signed_at=NOW - 10 * DAY) == []
    old = [crls.make(root(), start=EPOCH, end=NOW - DAY)]
    assert codes(signer(), lists=old, signed_at=NOW - 10 * DAY) == ["crl-stale"]


@pytest.mark.parametrize(("kept_since", "expected"), [(NOW - 20 * DAY, []), (NOW, ["revocation-unknown"])])
def test_a_list_that_drops_expired_certificates_says_nothing_of_them(kept_since: datetime, expected: list[str]) -> None:
    one = leaf("Expired", end=NOW - 5 * DAY)
    value = der.encode(der.GENERALIZED_TIME, f"{kept_since:%Y%m%d%H%M%SZ}".encode())
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.60"), value)
    listed = [crls.make(root(), extensions=[(extension, False)])]
    assert codes(one, lists=listed, signed_at=NOW - 10 * DAY) == expected


def test_a_verdict_on_revocation_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = policy_with(crls.make(root()))
    path = find_path(signer().parsed, (), policy, NOW)
    assert isinstance(path, Path)
    revocation_failures(path, policy, NOW)
    monkeypatch.setattr("modseal.pki.revocation.judge", lambda *_, **__: pytest.fail("judged again"))
    for _ in range(20):
        assert revocation_failures(path, policy, NOW) == []


def test_lists_are_compared_by_their_bytes_and_their_source() -> None:
    first, second = crls.read(crls.make(root()), crls.make(root()))
    assert isinstance(first, Crl)
    assert first != second


def test_a_certificate_that_expired_at_the_very_time_is_kept() -> None:
    ended = NOW - 5 * DAY
    one = leaf("Expired", end=ended)
    for since, expected in ((ended, []), (ended + timedelta(seconds=1), ["revocation-unknown"])):
        value = der.encode(der.GENERALIZED_TIME, f"{since:%Y%m%d%H%M%SZ}".encode())
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.60"), value)
        listed = [crls.make(root(), extensions=[(extension, False)])]
        assert codes(one, lists=listed, signed_at=NOW - 10 * DAY) == expected


def test_a_list_signed_with_pss_verifies_with_the_salt_that_it_says() -> None:
    top = ca("PSS root", key=new_key("rsa", 64))
    builder = x509.CertificateRevocationListBuilder().issuer_name(top.certificate.subject)
    builder = builder.last_update(EPOCH).next_update(FAR)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 33)
    listed = builder.sign(top.key, hashes.SHA256(), rsa_padding=pss).public_bytes(Encoding.DER)
    assert codes(leaf("Below PSS", issuer=top), lists=[listed], anchor=top) == []


def test_what_is_missing_is_told_with_its_issuer() -> None:
    (unknown,) = failures_for(signer(), policy=policy_with())
    issuer = root().parsed.subject
    assert (unknown.code, unknown.detail) == (
        "revocation-unknown",
        f"the policy has no CRL of {issuer} for {signer().parsed.subject}",
    )
    (wrong,) = failures_for(signer(), policy=policy_with(crls.make(root(7))))
    assert (wrong.code, wrong.detail) == ("crl-wrong-issuer", f"the policy has CRLs, but none of {issuer}")


def crl_signer_with(maximum_age: timedelta | None, age: timedelta) -> list[str]:
    """A list by a CRL signer of the root, where the root's own list about that signer has this age."""
    helper = ca("Test root 0", issuer=root(), key=new_key("p256", 66), usage=CRL_SIGN, basic=None)
    own = crls.make(root(), start=NOW - age)
    fresh = crls.make(root(), start=NOW - timedelta(hours=1), key=helper.key)
    return codes(signer(), helper, lists=[fresh, own], maximum_age=maximum_age)


def test_a_signer_of_lists_is_held_to_the_same_age_of_lists() -> None:
    assert crl_signer_with(None, 300 * DAY) == []
    assert crl_signer_with(10 * DAY, 300 * DAY) != []


def test_the_least_size_of_rsa_holds_for_signers_of_lists_too() -> None:
    helper = ca("Test root 0", issuer=root(), key=new_key("rsa", 67), usage=CRL_SIGN, basic=None)
    listed = crls.read(crls.make(root(), key=helper.key))
    for bits, expected in ((2048, []), (3072, ["crl-bad-signature"])):
        policy = trusting(root(), revocation=RevocationRules(listed), minimum_rsa_bits=bits)
        assert [failure.code for failure in failures_for(signer(), helper, policy=policy)] == expected
