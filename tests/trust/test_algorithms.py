"""The table of algorithms: what each identifier means, and what is refused."""

from __future__ import annotations

import pytest

from builders import cms
from builders.pki import new_key
from modseal.errors import FormatError
from modseal.format.cms import Algorithm
from modseal.trust.algorithms import ALGORITHMS, BROKEN, digest_name, identify, key_bits, verify


def algorithm(oid: str, parameters: bytes | None = None) -> Algorithm:
    return Algorithm(oid, parameters, b"")


def code(call: object, *arguments: object) -> str:
    with pytest.raises(FormatError) as raised:
        call(*arguments)  # type: ignore[operator]
    return raised.value.failure.code


def test_a_name_says_its_row() -> None:
    assert all(name == row.name for name, row in ALGORITHMS.items())
    assert len(
        {(row.signature_oid, row.signature_parameters, row.digest_oid, row.curve) for row in ALGORITHMS.values()}
    ) == len(ALGORITHMS)


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
def test_digests_are_known_with_or_without_null(name: str) -> None:
    for parameters in (None, cms.NULL):
        assert digest_name(algorithm(cms.DIGESTS[name], parameters)) == name
    assert code(digest_name, algorithm(cms.DIGESTS[name], b"\x04\x00")) == "algorithm-mismatch"


@pytest.mark.parametrize("oid", sorted(BROKEN))
def test_broken_algorithms_are_named_and_never_accepted(oid: str) -> None:
    key = new_key("rsa").public_key()
    assert code(digest_name, algorithm(oid)) == "algorithm-not-allowed"
    assert code(identify, algorithm(oid), None, key) == "algorithm-not-allowed"


@pytest.mark.parametrize("oid", ["1.2.3.4", cms.DIGESTS["sha3_256"]])
def test_unknown_algorithms_are_unsupported(oid: str) -> None:
    assert code(digest_name, algorithm(oid)) == "unsupported-algorithm"
    assert code(identify, algorithm(oid), "sha256", new_key("rsa").public_key()) == "unsupported-algorithm"


@pytest.mark.parametrize(
    ("oid", "parameters", "digest", "kind", "name"),
    [
        (cms.RSA_ENCRYPTION, cms.NULL, "sha256", "rsa", "rsa-pkcs1-sha256"),
        (cms.RSA_ENCRYPTION, None, "sha512", "rsa", "rsa-pkcs1-sha512"),
        ("1.2.840.113549.1.1.12", cms.NULL, None, "rsa", "rsa-pkcs1-sha384"),
        (cms.ECDSA_SHA256, None, "sha256", "p256", "ecdsa-p256-sha256"),
        (cms.ECDSA_SHA256, None, None, "p384", "ecdsa-p384-sha256"),
        ("1.2.840.10045.4.3.4", None, "sha512", "p521", "ecdsa-p521-sha512"),
        (cms.ED25519, None, "sha512", "ed25519", "ed25519"),
    ],
)
def test_an_identifier_with_a_key_is_one_row(
    oid: str, parameters: bytes | None, digest: str | None, kind: str, name: str
) -> None:
    assert identify(algorithm(oid, parameters), digest, new_key(kind).public_key())[0].name == name


@pytest.mark.parametrize(
    ("oid", "parameters", "digest", "kind", "expected"),
    [
        (cms.ECDSA_SHA256, None, "sha512", "p256", "algorithm-mismatch"),
        (cms.ECDSA_SHA256, cms.NULL, "sha256", "p256", "algorithm-mismatch"),
        (cms.ECDSA_SHA256, None, "sha256", "rsa", "algorithm-mismatch"),
        (cms.ECDSA_SHA256, None, "sha256", "k256", "unsupported-algorithm"),
        (cms.RSA_ENCRYPTION, cms.NULL, "sha256", "p256", "algorithm-mismatch"),
        (cms.RSA_ENCRYPTION, cms.NULL, None, "rsa", "unsupported-algorithm"),
        (cms.RSA_ENCRYPTION, b"\x04\x00", "sha256", "rsa", "algorithm-mismatch"),
        (cms.ED25519, None, "sha256", "ed25519", "algorithm-mismatch"),
        (cms.ED25519, cms.NULL, "sha512", "ed25519", "algorithm-mismatch"),
        (cms.ED25519, None, "sha512", "rsa", "algorithm-mismatch"),
        ("2.16.840.1.101.3.4.3.18", None, "sha512", "ed25519", "algorithm-mismatch"),
    ],
)
def test_what_disagrees_is_refused(
    oid: str, parameters: bytes | None, digest: str | None, kind: str, expected: str
) -> None:
    assert code(identify, algorithm(oid, parameters), digest, new_key(kind).public_key()) == expected


@pytest.mark.parametrize(
    ("kind", "name"), [("rsa", "rsa-pkcs1-sha256"), ("p256", "ecdsa-p256-sha256"), ("ed25519", "ed25519")]
)
def test_a_signature_verifies_over_its_data_alone(kind: str, name: str) -> None:
    key = new_key(kind)
    signature = cms.sign_raw(key, b"data")
    verify(ALGORITHMS[name], key.public_key(), signature, b"data")
    for bad_signature, data in (
        (signature, b"dat4"),
        (signature[:-1], b"data"),
        (signature + b"\0", b"data"),
        (b"", b"data"),
    ):
        assert code(verify, ALGORITHMS[name], key.public_key(), bad_signature, data) == "bad-signature"
    other = new_key(kind, 9).public_key()
    assert code(verify, ALGORITHMS[name], other, signature, b"data") == "bad-signature"


def test_the_size_of_a_key() -> None:
    assert [key_bits(new_key(kind).public_key()) for kind in ("rsa", "p256", "ed25519")] == [2048, 256, 0]
