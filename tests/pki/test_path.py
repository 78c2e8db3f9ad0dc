"""Path building and validation: the good chains are found, each broken one is refused for its one reason."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from builders import crls
from builders.paths import find_path, revocation_failures
from builders.pki import CODE_SIGNING, EPOCH, NOW, SIGN, Identity, ca, issue, leaf, new_key, root, signer
from builders.policies import trusting
from modseal import limits
from modseal.format import der
from modseal.pki import path as path_module
from modseal.pki.certificate import Certificate
from modseal.pki.certificate_policies import PolicyInputs
from modseal.pki.crl import Crl
from modseal.pki.path import NoPath, Path, PathRules, find_paths
from modseal.pki.purpose import CODE_SIGNING_PROFILE, TIME_STAMPING_PROFILE, ChainProfile
from modseal.pki.revocation import RevocationRules
from modseal.trust.deny import Deny
from modseal.trust.policy import Policy

UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.9"), b"\x05\x00")
HOUR = timedelta(hours=1)


def codes_for(
    one: Identity, *between: Identity, policy: Policy | None = None, at: datetime = NOW, **more: Any
) -> list[str]:
    found = find_path(one.parsed, [each.parsed for each in between], policy or trusting(), at, **more)
    return [failure.code for failure in found.failures] if isinstance(found, NoPath) else []


def path_for(one: Identity, *between: Identity, policy: Policy | None = None, **more: Any) -> Path:
    found = find_path(one.parsed, [each.parsed for each in between], policy or trusting(), NOW, **more)
    assert isinstance(found, Path), found
    return found


# Good chains.


@pytest.mark.parametrize(
    "kind", ["rsa", "rsa-e3", "p256", "p384", "p521", "ed25519", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87"]
)
def test_a_chain_of_each_kind_of_key_is_accepted(kind: str) -> None:
    top = ca(f"{kind} root", key=new_key(kind, 1))
    middle = ca(f"{kind} CA", issuer=top, key=new_key(kind, 2))
    one = leaf(f"{kind} signer", issuer=middle, key=new_key(kind, 3))
    found = path_for(one, middle, policy=trusting(top))
    assert [each.subject for each in found.certificates] == [each.parsed.subject for each in (one, middle, top)]


def test_a_chain_of_mixed_keys_is_accepted() -> None:
    top = ca("ML-DSA root", key=new_key("ml-dsa-87", 1))
    middle = ca("RSA CA", issuer=top, key=new_key("rsa", 2))
    path_for(leaf(issuer=middle, key=new_key("ed25519", 3)), middle, policy=trusting(top))


def test_a_certificate_directly_below_the_anchor_needs_nothing_else() -> None:
    assert len(path_for(signer()).certificates) == 2


def test_a_candidate_can_come_from_the_policy() -> None:
    middle = ca("CA", issuer=root())
    assert len(path_for(leaf(issuer=middle), policy=trusting(intermediates=(middle.parsed,))).certificates) == 3


def test_the_order_of_candidates_does_not_count() -> None:
    above = ca("CA 1", issuer=root())
    below = ca("CA 2", issuer=above)
    one = leaf(issuer=below)
    assert codes_for(one, above, below) == codes_for(one, below, above, root(), signer()) == []


def test_an_anchor_can_be_any_ca_of_the_chain() -> None:
    above = ca("CA 1", issuer=root())
    below = ca("CA 2", issuer=above)
    found = path_for(leaf(issuer=below), below, policy=trusting(above))
    assert [each.subject for each in found.certificates][-1] == above.parsed.subject


def test_the_longest_path_is_accepted_and_one_more_is_not() -> None:
    chain = [root()]
    for number in range(limits.PATH_CERTIFICATES - 1):
        chain.append(ca(f"CA {number}", issuer=chain[-1]))
    assert codes_for(leaf(issuer=chain[-2]), *chain[1:]) == []
    assert codes_for(leaf(issuer=chain[-1]), *chain[1:]) == ["no-path"]


# Who is no anchor.


def test_a_candidate_is_never_an_anchor() -> None:
    other = ca("Other root")
    one = leaf(issuer=other)
    assert codes_for(one, other) == ["no-path"]
    assert codes_for(one, other, policy=trusting(intermediates=(other.parsed,))) == ["no-path"]


def test_a_root_with_the_anchors_name_and_another_key_is_no_anchor() -> None:
    fake = ca("Test root 0")
    assert fake.parsed.subject_name == root().parsed.subject_name
    assert codes_for(leaf(issuer=fake), fake) == ["no-path"]


# One broken thing each.

BROKEN_CA: list[tuple[str, dict[str, Any], list[str]]] = [
    ("no basic constraints", {"basic": None}, ["invalid-chain"]),
    ("cA is false", {"basic": (False, None)}, ["invalid-chain"]),
    ("no keyCertSign", {"usage": frozenset({"crl_sign", "digital_signature"})}, ["invalid-chain"]),
    ("serverAuth alone", {"purposes": [ExtendedKeyUsageOID.SERVER_AUTH]}, ["wrong-purpose"]),
    ("anyExtendedKeyUsage alone", {"purposes": [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]}, ["wrong-purpose"]),
    ("expired", {"end": NOW - HOUR}, ["expired"]),
    ("not yet valid", {"start": NOW + HOUR}, ["not-yet-valid"]),
    ("unknown critical extension", {"extensions": [(UNKNOWN, True)]}, ["unsupported-extension"]),
    ("RSA of 1,024 bits", {"key": new_key("rsa-1024", 4)}, ["weak-key"]),
    ("another signature", {"signing_key": new_key("p256", 5)}, ["no-path"]),
    ("a curve that is not supported", {"key": new_key("k256", 4)}, ["unsupported-algorithm"]),
    ("Ed448", {"key": new_key("ed448", 4)}, ["unsupported-algorithm"]),
    (
        "an explicit policy that is not there",
        {"extensions": [(x509.PolicyConstraints(0, None), True)]},
        ["invalid-chain"],
    ),
]


@pytest.mark.parametrize(("change", "codes"), [row[1:] for row in BROKEN_CA], ids=[row[0] for row in BROKEN_CA])
def test_an_issuer_with_one_thing_wrong_is_refused_for_it(change: dict[str, Any], codes: list[str]) -> None:
    middle = ca("CA", issuer=root(), **change)
    assert codes_for(leaf(issuer=middle), middle) == codes


@pytest.mark.parametrize(
    ("change", "codes"), [row[1:] for row in BROKEN_CA if "signature" not in row[0]],
    ids=[row[0] for row in BROKEN_CA if "signature" not in row[0]],
)  # fmt: skip
def test_the_anchors_own_certificate_counts(change: dict[str, Any], codes: list[str]) -> None:
    top = ca("Root with one thing wrong", **change)
    assert codes_for(leaf(issuer=top), policy=trusting(top)) == codes


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        ({"end": NOW - HOUR}, ["expired"]),
        ({"start": NOW + HOUR}, ["not-yet-valid"]),
        ({"extensions": [(UNKNOWN, True)]}, ["unsupported-extension"]),
        ({"extensions": [(x509.IssuerAlternativeName([x509.DNSName("a.example")]), True)]}, ["unsupported-extension"]),
        ({"signing_key": new_key("p256", 5)}, ["no-path"]),
    ],
)
def test_a_signer_with_one_thing_wrong_is_refused_for_it(change: dict[str, Any], codes: list[str]) -> None:
    assert codes_for(leaf(**change)) == codes


def test_an_unknown_extension_that_is_not_critical_is_ignored() -> None:
    middle = ca("CA", issuer=root(), extensions=[(UNKNOWN, False)])
    assert codes_for(leaf(issuer=middle, extensions=[(UNKNOWN, False)]), middle) == []


def test_a_critical_key_identifier_is_refused() -> None:
    critical = [(x509.SubjectKeyIdentifier(b"key"), True)]
    assert codes_for(leaf(key_id=None, extensions=critical)) == ["unsupported-extension"]


def test_code_signing_in_every_ca_that_names_purposes_is_accepted() -> None:
    middle = ca("CA", issuer=root(), purposes=[ExtendedKeyUsageOID.SERVER_AUTH, CODE_SIGNING])
    assert codes_for(leaf(issuer=middle), middle) == []


def test_an_algorithm_that_is_broken_has_its_own_code() -> None:
    """SHA-1 is named in place of SHA-256; its code comes before any look at the signature."""
    top = ca("RSA root", key=new_key("rsa", 1))
    sha256, sha1 = der.encode_oid("1.2.840.113549.1.1.11"), der.encode_oid("1.2.840.113549.1.1.5")
    one = Certificate.parse(leaf(issuer=top).der.replace(sha256, sha1))
    found = find_path(one, (), trusting(top), NOW)
    assert isinstance(found, NoPath)
    assert [failure.code for failure in found.failures] == ["algorithm-not-allowed"]


def test_an_algorithm_that_the_policy_does_not_allow_has_its_own_code() -> None:
    assert codes_for(signer(), policy=trusting(algorithms=frozenset({"ed25519"}))) == ["algorithm-not-allowed"]


def test_a_key_that_is_too_short_for_the_policy_is_refused() -> None:
    top = ca("RSA root", key=new_key("rsa", 1))
    assert codes_for(leaf(issuer=top), policy=trusting(top, minimum_rsa_bits=3072)) == ["weak-key"]


# Path length.


@pytest.mark.parametrize(
    ("lengths", "codes"),
    [
        ((0,), []),
        ((0, None), ["invalid-chain"]),
        ((1, None), []),
        ((1, None, None), ["invalid-chain"]),
        ((None, 0, None), ["invalid-chain"]),
        ((2, 1, 0), []),
        ((2, 5, 0), []),
    ],
)
def test_a_path_length_bounds_the_cas_below(lengths: Sequence[int | None], codes: list[str]) -> None:
    chain = [root()]
    for number, length in enumerate(lengths):
        chain.append(ca(f"CA {number}", issuer=chain[-1], basic=(True, length)))
    assert codes_for(leaf(issuer=chain[-1]), *chain[1:]) == codes


def test_self_issued_cas_do_not_count_for_the_path_length() -> None:
    middle = ca("CA", issuer=root(), basic=(True, 0))
    rollover = ca("CA", issuer=middle)
    assert codes_for(leaf(issuer=rollover), middle, rollover) == []
    other = ca("Other CA", issuer=rollover)
    assert codes_for(leaf(issuer=other), middle, rollover, other) == ["invalid-chain"]


# Time.


def test_validity_includes_its_first_and_last_second() -> None:
    one = leaf(start=NOW, end=NOW + HOUR)
    assert codes_for(one, at=NOW) == codes_for(one, at=NOW + HOUR) == []
    assert codes_for(one, at=NOW - timedelta(seconds=1)) == ["not-yet-valid"]
    assert codes_for(one, at=NOW + HOUR + timedelta(seconds=1)) == ["expired"]


def test_the_whole_chain_must_be_valid_at_one_time() -> None:
    """CVE-2026-24122: root 12 to 14 h, CA 12:30 to 13:30, signer 13 to 15 h, signed at 14:30."""
    day = datetime(2026, 1, 1, tzinfo=UTC)
    top = ca("Short root", start=day + 12 * HOUR, end=day + 14 * HOUR)
    middle = ca("Short CA", issuer=top, start=day + 12.5 * HOUR, end=day + 13.5 * HOUR)
    one = leaf(issuer=middle, start=day + 13 * HOUR, end=day + 15 * HOUR)
    assert codes_for(one, middle, policy=trusting(top), at=day + 14.5 * HOUR) == ["expired", "expired"]
    assert codes_for(one, middle, policy=trusting(top), at=day + 13.25 * HOUR) == []


# Why there is no chain.


def why_no_path(one: Identity, *between: Identity, policy: Policy | None = None) -> tuple[str, dict[str, Any]]:
    """What follows the sentence that every one of them begins with, and the evidence besides the signer."""
    found = find_path(one.parsed, [each.parsed for each in between], policy or trusting(), NOW)
    assert isinstance(found, NoPath)
    (failure,) = found.failures
    start = f"no chain leads from {one.parsed.subject} to an anchor"
    assert failure.code == "no-path"
    assert failure.detail.startswith(start)
    evidence = dict(failure.evidence)
    named = [evidence.pop(key) for key in ("signer", "subject", "issuer")]
    assert named == [one.fingerprint, one.parsed.subject, one.parsed.issuer]
    return failure.detail.removeprefix(start), evidence


@pytest.mark.parametrize("with_key_id", [True, False])
def test_the_certificate_that_is_missing_is_named(with_key_id: bool) -> None:
    gone = ca("Gone", issuer=root())
    identifier = [(authority_id(gone), False)] if with_key_id else []
    middle = ca("Above the signer", issuer=gone, extensions=identifier)
    key = gone.parsed.key_id.hex() if with_key_id and gone.parsed.key_id else None
    detail, evidence = why_no_path(leaf("Far below", issuer=middle), middle)
    assert detail == (
        ": neither the bundle nor the policy has the certificate of CN=Gone,O=Test, which issued "
        "CN=Above the signer,O=Test" + (f" (key id {key})" if key else "")
    )
    assert evidence == {"missing": "CN=Gone,O=Test", "missing_key_id": key, "cause": "issuer-missing"}


def test_a_root_that_is_no_anchor_is_named() -> None:
    top = ca("Somebody's root")
    detail, evidence = why_no_path(leaf("Elsewhere", issuer=top), top)
    assert detail == ": it ends at CN=Somebody's root,O=Test, which is self-signed and no anchor of the policy"
    assert evidence == {}


def test_a_signer_that_issued_itself_is_said_to_have_done_so() -> None:
    detail, evidence = why_no_path(issue("Alone"))
    assert detail == ": its certificate is self-signed and no anchor of the policy"
    assert evidence == {}


def test_an_issuer_that_did_not_sign_is_not_said_to_be_missing() -> None:
    detail, evidence = why_no_path(leaf(signing_key=new_key("p256", 5)))
    assert detail.startswith(" (")
    assert detail.endswith(")")
    assert evidence == {}


# Several chains.


def cross_signed(**changes: Any) -> tuple[Identity, Identity, Identity]:
    """A signer below a CA that an unknown root issued, and that CA's second certificate, from `root()`."""
    key = new_key("p256", 41)
    stranger = ca("Stranger")
    first = ca("Crossed CA", issuer=stranger, key=key)
    second = ca("Crossed CA", issuer=root(), key=key, **changes)
    return leaf(issuer=first), first, second


def test_the_good_one_of_two_cross_signed_chains_is_found() -> None:
    one, first, second = cross_signed()
    assert codes_for(one, first) == ["no-path"]
    assert codes_for(one, first, second) == codes_for(one, second, first) == []


def test_the_good_one_of_two_certificates_of_a_ca_is_found() -> None:
    one, _, old = cross_signed(end=NOW - HOUR)
    new = ca("Crossed CA", issuer=root(), key=new_key("p256", 41))
    assert codes_for(one, old) == ["expired"]
    assert codes_for(one, old, new) == codes_for(one, new, old) == []


def test_a_chain_that_is_not_revoked_is_preferred() -> None:
    one, _, second = cross_signed()
    third = ca("Crossed CA", issuer=root(), key=new_key("p256", 41))
    for bad, good in ((second, third), (third, second)):
        rules = RevocationRules(crls.read(crls.make(root(), bad)))
        policy = trusting(revocation=rules)
        found = path_for(one, bad, good, policy=policy)
        assert found.certificates[1] == good.parsed
        assert not revocation_failures(found, policy, NOW)
        alone = path_for(one, bad, policy=policy)
        assert [failure.code for failure in revocation_failures(alone, policy, NOW)] == ["revoked"]


def test_the_chain_that_comes_nearest_gives_the_reasons() -> None:
    one, _, _ = cross_signed()
    worse = ca("Crossed CA", issuer=root(), key=new_key("p256", 41), end=NOW - HOUR, basic=(False, None))
    better = ca("Crossed CA", issuer=root(), key=new_key("p256", 41), end=NOW - HOUR)
    assert codes_for(one, worse, better) == ["expired"]


def test_each_anchor_has_the_path_that_leads_to_it() -> None:
    middles = crossed("Twice certified", FIRST, SECOND)
    found = paths_to(leaf("Below two", issuer=middles[0]), *middles)
    assert [path.certificates[1:] for path in found] == [
        (middle.parsed, top.parsed) for middle, top in zip(middles, (FIRST, SECOND), strict=True)
    ]


def test_a_second_path_to_one_anchor_hides_no_other_anchor() -> None:
    key = new_key("p256", 496)
    one, twin, other = (
        ca("Thrice certified", issuer=top, key=key, serial=number)
        for number, top in enumerate((FIRST, FIRST, SECOND), 1)
    )
    found = paths_to(leaf("Below three", issuer=one), one, twin, other)
    assert [path.certificates[1:] for path in found] == [(one.parsed, FIRST.parsed), (other.parsed, SECOND.parsed)]


def paths_to(one: Identity, *between: Identity, **more: Any) -> tuple[Path, ...]:
    anchors = FIRST.parsed, SECOND.parsed
    found = find_paths(one.parsed, [each.parsed for each in between], anchors, PathRules(), NOW, **more)
    assert not isinstance(found, NoPath), found
    return found


def test_an_anchor_with_a_path_that_is_not_denied_comes_first() -> None:
    middles = crossed("Twice certified", FIRST, SECOND)
    one = leaf("Below two", issuer=middles[0])
    for denied, order in ((middles[0], [1, 0]), (middles[1], [0, 1])):
        found = paths_to(one, *middles, denied=Deny(signers=frozenset({denied.fingerprint})))
        assert [path.certificates[1] for path in found] == [middles[number].parsed for number in order]


def test_of_two_paths_to_one_anchor_the_one_that_is_not_denied_is_the_only_one() -> None:
    twins = [ca("Twin", issuer=FIRST, key=new_key("p256", 494), serial=number) for number in (1, 2)]
    one = leaf("Below twins", issuer=twins[0])
    for denied, other in (twins, twins[::-1]):
        (found,) = paths_to(one, *twins, denied=Deny(signers=frozenset({denied.fingerprint})))
        assert found.certificates[1] == other.parsed
    both = Deny(signers=frozenset(one.fingerprint for one in twins))
    (found,) = paths_to(one, *twins, denied=both)
    assert found.certificates[1] == twins[0].parsed, "a denied path is better than none: a later step says why"


# Bounded work (X5-07, X5-08).


def mesh(size: int) -> list[Identity]:
    """CAs that have all certified each other, and no anchor above."""
    keys = [new_key("p256", 700 + number) for number in range(size)]
    ones = [ca(f"Mesh {number}", key=key) for number, key in enumerate(keys)]
    return [ca(f"Mesh {i}", issuer=ones[j], key=keys[i]) for i in range(size) for j in range(size) if i != j]


def test_a_loop_of_issuers_ends() -> None:
    first, second = mesh(2)
    assert codes_for(leaf(issuer=first), first, second) == ["no-path"]


def test_cas_that_all_certify_each_other_end_at_a_bound() -> None:
    certificates = mesh(7)
    one = leaf(issuer=certificates[0])
    start = time.process_time()
    assert codes_for(one, *certificates) == ["limit-exceeded"]
    assert time.process_time() - start < 1


def test_a_good_chain_is_found_among_cas_that_all_certify_each_other() -> None:
    certificates = mesh(5)
    good = ca("Mesh 3", issuer=root(), key=new_key("p256", 703))
    assert codes_for(leaf(issuer=certificates[0]), *certificates, good) == []


def test_many_certificates_with_one_name_end_at_a_bound() -> None:
    fakes = [ca("CA", issuer=root(), key=new_key("p256", 710 + number)) for number in range(4)]
    many = [ca("CA", issuer=fakes[n % 4], key=new_key("p256", 720 + n)) for n in range(limits.PATH_SIGNATURES + 10)]
    one = leaf(issuer=ca("CA", key=new_key("p256", 999)))
    start = time.process_time()
    assert codes_for(one, *many) == ["limit-exceeded"]
    assert time.process_time() - start < 1


def test_the_key_identifier_finds_the_issuer_among_many() -> None:
    middle = ca("CA", issuer=root())
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(middle.key.public_key())
    many = [ca("CA", issuer=root(), key=new_key("p256", 720 + n)) for n in range(limits.PATH_SIGNATURES + 10)]
    assert codes_for(leaf(issuer=middle, extensions=[(identifier, False)]), *many, middle) == []


def test_a_very_long_chain_ends() -> None:
    chain = [root()]
    for number in range(100):
        chain.append(ca(f"Link {number}", issuer=chain[-1], key=new_key("p256", 730)))
    start = time.process_time()
    assert codes_for(leaf(issuer=chain[-1]), *chain[1:]) == ["no-path"]
    assert time.process_time() - start < 1


# The profile.


def test_no_policy_can_change_what_a_chain_is_for() -> None:
    assert ChainProfile("code signing", "1.3.6.1.5.5.7.3.3") == CODE_SIGNING_PROFILE
    fields = {name: getattr(trusting(), name) for name in Policy.__dataclass_fields__}
    assert not any(isinstance(value, ChainProfile) for value in fields.values())


def test_a_profile_decides_what_a_ca_must_be_for() -> None:
    stamping = ca("TSA CA", issuer=root(), purposes=[ExtendedKeyUsageOID.TIME_STAMPING])
    one = issue("TSA", issuer=stamping, usage=SIGN, purposes=[ExtendedKeyUsageOID.TIME_STAMPING])
    assert codes_for(one, stamping) == ["wrong-purpose"]
    assert codes_for(one, stamping, profile=TIME_STAMPING_PROFILE) == []


# What is remembered.


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Certificate]]:
    """The certificates whose signatures were verified, with nothing remembered from before."""
    verified: list[Certificate] = []
    original = Certificate.verify_issued_by

    def count(self: Certificate, issuer: Certificate) -> Any:
        verified.append(self)
        return original(self, issuer)

    monkeypatch.setattr(Certificate, "verify_issued_by", count)
    path_module._remembered_paths.cache_clear()
    yield verified
    path_module._remembered_paths.cache_clear()


def test_a_chain_is_judged_once_for_many_bundles_of_one_signer(counted: list[Certificate]) -> None:
    policy = trusting()
    for _ in range(50):
        path_for(signer(), policy=policy)
    assert counted == [signer().parsed]


def test_a_verdict_is_remembered_for_its_policy_time_and_candidates_alone(counted: list[Certificate]) -> None:
    short = leaf(end=NOW + HOUR)
    policy = trusting()
    assert codes_for(short, policy=policy) == []
    assert codes_for(short, policy=policy, at=NOW + 2 * HOUR) == ["expired"]
    assert codes_for(short, policy=trusting(ca("Other root"))) == ["no-path"]
    middle = ca("CA", issuer=root())
    below = leaf(issuer=middle)
    assert codes_for(below, policy=policy) == ["no-path"]
    assert codes_for(below, middle, policy=policy) == []
    assert len(counted) == 4


def test_the_epoch_of_the_builders_is_before_the_time_of_judgement() -> None:
    assert EPOCH < NOW


# Several paths to choose from, and the bounds of the search.


def crossed(common_name: str, *issuers: Identity, **changes: Any) -> tuple[Identity, ...]:
    """One CA, certified by each of these issuers."""
    key = new_key("p256", 400 + sum(map(ord, common_name)) % 90)
    return tuple(ca(common_name, issuer=one, key=key, **changes) for one in issuers)


def superseded(identity: Identity, since: datetime) -> x509.RevokedCertificate:
    reason = [(x509.CRLReason(x509.ReasonFlags.superseded), False)]
    return crls.revoked(identity.certificate.serial_number, since, reason)


FIRST, SECOND = root(21), root(22)
SIGNED = NOW - timedelta(days=90)


def revoking(*lists: bytes, **rules: Any) -> Policy:
    return trusting(FIRST, SECOND, revocation=RevocationRules(crls.read(*lists), **rules))


ANCHOR_NAMES = {FIRST.parsed: "Anchor 0", SECOND.parsed: "Anchor 1"}


def anchor_of(policy: Policy, at: datetime, verified_at: datetime | None) -> str:
    middles = crossed("Twice certified", FIRST, SECOND)
    one = leaf("Below two", issuer=middles[0])
    lists = [each.parsed for each in middles]
    found = find_path(one.parsed, lists, policy, at, verified_at=verified_at)
    assert isinstance(found, Path)
    assert (found.at, set(found.candidates)) == (at, set(lists))
    return ANCHOR_NAMES[found.certificates[-1]]


def test_a_path_that_is_not_revoked_is_preferred() -> None:
    first = crossed("Twice certified", FIRST, SECOND)[0]
    assert anchor_of(revoking(), NOW, None) == "Anchor 0"
    for serials in ((superseded(first, EPOCH),), ()):
        lists = crls.make(FIRST, *serials), crls.make(SECOND)
        found = find_path(
            leaf("Below one", issuer=first).parsed, [first.parsed], revoking(*lists), NOW, verified_at=None
        )
        assert isinstance(found, Path)
        assert bool(revocation_failures(found, revoking(*lists), NOW)) is bool(serials)


def twice(serial_of: int, since: datetime, at: datetime, verified_at: datetime | None, **rules: Any) -> str:
    """The anchor that is found where the path to one of the two is revoked since a time."""
    middles = crossed("Twice certified", FIRST, SECOND)
    one = leaf("Below two", issuer=middles[0])
    entries: list[list[x509.RevokedCertificate]] = [[], []]
    entries[serial_of].append(superseded(middles[serial_of], since))
    lists = [
        crls.make(top, *revoked, start=NOW - timedelta(days=1), end=NOW + timedelta(days=1))
        for top, revoked in zip((FIRST, SECOND), entries, strict=True)
    ]
    policy = revoking(*lists, **rules)
    found = find_path(one.parsed, [each.parsed for each in middles], policy, at, verified_at=verified_at)
    assert isinstance(found, Path)
    return ANCHOR_NAMES[found.certificates[-1]]


def test_which_path_is_revoked_is_judged_at_the_time_of_verification() -> None:
    assert twice(0, EPOCH, SIGNED, NOW) == "Anchor 1"
    assert twice(1, EPOCH, SIGNED, NOW) == "Anchor 0"


def test_a_revocation_after_the_proven_time_of_signing_leaves_the_first_path_where_the_policy_lets_it() -> None:
    later = SIGNED + timedelta(days=1)
    assert twice(0, later, SIGNED, NOW, accept_signed_before=True) == "Anchor 0"
    assert twice(0, later, SIGNED, NOW) == "Anchor 1"
    # Without a proven time of signing there is no "before".
    assert twice(0, NOW + timedelta(hours=1), NOW, None, accept_signed_before=True) == "Anchor 1"


@pytest.mark.parametrize(
    ("bound", "enough"), [("PATH_SIGNATURES", 2), ("PATH_STEPS", 3)]
)  # fmt: skip
def test_the_search_ends_exactly_at_its_bounds(bound: str, enough: int, monkeypatch: pytest.MonkeyPatch) -> None:
    middle = ca("Bounded", issuer=root())
    for number, expected in ((enough, []), (enough - 1, ["limit-exceeded"])):
        monkeypatch.setattr(limits, bound, number)
        assert codes_for(leaf("Below bounded", issuer=middle), middle) == expected


def test_likely_issuers_come_before_unlikely_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PATH_SIGNATURES", 2)
    good = ca("Likely", issuer=root(), key=new_key("p256", 490))
    for odd in (
        ca("Likely", issuer=root(), key=good.key, end=NOW - HOUR),
        ca("Likely", issuer=root(), key=good.key, basic=None),
        ca("Likely", issuer=root(), key=new_key("p256", 491)),
        ca("Likely", issuer=root(), key=good.key, key_id=b"another"),
    ):
        one = leaf("Below likely", issuer=good, extensions=[(authority_id(good), False)])
        assert codes_for(one, odd, good) == [], odd.parsed.subject


def authority_id(issuer: Identity) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())


def test_what_was_verified_once_stays_verified_on_another_chain() -> None:
    top = ca("Shared", issuer=root())
    key = new_key("p256", 492)
    bad, good = (
        ca("Fork", issuer=top, key=key, extensions=more) for more in ([(UNKNOWN, True)], [(UNKNOWN, False)])
    )  # fmt: skip
    assert codes_for(leaf("Below fork", issuer=good), bad, good, top) == []


def test_a_self_issued_ca_is_outside_the_constraints_above_it() -> None:
    constraints = x509.NameConstraints([x509.DirectoryName(x509.Name([organization("Test")]))], None)
    above = ca("Constrained", issuer=root(), extensions=[(constraints, True)])
    odd_name = x509.Name([organization("Elsewhere")])
    inside = ca("Odd", issuer=above, subject=odd_name)
    again = ca("Odd", issuer=inside, subject=odd_name)
    one = leaf("Inside", issuer=again)
    assert codes_for(one, above, inside, again) == ["invalid-chain"]
    assert codes_for(leaf("Inside", issuer=above), above) == []


def organization(text: str) -> x509.NameAttribute:
    return x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, text)


def test_what_an_anchor_requires_of_policies_holds_below_it() -> None:
    required = x509.PolicyConstraints(0, None)
    top = ca("Requiring", extensions=[(required, True)])
    middle = ca("Between", issuer=top)
    assert codes_for(leaf("Without", issuer=middle), middle, policy=trusting(top)) == ["invalid-chain"]
    free = ca("Free", issuer=root(), extensions=[(required, True)])
    assert codes_for(leaf("Without", issuer=free), free) == ["invalid-chain"]


def test_what_a_profile_requires_of_policies_holds_where_no_certificate_says_anything_of_them() -> None:
    demanding = replace(CODE_SIGNING_PROFILE, policies=PolicyInputs(explicit=True))
    assert codes_for(signer(), profile=demanding) == ["invalid-chain"]


def test_a_chain_in_which_every_certificate_has_policies_is_judged_by_them() -> None:
    def having(number: int) -> tuple[x509.ExtensionType, bool]:
        oid = x509.ObjectIdentifier(f"1.3.6.1.4.1.99999.{number}")
        return x509.CertificatePolicies([x509.PolicyInformation(oid, None)]), False

    top = ca("Root with a policy", extensions=[having(1), (x509.PolicyConstraints(0, None), True)])
    for number, expected in ((1, []), (2, ["invalid-chain"])):
        middle = ca("CA with a policy", issuer=top, extensions=[having(1)])
        one = leaf("Signer with a policy", issuer=middle, extensions=[having(number)])
        assert codes_for(one, middle, policy=trusting(top)) == expected


def test_all_extensions_that_are_not_judged_are_named() -> None:
    other = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.8"), b"\x05\x00")
    found = find_path(leaf(extensions=[(UNKNOWN, True), (other, True)]).parsed, (), trusting(), NOW)
    assert isinstance(found, NoPath)
    assert found.failures[0].evidence["extensions"] == "1.3.6.1.4.1.99999.9, 1.3.6.1.4.1.99999.8"


def test_name_constraints_in_a_certificate_that_is_no_ca_break_the_chain() -> None:
    constraints = x509.NameConstraints([x509.DNSName("a.example")], None)
    one = leaf("Constraining", extensions=[(constraints, True)])
    assert codes_for(one) == ["invalid-chain"]


def test_a_path_length_that_is_exceeded_says_by_how_much() -> None:
    top = ca("Short", basic=(True, 0))
    middle = ca("Too much", issuer=top)
    found = find_path(leaf(issuer=middle).parsed, [middle.parsed], trusting(top), NOW)
    assert isinstance(found, NoPath)
    (failure,) = found.failures
    assert (failure.code, failure.evidence["path_length"], failure.evidence["below"]) == ("invalid-chain", 0, 1)


def test_cas_of_two_names_may_have_one_key() -> None:
    shared = new_key("p256", 493)
    upper = ca("One name", issuer=root(), key=shared)
    lower = ca("Another name", issuer=upper, key=shared)
    assert codes_for(leaf("Below both", issuer=lower), lower, upper) == []


def test_rules_are_equal_by_value() -> None:
    """So that two readings of one policy share what is remembered, and two policies never do."""
    listed = crls.make(root())

    def rules(source: str = "ca.crl", **changes: Any) -> PathRules:
        values = {"revocation": RevocationRules((Crl.parse(listed, source),)), **changes}
        return PathRules(**values)

    assert rules() == rules()
    assert len({rules(), rules()}) == 1
    others = [
        rules("other.crl"),
        rules(minimum_rsa_bits=3072),
        rules(algorithms=frozenset({"ed25519"})),
        rules(intermediates=(root().parsed,)),
        rules(revocation=RevocationRules(required=True)),
    ]
    assert len({rules(), *others}) == 1 + len(others)


def test_a_chain_is_judged_once_for_equal_rules(counted: list[Certificate]) -> None:
    for _ in range(3):
        path_for(signer(), policy=trusting())
    assert counted == [signer().parsed]
