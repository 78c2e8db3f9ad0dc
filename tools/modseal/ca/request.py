"""Requests for certificates (PKCS #10, RFC 2986), and the names in them."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from modseal.ca import issue
from modseal.errors import KeyMaterialError, RefusedError, UsageError, foreign
from modseal.format import pem
from modseal.signing import material

_FORM = "write it as CN=Acme release signer 1,O=Acme"
MOST_CHARACTERS = 1024
"""Of a name, written out: a dozen parts at their longest (RFC 5280 appendix A.1)."""


def parse_subject(text: str) -> x509.Name:
    """A distinguished name from its text (RFC 4514), as modseal prints it. It has a common name.

    Raises `UsageError`.
    """
    with foreign(lambda why: UsageError(f"{text!r} is not a distinguished name ({why}); {_FORM}")):
        subject = x509.Name.from_rfc4514_string(text)
    problem = subject_problem(subject)
    if problem:
        raise UsageError(f"the subject {text!r} {problem}; {_FORM}")
    return subject


def authority_name(common_name: str, organization: str | None) -> x509.Name:
    """The name of a CA. Raises `UsageError`."""
    with foreign(lambda why: UsageError(f"the name cannot be used: {why}")):
        parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if organization is not None:
            parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    subject = x509.Name(parts)
    problem = subject_problem(subject)
    if problem:
        raise UsageError(f"the name {common_name!r} {problem}")
    return subject


def subject_problem(subject: x509.Name) -> str | None:
    """What is wrong with a subject name, as half a sentence; None if it is fine."""
    if not subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        return "has no common name (CN)"
    values = [attribute.value for attribute in subject]
    if not all(isinstance(value, str) and value.isprintable() and value.strip() for value in values):
        return "has characters that cannot be shown, or an empty part"
    if len(subject.rfc4514_string()) > MOST_CHARACTERS:
        return f"has over {MOST_CHARACTERS} characters"
    return None


def make_request(subject: x509.Name, key: Any) -> x509.CertificateSigningRequest:
    """A request, signed with the key that it is for. Raises `KeyMaterialError` for a key that cannot sign."""
    with foreign(lambda _: KeyMaterialError("this kind of key cannot sign a request").because("key-kind")):
        return x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, issue.digest_for(key))


def read_request(path: Path) -> x509.CertificateSigningRequest:
    """The request of a PEM or DER file, whose signature proves that the sender has its key.

    Raises `KeyMaterialError` (no request), `RefusedError` (not-issued: the signature does not verify), `InputError`.
    """
    request = parse_request(material.read_file(path)[0], str(path))
    if not is_signed(request):
        raise RefusedError("not-issued", f"{path} is not signed with the key that it asks a certificate for")
    return request


def is_signed(request: x509.CertificateSigningRequest) -> bool:
    """Whether the request is signed with its own key."""
    unsigned = RefusedError("not-issued", "the signature cannot be verified")
    with contextlib.suppress(RefusedError), foreign(lambda _: unsigned):
        return request.is_signature_valid
    return False


def parse_request(data: bytes, name: str) -> x509.CertificateSigningRequest:
    """The one request of some bytes, PEM or DER, unproved. Raises `KeyMaterialError`."""
    unreadable = f"{name} is not a readable certificate request"
    try:
        contents = pem.contents(data, *pem.REQUESTS)
    except ValueError as error:
        raise KeyMaterialError(f"{unreadable}: {error}").because("not-a-request") from None
    if len(contents) > 1:
        raise KeyMaterialError(f"{name} has {len(contents)} requests; name a file with the one that is meant").because(
            "several-found"
        )
    with foreign(lambda _: KeyMaterialError(unreadable).because("not-a-request")), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is odd in it is judged in the certificate
        request = x509.load_der_x509_csr(contents[0])
        request.public_key()
        list(request.subject), list(request.extensions)
        return request
