"""Step 1: who really signed these bytes. The catalogue of attacks has its own tests (attacks/test_attacks_cms.py)."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from builders import cms
from builders.pki import Identity, ca, leaf, new_key, root, signer
from modseal.format import cms as cms_format
from modseal.pki.algorithms import ALGORITHMS
from modseal.signing import block as signing_block
from modseal.signing import fitness
from modseal.trust.signature import is_named_by, verify_member

CONTENT = b"the manifest"
KEYS = {
    "rsa": "rsa-pkcs1-sha256",
    "p256": "ecdsa-p256-sha256",
    "p384": "ecdsa-p384-sha256",
    "p521": "ecdsa-p521-sha256",
    "ed25519": "ed25519",
}


def member(*identities: Identity, content: bytes = CONTENT, **changes: object) -> bytes:
    return b"".join(cms.pem(cms.block(content, one, **changes)) for one in identities)


@pytest.mark.parametrize("kind", KEYS)
def test_a_good_block_proves_its_signer(kind: str) -> None:
    found = verify_member(member(signer(kind)), CONTENT)
    (proved,) = found.signers
    assert found.failures == ()
    assert (proved.certificate, proved.block, proved.algorithm) == (signer(kind).parsed, 1, KEYS[kind])
    assert proved.claimed_time == "2025-06-01T12:00:00Z"
    assert proved.evidence == {"signer": signer(kind).fingerprint, "subject": signer(kind).parsed.subject, "block": 1}


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_algorithm_of_the_table_verifies_what_the_signer_makes(name: str) -> None:
    kind = "rsa" if name.startswith("rsa") else name.split("-")[1] if name.startswith("ecdsa") else name
    if kind in ("ml-dsa-44", "ml-dsa-87"):
        pytest.skip("one ML-DSA size stands for all here; tests/signing has them")
    identity = signer(kind)
    row = fitness.choose_algorithm(identity.certificate, name)
    data = cms.pem(signing_block.build(CONTENT, identity.signer(), row, None))
    (proved,) = verify_member(data, CONTENT).signers
    assert (proved.algorithm, proved.claimed_time) == (name, None)
    assert verify_member(data, CONTENT + b"x").signers == ()


def test_an_empty_member_proves_nothing_and_is_no_failure() -> None:
    assert verify_member(b"", CONTENT) == verify_member(b"", b"")
    assert verify_member(b"", CONTENT).signers == verify_member(b"", CONTENT).failures == ()


def test_blocks_are_numbered_and_judged_one_by_one() -> None:
    data = member(signer()) + member(signer("p256", 1), content=b"another") + member(signer("rsa"))
    found = verify_member(data, CONTENT)
    assert [one.block for one in found.signers] == [1, 3]
    assert [(failure.code, failure.evidence["block"]) for failure in found.failures] == [("content-digest-mismatch", 2)]
    assert found.failures[0].detail.startswith("block 2: ")


def test_a_digest_mismatch_shows_both_digests() -> None:
    (failure,) = verify_member(member(signer()), b"another").failures
    assert failure.evidence["signed_digest"] == cms.hashlib.sha256(CONTENT).hexdigest()
    assert failure.evidence["manifest_digest"] == cms.hashlib.sha256(b"another").hexdigest()


def test_a_member_that_cannot_be_split_is_one_failure() -> None:
    found = verify_member(member(signer()) + b"x", CONTENT)
    assert (found.signers, [failure.code for failure in found.failures]) == ((), ["malformed-signature"])


def test_the_certificates_of_the_policy_may_name_the_signer() -> None:
    bare = member(signer(), certificates=())
    assert [failure.code for failure in verify_member(bare, CONTENT).failures] == ["signer-certificate-missing"]
    assert verify_member(bare, CONTENT, [root().parsed, signer().parsed]).signers[0].certificate == signer().parsed


def test_embedded_certificates_come_along_as_candidates() -> None:
    middle = ca("Middle", issuer=root(), key=new_key("p256", 60))
    below = leaf("Below", issuer=middle).with_chain(middle)
    (proved,) = verify_member(member(below), CONTENT).signers
    assert set(proved.embedded) == {below.parsed, middle.parsed}


def test_one_unreadable_certificate_spoils_its_block_alone() -> None:
    data = member(signer(), certificates=[signer().der, cms.sequence(b"\x02\x01\x01")]) + member(signer("rsa"))
    found = verify_member(data, CONTENT)
    assert [one.block for one in found.signers] == [2]
    assert [failure.code for failure in found.failures] == ["malformed-certificate"]


def test_content_is_compared_byte_by_byte() -> None:
    for other in (CONTENT + b"\n", CONTENT[:-1], CONTENT.upper(), b""):
        assert verify_member(member(signer()), other).signers == ()


def decode_all(data: bytes) -> tuple[cms_format.SignedData, ...]:
    """Every block, unproved."""
    return tuple(map(cms_format.decode, cms_format.split_blocks(data)))


def test_decode_all_shows_blocks_without_proof() -> None:
    blocks = decode_all(member(signer(), content=b"anything") + member(signer("rsa")))
    assert [len(block.signers) for block in blocks] == [1, 1]


def codes(data: bytes, extra: tuple[Identity, ...] = ()) -> list[str]:
    return [failure.code for failure in verify_member(data, CONTENT, [one.parsed for one in extra]).failures]


def test_a_signer_named_by_key_identifier_is_the_one_with_that_key_identifier() -> None:
    one = leaf("Named by key", key_id=b"the key")
    by_key = {"signer_version": 3, "version": 3}
    data = member(one, sid=cms.by_key_id(b"the key"), **by_key)
    assert verify_member(data, CONTENT).signers[0].certificate == one.parsed
    assert codes(member(one, sid=cms.by_key_id(b"another"), **by_key)) == ["signer-certificate-missing"]
    other = leaf("Other", key_id=b"another", key=one.key)
    both = member(one, sid=cms.by_key_id(b"another"), certificates=(one.der, other.der), **by_key)
    assert verify_member(both, CONTENT).signers[0].certificate == other.parsed


def test_a_signer_named_by_serial_is_the_one_of_that_issuer() -> None:
    mine = leaf("Mine", serial=77)
    foreign = leaf("Foreign", serial=77, issuer=root(7), key=mine.key)
    next_one = leaf("Next", serial=78, key=mine.key)
    data = member(mine, certificates=(foreign.der, next_one.der))
    assert codes(data) == ["signer-certificate-missing"]
    assert verify_member(data, CONTENT, [mine.parsed]).signers[0].certificate == mine.parsed


def binding(*certificates: Identity, digest: str = "sha256") -> object:
    oid = cms.algorithm(cms.DIGESTS[digest]) if digest != "sha256" else b""
    identifiers = [
        cms.sequence(oid, cms.octets(cms.hashlib.new(digest, one.der).digest())) for one in certificates
    ]  # fmt: skip
    value = cms_format.SIGNING_CERTIFICATE_V2, [cms.sequence(cms.sequence(*identifiers))]
    return lambda good: [*good, value]


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_the_certificates_that_a_signer_names_are_those_of_its_block(digest: str) -> None:
    middle, other = ca("Middle", issuer=root(), key=new_key("p256", 60)), ca("Other", key=new_key("p256", 62))
    one = leaf("Below", issuer=middle).with_chain(middle)

    def found(*named: Identity, embedded: tuple[Identity, ...] = (one, middle)) -> list[str]:
        ders = [each.der for each in embedded]
        return codes(member(one, attributes=binding(*named, digest=digest), certificates=ders))

    assert found(one) == found(one, middle) == found(one, middle, other) == found(one, other, middle) == []
    assert found(one, embedded=(one, middle, other)) == []
    assert found(middle) == found(middle, one) == found(other) == ["bad-signature"]
    assert found(one, middle, embedded=(one, middle, other)) == ["bad-signature"]
    assert found(one, other) == ["bad-signature"]


@pytest.mark.parametrize(("digest", "code"), [("sha1", "algorithm-not-allowed"), ("sha3_256", "unsupported-algorithm")])
def test_certificates_are_named_by_an_accepted_hash(digest: str, code: str) -> None:
    assert codes(member(signer(), attributes=binding(signer(), digest=digest))) == [code]


def test_a_failure_names_its_block_and_keeps_its_evidence() -> None:
    wrong = member(signer(), signature=lambda _: cms.sign_raw(signer().key, b"x"))
    (failure,) = verify_member(member(signer("rsa")) + wrong, CONTENT).failures
    assert (failure.code, failure.evidence) == ("bad-signature", {"algorithm": "ecdsa-p256-sha256", "block": 2})


def test_the_last_candidate_says_why_none_verifies() -> None:
    """Two certificates of one name and number: neither signed, and the reason is the second's."""
    first, second = leaf("One", serial=79), leaf("Two", serial=79, key=new_key("rsa"))
    wrong = member(first, certificates=(first.der, second.der), sort_certificates=False,
                   signature=lambda _: cms.sign_raw(first.key, b"x"))  # fmt: skip
    assert codes(wrong) == ["algorithm-mismatch"]


def test_a_good_signer_has_all_that_its_block_says() -> None:
    data = member(signer(), unsigned=[(cms_format.TIMESTAMP_TOKEN, [cms.octets(b"t")])])
    (one,) = verify_member(data, CONTENT).signers
    (info,) = decode_all(data)[0].signers
    assert (one.timestamps, one.signature) == ((cms.octets(b"t"),), info.signature)


def test_pss_signers_verify_with_the_salt_that_they_say() -> None:
    identity = signer("rsa")
    row = ALGORITHMS["rsa-pss-sha256"]
    assert row.signature_parameters is not None
    longer = row.signature_parameters.replace(b"\x02\x01\x20", b"\x02\x01\x21")

    def sign(data: bytes) -> bytes:
        return identity.key.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 33), hashes.SHA256())

    data = member(identity, sign=sign, signature_algorithm=cms.algorithm(cms.RSA_PSS, longer))
    assert codes(data) == []
    wrong = member(identity, sign=sign, signature_algorithm=cms.algorithm(cms.RSA_PSS, row.signature_parameters))
    assert codes(wrong) == ["bad-signature"]


def test_a_block_that_cannot_be_read_is_named_by_its_number() -> None:
    data = member(signer()) + cms.pem(b"\x30\x00") + member(signer("rsa"))
    found = verify_member(data, CONTENT)
    assert [(failure.code, failure.evidence["block"]) for failure in found.failures] == [("malformed-signature", 2)]
    assert [one.block for one in found.signers] == [1, 3]


@pytest.mark.parametrize("named", [True, False])
def test_a_certificate_that_is_named_by_issuer_and_serial_number_must_have_them(named: bool) -> None:
    one = signer().parsed
    issuer, digest = (one.issuer_der if named else None), hashlib.sha1(one.der, usedforsecurity=False).digest()
    for serial, fits in ((one.serial, True), (one.serial + 1, not named)):
        assert is_named_by(cms_format.CertificateId(None, digest, issuer, serial), one) is fits
