"""The one form of a public key: what is refused, and that what keys are made as is not."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from hypothesis import given
from hypothesis import strategies as st

from builders import certificates as make
from builders.pki import new_key, signer
from modseal.errors import FormatError
from modseal.format import der
from modseal.pki import public_key
from modseal.pki.certificate import Certificate

# Edwards25519 once more, by its group law (RFC 8032 section 5.1.4), which the product does not need.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]
IDENTITY: Point = (0, 1)


def add(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    k = D * x1 * x2 * y1 * y2 % P
    return (x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P


def times(number: int, point: Point) -> Point:
    result = IDENTITY
    while number:
        if number & 1:
            result = add(result, point)
        point, number = add(point, point), number >> 1
    return result


def point_with(y: int) -> Point | None:
    """A point with this y, where there is one."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    for each in (x, x * pow(2, (P - 1) // 4, P) % P):
        if each * each % P == square:
            return each, y
    return None


def torsion() -> set[Point]:
    """All points P with 8P = identity: multiples of one of order 8, which is what L leaves of some point."""
    for y in range(2, 100):
        found = point_with(y)
        generator = times(L, found) if found else IDENTITY
        if times(4, generator) != IDENTITY:
            return {times(number, generator) for number in range(8)}
    raise AssertionError


def encodings(point: Point) -> set[bytes]:
    """Every 32 bytes that a lenient decoder takes for this point: y or y + p, and any sign where x is 0."""
    x, y = point
    signs = {x & 1} | ({0, 1} if x == 0 else set())
    return {(value | sign << 255).to_bytes(32, "little") for value in (y, y + P) if value < 2**255 for sign in signs}


SMALL = sorted(encoding for point in torsion() for encoding in encodings(point))


def test_there_are_eight_small_points_and_fourteen_encodings_of_them() -> None:
    assert len(torsion()) == 8
    assert len(SMALL) == 14


@pytest.mark.parametrize("encoding", SMALL, ids=bytes.hex)
def test_a_small_point_is_no_key(encoding: bytes) -> None:
    assert not public_key.is_sound_ed25519(encoding)
    with pytest.raises(FormatError) as caught:
        Certificate.parse(make.with_field(make.KEY, make.key_info(make.ED25519, None, encoding)))
    assert caught.value.failure.code == "malformed-certificate"


def test_anybody_signs_for_the_identity_point_as_far_as_the_library_is_concerned() -> None:
    identity = (1).to_bytes(32, "little")
    ed25519.Ed25519PublicKey.from_public_bytes(identity).verify(identity + bytes(32), b"any message")


@given(st.integers(P, 2**255 - 1), st.booleans())
def test_a_coordinate_beyond_the_field_is_no_key(y: int, sign: bool) -> None:
    assert not public_key.is_sound_ed25519((y | sign << 255).to_bytes(32, "little"))


@given(st.binary(min_size=32, max_size=32))
def test_real_keys_are_sound(seed: bytes) -> None:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert public_key.is_sound_ed25519(key)
    assert not public_key.is_sound_ed25519(key[:-1])
    assert not public_key.is_sound_ed25519(key + b"\0")


def code(info: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        Certificate.parse(make.with_field(make.KEY, info))
    return caught.value.failure.code


@pytest.mark.parametrize("case", make.odd_key_infos(signer().key))
def test_a_key_in_another_form_is_refused(case: str) -> None:
    assert code(make.odd_key_infos(signer().key)[case]) == "malformed-certificate"


def test_a_key_for_pss_alone_is_not_judged() -> None:
    assert code(make.key_info(make.RSA_PSS, None, make.rsa_key(new_key("rsa")))) == "unsupported-algorithm"


def test_a_key_of_a_kind_that_the_library_does_not_know_is_no_damage() -> None:
    assert code(make.key_info("1.3.6.1.4.1.99999.1", None, b"key")) == "unsupported-algorithm"


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521", "ed25519", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87"])
def test_a_key_as_it_is_made_is_in_its_one_form(kind: str) -> None:
    key = new_key(kind).public_key()
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    public_key.require_form(der.Reader(info).enter())
    assert Certificate.parse(make.with_field(make.KEY, info)).key_der == info


@pytest.mark.parametrize(
    ("kind", "called"),
    [("rsa", "RSA-2048"), ("rsa-1024", "RSA-1024"), ("p256", "ECDSA P-256"), ("p384", "ECDSA P-384"),
     ("p521", "ECDSA P-521"), ("k256", "ECDSA secp256k1"), ("ed25519", "Ed25519"), ("ml-dsa-44", "ML-DSA-44"),
     ("ml-dsa-65", "ML-DSA-65"), ("ml-dsa-87", "ML-DSA-87")],
)  # fmt: skip
def test_each_kind_of_key_is_called_what_people_call_it(kind: str, called: str) -> None:
    assert public_key.kind_of_key(new_key(kind).public_key()) == called


@pytest.mark.parametrize("kind", ["p256", "ed25519"])
def test_a_key_is_whole_bytes_and_nothing_follows_it(kind: str) -> None:
    info = new_key(kind).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    fields = [value.raw for value in der.elements(der.Reader(info).enter(), sorted_set=False)]
    bits = der.Reader(fields[1]).take(der.BIT_STRING).content
    odd = make.sequence(fields[0], der.encode(der.BIT_STRING, b"\1", bits[1:-1], bytes([bits[-1] & 0xFE])))
    longer = make.sequence(*fields, make.NULL)
    for bad in (odd, longer):
        with pytest.raises(FormatError):
            public_key.require_form(der.Reader(bad).enter())


def test_an_rsa_key_is_the_one_that_the_library_reads() -> None:
    info = new_key("rsa").public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert public_key.load(info).public_numbers() == load_der_public_key(info).public_numbers()


@pytest.mark.parametrize("odd", ["negative", "longer than needed", "more behind", "one number", "even exponent"])
def test_the_numbers_of_an_rsa_key_have_one_encoding(odd: str) -> None:
    numbers = new_key("rsa").public_key().public_numbers()
    modulus, exponent = (der.encode_integer(one) for one in (numbers.n, numbers.e))
    content = der.only_value(modulus, der.INTEGER).content
    key = {
        "negative": make.sequence(der.encode(der.INTEGER, content[1:]), exponent),
        "longer than needed": make.sequence(der.encode(der.INTEGER, b"\0", content), exponent),
        "more behind": make.sequence(modulus, exponent, make.NULL),
        "one number": make.sequence(modulus),
        "even exponent": make.sequence(modulus, der.encode_integer(numbers.e - 1)),
    }[odd]
    info = make.key_info(make.RSA, make.NULL, key)
    with pytest.raises((FormatError, ValueError)):
        public_key.load(info)
    assert code(info) == "malformed-certificate"
