"""The small CA's rules: what it issues, what it refuses, what it lists as revoked; openssl agrees."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.paths import find_path, revocation_failures
from modseal.ca import index as authority_index
from modseal.ca import issue, request
from modseal.ca.authority import Authority, issue_certificate, make_crl, make_issuing, make_root, revoke
from modseal.ca.index import CODE_SIGNING, TIME_STAMPING, Index, IndexEntry, Revocation
from modseal.errors import KeyMaterialError, RefusedError, UsageError
from modseal.format.level import Level
from modseal.pki.certificate import Certificate
from modseal.pki.crl import Crl
from modseal.pki.path import NoPath
from modseal.pki.purpose import CODE_SIGNING_PROFILE, TIME_STAMPING_PROFILE
from modseal.pki.revocation import RevocationRules
from modseal.signing import key_file
from modseal.trust.policy import Anchor, Policy
from signing.pki import new_key

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KINDS = {"ecdsa-p256": "p256", "ecdsa-p384": "p384", "rsa-3072": "rsa", "ed25519": "ed25519", "ml-dsa-65": "ml-dsa-65"}
ROOT_NAME, CA_NAME = request.authority_name("Root", "Test"), request.authority_name("Partner CA", "Test")
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")


@functools.cache
def root(kind: str = "p384") -> Authority:
    return make_root(ROOT_NAME, new_key(kind, 1), 7300, NOW)


@functools.cache
def issuing(kind: str = "p384", purpose: str = CODE_SIGNING) -> Authority:
    return make_issuing(root(kind), new_key(kind, 1), CA_NAME, new_key(kind, 2), 3650, NOW, purpose)[0]


def asked(kind: str = "p256", subject: str = "CN=Signer,O=Test", number: int = 0) -> x509.CertificateSigningRequest:
    return request.make_request(request.parse_subject(subject), new_key(kind, number))


def issued(
    kind: str = "p256", ca: Authority | None = None, days: int = 825, **options: Any
) -> tuple[x509.Certificate, Index]:
    return issue_certificate(ca or issuing(), new_key("p384", 2), asked(kind), days, NOW, **options)


def after(ca: Authority, index: Index) -> Authority:
    return replace(ca, index=index)


def parsed(certificate: x509.Certificate) -> Certificate:
    return Certificate.parse(certificate.public_bytes(Encoding.DER))


def judged(
    signer: x509.Certificate, anchor: Authority, others: list[Authority], crls: list[Any], **changes: Any
) -> Any:
    """The path by a policy that demands a CRL of every CA, and what is wrong with it by those CRLs."""
    read = tuple(Crl.parse(crl.public_bytes(Encoding.DER), "crl") for crl in crls)
    anchors = (Anchor("Anchor", Level.PARTNER, certificate=parsed(anchor.certificate)),)
    policy = Policy("test", Level.PARTNER, anchors, revocation=RevocationRules(read, required=True))
    at = changes.get("at", NOW + timedelta(days=1))
    above = tuple(parsed(other.certificate) for other in others)
    path = find_path(parsed(signer), above, policy, at, changes.get("profile", CODE_SIGNING_PROFILE))
    return [
        failure.code
        for failure in (path.failures if isinstance(path, NoPath) else revocation_failures(path, policy, at))
    ]


@pytest.mark.parametrize("kind", KINDS.values())
def test_a_whole_chain_of_each_kind_of_key_is_accepted_until_its_signer_is_revoked(kind: str) -> None:
    top, middle = root(kind), issuing(kind)
    signer, index = issue_certificate(middle, new_key(kind, 2), asked(kind), 825, NOW)
    upper, _ = make_crl(top, new_key(kind, 1), 400, NOW)
    lower, index = make_crl(after(middle, index), new_key(kind, 2), 30, NOW)
    assert judged(signer, top, [middle], [upper, lower]) == []
    assert judged(signer, middle, [], [lower]) == []
    assert judged(signer, top, [middle], [lower]) == ["revocation-unknown"]
    again, _ = make_crl(
        after(middle, revoke(after(middle, index), signer, "keyCompromise", NOW)), new_key(kind, 2), 30, NOW
    )
    assert judged(signer, top, [middle], [upper, again]) == ["revoked"]


def test_a_revoked_ca_takes_its_signers_with_it() -> None:
    signer, index = issued()
    lower, _ = make_crl(after(issuing(), index), new_key("p384", 2), 30, NOW)
    upper, _ = make_crl(
        after(root(), revoke(root(), issuing().certificate, "cACompromise", NOW)), new_key("p384", 1), 30, NOW
    )
    assert judged(signer, root(), [issuing()], [upper, lower]) == ["revoked"]


@needs_openssl
@pytest.mark.parametrize("kind", KINDS.values())
def test_openssl_accepts_what_is_made_and_rejects_what_is_revoked(kind: str, tmp_path: Path) -> None:
    if kind == "ml-dsa-65" and not knows_ml_dsa():
        pytest.skip("this openssl has no ML-DSA")
    top, middle = root(kind), issuing(kind)
    signer, index = issue_certificate(middle, new_key(kind, 2), asked(kind), 825, NOW)
    upper, _ = make_crl(top, new_key(kind, 1), 400, NOW)
    lower, index = make_crl(after(middle, index), new_key(kind, 2), 30, NOW)
    revoked, _ = make_crl(
        after(middle, revoke(after(middle, index), signer, "superseded", NOW)), new_key(kind, 2), 30, NOW
    )
    made = {"root": top.certificate, "middle": middle.certificate, "signer": signer,
            "upper": upper, "lower": lower, "revoked": revoked}  # fmt: skip
    for name, each in made.items():
        (tmp_path / name).write_bytes(each.public_bytes(Encoding.PEM))

    def accepts(crl: str) -> bool:
        at = f"{(NOW + timedelta(days=1)).timestamp():.0f}"
        options = ["-x509_strict", "-attime", at, "-crl_check_all", "-CRLfile", "upper", "-CRLfile", crl]
        return (
            openssl(tmp_path, "verify", "-CAfile", "root", "-untrusted", "middle", *options, "signer").returncode == 0
        )

    assert accepts("lower")
    assert not accepts("revoked")
    text = openssl(tmp_path, "crl", "-in", "revoked", "-CAfile", "middle", "-noout", "-text")
    assert "verify OK" in text.stderr
    assert "X509v3 CRL Number: \n                2" in text.stdout
    assert "Superseded" in text.stdout


@needs_openssl
def test_a_timestamp_authority_is_accepted_by_openssl_for_timestamps_alone(tmp_path: Path) -> None:
    middle = issuing(purpose=TIME_STAMPING)
    tsa, _ = issued("rsa", middle, purpose=TIME_STAMPING)
    assert (
        judged(tsa, middle, [], [make_crl(middle, new_key("p384", 2), 30, NOW)[0]], profile=TIME_STAMPING_PROFILE) == []
    )
    usage = tsa.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert (usage.critical, list(usage.value)) == (True, [ExtendedKeyUsageOID.TIME_STAMPING])
    for name, each in (("root", root()), ("middle", middle)):
        (tmp_path / name).write_bytes(each.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "tsa").write_bytes(tsa.public_bytes(Encoding.PEM))
    for purpose, expected in (("timestampsign", 0), ("sslserver", 2)):
        options = ["-x509_strict", "-no_check_time", "-purpose", purpose]
        done = openssl(tmp_path, "verify", "-CAfile", "root", "-untrusted", "middle", *options, "tsa")
        assert done.returncode == expected, done.stderr


def openssl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True)


def knows_ml_dsa() -> bool:
    return "ML-DSA-65" in openssl(Path.cwd(), "list", "-signature-algorithms").stdout


# What it refuses.


def refused(ca: Authority, csr: x509.CertificateSigningRequest, *, days: int = 825, purpose: str = CODE_SIGNING,
            now: datetime = NOW, kind: str = "p384", number: int = 2) -> str:  # fmt: skip
    with pytest.raises(RefusedError) as caught:
        issue_certificate(ca, new_key(kind, number), csr, days, now, purpose)
    assert caught.value.failure.code == "not-issued"
    return caught.value.failure.detail


@functools.cache
def small_exponent() -> Any:
    return rsa.generate_private_key(public_exponent=3, key_size=2048)


def named(*parts: x509.NameAttribute) -> x509.CertificateSigningRequest:
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name(parts))
        .sign(new_key("p256"), issue.digest_for(new_key("p256")))
    )


def control() -> x509.CertificateSigningRequest:
    return named(x509.NameAttribute(NameOID.COMMON_NAME, "Signer\x1b[2J"))


@pytest.mark.parametrize(
    ("csr", "reason"),
    [
        (lambda: asked("rsa-1024"), "RSA key of 1024 bits"),
        (lambda: request.make_request(request.parse_subject("CN=Signer"), small_exponent()), "exponent below 65537"),
        (lambda: asked("p192"), "curve secp192r1"),
        (lambda: asked("k256"), "curve secp256k1"),
        (lambda: asked("ed448"), "kind of key that does not sign code"),
        (lambda: asked("p384", number=2), "the CA's own key"),
        (lambda: asked(subject="CN=Partner CA,O=Test"), "the CA's own name"),
        (named, "no common name"),
        (lambda: named(x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test")), "no common name"),
        (control, "cannot be shown"),
        (lambda: named(*[x509.NameAttribute(NameOID.COMMON_NAME, "a" * 64)] * 16), "over 1024 characters"),
    ],
)
def test_a_request_that_no_verifier_would_accept_is_refused(
    csr: Callable[[], x509.CertificateSigningRequest], reason: str
) -> None:
    assert reason in refused(issuing(), csr())


def test_every_reason_is_given_at_once() -> None:
    detail = refused(issuing(), asked("p384", "CN=Partner CA,O=Test", number=2))
    assert "own name" in detail
    assert "own key" in detail


def test_nothing_outlives_its_ca() -> None:
    issued(days=3650)
    assert "3650 days are the most" in refused(issuing(), asked(), days=3651)
    late = NOW + timedelta(days=3640)
    assert "10 days are the most" in refused(issuing(), asked(), days=11, now=late)
    assert "0 days are the most" in refused(issuing(), asked(), days=1, now=NOW + timedelta(days=4000))
    with pytest.raises(RefusedError, match="7300 days are the most"):
        make_issuing(root(), new_key("p384", 1), CA_NAME, new_key("p256"), 7301, NOW)


def test_a_clock_before_the_ca_issues_nothing() -> None:
    assert "valid only from" in refused(issuing(), asked(), days=1, now=NOW - timedelta(days=30))


def test_days_beyond_the_calendar_are_usage() -> None:
    with pytest.raises(UsageError, match="year 9999"):
        make_root(ROOT_NAME, new_key("p256"), 3_000_000, NOW)


def test_a_ca_for_code_issues_no_timestamp_authority_and_the_other_way_round() -> None:
    assert "may not issue for time stamping" in refused(issuing(), asked(), purpose=TIME_STAMPING)
    assert "may not issue for code signing" in refused(issuing(purpose=TIME_STAMPING), asked())
    made, _ = issue_certificate(root(), new_key("p384", 1), asked(), 30, NOW)  # one CA may be enough
    assert judged(made, root(), [], [make_crl(root(), new_key("p384", 1), 30, NOW)[0]]) == []


def test_an_issuing_ca_has_no_ca_below_itself() -> None:
    with pytest.raises(RefusedError, match="no CA below itself"):
        make_issuing(issuing(), new_key("p384", 2), request.authority_name("Low", None), new_key("p256"), 30, NOW)
    constraints = issuing().certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.path_length) == (True, 0)


def test_a_ca_has_a_name_of_its_own_and_no_higher_level_than_its_parent() -> None:
    with pytest.raises(RefusedError, match="own name"):
        make_issuing(root(), new_key("p384", 1), ROOT_NAME, new_key("p256"), 30, NOW)
    partner = make_root(ROOT_NAME, new_key("p384", 1), 7300, NOW, Level.PARTNER)
    for level in (Level.COMMUNITY, Level.PARTNER):
        made, _ = make_issuing(partner, new_key("p384", 1), CA_NAME, new_key("p256"), 30, NOW, level=level)
        assert made.index.level is level
    with pytest.raises(RefusedError, match="meant for partner"):
        make_issuing(partner, new_key("p384", 1), CA_NAME, new_key("p256"), 30, NOW, level=Level.ACCEPTED)


def test_the_key_of_a_lost_certificate_is_never_certified_again() -> None:
    signer, index = issued()
    for reason in ("keyCompromise", "unspecified", "cACompromise", "privilegeWithdrawn"):
        lost = after(issuing(), revoke(after(issuing(), index), signer, reason, NOW))
        assert "revoked certificate" in refused(lost, asked())
    replaced = after(issuing(), revoke(after(issuing(), index), signer, "superseded", NOW))
    issued(ca=replaced)
    issued(ca=after(issuing(), index))  # a renewal


def test_a_key_is_for_one_purpose() -> None:
    _, index = issue_certificate(root(), new_key("p384", 1), asked(), 30, NOW)
    detail = refused(after(root(), index), asked(), purpose=TIME_STAMPING, number=1)
    assert "certificate for code-signing" in detail


def test_what_a_request_asks_for_beyond_name_and_key_is_not_taken_over() -> None:
    builder = x509.CertificateSigningRequestBuilder().subject_name(request.parse_subject("CN=Signer"))
    builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("example.com")]), critical=False)
    csr = builder.sign(new_key("p256"), issue.digest_for(new_key("p256")))
    made, _ = issue_certificate(issuing(), new_key("p384", 2), csr, 30, NOW)
    kinds = {type(extension.value) for extension in made.extensions}
    assert x509.SubjectAlternativeName not in kinds
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_request_is_signed_with_its_own_key(tmp_path: Path) -> None:
    good = asked()
    path = tmp_path / "csr"
    path.write_bytes(good.public_bytes(Encoding.DER))
    assert request.read_request(path) == good
    data = bytearray(good.public_bytes(Encoding.DER))
    data[data.index(b"Signer")] ^= 1
    path.write_bytes(data)
    with pytest.raises(RefusedError, match="not signed with the key"):
        request.read_request(path)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"]
)
def test_a_file_that_is_no_request_is_said(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "csr").write_bytes(data)
    with pytest.raises(KeyMaterialError, match="not a readable certificate request"):
        request.read_request(tmp_path / "csr")


@pytest.mark.parametrize(
    "text", ["", "Signer", "CN=", "O=Test", "/O=Test/CN=Signer", "CN=a\x07b", "CN= ", "CN=" + "a" * 65, "C=Germany"]
)
def test_a_subject_of_another_form_is_usage(text: str) -> None:
    with pytest.raises(UsageError):
        request.parse_subject(text)


@pytest.mark.parametrize(("name", "organization"), [("", None), ("a" * 65, None), ("a\n", None), ("a", ""), (" ", "b")])
def test_a_ca_without_a_proper_name_is_usage(name: str, organization: str | None) -> None:
    with pytest.raises(UsageError):
        request.authority_name(name, organization)


# Serial numbers, revocation, CRLs.


def test_serial_numbers_are_positive_unpredictable_and_of_20_bytes_at_most() -> None:
    serials = [issued()[0].serial_number for _ in range(40)]
    assert len(set(serials)) == 40
    assert all(0 < serial < 2**159 for serial in serials)
    assert max(serials) > 2**150
    assert len({serial >> 130 for serial in serials}) > 30


def test_crl_numbers_rise_and_lists_are_complete() -> None:
    signer, index = issued()
    other, index = issue_certificate(after(issuing(), index), new_key("p384", 2), asked("ed25519"), 30, NOW)
    ca = after(issuing(), revoke(after(issuing(), index), signer, "unspecified", NOW))
    first, index = make_crl(ca, new_key("p384", 2), 30, NOW)
    ca = after(ca, revoke(after(ca, index), other, "superseded", NOW + timedelta(days=1)))
    second, index = make_crl(ca, new_key("p384", 2), 30, NOW + timedelta(days=2000))  # both have expired: they stay
    numbers = [crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for crl in (first, second)]
    assert (numbers, index.crl_number) == ([1, 2], 2)
    assert [entry.serial_number for entry in first] == [signer.serial_number]
    assert {entry.serial_number for entry in second} == {signer.serial_number, other.serial_number}
    assert len(next(iter(first)).extensions) == 0  # RFC 5280 section 5.3.1: no reason is said by saying nothing
    assert [extension.oid._name for extension in first.extensions] == ["authorityKeyIdentifier", "cRLNumber"]


def test_revoking_is_for_good_and_a_reason_only_gets_graver() -> None:
    signer, index = issued()
    ca = after(issuing(), index)
    once = after(ca, revoke(ca, signer, "superseded", NOW))
    graver = revoke(once, signer, "keyCompromise", NOW + timedelta(days=9))
    entry = graver.find(signer.serial_number)
    assert entry
    assert entry.revocation == Revocation(NOW, "keyCompromise")
    with pytest.raises(UsageError, match="revoked since 2026-06-01"):
        revoke(once, signer, "affiliationChanged", NOW)
    with pytest.raises(UsageError, match="keyCompromise"):
        revoke(after(ca, graver), signer, "superseded", NOW)


def test_a_certificate_that_the_index_lost_is_revoked_all_the_same() -> None:
    signer, _ = issued()
    index = revoke(issuing(), signer, "keyCompromise", NOW)
    assert [entry.subject for entry in index.entries] == ["CN=Signer,O=Test"]
    by_serial = revoke(after(issuing(), issued()[1]), issued()[0], "superseded", NOW)
    assert len(by_serial.entries) == 2


def test_a_serial_number_is_enough_where_it_is_known() -> None:
    signer, index = issued()
    ca = after(issuing(), index)
    assert revoke(ca, signer.serial_number, "superseded", NOW) == revoke(ca, signer, "superseded", NOW)
    with pytest.raises(RefusedError, match="no certificate with the serial number ff"):
        revoke(ca, 255, "superseded", NOW)


def test_a_ca_revokes_neither_itself_nor_what_others_issued() -> None:
    signer, _ = issued()
    impostor = make_root(CA_NAME, new_key("p256", 9), 30, NOW)  # the same name, another key
    for ca, certificate in ((root(), signer), (root(), root().certificate), (impostor, signer)):
        with pytest.raises(RefusedError, match="issue"):
            revoke(ca, certificate, "superseded", NOW)


def test_a_ca_without_a_crl_number_left_says_so() -> None:
    full = after(issuing(), Index(crl_number=authority_index.MOST_LISTS))
    with pytest.raises(KeyMaterialError, match="no CRL number left"):
        make_crl(full, new_key("p384", 2), 30, NOW)


# The index.

times = st.integers(-631152000, 253402300799).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))  # 1950 to 9999
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
entries = st.builds(
    IndexEntry,
    serial=st.integers(1, 2**159),
    subject=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    purpose=st.sampled_from([CODE_SIGNING, TIME_STAMPING, authority_index.AUTHORITY]),
    not_before=times,
    not_after=times,
    fingerprint=digests,
    key_fingerprint=digests,
    revocation=st.none() | st.builds(Revocation, times, st.sampled_from(authority_index.REASONS)),
)
indices = st.builds(
    Index,
    st.lists(entries, max_size=4, unique_by=lambda entry: entry.serial).map(tuple),
    st.integers(0, authority_index.MOST_LISTS),
    st.none() | st.sampled_from(list(Level)),
)


@settings(max_examples=100)
@given(indices)
def test_an_index_is_read_as_it_was_written(index: Index) -> None:
    assert authority_index.decode(authority_index.encode(index), "index.json") == index


@settings(max_examples=200)
@given(st.data())
def test_any_bytes_are_an_index_or_our_error(data: st.DataObject) -> None:
    good = authority_index.encode(issued_once())
    start = data.draw(st.integers(0, len(good)))
    changed = good[:start] + data.draw(st.binary(max_size=6)) + good[start + data.draw(st.integers(0, 6)) :]
    with suppress(KeyMaterialError):
        authority_index.decode(changed, "index.json")


@functools.cache
def issued_once() -> Index:
    signer, index = issued()
    return revoke(after(issuing(), index), signer, "superseded", NOW)


def test_an_index_that_contradicts_itself_is_refused() -> None:
    good = authority_index.encode(issued_once()).decode()
    for old, new, message in (
        ('"reason": "superseded"', '"subject": "x"', "without the other"),
        ("superseded", "certificateHold", "one of"),
        ("2026-06-01T", "2026-02-31T", "index.json"),
        ("modseal/ca@1", "modseal/ca@2", "schema"),
    ):
        assert old in good
        with pytest.raises(KeyMaterialError, match=message):
            authority_index.decode(good.replace(old, new).encode(), "index.json")
    entry = issued_once().entries[0]
    with pytest.raises(KeyMaterialError, match="twice"):
        authority_index.decode(authority_index.encode(Index((entry, entry))), "index.json")


def test_an_index_that_could_not_be_read_again_is_not_written() -> None:
    entry = issued_once().entries[0]
    for broken in (replace(entry, subject=""), replace(entry, serial=-5), replace(entry, serial=2**161)):
        with pytest.raises(KeyMaterialError, match="cannot be used"):
            authority_index.encode(Index((broken,)))


def test_a_full_index_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authority_index, "MOST_CERTIFICATES", 1)
    ca = after(issuing(), issued()[1])
    with pytest.raises(KeyMaterialError, match="make a new CA"):
        issued(ca=ca)


# Key files.


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_key_is_encrypted_so_that_guessing_is_slow(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key, secret = key_file.new_key(kind), b"correct horse"
    assert key_file.ITERATIONS >= 600_000
    monkeypatch.setattr(key_file, "ITERATIONS", 1000)
    pem = key_file.encode_key(key, secret)
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert load_pem_private_key(pem, secret).public_key() == key.public_key()
    for wrong in (b"wrong horse", None):
        with pytest.raises((ValueError, TypeError)):
            load_pem_private_key(pem, wrong)
    assert pem != key_file.encode_key(key, secret)
    assert load_pem_private_key(key_file.encode_key(key, None), None).public_key() == key.public_key()


@needs_openssl
def test_openssl_opens_an_encrypted_key_and_sees_its_rounds(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(key_file.encode_key(new_key("p256"), b"correct horse"))
    assert openssl(tmp_path, "pkey", "-in", "key", "-passin", "pass:correct horse", "-noout").returncode == 0
    assert openssl(tmp_path, "pkey", "-in", "key", "-passin", "pass:wrong", "-noout").returncode != 0
    listing = openssl(tmp_path, "asn1parse", "-in", "key").stdout
    assert f"INTEGER           :{key_file.ITERATIONS:X}".rjust(8) in listing.replace(":0", ":")
    assert "aes-256-cbc" in listing


@pytest.mark.parametrize("passphrase", [b"", b"abcde", b"1234567"])
def test_a_short_passphrase_is_refused_and_not_repeated(passphrase: bytes) -> None:
    with pytest.raises(UsageError, match="shorter than 8") as caught:
        key_file.encode_key(new_key("p256"), passphrase)
    assert not passphrase or passphrase.decode() not in str(caught.value)


def test_a_key_that_cannot_sign_makes_no_request() -> None:
    with pytest.raises(KeyMaterialError, match="cannot sign"):
        request.make_request(CA_NAME, new_key("x25519"))
