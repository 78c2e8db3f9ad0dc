"""SignedData as values: what each field is read as, and the bounds. Attacks are in tests/attacks."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import cms as make
from builders.pki import root, signer
from modseal import limits
from modseal.errors import FormatError
from modseal.format import cms, der

CONTENT = b"the manifest"
SHA384 = make.DIGESTS["sha384"]


def code(call: object, *arguments: object) -> str:
    with pytest.raises(FormatError) as raised:
        call(*arguments)  # type: ignore[operator]
    return raised.value.failure.code


def block(**changes: object) -> bytes:
    return make.block(CONTENT, signer(), **changes)


def certificate_hashes(*identifiers: bytes) -> make.Attribute:
    return cms.SIGNING_CERTIFICATE_V2, [make.sequence(make.sequence(*identifiers))]


def named(value: bytes, digest: bytes = make.algorithm(cms.SHA256), *more: object) -> cms.CertificateId:
    return cms.CertificateId(cms.read_algorithm(der.Reader(digest)), value, *more)


def test_every_field_of_a_signer_is_read() -> None:
    attributes = certificate_hashes(
        make.sequence(make.octets(b"one")), make.sequence(make.algorithm(SHA384), make.octets(b"2"))
    )
    data = block(
        attributes=lambda good: [*good, attributes],
        unsigned=[(cms.TIMESTAMP_TOKEN, [make.sequence(b"\x02\x01\x01"), make.sequence(b"\x02\x01\x02")])],
        signature=lambda _: b"the signature",
    )
    (one,) = cms.decode(data).signers
    certificate = signer().certificate
    assert (one.issuer, one.serial) == (certificate.issuer.public_bytes(), certificate.serial_number)
    assert one.key_id is None
    assert one.digest == cms.Algorithm(cms.SHA256, None, make.algorithm(cms.SHA256))
    assert one.signature_algorithm == cms.Algorithm(make.ECDSA_SHA256, None, make.algorithm(make.ECDSA_SHA256))
    assert one.signature == b"the signature"
    assert one.message_digest == make.hashlib.sha256(CONTENT).digest()
    assert one.signing_time == "2025-06-01T12:00:00Z"
    assert one.named_certificates == ((named(b"one"), named(b"2", make.algorithm(SHA384))),)
    assert one.timestamps == (b"\x30\x03\x02\x01\x01", b"\x30\x03\x02\x01\x02")
    assert one.signed_attributes[0] == der.SET


def test_a_signer_may_be_named_by_key_identifier() -> None:
    data = block(sid=make.by_key_id(b"key"), signer_version=3, version=3)
    (one,) = cms.decode(data).signers
    assert (one.issuer, one.serial, one.key_id) == (None, None, b"key")


def test_what_is_not_there_is_none() -> None:
    (one,) = cms.decode(block(attributes=lambda good: make.replaced(good, cms.SIGNING_TIME))).signers
    assert (one.signing_time, one.named_certificates, one.timestamps) == (None, (), ())
    assert cms.decode(block(certificates=())).certificates == ()


def test_attributes_that_nobody_knows_are_no_timestamps() -> None:
    data = block(unsigned=[(make.UNKNOWN, [make.octets(b"x")]), (cms.TIMESTAMP_TOKEN, [make.octets(b"y")])])
    assert cms.decode(data).signers[0].timestamps == (make.octets(b"y"),)
    assert cms.decode(block(unsigned=[(make.UNKNOWN, [make.octets(b"x")])])).signers[0].timestamps == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 3},
        {"signer_version": 3},
        {"sid": make.by_key_id(b"key"), "version": 3},
        {"sid": make.by_key_id(b"key"), "signer_version": 3},
        {"version": 2},
        {"version": 4},
        {"signer_version": 2},
        {"signer_version": 0},
        {"version": 0},
    ],
)
def test_versions_fit_the_signer_identifier(changes: dict[str, object]) -> None:
    assert code(cms.decode, block(**changes)) == "malformed-signature"


def test_signers_by_both_identifiers_make_version_3() -> None:
    both = [make.Signer(signer()), make.Signer(signer("p256", 1), sid=make.by_key_id(b"key"), version=3)]
    assert len(cms.decode(make.Block(both, version=3).encode(CONTENT)).signers) == 2
    assert code(cms.decode, make.Block(both, version=1).encode(CONTENT)) == "malformed-signature"


def test_the_number_of_signers_has_a_limit() -> None:
    signers = [make.Signer(signer("p256", number)) for number in range(limits.SIGNERS_PER_BLOCK + 1)]
    assert len(cms.decode(make.Block(signers[1:]).encode(CONTENT)).signers) == limits.SIGNERS_PER_BLOCK
    assert code(cms.decode, make.Block(signers).encode(CONTENT)) == "limit-exceeded"


def test_the_number_of_certificates_has_a_limit() -> None:
    certificates = [make.sequence(der.encode_integer(number)) for number in range(limits.CERTIFICATES_PER_BLOCK + 1)]
    assert cms.decode(block(certificates=certificates[1:])).certificates == tuple(certificates[1:])
    assert code(cms.decode, block(certificates=certificates)) == "limit-exceeded"


def test_certificates_are_in_any_order_and_each_once() -> None:
    one, two = make.sequence(b"\x02\x01\x01"), make.sequence(b"\x02\x01\x02")
    assert cms.decode(block(certificates=(two, one), sort_certificates=False)).certificates == (two, one)
    twice = der.encode(der.context(0), one, one)
    assert code(cms.read_certificates, der.Reader(twice)) == "malformed-signature"
    other = der.encode(der.context(0), one, der.encode(der.context(1), b""))
    assert code(cms.read_certificates, der.Reader(other)) == "malformed-signature"
    assert cms.read_certificates(der.Reader(make.octets(b""))) == ()


def test_digest_algorithms_are_those_of_the_signers() -> None:
    both = sorted([make.algorithm(cms.SHA256), make.algorithm(SHA384)])
    for digests in ((), both, [make.algorithm(SHA384)]):
        assert code(cms.decode, block(digest_algorithms=digests)) == "algorithm-mismatch"


@pytest.mark.parametrize("place", ["block", "content info", "explicit", "signed data", "signer"])
def test_nothing_follows_what_is_known(place: str) -> None:
    good = block()
    info = der.Reader(good).enter()
    oid, explicit = info.next(), info.next()
    data = der.Reader(explicit.content).next()
    extra = b"\x05\x00"
    if place == "block":
        bad = good + extra
    elif place == "content info":
        bad = make.sequence(oid.raw, explicit.raw, extra)
    elif place == "explicit":
        bad = make.sequence(oid.raw, der.encode(der.context(0), data.raw, extra))
    elif place == "signed data":
        bad = make.wrap(make.sequence(data.content, extra))
    else:
        signed = make.Signer(signer()).encode(CONTENT)
        longer = make.sequence(der.Reader(signed).next().content, extra)
        fields = der.Reader(data.content)
        kept = [fields.next().raw for _ in range(4)]
        assert cms.decode(make.wrap(make.sequence(*kept, der.encode(der.SET, signed)))).signers
        bad = make.wrap(make.sequence(*kept, der.encode(der.SET, longer)))
    assert code(cms.decode, bad) == "malformed-signature"


def test_an_algorithm_has_an_identifier_and_at_most_one_parameter() -> None:
    def read(data: bytes) -> cms.Algorithm:
        return cms.read_algorithm(der.Reader(data))

    assert read(make.algorithm("1.2.3")) == cms.Algorithm("1.2.3", None, make.algorithm("1.2.3"))
    with_null = make.algorithm("1.2.3", make.NULL)
    assert read(with_null) == cms.Algorithm("1.2.3", make.NULL, with_null)
    assert code(read, make.sequence(der.encode_oid("1.2.3"), make.NULL, make.NULL)) == "malformed-signature"
    assert code(read, make.sequence()) == "malformed-signature"


@pytest.mark.parametrize(
    "identifiers",
    [
        (),
        (make.sequence(),),
        (make.sequence(der.encode_integer(1)),),
        (make.sequence(make.algorithm(SHA384)),),
        (make.octets(b"x"),),
    ],
)
def test_a_certificate_identifier_has_a_hash(identifiers: tuple[bytes, ...]) -> None:
    bad = block(attributes=lambda good: [*good, certificate_hashes(*identifiers)])
    assert code(cms.decode, bad) == "malformed-signature"


ISSUER = root().certificate.subject.public_bytes()
DIRECTORY = der.encode(der.context(4), ISSUER)
SEVEN = der.encode_integer(7)
HASH = make.octets(b"hash")
SHA1 = make.algorithm(make.DIGESTS["sha1"])


def naming(*identifiers: bytes, oid: str = cms.SIGNING_CERTIFICATE_V2, more: bytes = b"") -> bytes:
    """A block whose signer names these certificates, and `more` after them."""
    attribute = oid, [make.sequence(make.sequence(*identifiers), more)]
    return block(attributes=lambda good: [*good, attribute])


def test_a_signer_names_certificates_by_hash_and_perhaps_by_issuer_and_serial_number() -> None:
    serial = make.sequence(make.sequence(DIRECTORY), SEVEN)
    with_null = make.algorithm(cms.SHA256, make.NULL)
    data = naming(make.sequence(HASH, serial), make.sequence(with_null, HASH), make.sequence(HASH))
    (one,) = cms.decode(data).signers
    assert one.named_certificates == (
        (named(b"hash", make.algorithm(cms.SHA256), ISSUER, 7), named(b"hash", with_null), named(b"hash")),
    )


def test_the_older_attribute_has_no_digest_of_its_own() -> None:
    serial = make.sequence(make.sequence(DIRECTORY), SEVEN)
    older = cms.SIGNING_CERTIFICATE
    (one,) = cms.decode(naming(make.sequence(HASH), make.sequence(HASH, serial), oid=older)).signers
    assert one.named_certificates == ((cms.CertificateId(None, b"hash"), cms.CertificateId(None, b"hash", ISSUER, 7)),)
    assert code(cms.decode, naming(make.sequence(SHA1, HASH), oid=older)) == "malformed-signature"


@pytest.mark.parametrize("oid", [cms.SIGNING_CERTIFICATE, cms.SIGNING_CERTIFICATE_V2])
@pytest.mark.parametrize(
    "identifier",
    [
        make.sequence(HASH, make.NULL),
        make.sequence(HASH, make.sequence()),
        make.sequence(HASH, make.sequence(make.sequence(), SEVEN)),
        make.sequence(HASH, make.sequence(make.sequence(DIRECTORY))),
        make.sequence(HASH, make.sequence(make.sequence(DIRECTORY, DIRECTORY), SEVEN)),
        make.sequence(HASH, make.sequence(make.sequence(der.encode(0x82, b"a.example")), SEVEN)),
        make.sequence(HASH, make.sequence(make.sequence(der.encode(der.context(4), ISSUER, make.NULL)), SEVEN)),
        make.sequence(HASH, make.sequence(make.sequence(DIRECTORY), SEVEN, make.NULL)),
        make.sequence(HASH, make.sequence(make.sequence(DIRECTORY), SEVEN), make.NULL),
        make.sequence(HASH, make.sequence(ISSUER, SEVEN)),
    ],
    ids=range(10),
)
def test_junk_beside_the_hash_of_a_certificate_is_refused(oid: str, identifier: bytes) -> None:
    assert code(cms.decode, naming(identifier, oid=oid)) == "malformed-signature"


def test_a_default_digest_is_left_out_and_what_it_has_is_read() -> None:
    assert code(cms.decode, naming(make.sequence(make.algorithm(cms.SHA256), HASH))) == "malformed-signature"
    twice = make.sequence(der.encode_oid(SHA384), make.NULL, make.NULL)
    assert code(cms.decode, naming(make.sequence(twice, HASH))) == "malformed-signature"


@pytest.mark.parametrize("oid", [cms.SIGNING_CERTIFICATE, cms.SIGNING_CERTIFICATE_V2])
def test_policies_beside_the_certificates_are_not_judged(oid: str) -> None:
    policies = make.sequence(make.sequence(der.encode_oid("1.2.3")))
    assert code(cms.decode, naming(make.sequence(HASH), oid=oid, more=policies)) == "malformed-signature"


def test_the_number_of_named_certificates_has_a_limit() -> None:
    most = [make.sequence(HASH)] * limits.CERTIFICATES_PER_BLOCK
    assert cms.decode(naming(*most)).signers
    assert code(cms.decode, naming(*most, make.sequence(HASH))) == "limit-exceeded"


def protection(*parts: bytes) -> object:
    value = cms.ALGORITHM_PROTECTION, [make.sequence(*parts)]
    return lambda good: [*good, value]


def test_protected_algorithms_are_the_ones_in_use() -> None:
    digest, signature = make.algorithm(cms.SHA256), make.algorithm(make.ECDSA_SHA256)
    tagged = der.encode(der.context(1), der.Reader(signature).next().content)
    assert cms.decode(block(attributes=protection(digest, tagged))).signers
    other = der.encode(der.context(1), der.Reader(make.algorithm("1.2.3")).next().content)
    assert code(cms.decode, block(attributes=protection(make.algorithm(SHA384), tagged))) == "algorithm-mismatch"
    assert code(cms.decode, block(attributes=protection(digest, other))) == "algorithm-mismatch"
    assert code(cms.decode, block(attributes=protection(digest, tagged, make.NULL))) == "malformed-signature"
    mac = der.encode(der.context(2), der.Reader(signature).next().content)
    assert code(cms.decode, block(attributes=protection(digest, mac))) == "malformed-signature"


def test_an_attribute_is_a_type_and_a_set() -> None:
    def read(*attributes: bytes) -> object:
        outer = der.Reader(der.encode(der.SET, *attributes))
        return cms.read_signed_attributes(outer, outer.next())

    one = make.encode_attribute(("1.2.3", [make.octets(b"x")]))
    assert code(read, der.encode(der.SET, der.Reader(one).next().content)) == "malformed-signature"
    assert code(read, make.sequence(der.encode_oid("1.2.3"), der.encode(der.SET), make.NULL)) == "malformed-signature"
    two = make.encode_attribute(("1.2.3", [make.octets(b"y")]))
    assert code(read, one, two) == "malformed-signature"
    assert code(read, make.encode_attribute(("1.2.3", []))) == "malformed-signature"
    assert code(read) == "malformed-signature"


@pytest.mark.parametrize("oid", [make.UNKNOWN, cms.SIGNING_TIME, cms.TIMESTAMP_TOKEN])
def test_an_attribute_has_a_value_wherever_it_is(oid: str) -> None:
    assert code(cms.decode, block(unsigned=[(oid, [])])) == "malformed-signature"
    none = (oid, [])
    assert code(cms.decode, block(attributes=lambda good: [*make.replaced(good, oid), none])) == "malformed-signature"


def test_the_values_of_an_attribute_that_nobody_knows_are_values_in_order_and_no_more() -> None:
    one, two = make.octets(b"\xff\xff"), make.sequence(b"\xff\xff\xff")
    for values in ([one], [one, two]):
        assert cms.decode(block(unsigned=[(make.UNKNOWN, values)])).signers
        assert cms.decode(block(attributes=lambda good, values=values: [*good, (make.UNKNOWN, values)])).signers
    for inside in (two + one, one + one, one + b"\0", b"\x04\x81\x02\xff\xff", b"\x04\x80\0\0"):
        raw = make.sequence(der.encode_oid(make.UNKNOWN), der.encode(der.SET, inside))
        assert code(cms.decode, block(unsigned_raw=der.encode(der.context(1), raw))) == "malformed-signature"
        signed = block(raw_attributes=lambda good, raw=raw: b"".join(sorted([*values_of(good), raw])))
        assert code(cms.decode, signed) == "malformed-signature"


def values_of(content: bytes) -> list[bytes]:
    return [value.raw for value in der.elements(der.Reader(content), sorted_set=False)]


def test_the_only_value_of_an_attribute_is_read() -> None:
    def attributes(*values: bytes) -> cms.Attributes:
        return {"1.2.3": tuple(der.Reader(value).next() for value in values)}

    found = cms.read_single(attributes(make.octets(b"x")), "1.2.3")
    assert found is not None
    assert found.octets() == b"x"
    assert cms.read_single(attributes(make.octets(b"x")), "1.2.4") is None
    for values in ((), (make.octets(b"x"), make.octets(b"y"))):
        assert code(cms.read_single, attributes(*values), "1.2.3") == "malformed-signature"


def test_issuer_and_serial_are_all_that_names_a_certificate() -> None:
    name = root().certificate.subject.public_bytes()
    assert cms.read_issuer_and_serial(der.Reader(name + der.encode_integer(7))) == (name, 7)
    bad = der.Reader(name + der.encode_integer(7) + make.NULL)
    assert code(cms.read_issuer_and_serial, bad) == "malformed-signature"


# PEM.


def test_blocks_come_back_in_order() -> None:
    blocks = (b"one", b"\0" * 48, b"\xff" * 49, bytes(1000))
    member = cms.join_blocks(blocks)
    assert cms.split_blocks(member) == blocks
    assert max(map(len, member.splitlines())) == 64
    assert member.splitlines()[0] == b"-----BEGIN PKCS7-----"
    assert member.endswith(b"-----END PKCS7-----\n")
    assert cms.split_blocks(b"") == ()
    assert cms.join_blocks(()) == b""


def test_a_member_that_we_would_write_is_recognised_and_any_other_is_read() -> None:
    member = cms.join_blocks((b"one" * 100,))
    assert cms.recognise_block(member) == b"one" * 100
    for other in (member[:-1], member + member, member.replace(b"PKCS7", b"CMS"), member.replace(b"b25l", b"!!!!", 1)):
        assert cms.recognise_block(other) is None


def test_the_last_line_feed_may_be_left_out_in_a_vib() -> None:
    member = cms.join_blocks((b"one", b"two"))
    assert cms.split_blocks(member[:-1], "vib") == (b"one", b"two")
    assert code(cms.split_blocks, member[:-1]) == "malformed-signature"
    assert code(cms.split_blocks, member[:-2], "vib") == "malformed-signature"


@settings(max_examples=200)
@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=3), st.data())
def test_the_member_of_a_seal_has_one_form(blocks: list[bytes], data: st.DataObject) -> None:
    """Lines of any width, either label, the last line feed or not: a `.vib` may have them, a `.seal` has the one."""
    member = b""
    for block in blocks:
        width = data.draw(st.sampled_from((1, 48, 63, 64, 65, 76)))
        label = data.draw(st.sampled_from((b"PKCS7", b"CMS")))
        text = base64.b64encode(block)
        lines = b"".join(text[at : at + width] + b"\n" for at in range(0, len(text), width))
        member += b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label, lines, label)
    member = member[: len(member) - data.draw(st.integers(0, 1))]
    assert cms.split_blocks(member, "vib") == tuple(blocks)
    if member == cms.join_blocks(tuple(blocks)):
        assert cms.split_blocks(member) == tuple(blocks)
    else:
        assert code(cms.split_blocks, member) == "malformed-signature"


def test_the_number_of_blocks_has_a_limit() -> None:
    most = (b"block",) * limits.SIGNATURE_BLOCKS
    assert cms.split_blocks(cms.join_blocks(most)) == most
    assert code(cms.split_blocks, cms.join_blocks((*most, b"block"))) == "limit-exceeded"


def test_the_size_of_the_member_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    member = cms.join_blocks((b"block",))
    monkeypatch.setattr(limits, "SIGNATURE_MEMBER_SIZE", len(member))
    assert cms.split_blocks(member) == (b"block",)
    monkeypatch.setattr(limits, "SIGNATURE_MEMBER_SIZE", len(member) - 1)
    assert code(cms.split_blocks, member) == "limit-exceeded"


@pytest.mark.parametrize("text", ["QQ=", "QR==", "QUI", "QUJ=", "====", "=QQ=", "QQ==QQ==", "QUFB="])
def test_base64_has_one_form(text: str) -> None:
    member = f"-----BEGIN PKCS7-----\n{text}\n-----END PKCS7-----\n".encode()
    assert code(cms.split_blocks, member) == "malformed-signature"


def test_lines_of_a_vib_may_have_up_to_76_characters_and_the_other_label() -> None:
    for width, accepted in ((76, True), (77, False)):
        text = base64.b64encode(bytes(200)).decode()
        lines = "\n".join(text[at : at + width] for at in range(0, len(text), width))
        member = f"-----BEGIN CMS-----\n{lines}\n-----END CMS-----\n".encode()
        if accepted:
            assert cms.split_blocks(member, "vib") == (bytes(200),)
        else:
            assert code(cms.split_blocks, member, "vib") == "malformed-signature"
    mixed = b"-----BEGIN CMS-----\nQQ==\n-----END PKCS7-----\n"
    assert code(cms.split_blocks, mixed, "vib") == "malformed-signature"


def test_the_kind_of_content_is_data() -> None:
    assert code(cms.decode, block(content_type=cms.ID_SIGNED_DATA)) == "malformed-signature"
    assert code(cms.decode, make.wrap(b"", "1.2.3")) == "malformed-signature"
    assert code(cms.decode, block(content=CONTENT)) == "malformed-signature"
    with pytest.raises(FormatError, match="carries CRLs") as raised:
        cms.decode(block(crls=der.encode(der.context(1), b"")))
    assert raised.value.failure.code == "malformed-signature"
