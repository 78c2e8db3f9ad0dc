"""Step 1: who really signed these bytes. The catalogue of attacks has its own tests (attacks/test_attacks_cms.py)."""

from __future__ import annotations

import pytest

from builders import cms
from builders.pki import Identity, ca, leaf, new_key, root, signer
from modseal.signing import block as signing_block
from modseal.signing import fitness
from modseal.trust.algorithms import ALGORITHMS
from modseal.trust.signature import decode_all, verify_member

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


def test_decode_all_shows_blocks_without_proof() -> None:
    blocks = decode_all(member(signer(), content=b"anything") + member(signer("rsa")))
    assert [len(block.signers) for block in blocks] == [1, 1]
