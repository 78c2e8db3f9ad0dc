"""Certificates as `Certificate` reads them, and as the library cryptography does: the same, or refused."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.pki import CODE_SIGNING, ca, leaf, new_key, root
from modseal.errors import FormatError
from modseal.pki.certificate import Certificate
from modseal.pki.extensions import KeyUsage

VECTORS = Path(cryptography_vectors.__file__).parent / "x509"
ABOVE = ca('Above, and + "more" # of <it>;', issuer=root(), key=new_key("p256", 63), basic=(True, 2))
RICH = leaf(
    "Rich",
    issuer=ABOVE,
    key_id=b"key id",
    extensions=[
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(ABOVE.key.public_key()), False),
        (x509.SubjectAlternativeName([x509.DNSName("a.example"), x509.RFC822Name("a@a.example")]), False),
        (x509.CertificatePolicies([x509.PolicyInformation(CODE_SIGNING, None)]), False),
    ],
).der


def by_library(data: bytes) -> dict[str, Any] | None:
    """The fields of a certificate; None where the library refuses it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            parsed = x509.load_der_x509_certificate(data)
            extensions = {one.oid: one.value for one in parsed.extensions}
            key = parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            names = parsed.subject.rfc4514_string(), parsed.issuer.rfc4514_string()
            serial = parsed.serial_number
        except Exception:  # noqa: BLE001 - whatever it raises
            return None
    basic: Any = extensions.get(x509.BasicConstraints.oid)
    usage: Any = extensions.get(x509.KeyUsage.oid)
    purposes: Any = extensions.get(x509.ExtendedKeyUsage.oid)
    own: Any = extensions.get(x509.SubjectKeyIdentifier.oid)
    authority: Any = extensions.get(x509.AuthorityKeyIdentifier.oid)
    return {
        "subject": names[0],
        "issuer": names[1],
        "issuer_der": parsed.issuer.public_bytes(),
        "serial": serial,
        "not_before": parsed.not_valid_before_utc,
        "not_after": parsed.not_valid_after_utc,
        "key_der": key,
        "key_id": own.digest if own else None,
        "authority_key_id": authority.key_identifier if authority else None,
        "is_ca": bool(basic and basic.ca),
        "path_length": basic.path_length if basic else None,
        "key_usage": usage
        and KeyUsage(usage.digital_signature, usage.content_commitment, usage.key_cert_sign, usage.crl_sign),
        "extended_key_usage": frozenset(one.dotted_string for one in purposes) if purposes else None,
        "signed_bytes": parsed.tbs_certificate_bytes,
        "signature": parsed.signature,
    }


def read(data: bytes) -> Certificate | None:
    with contextlib.suppress(FormatError):
        return Certificate.parse(data)
    return None


def all_vectors() -> list[bytes]:
    found: list[bytes] = []
    for path in sorted(VECTORS.rglob("*")):
        if path.suffix in (".pem", ".der", ".crt", ".cer"):
            with contextlib.suppress(Exception):
                data = path.read_bytes()
                certificates = (
                    x509.load_pem_x509_certificates(data)
                    if data.startswith(b"-----")
                    else [x509.load_der_x509_certificate(data)]
                )
                found += [one.public_bytes(Encoding.DER) for one in certificates]
    return found


def test_every_certificate_of_the_librarys_own_vectors_reads_the_same_or_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vectors = all_vectors()
    compared = 0
    for data in vectors:
        one, other = read(data), by_library(data)
        if one and other:
            assert {name: getattr(one, name) for name in other} == other
            compared += 1
    assert compared > 400, f"{compared} of {len(vectors)}"


@pytest.mark.parametrize("data", [RICH, ABOVE.der, root().der], ids=["leaf", "CA", "root"])
def test_what_the_builders_make_reads_the_same(data: bytes) -> None:
    one, other = Certificate.parse(data), by_library(data)
    assert other is not None
    assert {name: getattr(one, name) for name in other} == other


@settings(max_examples=1500)
@given(st.data())
def test_a_changed_certificate_reads_the_same_or_is_refused(data: st.DataObject) -> None:
    changed = bytearray(data.draw(st.sampled_from([RICH, ABOVE.der])))
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    one, other = read(bytes(changed)), by_library(bytes(changed))
    if one and other:
        assert {name: getattr(one, name) for name in other} == other
