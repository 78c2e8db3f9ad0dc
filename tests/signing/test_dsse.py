"""DSSE envelopes: the encoding of the specification, and signatures that the tools of in-toto accept."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modseal.errors import KeyMaterialError, UsageError
from modseal.pki.algorithms import ALGORITHMS, SignatureAlgorithm
from modseal.signing import dsse, fitness
from signing.pki import Pki, kind_for

PAYLOAD = b'{"_type": "https://in-toto.io/Statement/v1"}'
SCHEMES = {
    "rsa-pkcs1-sha256": "rsa-pkcs1v15-sha256",
    "rsa-pkcs1-sha512": "rsa-pkcs1v15-sha512",
    "rsa-pss-sha256": "rsassa-pss-sha256",
    "rsa-pss-sha384": "rsassa-pss-sha384",
    "ecdsa-p256-sha256": "ecdsa-sha2-nistp256",
    "ecdsa-p384-sha384": "ecdsa-sha2-nistp384",
    "ed25519": "ed25519",
}
"""Our algorithms, and what securesystemslib calls those that it knows."""


def made(name: str, pki: Pki) -> dict[str, Any]:
    signer = pki.signer(kind_for(name))
    plain: dict[str, Any] = json.loads(dsse.envelope(PAYLOAD, signer, ALGORITHMS[name]))
    return plain


def test_the_encoding_is_that_of_the_specification() -> None:
    assert dsse.pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert dsse.pae("\u00e9", b"") == b"DSSEv1 2 \xc3\xa9 0 "


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_every_algorithm_makes_an_envelope(name: str, pki: Pki) -> None:
    plain = made(name, pki)
    assert plain.keys() == {"payload", "payloadType", "signatures"}
    assert base64.b64decode(plain["payload"], validate=True) == PAYLOAD
    assert plain["payloadType"] == "application/vnd.in-toto+json"
    (signature,) = plain["signatures"]
    assert signature.keys() == {"keyid", "sig"}


def test_the_key_id_is_the_digest_of_the_public_key(pki: Pki) -> None:
    signer = pki.signer()
    der = signer.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert made("ecdsa-p256-sha256", pki)["signatures"][0]["keyid"] == hashlib.sha256(der).hexdigest()


@pytest.mark.parametrize("name", list(SCHEMES))
def test_securesystemslib_verifies_it(name: str, pki: Pki) -> None:
    library = pytest.importorskip("securesystemslib.dsse", reason="securesystemslib is not installed")
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import SSlibKey

    plain = made(name, pki)
    public = pki.signer(kind_for(name)).certificate.public_key()
    key = SSlibKey.from_crypto(public, keyid=plain["signatures"][0]["keyid"], scheme=SCHEMES[name])
    envelope = library.Envelope.from_dict(copy.deepcopy(plain))
    assert envelope.verify([key], 1) == {key.keyid: key}
    assert envelope.payload == PAYLOAD
    for field in ("payload", "payloadType"):
        changed = copy.deepcopy(plain)
        changed[field] = base64.b64encode(PAYLOAD + b" ").decode() if field == "payload" else "text/plain"
        with pytest.raises(VerificationError):
            library.Envelope.from_dict(changed).verify([key], 1)


def test_a_signature_that_does_not_verify_is_not_given_out(pki: Pki) -> None:
    good = pki.signer()

    class Broken:
        certificate, chain, warnings = good.certificate, good.chain, good.warnings

        def sign(self, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
            return good.sign(algorithm, data + b" ")

    with pytest.raises(KeyMaterialError, match="does not verify"):
        dsse.envelope(PAYLOAD, Broken(), fitness.choose_algorithm(good.certificate))


def test_an_algorithm_that_is_not_one_of_the_key_is_usage(pki: Pki) -> None:
    with pytest.raises(UsageError):
        dsse.envelope(PAYLOAD, pki.signer("p256"), ALGORITHMS["ed25519"])
