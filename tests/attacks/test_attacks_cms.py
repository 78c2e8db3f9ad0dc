"""Attack catalogue, section 2: CMS. Each test is named by the id of its row.

Every block is a good one with one thing changed, around a good bundle. Timestamps (CMS-13) have tests of
their own.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import cms, pki
from builders.bundles import KINDS, Bundle, accepted, codes, judge, make, refused
from builders.pki import ca, leaf, new_key, root, signer
from builders.policies import trusting
from modseal import limits
from modseal.format import cms as cms_format
from modseal.format import der
from modseal.format.manifest import Kind
from modseal.trust.examination import Verdict

kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
def test_CMS_01_a_signature_without_signed_attributes_is_refused(kind: Kind, tmp_path: Path) -> None:
    refused(make(kind).signed(signer(), signed_attributes=False), trusting(), "malformed-signature", tmp_path)


def test_CMS_01_signed_attributes_cannot_be_replayed_as_a_manifest(tmp_path: Path) -> None:
    """What the victim signed is the DER SET of attributes; presented as content, it is not a manifest either way."""
    victim = make("seal")
    attributes = cms_format.decode(cms_format.split_blocks(victim.signature)[0]).signers[0]
    content = attributes.signed_attributes
    replay = cms.Signer(signer(), signed_attributes=False, sign=lambda _: attributes.signature)
    forged = cms.pem(cms.Block([replay]).encode(content))
    for kind in KINDS:
        bundle = make(kind)
        changed = bundle.with_member(bundle.members[0].name, data=content).with_signature(forged)
        refused(changed, trusting(), "malformed-signature", tmp_path)


@kinds
@pytest.mark.parametrize(
    "values",
    [
        (),
        (der.encode_oid(cms.UNKNOWN),),
        (der.encode_oid(cms_format.ID_SIGNED_DATA),),
        (der.encode_oid(cms_format.ID_DATA), der.encode_oid(cms.UNKNOWN)),
        (cms.octets(b"x"),),
    ],
)
def test_CMS_02_the_content_type_is_there_once_and_is_data(
    kind: Kind, values: tuple[bytes, ...], tmp_path: Path
) -> None:
    bad = make(kind).signed(signer(), attributes=lambda good: cms.replaced(good, cms_format.CONTENT_TYPE, *values))
    refused(bad, trusting(), "malformed-signature", tmp_path)


@kinds
def test_CMS_02_a_repeated_attribute_is_refused(kind: Kind, tmp_path: Path) -> None:
    for index in (0, 1, 2):
        bad = make(kind).signed(signer(), attributes=lambda good, index=index: [*good, good[index]])
        refused(bad, trusting(), "malformed-signature", tmp_path)


@kinds
def test_CMS_02_the_content_is_data_in_the_block_too(kind: Kind, tmp_path: Path) -> None:
    refused(make(kind).signed(signer(), content_type=cms.UNKNOWN), trusting(), "malformed-signature", tmp_path)


@kinds
@pytest.mark.parametrize(
    ("values", "code"),
    [
        ((), "malformed-signature"),
        ((cms.octets(b""),), "content-digest-mismatch"),
        ((cms.octets(bytes(31)),), "content-digest-mismatch"),
        ((cms.octets(bytes(32)),), "content-digest-mismatch"),
        ((cms.octets(bytes(32)), cms.octets(bytes(31) + b"\1")), "malformed-signature"),
        ((der.encode(der.BIT_STRING, bytes(33)),), "malformed-signature"),
    ],
)
def test_CMS_03_the_digest_is_there_once_and_is_that_of_the_manifest(
    kind: Kind, values: tuple[bytes, ...], code: str, tmp_path: Path
) -> None:
    bad = make(kind).signed(signer(), attributes=lambda good: cms.replaced(good, cms_format.MESSAGE_DIGEST, *values))
    refused(bad, trusting(), code, tmp_path)


@kinds
@pytest.mark.parametrize(
    "value",
    [
        der.encode(der.UTC_TIME, b"250601120000"),
        der.encode(der.UTC_TIME, b"2506011200Z"),
        der.encode(der.UTC_TIME, b"250631250000Z"),
        der.encode(der.UTC_TIME, b"250601120000+0100"),
        der.encode(der.GENERALIZED_TIME, b"20250601120000.5Z"),
        cms.octets(b"250601120000Z"),
    ],
)
def test_CMS_04_a_malformed_signing_time_is_refused(kind: Kind, value: bytes, tmp_path: Path) -> None:
    bad = make(kind).signed(signer(), attributes=lambda good: cms.replaced(good, cms_format.SIGNING_TIME, value))
    refused(bad, trusting(), "malformed-signature", tmp_path)


@kinds
def test_CMS_04_a_signing_time_is_never_proof(kind: Kind, tmp_path: Path) -> None:
    """The certificate was valid when the signer says it signed; that mends nothing."""
    past = leaf("Past", end=pki.datetime(2025, 12, 1, tzinfo=pki.UTC))
    refused(make(kind, past), trusting(), "expired", tmp_path)


@kinds
def test_CMS_05_a_block_without_signers_is_refused(kind: Kind, tmp_path: Path) -> None:
    bundle = make(kind)
    refused(bundle.signed(signer(), signers=[], certificates=[signer().der]), trusting(), "no-signers", tmp_path)
    refused(bundle.with_block(cms.Block([], certificates=()).encode(b"")), trusting(), "no-signers", tmp_path)


@kinds
def test_CMS_06_a_bad_signer_beside_a_good_one_is_reported_and_refused(kind: Kind, tmp_path: Path) -> None:
    two = [
        cms.Signer(signer()),
        cms.Signer(signer("p256", 1), signature=lambda value: value[:-1] + bytes([value[-1] ^ 1])),
    ]
    bundle = make(kind)
    refused(bundle.with_block(cms.Block(two).encode(bundle.manifest_bytes)), trusting(), "bad-signature", tmp_path)
    good = [cms.Signer(signer()), cms.Signer(signer("p256", 1))]
    accepted(bundle.with_block(cms.Block(good).encode(bundle.manifest_bytes)), trusting(minimum_signers=2))


@kinds
def test_CMS_07_one_signer_named_in_two_ways_counts_once(kind: Kind, tmp_path: Path) -> None:
    key_id = signer().parsed.key_id or b""
    both = [cms.Signer(signer()), cms.Signer(signer(), sid=cms.by_key_id(key_id), version=3)]
    bundle = make(kind)
    twice = bundle.with_block(cms.Block(both, version=3).encode(bundle.manifest_bytes))
    accepted(twice, trusting())
    refused(twice, trusting(minimum_signers=2), "too-few-signers", tmp_path)


@kinds
@pytest.mark.parametrize("digest", ["sha1", "md5"])
def test_CMS_08_broken_digests_are_refused_by_name(kind: Kind, digest: str, tmp_path: Path) -> None:
    found = refused(make(kind).signed(signer("rsa"), digest=digest), trusting(), "algorithm-not-allowed", tmp_path)
    assert found.primary is not None
    assert {"sha1": "SHA-1", "md5": "MD5"}[digest] in found.primary.detail


def test_CMS_08_no_policy_can_allow_a_broken_digest() -> None:
    from modseal.pki.algorithms import ALGORITHMS

    assert not [name for name in ALGORITHMS if "sha1" in name or "md5" in name]


@kinds
@pytest.mark.parametrize(
    ("kind_of_key", "code", "verdict"),
    [
        ("rsa-1024", "weak-key", Verdict.REJECTED),
        ("p192", "unsupported-algorithm", Verdict.UNDECIDED),
        ("k256", "unsupported-algorithm", Verdict.UNDECIDED),
    ],
)
def test_CMS_09_weak_keys_are_refused(
    kind: Kind, kind_of_key: str, code: str, verdict: Verdict, tmp_path: Path
) -> None:
    weak = leaf("Weak", key=new_key(kind_of_key))
    refused(make(kind, weak), trusting(), code, tmp_path, verdict=verdict)


@kinds
def test_CMS_09_dsa_is_refused(kind: Kind, tmp_path: Path) -> None:
    weak = leaf("DSA", key=new_key("dsa"))
    bundle = make(kind).signed(
        weak,
        digest="sha256",
        sign=lambda data: bytes(weak.key.sign(data, hashes.SHA256())),
        signature_algorithm=cms.algorithm("2.16.840.1.101.3.4.3.2"),
    )
    refused(bundle, trusting(), "unsupported-algorithm", tmp_path, verdict=Verdict.UNDECIDED)


@kinds
def test_CMS_09_a_weak_issuer_is_refused(kind: Kind, tmp_path: Path) -> None:
    weak = ca("Weak CA", key=new_key("rsa-1024", 5))
    refused(make(kind, leaf("Below", issuer=weak)), trusting(weak), "weak-key", tmp_path)


def block_of(bundle: Bundle) -> bytes:
    return cms_format.split_blocks(bundle.signature)[0]


def _indefinite(block: bytes) -> bytes:
    return b"\x30\x80" + der.Reader(block).take(der.SEQUENCE).content + b"\0\0"


def _long_length(block: bytes) -> bytes:
    content = der.Reader(block).take(der.SEQUENCE).content
    return b"\x30\x84" + len(content).to_bytes(4) + content


@kinds
@pytest.mark.parametrize(
    "change",
    [
        lambda block: block + b"\0",
        lambda block: block + block,
        lambda block: block[:-1],
        _indefinite,
        _long_length,
    ],
)
def test_CMS_10_anything_but_one_der_value_is_refused(kind: Kind, change: object, tmp_path: Path) -> None:
    bundle = make(kind)
    refused(bundle.with_block(change(block_of(bundle))), trusting(), "malformed-signature", tmp_path)  # type: ignore[operator]


@kinds
@pytest.mark.parametrize(
    "change",
    [
        lambda pem: pem + b"\n",
        lambda pem: pem + b"trailing",
        lambda pem: b"\n" + pem,
        lambda pem: b"comment\n" + pem,
        lambda pem: pem.replace(b"\n", b"\r\n"),
        lambda pem: pem.replace(b"-----BEGIN PKCS7", b"-----BEGIN CMS"),
        lambda pem: pem.replace(b"PKCS7", b"CERTIFICATE"),
        lambda pem: pem.replace(b"PKCS7-----\n", b"PKCS7-----\nComment: hidden\n\n", 1),
        lambda pem: pem.replace(b"=\n", b"\n") if b"=\n" in pem else pem.replace(b"\n-----END", b"=\n-----END"),
        lambda pem: pem.replace(b"\n-----END", b"=\n-----END"),
        lambda pem: b"\0" + pem,
        lambda pem: pem[: len(pem) // 2],
    ],
)
def test_CMS_10_a_member_holds_pem_blocks_and_nothing_else(kind: Kind, change: object, tmp_path: Path) -> None:
    bundle = make(kind)
    refused(bundle.with_signature(change(bundle.signature)), trusting(), "malformed-signature", tmp_path)  # type: ignore[operator]


@kinds
def test_CMS_10_base64_with_loose_bits_is_refused(kind: Kind, tmp_path: Path) -> None:
    """The last character before padding has bits that no decoder uses: a second spelling of one block."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    bundle = next(each for each in (make(kind).signed(signer()) for _ in range(200)) if b"=\n" in each.signature)
    text = bundle.signature
    at = text.index(b"=") - 1
    loose = text[:at] + bytes([alphabet[alphabet.index(text[at]) ^ 1]]) + text[at + 1 :]
    refused(bundle.with_signature(loose), trusting(), "malformed-signature", tmp_path)


@kinds
def test_CMS_10_unsorted_certificates_are_the_one_laxity(kind: Kind, tmp_path: Path) -> None:
    middle = ca("Middle", issuer=root(), key=new_key("p256", 60))
    below = leaf("Below", issuer=middle)
    both = sorted([below.der, middle.der], reverse=True)
    accepted(make(kind).signed(below, certificates=both, sort_certificates=False), trusting())
    unsorted = make(kind).signed(below, raw_attributes=_reversed_set, certificates=both)
    refused(unsorted, trusting(), "malformed-signature", tmp_path)


def _reversed_set(inside: bytes) -> bytes:
    values = der.elements(der.Reader(inside))
    return b"".join(value.raw for value in reversed(values))


@kinds
def test_CMS_11_content_inside_is_refused(kind: Kind, tmp_path: Path) -> None:
    bundle = make(kind)
    for content in (bundle.manifest_bytes, b"", b"other"):
        refused(bundle.signed(signer(), content=content), trusting(), "malformed-signature", tmp_path)


@kinds
def test_CMS_12_embedded_certificates_are_only_candidates(kind: Kind, tmp_path: Path) -> None:
    stranger = ca("Stranger root", key=new_key("p256", 70))
    below = leaf("Below stranger", issuer=stranger).with_chain(stranger)
    refused(make(kind, below), trusting(), "no-path", tmp_path)
    namesake = ca("Test root 0", key=new_key("p256", 71))
    refused(make(kind, leaf("Below namesake", issuer=namesake).with_chain(namesake)), trusting(), "no-path", tmp_path)
    refused(
        make(kind, leaf("Below stranger", issuer=stranger).with_chain(stranger, root())),
        trusting(),
        "no-path",
        tmp_path,
    )


@kinds
def test_CMS_12_embedded_crls_are_refused(kind: Kind, tmp_path: Path) -> None:
    crls = der.encode(der.context(1), pki.crl(root()).public_bytes(pki.Encoding.DER))
    refused(make(kind).signed(signer(), crls=crls), trusting(), "malformed-signature", tmp_path)


@kinds
def test_CMS_13_unknown_unsigned_attributes_decide_nothing(kind: Kind) -> None:
    for value in (b"\x05\x00", cms.octets(b"anything")):
        accepted(make(kind).signed(signer(), unsigned=[(cms.UNKNOWN, [value])]), trusting())
    stranger = leaf("Stranger", issuer=ca("Stranger root", key=new_key("p256", 70)))
    rescued = make(kind).signed(stranger, unsigned=[(cms_format.COUNTERSIGNATURE, [cms.sequence()])])
    assert codes(judge(rescued, trusting())) == ["no-path"]


def pss_parameters(digest: str = "sha256", mask: str = "sha256", salt: int = 32, trailer: bytes = b"") -> bytes:
    def hashed(name: str) -> bytes:
        return cms.algorithm(cms.DIGESTS[name], cms.NULL)

    generator = cms.sequence(der.encode_oid("1.2.840.113549.1.1.8"), hashed(mask))
    return cms.sequence(
        der.encode(der.context(0), hashed(digest)),
        der.encode(der.context(1), generator),
        der.encode(der.context(2), der.encode_integer(salt)),
        trailer,
    )


def sign_pss(data: bytes, salt: int = 32) -> bytes:
    return bytes(signer("rsa").key.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), salt), hashes.SHA256()))


@kinds
@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        (None, "algorithm-mismatch"),
        (cms.sequence(), "algorithm-mismatch"),
        (cms.NULL, "algorithm-mismatch"),
        (pss_parameters(digest="sha512"), "algorithm-mismatch"),
        (pss_parameters(mask="sha512"), "algorithm-mismatch"),
        (pss_parameters(mask="sha1"), "algorithm-not-allowed"),
        (pss_parameters(digest="sha1", mask="sha1", salt=20), "algorithm-not-allowed"),
        (pss_parameters(salt=20), "algorithm-mismatch"),
        (pss_parameters(salt=0), "algorithm-mismatch"),
        (pss_parameters(salt=64), "bad-signature"),
        (pss_parameters(salt=10**9), "bad-signature"),
        (pss_parameters(trailer=der.encode(der.context(3), der.encode_integer(2))), "algorithm-mismatch"),
    ],
)
def test_CMS_14_pss_parameters_are_explicit_and_agree(
    kind: Kind, parameters: bytes | None, code: str, tmp_path: Path
) -> None:
    bundle = make(kind).signed(signer("rsa"), sign=sign_pss, signature_algorithm=cms.algorithm(cms.RSA_PSS, parameters))
    refused(bundle, trusting(), code, tmp_path)


@kinds
def test_CMS_14_good_pss_parameters_are_accepted(kind: Kind) -> None:
    """The trailer too where it is its default: RFC 4055 section 3.1 has verifiers recognise both forms."""
    trailer = der.encode(der.context(3), der.encode_integer(1))
    for parameters in (pss_parameters(), pss_parameters(trailer=trailer)):
        good = cms.algorithm(cms.RSA_PSS, parameters)
        accepted(make(kind).signed(signer("rsa"), sign=sign_pss, signature_algorithm=good), trusting())


@kinds
def test_CMS_15_bombs_end_at_their_limits(kind: Kind, tmp_path: Path) -> None:
    bundle = make(kind)
    deep = b""
    for _ in range(5000):
        deep = cms.sequence(deep)
    many = [leaf(f"L{number}").der for number in range(limits.CERTIFICATES_PER_BLOCK + 1)]
    start = time.process_time()
    refused(bundle.with_block(deep), trusting(), "malformed-signature", tmp_path)
    refused(bundle.with_block(cms.wrap(deep)), trusting(), "malformed-signature", tmp_path)
    refused(
        bundle.with_signature(bundle.signature * (limits.SIGNATURE_BLOCKS + 1)), trusting(), "limit-exceeded", tmp_path
    )
    refused(bundle.with_signature(b"A" * (limits.SIGNATURE_MEMBER_SIZE + 1)), trusting(), "limit-exceeded", tmp_path)
    refused(bundle.signed(signer(), certificates=[signer().der, *many]), trusting(), "limit-exceeded", tmp_path)
    signers = [cms.Signer(leaf(f"S{number}")) for number in range(limits.SIGNERS_PER_BLOCK + 1)]
    refused(bundle.with_block(cms.Block(signers).encode(bundle.manifest_bytes)), trusting(), "limit-exceeded", tmp_path)
    assert time.process_time() - start < 2


@functools.cache
def _fuzzed() -> Bundle:
    return make("seal", files={"opt/a": b"x"})


@given(st.lists(st.tuples(st.integers(0, 800), st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=5))
@settings(max_examples=300)
def test_CMS_15_a_fuzzed_block_gets_a_verdict(edits: list[tuple[int, int, bytes]]) -> None:
    block = block_of(_fuzzed())
    for position, length, new in edits:
        block = block[:position] + new + block[position + length :]
    found = judge(_fuzzed().with_block(block), trusting())
    assert (found.verdict is Verdict.ACCEPTED) == (found.primary is None)


@kinds
def test_CMS_16_a_namesake_with_another_key_is_not_the_signer(kind: Kind, tmp_path: Path) -> None:
    """Same issuer, serial number and key identifier: every candidate is tried, and only the key decides."""
    serial = signer().certificate.serial_number
    twin = leaf("Twin", serial=serial, key=new_key("p256", 80), key_id=signer().parsed.key_id)
    both = [twin.der, signer().der]
    found = accepted(make(kind).signed(signer(), certificates=both), trusting())
    assert found.signers[0].certificate == signer().parsed
    refused(make(kind).signed(signer(), certificates=[twin.der]), trusting(), "bad-signature", tmp_path)
    key_id = signer().parsed.key_id or b""
    by_id = {"sid": cms.by_key_id(key_id), "signer_version": 3, "version": 3}
    accepted(make(kind).signed(signer(), certificates=both, **by_id), trusting())
    refused(make(kind).signed(signer(), certificates=[twin.der], **by_id), trusting(), "bad-signature", tmp_path)


@kinds
def test_CMS_16_a_missing_signer_certificate_has_its_own_code(kind: Kind, tmp_path: Path) -> None:
    for certificates in ((), (root().der,)):
        refused(
            make(kind).signed(signer(), certificates=certificates), trusting(), "signer-certificate-missing", tmp_path
        )
    accepted(make(kind).signed(signer(), certificates=()), trusting(intermediates=(signer().parsed,)))


def bound_to(*hashed: bytes) -> bytes:
    """signingCertificateV2 for these certificates."""
    return cms.sequence(cms.sequence(*(cms.sequence(cms.octets(pki.hashlib.sha256(one).digest())) for one in hashed)))


@kinds
def test_CMS_16_a_bound_certificate_cannot_be_exchanged(kind: Kind, tmp_path: Path) -> None:
    twin = leaf("Twin of one key", key=signer().key, serial=signer().certificate.serial_number)

    def bind(value: bytes) -> dict[str, object]:
        return {"attributes": lambda good: [*good, (cms_format.SIGNING_CERTIFICATE_V2, [value])]}

    bundle = make(kind)
    accepted(bundle.signed(signer(), **bind(bound_to(signer().der))), trusting())
    refused(
        bundle.signed(signer(), certificates=[twin.der], **bind(bound_to(signer().der))),
        trusting(),
        "bad-signature",
        tmp_path,
    )
    extra = {"certificates": [signer().der, root().der]}
    refused(
        bundle.signed(signer(), **extra, **bind(bound_to(signer().der, root(1).der))),
        trusting(),
        "bad-signature",
        tmp_path,
    )


@kinds
@pytest.mark.parametrize(
    "change",
    [
        {"version": 3},
        {"version": 2},
        {"version": 0},
        {"signer_version": 3},
        {"signer_version": 0},
        {"certificates": [b"\x30\x03\x02\x01\x00"]},
        {"certificates": [cms.sequence()]},
    ],
)
def test_CMS_versions_and_certificates_are_well_formed(kind: Kind, change: dict[str, object], tmp_path: Path) -> None:
    code = "malformed-certificate" if "certificates" in change else "malformed-signature"
    refused(make(kind).signed(signer(), **change), trusting(), code, tmp_path)


@kinds
def test_CMS_the_algorithms_are_those_that_the_signer_protected(kind: Kind, tmp_path: Path) -> None:
    """cmsAlgorithmProtection (RFC 6211) that names other algorithms."""

    def protect(signature: bytes) -> dict[str, object]:
        inside = der.Reader(signature).take(der.SEQUENCE).content
        value = cms.sequence(cms.algorithm(cms.DIGESTS["sha256"]), der.encode(der.context(1), inside))
        return {"attributes": lambda good: [*good, (cms_format.ALGORITHM_PROTECTION, [value])]}

    accepted(make(kind).signed(signer(), **protect(cms.algorithm(cms.ECDSA_SHA256))), trusting())
    refused(
        make(kind).signed(signer(), **protect(cms.algorithm(cms.ED25519))), trusting(), "algorithm-mismatch", tmp_path
    )
