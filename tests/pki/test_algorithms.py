"""The table of algorithms: what each identifier means, and what is refused."""

from __future__ import annotations

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from builders import cms
from builders.pki import new_key
from modseal.errors import FormatError
from modseal.format import der
from modseal.format.cms import Algorithm
from modseal.pki import algorithms
from modseal.pki.algorithms import (
    ALGORITHMS,
    BROKEN,
    SignatureAlgorithm,
    digest_name,
    identify,
    key_bits,
    verify,
)


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


PSS_SHA256 = bytes.fromhex(
    "3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120"
)
"""What `openssl` writes for RSA-PSS with SHA-256, MGF1 over it, and a salt of 32 bytes."""


def pss(digest: str, salt: int, mask: str = "", trailer: bytes = b"") -> bytes:
    def hashed(name: str) -> bytes:
        return cms.algorithm(cms.DIGESTS[name], cms.NULL)

    return cms.sequence(
        der.encode(der.context(0), hashed(digest)),
        der.encode(der.context(1), cms.algorithm("1.2.840.113549.1.1.8", hashed(mask or digest))),
        der.encode(der.context(2), der.encode_integer(salt)),
        trailer,
    )


def test_the_table_is_exactly_this() -> None:
    digests = {name: cms.DIGESTS[name] for name in ("sha256", "sha384", "sha512")}
    ecdsa = {"sha256": "1.2.840.10045.4.3.2", "sha384": "1.2.840.10045.4.3.3", "sha512": "1.2.840.10045.4.3.4"}
    curves = {"p256": "secp256r1", "p384": "secp384r1", "p521": "secp521r1"}
    rows = [
        row
        for name, oid in digests.items()
        for row in (
            SignatureAlgorithm(f"rsa-pkcs1-{name}", "rsa-pkcs1", cms.RSA_ENCRYPTION, cms.NULL, oid, name),
            SignatureAlgorithm(f"rsa-pss-{name}", "rsa-pss", cms.RSA_PSS, pss(name, int(name[3:]) // 8), oid, name),
            *(
                SignatureAlgorithm(f"ecdsa-{short}-{name}", "ecdsa", ecdsa[name], None, oid, name, curve)
                for short, curve in curves.items()
            ),
        )
    ]
    sha512 = digests["sha512"]
    rows.append(SignatureAlgorithm("ed25519", "ed25519", "1.3.101.112", None, sha512, "sha512"))
    for number, size in ((17, 44), (18, 65), (19, 87)):
        oid = f"2.16.840.1.101.3.4.3.{number}"
        rows.append(SignatureAlgorithm(f"ml-dsa-{size}", "ml-dsa", oid, None, sha512, "sha512"))
    assert algorithms._table() == {row.name: row for row in rows} == ALGORITHMS
    assert ALGORITHMS["rsa-pss-sha256"].signature_parameters == PSS_SHA256


def test_an_algorithm_is_unsupported_or_never_accepted_by_its_name() -> None:
    for call, what in ((digest_name, "1.3.14.3.2.26"), (lambda one: identify(one, None, None), "1.2.840.10045.4.1")):
        with pytest.raises(FormatError) as raised:
            call(algorithm(what))
        assert raised.value.failure.evidence == {"algorithm": BROKEN[what]}
    with pytest.raises(FormatError) as raised:
        digest_name(algorithm("1.2.3.4"))
    assert raised.value.failure.evidence == {"algorithm": "1.2.3.4"}


@pytest.mark.parametrize(
    ("parameters", "salt"),
    [
        (PSS_SHA256, 32),
        (pss("sha256", 33), 33),
        (pss("sha256", 222), 222),
        (pss("sha256", 32, trailer=der.encode(der.context(3), der.encode_integer(1))), 32),
    ],
)
def test_the_salt_of_pss_is_at_least_as_long_as_its_hash(parameters: bytes, salt: int) -> None:
    key = new_key("rsa").public_key()
    for digest in ("sha256", None):
        row, found = identify(algorithm(cms.RSA_PSS, parameters), digest, key)
        assert (row.name, found) == ("rsa-pss-sha256", salt)


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        b"",
        cms.NULL,
        cms.sequence(),
        pss("sha256", 31),
        pss("sha384", 47),
        pss("sha512", 63),
        pss("sha256", 0),
        pss("sha256", 32, mask="sha384"),
        pss("sha256", 32, trailer=der.encode(der.context(3), der.encode_integer(2))),
        pss("sha256", 32, trailer=der.encode(der.context(4), der.encode_integer(1))),
        PSS_SHA256.replace(bytes.fromhex("010108"), bytes.fromhex("010109")),
    ],
)
def test_other_parameters_of_pss_are_refused(parameters: bytes | None) -> None:
    key = new_key("rsa").public_key()
    assert code(identify, algorithm(cms.RSA_PSS, parameters), None, key) == "algorithm-mismatch"


def test_a_hash_that_is_never_accepted_is_not_accepted_inside_pss() -> None:
    key = new_key("rsa").public_key()
    sha1 = algorithm(cms.RSA_PSS, pss("sha1", 32))
    assert code(identify, sha1, None, key) == "algorithm-not-allowed"
    sha3 = algorithm(cms.RSA_PSS, pss("sha3_256", 32))
    assert code(identify, sha3, None, key) == "unsupported-algorithm"


def test_pss_is_over_the_hash_that_is_named_elsewhere() -> None:
    key = new_key("rsa").public_key()
    assert code(identify, algorithm(cms.RSA_PSS, PSS_SHA256), "sha512", key) == "algorithm-mismatch"
    curve = new_key("p256").public_key()
    assert code(identify, algorithm(cms.RSA_PSS, PSS_SHA256), "sha256", curve) == "algorithm-mismatch"


@pytest.mark.parametrize(("name", "salt"), [("sha256", 32), ("sha256", 60), ("sha384", 48), ("sha512", 64)])
def test_a_pss_signature_verifies_with_its_own_salt_and_hash(name: str, salt: int) -> None:
    key, kind = new_key("rsa"), getattr(hashes, name.upper())()
    signature = key.sign(b"data", padding.PSS(padding.MGF1(kind), salt), kind)
    row = ALGORITHMS[f"rsa-pss-{name}"]
    verify(row, key.public_key(), signature, b"data", salt)
    assert code(verify, row, key.public_key(), signature, b"data", salt + 1) == "bad-signature"
    assert code(verify, row, key.public_key(), signature, b"dat4", salt) == "bad-signature"
    if salt == kind.digest_size:
        verify(row, key.public_key(), signature, b"data")
    else:
        assert code(verify, row, key.public_key(), signature, b"data") == "bad-signature"


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
def test_rsa_and_ecdsa_verify_with_the_hash_of_their_row(name: str) -> None:
    rsa_key, curve = new_key("rsa"), new_key("p384")
    for key, row in ((rsa_key, f"rsa-pkcs1-{name}"), (curve, f"ecdsa-p384-{name}")):
        signature = cms.sign_raw(key, b"data", name)
        verify(ALGORITHMS[row], key.public_key(), signature, b"data")
        other = row.replace(name, "sha384" if name != "sha384" else "sha256")
        assert code(verify, ALGORITHMS[other], key.public_key(), signature, b"data") == "bad-signature"


def test_what_the_library_cannot_verify_is_unsupported_and_not_wrong() -> None:
    class Odd:
        def verify(self, *_: object) -> None:
            raise UnsupportedAlgorithm("no such thing")

    class Odder:
        def verify(self, *_: object) -> None:
            raise ValueError("no such value")

    for key in (Odd(), Odder()):
        assert code(verify, ALGORITHMS["ed25519"], key, b"", b"") == "unsupported-algorithm"


def test_a_library_that_fails_otherwise_has_verified_nothing_and_memory_is_no_matter_of_the_signature() -> None:
    class PanicException(BaseException):
        """As the libraries in Rust have it."""

    class Odd:
        def __init__(self, error: BaseException) -> None:
            self.error = error

        def verify(self, *_: object) -> None:
            raise self.error

    for error in (RuntimeError("x"), PanicException("x")):
        with pytest.raises(FormatError, match=type(error).__name__) as caught:
            verify(ALGORITHMS["ed25519"], Odd(error), b"", b"")
        assert caught.value.failure.code == "bad-signature"
        assert caught.value.failure.evidence == {"algorithm": "ed25519"}
    with pytest.raises(MemoryError):
        verify(ALGORITHMS["ed25519"], Odd(MemoryError()), b"", b"")


@pytest.mark.parametrize("name", ["ml-dsa-44", "ml-dsa-65", "ml-dsa-87"])
def test_an_ml_dsa_key_fits_its_own_size_alone(name: str) -> None:
    for kind in ("ml-dsa-44", "ml-dsa-65", "ml-dsa-87", "ed25519", "p256"):
        key = new_key(kind).public_key()
        call = algorithm(ALGORITHMS[name].signature_oid)
        if kind == name:
            assert identify(call, "sha512", key) == (ALGORITHMS[name], None)
            assert identify(call, None, key) == (ALGORITHMS[name], None)
        else:
            assert code(identify, call, "sha512", key) == "algorithm-mismatch"
    assert code(identify, algorithm(ALGORITHMS[name].signature_oid), "sha256", new_key(name).public_key()) == (
        "algorithm-mismatch"
    )


@pytest.mark.parametrize("name", ["rsa-pkcs1-sha256", "ecdsa-p384-sha384", "ed25519", "ml-dsa-65", "rsa-pss-sha512"])
def test_a_row_is_found_for_its_own_key_and_no_other(name: str) -> None:
    row = ALGORITHMS[name]
    mine = {"rsa-pkcs1": "rsa", "rsa-pss": "rsa", "ecdsa": "p384", "ed25519": "ed25519", "ml-dsa": "ml-dsa-65"}
    for kind in ("rsa", "p256", "p384", "ed25519", "ml-dsa-65", "dsa", "ed448"):
        key = new_key(kind).public_key()
        call = algorithm(row.signature_oid, row.signature_parameters)
        if kind == mine[row.family]:
            assert identify(call, row.digest_name, key)[0] == row
        elif not (row.family == "ecdsa" and kind == "p256"):
            assert code(identify, call, row.digest_name, key) == "algorithm-mismatch"
