"""Signature blocks: our own reader, our own verifier and OpenSSL all accept them."""

from __future__ import annotations

import functools
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from modseal import limits
from modseal.ca import issue
from modseal.errors import RefusedError, UsageError
from modseal.format import cms, der
from modseal.pki.algorithms import ALGORITHMS
from modseal.signing import block, fitness
from modseal.trust.signature import verify_member
from signing.pki import VALID, Files, Pki, authority, kind_for, make_pki, new_key

CONTENT = b'{"name": "example"}\r\n'
TIME = "2026-01-31T12:00:00Z"
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")


def built(pki: Pki, name: str = "ecdsa-p256-sha256", time: str | None = TIME) -> bytes:
    return block.build(CONTENT, pki.signer(kind_for(name)), ALGORITHMS[name], time)


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_the_verifier_accepts_a_block_of_every_algorithm(name: str, pki: Pki) -> None:
    signatures = verify_member(cms.join_blocks((built(pki, name),)), CONTENT)
    assert signatures.failures == ()
    (signer,) = signatures.signers
    assert signer.algorithm == name
    assert signer.claimed_time == TIME


def test_a_block_reads_back_as_it_was_built(pki: Pki) -> None:
    signer = pki.signer()
    data = cms.decode(block.build(CONTENT, signer, ALGORITHMS["ecdsa-p256-sha256"], TIME))
    (info,) = data.signers
    own, chain = (each.public_bytes(Encoding.DER) for each in (signer.certificate, pki.intermediate))
    assert set(data.certificates) == {own, chain}
    assert list(data.certificates) == sorted(data.certificates)
    assert info.serial == signer.certificate.serial_number
    assert info.issuer == signer.certificate.issuer.public_bytes()
    assert info.message_digest == hashlib.sha256(CONTENT).digest()
    (named,) = info.named_certificates
    default = cms.Algorithm(cms.SHA256, None, der.encode(der.SEQUENCE, der.encode_oid(cms.SHA256)))
    assert named == tuple(cms.CertificateId(default, hashlib.sha256(each).digest()) for each in (own, chain))
    assert info.digest.parameters is None
    assert info.timestamps == ()


def test_the_signed_attributes_are_the_published_five(pki: Pki) -> None:
    prepared = block.prepare(CONTENT, pki.certificate(), (), ALGORITHMS["ecdsa-p256-sha256"], TIME)
    attributes = der.elements(der.Reader(prepared.to_be_signed).enter(der.SET))
    assert {der.Reader(each.content).oid() for each in attributes} == {
        cms.CONTENT_TYPE,
        cms.MESSAGE_DIGEST,
        cms.SIGNING_TIME,
        cms.ALGORITHM_PROTECTION,
        cms.SIGNING_CERTIFICATE_V2,
    }


def test_rsa_is_written_as_rsa_encryption_with_null(pki: Pki) -> None:
    (info,) = cms.decode(built(pki, "rsa-pkcs1-sha256")).signers
    assert (info.signature_algorithm.oid, info.signature_algorithm.parameters) == ("1.2.840.113549.1.1.1", b"\x05\x00")


@pytest.mark.parametrize("name", ["rsa-pkcs1-sha256", "ecdsa-p256-sha256", "ed25519"])
def test_the_same_input_gives_the_same_block(name: str, pki: Pki) -> None:
    signer = pki.signer(kind_for(name))
    first, second = (block.build(CONTENT, signer, ALGORITHMS[name], TIME) for _ in range(2))
    assert first == second


def test_what_is_to_be_signed_is_the_same_for_every_algorithm_and_depends_on_each_argument(pki: Pki) -> None:
    certificate, other = pki.certificate("rsa"), pki.certificate("rsa")
    pkcs1, pss = ALGORITHMS["rsa-pkcs1-sha256"], ALGORITHMS["rsa-pss-sha256"]

    def prepared(*changes: object) -> bytes:
        arguments = [CONTENT, certificate, (pki.intermediate,), pss, TIME]
        for index, value in changes:  # type: ignore[misc]
            arguments[index] = value
        return block.prepare(*arguments).to_be_signed  # type: ignore[arg-type]

    assert prepared() == prepared()
    changes = [(0, b"other"), (1, other), (2, ()), (3, pkcs1), (4, None), (4, "2026-01-31T12:00:01Z")]
    assert len({prepared(), *(prepared(change) for change in changes)}) == len(changes) + 1


def test_the_time_may_be_left_out(pki: Pki) -> None:
    assert cms.decode(built(pki, time=None)).signers[0].signing_time is None


@pytest.mark.parametrize("time", ["1999-12-31T23:59:59Z", "2049-12-31T23:59:59Z", "2050-01-01T00:00:00Z"])
def test_a_time_reads_back_in_either_encoding(time: str, pki: Pki) -> None:
    assert cms.decode(built(pki, time=time)).signers[0].signing_time == time


@pytest.mark.parametrize(
    "time",
    [
        "",
        "now",
        "2026-01-31",
        "2026-02-30T00:00:00Z",
        "2026-01-31T12:00:00+00:00",
        "2026-1-31T12:00:00Z",
        "1949-12-31T23:59:59Z",
        "2016-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z",
    ],
)
def test_another_form_of_time_is_refused(time: str, pki: Pki) -> None:
    with pytest.raises(UsageError, match="signing time"):
        built(pki, time=time)


def test_a_timestamp_is_attached_unsigned(pki: Pki) -> None:
    signer, token = pki.signer(), der.encode(der.SEQUENCE, der.encode_integer(1))
    row = ALGORITHMS["ecdsa-p256-sha256"]
    prepared = block.prepare(CONTENT, signer.certificate, signer.chain, row, TIME)
    stamped = block.complete(prepared, signer.sign(row, prepared.to_be_signed), token)
    assert cms.decode(stamped).signers[0].timestamps == (token,)
    assert verify_member(cms.join_blocks((stamped,)), CONTENT).failures == ()


def test_more_certificates_than_a_reader_takes_are_refused(pki: Pki) -> None:
    chain = [pki.certificate() for _ in range(limits.CERTIFICATES_PER_BLOCK)]
    row = ALGORITHMS["ecdsa-p256-sha256"]
    with pytest.raises(RefusedError) as caught:
        block.prepare(CONTENT, pki.certificate(), chain, row, TIME)
    assert caught.value.failure.code == "limit-exceeded"
    cms.decode(block.complete(block.prepare(CONTENT, chain[0], chain[1:], row, TIME), b"x"))


def test_an_issuer_in_an_old_string_type_keeps_its_bytes(pki: Pki) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Old CA", _type=_ASN1Type.PrintableString)])
    key = new_key("p256", 1)
    builder = issue._builder(issue.name("Signer", "Test"), name, new_key("p256").public_key(), VALID)
    certificate = builder.sign(key, issue.digest_for(key))
    row = ALGORITHMS["ecdsa-p256-sha256"]
    (info,) = cms.decode(block.complete(block.prepare(CONTENT, certificate, (), row, None), b"x")).signers
    assert info.issuer is not None
    assert info.issuer in certificate.tbs_certificate_bytes


@settings(max_examples=200)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_changed_byte_of_a_block_verifies(position: int, change: int) -> None:
    original = bytearray(_rsa_block())
    original[position % len(original)] ^= change
    assert verify_member(cms.join_blocks((bytes(original),)), CONTENT).signers == ()


@functools.cache
def _rsa_block() -> bytes:
    return built(make_pki(), "rsa-pkcs1-sha256")


def openssl_verify(
    directory: Path, member: bytes, content: bytes, *options: object
) -> subprocess.CompletedProcess[str]:
    (directory / "sig.pkcs7").write_bytes(member)
    (directory / "manifest.json").write_bytes(content)
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "PEM", "-in", directory / "sig.pkcs7"]
    command += ["-content", directory / "manifest.json", "-out", directory / "out"]
    return subprocess.run([*command, *options], capture_output=True, text=True)


@needs_openssl
@pytest.mark.parametrize(
    "name",
    [f"rsa-{form}-sha{bits}" for form in ("pkcs1", "pss") for bits in (256, 384, 512)]
    + ["ecdsa-p256-sha256", "ecdsa-p384-sha384", "ecdsa-p521-sha512"],
)
def test_openssl_verifies_signature_chain_and_bound_certificates(name: str, pki: Pki, files: Files) -> None:
    root = files.certificates("root.pem", [pki.root])
    member = cms.join_blocks((built(pki, name),))
    options = ["-CAfile", root, "-purpose", "any", "-cades"]
    result = openssl_verify(files.directory, member, CONTENT, *options)
    assert result.returncode == 0, result.stderr
    assert openssl_verify(files.directory, member, CONTENT + b" ", *options).returncode != 0


@needs_openssl
def test_a_signature_made_elsewhere_completes_the_block(pki: Pki, files: Files) -> None:
    signer = pki.signer("rsa")
    row = fitness.choose_algorithm(signer.certificate)
    prepared = block.prepare(CONTENT, signer.certificate, signer.chain, row, TIME)
    data = files.write("to-be-signed", prepared.to_be_signed)
    command = ["openssl", "dgst", f"-{prepared.digest_name}", "-sign", files.key("rsa"), data]
    signature = subprocess.run(command, check=True, capture_output=True).stdout
    assert block.complete(prepared, signature) == block.build(CONTENT, signer, row, TIME)


@needs_openssl
def test_openssl_reads_the_names_of_all_attributes(pki: Pki, files: Files) -> None:
    path = files.write("block.der", built(pki))
    command = ["openssl", "cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", path]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for attribute in ("contentType", "messageDigest", "signingTime", "id-smime-aa-signingCertificateV2"):
        assert attribute in printed


def test_a_self_signed_signer_makes_a_block_too() -> None:
    key = new_key("p256", 3)
    certificate = authority("Own", key)
    row = ALGORITHMS["ecdsa-p256-sha256"]
    prepared = block.prepare(CONTENT, certificate, (certificate,), row, None)
    assert prepared.chain == ()
