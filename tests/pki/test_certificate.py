"""Reading certificates: the fields that decide, and any bytes give a certificate or a `FormatError`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.certificates import edited
from builders.pki import CODE_SIGNING, EPOCH, FAR, ca, leaf, new_key, root, signer
from modseal import limits
from modseal.errors import FormatError
from modseal.format import der
from modseal.pki.certificate import Certificate
from modseal.pki.extensions import BasicConstraints, KeyUsage, read_authority_key_id, read_basic_constraints
from modseal.pki.names import DNS, IP, REGISTERED_ID, GeneralName

UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.9"), b"\x05\x00")
FUZZED = leaf(
    "Fuzzed",
    extensions=[
        (x509.SubjectAlternativeName([x509.DNSName("a.example")]), False),
        (x509.CertificatePolicies([x509.PolicyInformation(CODE_SIGNING, None)]), False),
        (x509.NameConstraints([x509.DNSName("a.example")], None), True),
    ],
).der


def with_extensions(*extensions: bytes) -> bytes:
    wrapped = der.encode(der.context(3), der.encode(der.SEQUENCE, *extensions))
    return edited(lambda fields: [*fields[:-1], wrapped])


def extension(oid: str, value: bytes, critical: bytes = b"") -> bytes:
    return der.encode(der.SEQUENCE, der.encode_oid(oid), critical, der.encode(der.OCTET_STRING, value))


def as_version(number: int) -> Callable[[list[bytes]], list[bytes]]:
    return lambda fields: [der.encode(der.context(0), der.encode_integer(number)), *fields[1:]]


def refused(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        Certificate.parse(data)
    assert caught.value.failure.code == "malformed-certificate"


def test_the_fields_that_decide_are_read() -> None:
    one = leaf(
        "Read", end=FAR, serial=4711, key=new_key("p256", 3),
        extensions=[(x509.SubjectAlternativeName([x509.DNSName("a.example")]), False), (UNKNOWN, True)],
    ).parsed  # fmt: skip
    assert (one.serial, one.not_before, one.not_after) == (4711, EPOCH, FAR)
    assert (one.is_ca, one.path_length, one.extended_key_usage) == (False, None, {CODE_SIGNING.dotted_string})
    assert one.alternative_names == (GeneralName(DNS, "a.example"),)
    assert one.unjudged == ("1.3.6.1.4.1.99999.9",)
    assert one.issuer_name == root().parsed.subject_name
    assert not one.is_self_issued
    assert root().parsed.is_self_issued
    assert ca("CA", issuer=root(), basic=(True, 3)).parsed.path_length == 3


def test_equal_bytes_are_equal_certificates() -> None:
    other = Certificate.parse(bytes(bytearray(signer().der)))
    assert other == signer().parsed
    assert hash(other) == hash(signer().parsed)
    assert other != root().parsed
    assert other != signer().der


def test_the_builder_that_edits_makes_good_certificates() -> None:
    made = Certificate.parse(edited(lambda fields: fields))
    assert made.verify_issued_by(root().parsed).name == "ecdsa-p256-sha256"
    assert Certificate.parse(with_extensions(extension("1.2.3.4", b"\x05\x00"))).unjudged == ()
    assert Certificate.parse(with_extensions(extension("1.2.3.4", b"\x05\x00", b"\x01\x01\xff"))).unjudged == (
        "1.2.3.4",
    )


NO_NAME = der.encode(der.SEQUENCE)
OTHER_ALGORITHM = der.encode(der.SEQUENCE, der.encode_oid("1.2.840.10045.4.3.3"))
BASIC = "2.5.29.19"


@pytest.mark.parametrize(
    "data",
    [
        signer().der + b"\0",
        signer().der[:-1],
        edited(lambda fields: [*fields[:2], OTHER_ALGORITHM, *fields[3:]]),
        edited(lambda fields: [*fields[:3], NO_NAME, *fields[4:]]),
        edited(lambda fields: [*fields, b"\x05\x00"]),
        with_extensions(extension("1.2.3.4", b""), extension("1.2.3.4", b"")),
        with_extensions(extension("1.2.3.4", b"\x05\x00", b"\x01\x01\x00")),
        with_extensions(extension("1.2.3.4", b"\x05\x00", b"\x01\x01\x01")),
        with_extensions(extension(BASIC, der.encode(der.SEQUENCE, b"\x05\x00"))),
        with_extensions(extension(BASIC, der.encode(der.SEQUENCE) + b"\0")),
        with_extensions(extension(BASIC, der.encode(der.SEQUENCE, b"\x01\x01\x00"))),
        with_extensions(),
        edited(lambda fields: fields[1:]),
        edited(as_version(0)),
        edited(as_version(1)),
        edited(as_version(3)),
        edited(lambda fields: as_version(0)(fields)[:-1]),
        with_extensions(extension("2.5.29.17", der.encode(der.SEQUENCE, b"\x05\x00"))),
        with_extensions(extension("2.5.29.30", der.encode(der.SEQUENCE))),
        with_extensions(extension("2.5.29.31", der.encode(der.SEQUENCE, b"\x05\x00"))),
        with_extensions(extension("2.5.29.32", der.encode(der.SEQUENCE))),
        with_extensions(extension("2.5.29.36", der.encode(der.SEQUENCE))),
    ],
    ids=[
        "bytes after it",
        "cut off",
        "two algorithms",
        "no issuer",
        "a field more",
        "an extension twice",
        "critical is false",
        "critical is neither",
        "bad basic constraints",
        "bytes after basic constraints",
        "basic constraints say FALSE",
        "no extension in extensions",
        "version 1 with extensions",
        "version 1 said, with extensions",
        "version 2 with extensions",
        "version 4",
        "version 1 said",
        "bad alternative name",
        "empty name constraints",
        "bad distribution point",
        "no policy in policies",
        "empty policy constraints",
    ],
)
def test_a_certificate_with_one_malformed_part_is_refused(data: bytes) -> None:
    refused(data)


def test_a_signature_that_is_no_whole_number_of_bytes_is_refused() -> None:
    body, algorithm, bits = (value.raw for value in values_of(signer().der))
    assert bits[0] == der.BIT_STRING
    content = der.Reader(bits).take(der.BIT_STRING).content
    for wrong in (b"\x01" + content[1:], b""):
        refused(der.encode(der.SEQUENCE, body, algorithm, der.encode(der.BIT_STRING, wrong)))


def values_of(data: bytes) -> list[der.Value]:
    reader = der.Reader(data).enter()
    return [reader.next(), reader.next(), reader.next()]


def test_a_signature_is_verified_with_the_issuers_key_alone() -> None:
    with pytest.raises(FormatError) as caught:
        signer().parsed.verify_issued_by(root(1).parsed)
    assert caught.value.failure.code == "bad-signature"
    with pytest.raises(FormatError) as caught:
        signer().parsed.verify_issued_by(ca("RSA", key=new_key("rsa", 1)).parsed)
    assert caught.value.failure.code == "algorithm-mismatch"


@settings(max_examples=200)
@given(st.data())
def test_any_bytes_are_a_certificate_or_a_format_error(data: st.DataObject) -> None:
    changed = bytearray(FUZZED)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    for candidate in (bytes(changed), data.draw(st.binary(max_size=80))):
        with contextlib.suppress(FormatError):
            Certificate.parse(candidate)


def test_every_single_changed_byte_breaks_the_signature_or_the_form() -> None:
    """No two encodings of one certificate verify: its fingerprint is an identity."""
    top: Any = root().parsed
    good = signer().der
    for position in range(len(good)):
        changed = good[:position] + bytes([good[position] ^ 0x01]) + good[position + 1 :]
        with pytest.raises(FormatError):
            Certificate.parse(changed).verify_issued_by(top)


def test_every_field_is_read_from_its_place() -> None:
    above = ca("Above", issuer=root(), key=new_key("p256", 63))
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(above.key.public_key())
    made = leaf("Every field", issuer=above, key_id=b"key id", extensions=[(authority, False)])
    one, library = made.parsed, made.certificate
    assert (one.der, one.fingerprint) == (made.der, made.fingerprint)
    assert (one.subject, one.issuer) == ("CN=Every field,O=Test", "CN=Above,O=Test")
    assert one.issuer_der == library.issuer.public_bytes()
    assert (one.key_id, one.authority_key_id) == (b"key id", authority.key_identifier)
    assert one.key_usage is not None
    assert (one.key_usage.digital_signature, one.key_usage.key_cert_sign) == (True, False)
    assert one.signature == library.signature
    assert one.signed_bytes == library.tbs_certificate_bytes
    assert one.signature_algorithm.oid == "1.2.840.10045.4.3.2"
    assert one.key_der == library.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    bare = leaf("Bare", key_id=None, usage=None, purposes=None, basic=None).parsed
    assert (bare.key_id, bare.authority_key_id, bare.key_usage, bare.extended_key_usage) == (None, None, None, None)
    assert (bare.is_ca, bare.path_length, bare.name_constraints, bare.distribution_points) == (False, None, None, ())


def test_a_key_is_called_by_its_digest_and_by_what_its_certificate_says() -> None:
    usual = x509.SubjectKeyIdentifier.from_public_key(signer().key.public_key()).digest
    assert leaf(key=signer().key, key_id=b"own").parsed.key_ids == {b"own", usual}
    assert leaf(key=signer().key, key_id=None).parsed.key_ids == {usual}


def test_unique_identifiers_are_passed_over() -> None:
    one, two = der.encode(0x81, b"\0x"), der.encode(0x82, b"\0y")
    for more in ((one,), (two,), (one, two)):
        made = Certificate.parse(edited(lambda fields, more=more: [*fields[:-1], *more, fields[-1]]))
        assert made.unjudged == ()
        assert made.extended_key_usage == {CODE_SIGNING.dotted_string}
    refused(edited(lambda fields: [*fields[:-1], two, one, fields[-1]]))


@pytest.mark.parametrize("salt", [32, 33, 200])
def test_a_certificate_signed_with_pss_verifies_with_the_salt_that_it_says(salt: int) -> None:
    top = ca("PSS root", key=new_key("rsa", 64))
    builder = (
        x509.CertificateBuilder()
        .subject_name(signer().certificate.subject)
        .issuer_name(top.certificate.subject)
        .public_key(signer().key.public_key())
        .serial_number(5)
        .not_valid_before(EPOCH)
        .not_valid_after(FAR)
    )
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
    made = builder.sign(top.key, hashes.SHA256(), rsa_padding=pss).public_bytes(Encoding.DER)
    one = Certificate.parse(made)
    assert one.verify_issued_by(top.parsed).name == one.algorithm_under(top.parsed).name == "rsa-pss-sha256"
    with pytest.raises(FormatError) as caught:
        one.verify_issued_by(ca("Other root", key=new_key("rsa", 65)).parsed)
    assert caught.value.failure.code == "bad-signature"


KEY_USAGE, PURPOSES, AUTHORITY, OWN = "2.5.29.15", "2.5.29.37", "2.5.29.35", "2.5.29.14"


@pytest.mark.parametrize(
    "part",
    [
        extension(BASIC, der.encode(der.SEQUENCE, der.encode_integer(1))),
        extension(BASIC, der.encode(der.SEQUENCE, b"\x01\x01\xff", b"\x02\x01\xff")),
        extension(BASIC, der.encode(der.SEQUENCE, b"\x01\x01\xff", der.encode_integer(1), b"\x05\x00")),
        extension(KEY_USAGE, b"\x03\x00"),
        extension(KEY_USAGE, b"\x03\x01\x01"),
        extension(KEY_USAGE, b"\x03\x02\x08\x00"),
        extension(KEY_USAGE, b"\x03\x02\x01\x81"),
        extension(PURPOSES, der.encode(der.SEQUENCE)),
        extension(PURPOSES, der.encode(der.SEQUENCE, b"\x05\x00")),
        extension(AUTHORITY, der.encode(der.SEQUENCE, b"\x82\x01\x05")),
        extension(AUTHORITY, der.encode(der.SEQUENCE, der.encode(der.context(1)))),
        extension(AUTHORITY, der.encode(der.SEQUENCE, b"\x05\x00")),
        extension(OWN, b"\x04\x01x\x00"),
    ],
    ids=[
        "a bound without a CA",
        "a negative bound",
        "a field more in basic constraints",
        "no bits at all",
        "unused bits of nothing",
        "eight unused bits",
        "an unused bit that is set",
        "no purpose",
        "a purpose that is no identifier",
        "a serial number without an issuer",
        "an issuer without a serial number",
        "a field more in an authority key identifier",
        "bytes after a key identifier",
    ],
)
def test_an_extension_that_is_judged_has_its_one_form(part: bytes) -> None:
    refused(with_extensions(part))


@pytest.mark.parametrize("bit", range(9))
def test_each_use_of_a_key_has_a_bit_of_its_own(bit: int) -> None:
    octets = (0x8000 >> bit).to_bytes(2)
    value = der.encode(der.BIT_STRING, b"\7", octets) if bit == 8 else der.encode(der.BIT_STRING, b"\0", octets[:1])
    assert KeyUsage.parse(value) == KeyUsage(bit == 0, bit == 1, bit == 5, bit == 6)


def test_a_key_without_any_use_has_none() -> None:
    assert KeyUsage.parse(b"\x03\x01\x00") == KeyUsage(False, False, False, False)


def test_a_bound_of_no_ca_below_is_a_bound() -> None:
    assert read_basic_constraints(der.encode(der.SEQUENCE, b"\x01\x01\xff", der.encode_integer(0))) == (
        BasicConstraints(True, 0)
    )


def test_an_authority_may_be_named_by_its_issuer_and_serial_number_as_well() -> None:
    key, serial = der.encode(0x80, b"key"), der.encode(0x82, b"\x00")
    name = der.encode(der.context(4), root().certificate.subject.public_bytes())
    issuer = der.encode(der.context(1), name)
    assert read_authority_key_id(der.encode(der.SEQUENCE, key, issuer, serial)) == b"key"
    assert read_authority_key_id(der.encode(der.SEQUENCE, issuer, serial)) is None
    for wrong in (
        (key, der.encode(der.context(1), der.NULL.to_bytes()), serial),
        (key, issuer, der.encode(0x82, b"\xff")),
        (key, der.encode(der.context(2), name), serial),
    ):
        refused(with_extensions(extension(AUTHORITY, der.encode(der.SEQUENCE, *wrong))))


def test_a_name_of_another_form_is_its_bytes() -> None:
    address, identifier = der.encode(0x80 | IP, b"\x0a\1\2\3"), der.encode(0x80 | REGISTERED_ID, b"\x2a\3")
    made = Certificate.parse(with_extensions(extension("2.5.29.17", der.encode(der.SEQUENCE, address, identifier))))
    assert made.alternative_names == (GeneralName(IP, b"\x0a\1\2\3"), GeneralName(REGISTERED_ID, b"\x2a\3"))
    for tag in (0x80 | REGISTERED_ID + 1, 0x40 | IP, 0xC0 | IP):
        refused(with_extensions(extension("2.5.29.17", der.encode(der.SEQUENCE, der.encode(tag, b"\x0a\1\2\3")))))


def subject(*relative: bytes) -> bytes:
    """A good certificate with another subject, of these relative names."""
    return edited(lambda fields: [*fields[:5], der.encode(der.SEQUENCE, *relative), *fields[6:]])


def attribute(tag: int, text: bytes, oid: str = "2.5.4.3") -> bytes:
    return der.encode(der.SEQUENCE, der.encode_oid(oid), der.encode(tag, text))


@pytest.mark.parametrize(
    ("tag", "text", "shown"),
    [
        (0x0C, "Ä, <b>".encode(), "CN=Ä\\, \\<b\\>"),
        (0x13, b"Plain 1", "CN=Plain 1"),
        (0x14, b"Old", "CN=Old"),
        (0x1E, "Ä".encode("utf-16-be"), "CN=Ä"),
        (0x0C, b" # ", "CN=\\ #\\ "),
        (0x0C, b"#1", "CN=\\#1"),
        (0x0C, b" a", "CN=\\ a"),
        (0x0C, b" ", "CN=\\ "),
        (0x0C, b"a\0b", "CN=a\\00b"),
    ],
)
def test_a_name_is_shown_as_rfc_4514_has_it(tag: int, text: bytes, shown: str) -> None:
    data = subject(der.encode(der.SET, attribute(tag, text)))
    assert Certificate.parse(data).subject == shown
    assert x509.load_der_x509_certificate(data).subject.rfc4514_string() == shown


@pytest.mark.parametrize(
    ("tag", "text"),
    [(0x0C, b"\xff"), (0x13, b"a*"), (0x13, b"\xc3\x84"), (0x12, b"a"), (0x16, b"\xc3\x84"), (0x1A, b"\n"),
     (0x1E, b"a"), (0x02, b"\1"), (0x03, b"\0a"), (0x30, b"")],
)  # fmt: skip
def test_a_name_that_is_no_text_of_its_encoding_is_refused(tag: int, text: bytes) -> None:
    refused(subject(der.encode(der.SET, attribute(tag, text))))


def test_a_unique_identifier_in_a_name_is_bits_and_the_only_attribute_that_is_no_text() -> None:
    data = subject(der.encode(der.SET, attribute(der.BIT_STRING, b"\0\xab", "2.5.4.45")))
    assert Certificate.parse(data).subject == "2.5.4.45=#00ab"
    for tag, oid in ((der.BIT_STRING, "2.5.4.46"), (der.OCTET_STRING, "2.5.4.45")):
        refused(subject(der.encode(der.SET, attribute(tag, b"\0\xab", oid))))


def test_a_name_may_fill_its_bound_to_the_byte() -> None:
    sizes = (1000, 1000, 1000, 1000, 17)
    content = b"".join(der.encode(der.SET, attribute(0x0C, b"a" * size)) for size in sizes)
    assert len(content) == limits.NAME_SIZE
    assert len(Certificate.parse(subject(content)).subject_name) == len(sizes)


def test_a_name_that_is_too_long_is_refused_with_what_it_is() -> None:
    long = [attribute(0x0C, b"a" * 1000, f"2.5.4.{number}") for number in range(5)]
    mail = der.encode(0x81, b"a" * limits.EMAIL_ADDRESS + b"@b")
    for data, what, limit in (
        (subject(*(der.encode(der.SET, one) for one in long)), "distinguished name", limits.NAME_SIZE),
        (subject(der.encode(der.SET, attribute(0x0C, b"a" * (limits.NAME_VALUE + 1)))), "value of a distinguished name",
         limits.NAME_VALUE),
        (with_extensions(extension("2.5.29.17", der.encode(der.SEQUENCE, mail))), "rfc822Name", limits.EMAIL_ADDRESS),
    ):  # fmt: skip
        with pytest.raises(FormatError, match=f"^a {what} has more than {limit} bytes$") as caught:
            Certificate.parse(data)
        assert (caught.value.failure.code, caught.value.failure.evidence) == ("limit-exceeded", {"limit": limit})


def test_the_attributes_of_a_relative_name_are_in_the_order_of_der() -> None:
    one, two = sorted((attribute(0x0C, b"a"), attribute(0x0C, b"b", "2.5.4.10")))
    assert Certificate.parse(subject(der.encode(der.SET, one, two))).subject == "CN=a+O=b"
    refused(subject(der.encode(der.SET, two, one)))
    refused(subject(der.encode(der.SET, one, one)))


def test_what_is_no_certificate_is_said_without_the_words_of_a_library_in_rust():
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    for data in (key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), b"", b"\x30\x03\x02\x01\x05"):
        with pytest.raises(FormatError) as caught:
            Certificate.parse(data)
        assert "{" not in caught.value.failure.detail
