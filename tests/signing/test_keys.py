"""Key references to signers: what loads, what is refused, and that no secret leaks."""

from __future__ import annotations

import functools
import shutil
import subprocess
import traceback
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs12,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modseal import limits
from modseal.errors import InputError, KeyMaterialError, ModsealError, RefusedError, UsageError
from modseal.pki import algorithms
from modseal.pki.algorithms import ALGORITHMS
from modseal.signing import fitness, keys
from modseal.signing.keys import FileSigner, load_signer
from signing.pki import Files, Pki, authority, kind_for, make_pki, new_key

SECRET = b"correct horse battery staple"
KINDS = ["rsa", "p256", "p384", "p521", "ed25519", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87"]


class Prompt:
    """A passphrase callback that counts how often it was called."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.calls = 0

    def __call__(self) -> bytes:
        self.calls += 1
        return self.answer


def never() -> bytes:
    pytest.fail("the passphrase was asked for without need")


def assert_signs(signer: FileSigner) -> None:
    row = fitness.choose_algorithm(signer.certificate)
    algorithms.verify(row, signer.certificate.public_key(), signer.sign(row, b"data"), b"data")


@pytest.mark.parametrize("kind", KINDS)
def test_a_pem_key_of_each_kind_signs(kind: str, pki: Pki, files: Files) -> None:
    cert = files.certificates("cert.pem", [pki.certificate(kind)])
    assert_signs(load_signer(files.key(kind), cert, (), never))


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_every_algorithm_of_the_verifier_can_be_made(name: str, pki: Pki) -> None:
    row, signer = ALGORITHMS[name], pki.signer(kind_for(name))
    algorithms.verify(row, signer.certificate.public_key(), signer.sign(row, b"data"), b"data")


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_a_traditional_pem_key_signs(kind: str, pki: Pki, files: Files) -> None:
    cert = files.certificates("cert.pem", [pki.certificate(kind)])
    assert_signs(load_signer(files.key(kind, PrivateFormat.TraditionalOpenSSL), cert, (), never))


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_pem_key_asks_once(form: PrivateFormat, pki: Pki, files: Files) -> None:
    prompt = Prompt(SECRET)
    cert = files.certificates("cert.pem", [pki.certificate()])
    assert_signs(load_signer(files.key(form=form, passphrase=SECRET), cert, (), prompt))
    assert prompt.calls == 1


def test_a_key_file_may_hold_its_certificates_too(pki: Pki, files: Files) -> None:
    pem = [pki.intermediate, pki.certificate()]
    key = files.key().read_bytes()
    signer = load_signer(files.write("both.pem", b"".join(c.public_bytes(Encoding.PEM) for c in pem) + key), None)
    assert signer.certificate == pem[1]
    assert signer.chain == (pki.intermediate,)


def test_parameters_before_an_ec_key_are_passed_over(pki: Pki, files: Files) -> None:
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    key = files.write("ec.pem", parameters + files.key(form=PrivateFormat.TraditionalOpenSSL).read_bytes())
    assert_signs(load_signer(key, files.certificates("cert.pem", [pki.certificate()])))


def test_a_der_certificate_is_read(pki: Pki, files: Files) -> None:
    certificate = pki.certificate()
    cert = files.write("cert.der", certificate.public_bytes(Encoding.DER))
    assert load_signer(files.key(), cert).certificate == certificate


def pkcs12_file(files: Files, pki: Pki, passphrase: bytes | None, kind: str = "p256") -> Path:
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    chain = [pki.root, pki.intermediate]
    data = pkcs12.serialize_key_and_certificates(b"me", new_key(kind), pki.certificate(kind), chain, encryption)
    return files.write("signer.p12", data)


def test_a_pkcs12_file_brings_its_certificate_and_chain_in_order(pki: Pki, files: Files) -> None:
    prompt = Prompt(SECRET)
    signer = load_signer(pkcs12_file(files, pki, SECRET), None, (), prompt)
    assert_signs(signer)
    assert signer.chain == (pki.intermediate, pki.root)
    assert prompt.calls == 1


def test_a_pkcs12_file_without_passphrase_asks_nothing(pki: Pki, files: Files) -> None:
    assert_signs(load_signer(pkcs12_file(files, pki, None), None, (), never))


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")
@pytest.mark.parametrize("options", [[], ["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"]])
def test_a_pkcs12_file_of_openssl_is_read(options: list[str], pki: Pki, files: Files) -> None:
    cert = files.certificates("cert.pem", [pki.certificate("rsa")])
    path = files.directory / "signer.p12"
    command = ["openssl", "pkcs12", "-export", "-inkey", files.key("rsa"), "-in", cert, "-out", path]
    subprocess.run([*command, "-passout", f"pass:{SECRET.decode()}", *options], check=True, capture_output=True)
    assert_signs(load_signer(path, None, (), Prompt(SECRET)))


@pytest.mark.parametrize("wrong", [b"not the passphrase", b"", b"x" * 5000])
def test_a_wrong_passphrase_is_said_without_a_secret(wrong: bytes, pki: Pki, files: Files) -> None:
    cert = files.certificates("cert.pem", [pki.certificate()])
    for key in (files.key(passphrase=SECRET), pkcs12_file(files, pki, SECRET)):
        with pytest.raises(KeyMaterialError, match="passphrase does not open") as caught:
            load_signer(key, cert, (), Prompt(wrong))
        text = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        assert SECRET.decode() not in text
        assert not wrong or wrong.decode() not in text


def test_an_encrypted_key_without_a_way_to_ask_is_said(pki: Pki, files: Files) -> None:
    cert = files.certificates("cert.pem", [pki.certificate()])
    for key in (files.key(passphrase=SECRET), pkcs12_file(files, pki, SECRET)):
        with pytest.raises(KeyMaterialError, match="no passphrase was given"):
            load_signer(key, cert)


def test_a_signer_shows_no_key(pki: Pki) -> None:
    key = new_key("p256")
    shown = repr(pki.signer()) + str(pki.signer())
    assert "Key" not in shown
    assert str(key.private_numbers().private_value) not in shown


def damaged(pem: bytes) -> bytes:
    lines = pem.splitlines(keepends=True)
    return b"".join([lines[0], lines[1][::-1].lstrip(), *lines[2:]])


def test_files_that_are_no_key_are_named(pki: Pki, files: Files) -> None:
    cert = files.certificates("cert.pem", [pki.certificate()])
    pem = files.key().read_bytes()
    public = new_key("p256").public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    cases = {
        "it has CERTIFICATE": cert.read_bytes(),
        "neither PEM nor PKCS#12": b"hello\n",
        "has no private key: it is neither": b"",
        "2 private keys": pem + pem,
        "damaged": damaged(pem),
        "OpenSSH key": pem.replace(b"PRIVATE", b"OPENSSH PRIVATE"),
        "over 1048576 bytes": pem + b"\n" * limits.KEY_FILE_SIZE,
        "PKCS#12": public,
    }
    for message, data in cases.items():
        with pytest.raises(KeyMaterialError, match=message) as caught:
            load_signer(files.write("wrong", data), cert, (), never)
        assert "wrong" in str(caught.value)


def test_a_pkcs12_file_without_a_key_is_refused(pki: Pki, files: Files) -> None:
    data = pkcs12.serialize_key_and_certificates(None, None, None, [pki.root], NoEncryption())
    with pytest.raises(KeyMaterialError, match="without a private key"):
        load_signer(files.write("trust.p12", data), None)


def test_files_that_cannot_be_read_are_named(pki: Pki, files: Files) -> None:
    cert = files.certificates("cert.pem", [pki.certificate()])
    for path in (files.directory / "absent", files.directory):
        with pytest.raises(InputError, match="cannot be read"):
            load_signer(path, cert)
        with pytest.raises(InputError, match="cannot be read"):
            load_signer(files.key(), path)
    with pytest.raises(InputError):
        load_signer(Path("a\0b"), cert)


def test_files_that_are_no_certificate_are_named(files: Files) -> None:
    broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    for data in (b"", b"hello", files.key().read_bytes(), broken, b"\x30\x03\x02\x01\x05"):
        with pytest.raises(KeyMaterialError, match="certificate"):
            load_signer(files.key(), files.write("cert.pem", data))


def test_a_pem_key_alone_needs_a_certificate(files: Files) -> None:
    with pytest.raises(KeyMaterialError, match="name the certificate"):
        load_signer(files.key(), None)


def test_a_certificate_of_another_key_is_refused(pki: Pki, files: Files) -> None:
    for other in ("p384", "rsa"):
        with pytest.raises(RefusedError, match="belongs to the private key") as caught:
            load_signer(files.key("p256"), files.certificates("cert.pem", [pki.certificate(other)]))
        assert caught.value.failure.code == "unfit-certificate"


@pytest.mark.parametrize("kind", ["rsa-1024", "dsa", "p192", "k256", "ed448", "x25519"])
def test_a_key_that_no_gate_accepts_is_refused(kind: str, pki: Pki, files: Files) -> None:
    with pytest.raises(RefusedError, match="signing takes an RSA key of 2048 bits") as caught:
        load_signer(files.key(kind), files.certificates("cert.pem", [pki.certificate(kind)]))
    assert caught.value.failure.code == "unfit-certificate"


def test_a_chain_is_sorted_and_the_signer_in_it_dropped(pki: Pki, files: Files) -> None:
    certificate = pki.certificate()
    cert = files.certificates("cert.pem", [certificate])
    chain = [files.certificates("all.pem", [pki.root, certificate, pki.root, pki.intermediate])]
    assert load_signer(files.key(), cert, chain).chain == (pki.intermediate, pki.root)


def test_an_unrelated_certificate_is_refused_in_the_chain_and_passed_over_elsewhere(pki: Pki, files: Files) -> None:
    stranger = authority("Stranger", new_key("p256", 2))
    cert = files.certificates("cert.pem", [pki.certificate(), stranger])
    assert load_signer(files.key(), cert).chain == ()
    with pytest.raises(RefusedError, match=r"CN=Stranger.*issued neither"):
        load_signer(files.key(), cert, [files.certificates("chain.pem", [stranger])])


def test_a_key_file_open_to_others_is_warned_of(pki: Pki, files: Files) -> None:
    cert, key = files.certificates("cert.pem", [pki.certificate()]), files.key()
    assert load_signer(key, cert).warnings == ()
    key.chmod(0o640)
    (warning,) = load_signer(key, cert).warnings
    assert str(key) in warning
    assert "0640" in warning


def test_a_reference_is_a_path_or_a_file_uri(pki: Pki, files: Files) -> None:
    cert, key = files.certificates("cert.pem", [pki.certificate()]), files.key()
    assert keys.open(str(key), cert).certificate == keys.open(f"file:{key}", cert).certificate


def test_a_file_whose_name_looks_like_a_uri_is_a_file(pki: Pki, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = pki.certificate()
    cert = files.certificates("cert.pem", [certificate])
    files.write("pkcs11:odd", files.key().read_bytes())
    monkeypatch.chdir(files.directory)
    assert keys.open("pkcs11:odd", cert).certificate == certificate


def test_a_reference_of_an_unknown_kind_points_to_signing_in_two_steps() -> None:
    with pytest.raises(UsageError, match="two steps"):
        keys.open("vault:transit/release")


def test_a_reference_with_a_pin_is_not_repeated() -> None:
    for reference in ("pkcs11:token=vendor?pin-value=1234&pin-value=1234", "vault:release?pin=1234"):
        with pytest.raises(UsageError) as caught:
            keys.open(reference)
        assert "1234" not in str(caught.value)


def test_a_certificate_that_is_named_goes_before_the_key_files_own(pki: Pki, files: Files) -> None:
    with pytest.raises(RefusedError, match="belongs to the private key"):
        load_signer(pkcs12_file(files, pki, None), files.certificates("cert.pem", [pki.certificate("rsa")]))


def test_an_algorithm_of_another_key_is_refused(pki: Pki) -> None:
    with pytest.raises(UsageError, match="not one for ecdsa-p384-sha384"):
        pki.signer("p256").sign(ALGORITHMS["ecdsa-p384-sha384"], b"data")


@functools.cache
def seeds() -> list[bytes]:
    pki = make_pki()
    key = new_key("p256").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    store = pkcs12.serialize_key_and_certificates(b"x", new_key("p256"), pki.certificate(), None, NoEncryption())
    return [key, pki.certificate().public_bytes(Encoding.PEM), pki.certificate().public_bytes(Encoding.DER), store]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_bytes_give_a_signer_or_our_error(files: Files, data: st.DataObject) -> None:
    def mutated() -> bytes:
        seed = data.draw(st.sampled_from([b"", *seeds()]))
        start = data.draw(st.integers(0, len(seed)))
        return seed[:start] + data.draw(st.binary(max_size=8)) + seed[start + data.draw(st.integers(0, 8)) :]

    try:
        signer = load_signer(files.write("key", mutated()), files.write("cert", mutated()), (), Prompt(b"pass"))
    except ModsealError:
        return
    assert isinstance(signer, FileSigner)
