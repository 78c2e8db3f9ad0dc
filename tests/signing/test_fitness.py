"""What may sign, and with which algorithm: one good certificate, then one thing wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from hypothesis import given, settings
from hypothesis import strategies as st

from modseal.ca import issue
from modseal.ca.issue import Validity
from modseal.errors import RefusedError, UsageError
from modseal.signing import fitness
from signing.pki import VALID, Pki, authority, make_pki, new_key

AT = datetime(2026, 6, 1, tzinfo=UTC)


def reasons(certificate: x509.Certificate, chain: list[x509.Certificate], at: datetime = AT) -> str:
    with pytest.raises(RefusedError) as caught:
        fitness.check_certificate(certificate, chain, at)
    assert caught.value.failure.code == "unfit-certificate"
    assert "cannot sign: " in str(caught.value)
    return str(caught.value.failure.evidence["reasons"])


def custom(pki: Pki, *extensions: tuple[x509.ExtensionType, bool], kind: str = "p256") -> x509.Certificate:
    """A signer's certificate with exactly these extensions beside its key identifier."""
    subject = issue.name("Custom signer", "Test")
    builder = issue._builder(subject, pki.intermediate.subject, new_key(kind).public_key(), VALID)
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    return builder.sign(pki.intermediate_key, issue.digest_for(pki.intermediate_key))


CODE_SIGNING = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
SIGNATURE = (issue._usage(digital_signature=True), True)


def test_a_current_code_signing_certificate_may_sign(pki: Pki) -> None:
    fitness.check_certificate(pki.certificate(), [], AT)
    fitness.check_certificate(pki.certificate(), [pki.root, pki.intermediate], AT)
    fitness.check_certificate(custom(pki, CODE_SIGNING, SIGNATURE), [], AT)


def test_a_certificate_outside_its_validity_may_not(pki: Pki) -> None:
    short = pki.certificate(validity=Validity(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC)))
    fitness.check_certificate(short, [], AT)
    assert reasons(short, [], datetime(2027, 1, 1, tzinfo=UTC)) == "expired"
    assert reasons(short, [], datetime(2025, 12, 31, tzinfo=UTC)) == "not-yet-valid"


@pytest.mark.parametrize(
    "make",
    [
        lambda pki: pki.certificate(purpose=ExtendedKeyUsageOID.SERVER_AUTH),
        lambda pki: pki.certificate(purpose=ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE),
        lambda pki: custom(pki, SIGNATURE),
        lambda pki: custom(pki, CODE_SIGNING),
        lambda pki: custom(pki, CODE_SIGNING, (issue._usage(key_cert_sign=True), True)),
        lambda pki: custom(pki, CODE_SIGNING, SIGNATURE, (x509.BasicConstraints(ca=True, path_length=0), True)),
    ],
    ids=["TLS server", "any usage", "no extended usage", "no usage", "no digitalSignature", "CA"],
)
def test_a_certificate_for_another_purpose_may_not(make: Callable[[Pki], x509.Certificate], pki: Pki) -> None:
    assert reasons(make(pki), []) == "wrong-purpose"


def test_a_weak_key_may_not(pki: Pki) -> None:
    assert reasons(pki.certificate("rsa-1024"), []) == "weak-key"


def test_an_extension_that_no_verifier_judges_is_refused(pki: Pki) -> None:
    unknown = (x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)
    assert reasons(custom(pki, CODE_SIGNING, SIGNATURE, unknown), []) == "unsupported-extension"


def test_an_unrelated_certificate_in_the_chain_is_refused(pki: Pki) -> None:
    stranger = authority("Stranger", new_key("p256", 2))
    assert reasons(pki.certificate(), [pki.intermediate, stranger]) == "invalid-chain"


def test_a_namesake_of_the_issuer_is_unrelated(pki: Pki) -> None:
    namesake = authority("Test intermediate", new_key("p256", 2))
    assert reasons(pki.certificate(), [namesake]) == "invalid-chain"


def test_an_issuer_that_may_not_issue_is_refused(pki: Pki) -> None:
    old = authority(
        "Test intermediate", pki.intermediate_key, pki.root, pki.root_key, end=datetime(2025, 1, 1, tzinfo=UTC)
    )
    no_ca = authority("Test intermediate", pki.intermediate_key, pki.root, pki.root_key, basic=(False, None))
    assert reasons(pki.certificate(), [old]) == "expired"
    assert reasons(pki.certificate(), [no_ca]) == "invalid-chain"


def test_every_reason_is_said_at_once(pki: Pki) -> None:
    ended = Validity(VALID.start, datetime(2025, 1, 1, tzinfo=UTC))
    bad = pki.certificate("rsa-1024", validity=ended, purpose=ExtendedKeyUsageOID.SERVER_AUTH)
    assert reasons(bad, []) == "expired,weak-key,wrong-purpose"


@settings(max_examples=30)
@given(st.permutations(range(5)))
def test_any_order_of_a_chain_gives_issuing_order(order: list[int]) -> None:
    pki = make_pki()
    certificate = pki.certificate()
    cross_root = authority("Second root", new_key("p384", 2))
    cross = authority("Test intermediate", pki.intermediate_key, cross_root, new_key("p384", 2))
    others = [pki.root, pki.intermediate, cross_root, cross, certificate]
    ordered, unrelated = fitness.order_chain(certificate, [others[i] for i in order])
    assert set(ordered[:2]) == {pki.intermediate, cross}
    assert set(ordered[2:]) == {pki.root, cross_root}
    assert unrelated == ()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("rsa", "rsa-pkcs1-sha256"),
        ("p256", "ecdsa-p256-sha256"),
        ("p384", "ecdsa-p384-sha384"),
        ("p521", "ecdsa-p521-sha512"),
        ("ed25519", "ed25519"),
        ("ml-dsa-44", "ml-dsa-44"),
        ("ml-dsa-65", "ml-dsa-65"),
        ("ml-dsa-87", "ml-dsa-87"),
    ],
)
def test_the_default_algorithm_follows_from_the_key(kind: str, name: str, pki: Pki) -> None:
    assert fitness.choose_algorithm(pki.certificate(kind)).name == name
    assert fitness.choose_algorithm(pki.certificate(kind), name).name == name


def test_an_algorithm_that_does_not_fit_is_refused_with_those_that_do(pki: Pki) -> None:
    with pytest.raises(UsageError, match=r"it can use .*rsa-pss-sha256"):
        fitness.choose_algorithm(pki.certificate("rsa"), "ed25519")
    with pytest.raises(UsageError, match=r"not a signature algorithm.*rsa-pss-sha256"):
        fitness.choose_algorithm(pki.certificate("rsa"), "sha1")


def test_a_key_that_fits_no_algorithm_is_refused(pki: Pki) -> None:
    with pytest.raises(RefusedError, match="no signature algorithm fits"):
        fitness.choose_algorithm(pki.certificate("ed448"))


def test_a_key_for_pss_alone_signs_with_pss(pki: Pki) -> None:
    class OnlyPss:
        """A certificate as the library gives it for a key of id-RSASSA-PSS."""

        public_key_algorithm_oid = ObjectIdentifier("1.2.840.113549.1.1.10")

        def __init__(self, certificate: x509.Certificate) -> None:
            self._certificate = certificate

        def public_bytes(self, encoding: Any) -> bytes:
            return self._certificate.public_bytes(encoding)

    certificate: Any = OnlyPss(pki.certificate("rsa"))
    assert fitness.choose_algorithm(certificate).name == "rsa-pss-sha256"
    with pytest.raises(UsageError):
        fitness.choose_algorithm(certificate, "rsa-pkcs1-sha256")
