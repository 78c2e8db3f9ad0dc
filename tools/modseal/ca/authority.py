"""A small CA: which certificates it issues, under which rules, and what it lists as revoked.

It issues only what the strict verifier will accept, judged by the verifier's own rules, so that a mistake
shows here and not at a gate. No rule here opens a file or reads a clock: everything is a value, and what a
step changes comes back as a new `Index`. `ca.folder` keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from modseal.ca import issue
from modseal.ca.index import (
    AUTHORITY,
    CODE_SIGNING,
    MOST_LISTS,
    TIME_STAMPING,
    Index,
    IndexEntry,
    Revocation,
)
from modseal.ca.issue import Revoked, Validity
from modseal.ca.request import subject_problem
from modseal.errors import Failure, FormatError, KeyMaterialError, RefusedError, UsageError
from modseal.format.level import Level
from modseal.pki import purpose as purposes
from modseal.pki.certificate import Certificate
from modseal.pki.path import NoPath, PathRules, find_path
from modseal.pki.purpose import CODE_SIGNING_PROFILE, TIME_STAMPING_PROFILE
from modseal.pki.revocation import WITHOUT_MISUSE
from modseal.signing import fitness
from modseal.signing.key_file import key_fingerprint

ROOT_PATH_LENGTH = 1
"""Below a root: issuing CAs, and signers below them."""
_USAGES = {CODE_SIGNING: ExtendedKeyUsageOID.CODE_SIGNING, TIME_STAMPING: ExtendedKeyUsageOID.TIME_STAMPING}
_PROFILES = {CODE_SIGNING: CODE_SIGNING_PROFILE, TIME_STAMPING: TIME_STAMPING_PROFILE}
_SMALLEST_EXPONENT = 65537
"""Of RSA keys (FIPS 186-5 section 5.4)."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA's certificate and what it remembers."""

    certificate: x509.Certificate
    index: Index

    @property
    def name(self) -> str:
        """The CA's distinguished name."""
        return self.certificate.subject.rfc4514_string()


def make_root(subject: x509.Name, key: Any, days: int, now: datetime, level: Level | None = None) -> Authority:
    """A root, which issues CAs and signers."""
    certificate = issue.issue_root(subject, key, _validity(now, days), ROOT_PATH_LENGTH)
    return Authority(certificate, Index(level=level))


def make_issuing(
    parent: Authority,
    parent_key: Any,
    subject: x509.Name,
    key: Any,
    days: int,
    now: datetime,
    purpose: str = CODE_SIGNING,
    level: Level | None = None,
) -> tuple[Authority, Index]:
    """A CA below another one, for one purpose, and the parent's new index.

    Raises `RefusedError` (not-issued): the parent issues signers only, for another purpose, for a lower level, or
    ends earlier.
    """
    length = parent.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    if length is not None and length < 1:
        raise _refused(f"{parent.name} issues signers, and no CA below itself")
    if level and parent.index.level and level > parent.index.level:
        raise _refused(f"{parent.name} is meant for {parent.index.level}; a CA below it cannot be for {level}")
    if fitness.parse(parent.certificate).subject == subject.rfc4514_string():
        raise _refused(f"{parent.name} is the CA's own name; name the other one differently")
    below = (length or ROOT_PATH_LENGTH) - 1
    validity = _within(parent, days, now)
    public = key.public_key()
    made = issue.issue_authority(subject, public, parent.certificate, parent_key, validity, below, _USAGES[purpose])
    _require_acceptable(made, parent, purpose, now)
    return Authority(made, Index(level=level)), parent.index.with_entry(_entry(made, AUTHORITY))


def issue_certificate(
    authority: Authority,
    key: Any,
    request: x509.CertificateSigningRequest,
    days: int,
    now: datetime,
    purpose: str = CODE_SIGNING,
) -> tuple[x509.Certificate, Index]:
    """The certificate for a request whose signature was verified, and the CA's new index.

    Only the name and the key come from the request: the extensions are the CA's own. Raises `RefusedError`
    (not-issued) with every reason at once.
    """
    public = request.public_key()
    problems = list(_request_problems(authority, request, public, purpose))
    if problems:
        raise _refused("; ".join(problems))
    validity = _within(authority, days, now)
    made = issue.issue_signer(request.subject, public, authority.certificate, key, validity, _USAGES[purpose])
    _require_acceptable(made, authority, purpose, now)
    return made, authority.index.with_entry(_entry(made, purpose))


def revoke(authority: Authority, certificate: x509.Certificate | int, reason: str, now: datetime) -> Index:
    """The index with a certificate, or the serial number of a known one, revoked from now on.

    A certificate that the CA issued is revoked even where the index does not know it. One that is revoked already
    keeps its time, and may get a graver reason. Raises `RefusedError` (not-issued), `UsageError`.
    """
    entry = _own_entry(authority, certificate)
    old = entry.revocation
    if old and (old.reason not in WITHOUT_MISUSE or reason in WITHOUT_MISUSE):
        raise UsageError(f"{entry.subject} is revoked since {old.at:%Y-%m-%d} ({old.reason})")
    return authority.index.with_entry(replace(entry, revocation=Revocation(old.at if old else now, reason)))


def make_crl(authority: Authority, key: Any, days: int, now: datetime) -> tuple[x509.CertificateRevocationList, Index]:
    """The CA's complete CRL, with the next number, and the CA's new index.

    Expired certificates stay on it: what they signed while they were valid may have a timestamp.
    """
    number = authority.index.crl_number + 1
    if number > MOST_LISTS:
        raise KeyMaterialError(f"{authority.name} has no CRL number left; make a new CA").because("ca-full")
    found = [(entry.serial, entry.revocation) for entry in authority.index.entries if entry.revocation]
    entries = [Revoked(serial, revocation.at, revocation.reason) for serial, revocation in found]
    crl = issue.issue_crl(authority.certificate, key, entries, _validity(now, days), number)
    return crl, replace(authority.index, crl_number=number)


def _validity(now: datetime, days: int) -> Validity:
    try:
        return Validity(now, now + timedelta(days=days))
    except OverflowError:
        raise UsageError(f"{days} days from now is beyond the year 9999") from None


def _within(authority: Authority, days: int, now: datetime) -> Validity:
    """So many days from now, within the CA's own validity."""
    validity, end = _validity(now, days), authority.certificate.not_valid_after_utc
    if validity.end > end:
        most = max((end - now).days, 0)
        ends = f"{authority.name} ends on {end:%Y-%m-%d}"
        raise _refused(f"{ends}, so {most} days are the most that it can issue for, not {days}", most=most)
    return validity


def _request_problems(
    authority: Authority, request: x509.CertificateSigningRequest, public: Any, purpose: str
) -> Iterator[str]:
    subject = request.subject
    problem = subject_problem(subject)
    if problem:
        yield f"the request's subject {problem}"
    if subject == authority.certificate.subject:
        yield f"the request has the CA's own name, {authority.name}"
    if isinstance(public, rsa.RSAPublicKey) and public.public_numbers().e < _SMALLEST_EXPONENT:
        yield f"the request has an RSA key with an exponent below {_SMALLEST_EXPONENT}"
    yield from _key_problems(authority, key_fingerprint(public), purpose)


def _key_problems(authority: Authority, key: str, purpose: str) -> Iterator[str]:
    """A key is for one purpose, and one that may be in other hands is for none."""
    if key == key_fingerprint(authority.certificate.public_key()):
        yield "the request is for the CA's own key; a signer has a key of its own"
    for entry in authority.index.entries:
        if entry.key_fingerprint != key:
            continue
        if entry.revocation and entry.revocation.reason not in WITHOUT_MISUSE:
            why = f"{entry.subject}, {entry.revocation.reason}"
            yield f"its key is that of a revoked certificate ({why}); make a new key"
        if entry.purpose != purpose:
            yield f"its key is that of a certificate for {entry.purpose} ({entry.subject}); make a new key"


def _require_acceptable(certificate: x509.Certificate, authority: Authority, purpose: str, now: datetime) -> None:
    """What a verifier would say, with this CA as its only anchor."""
    try:
        made, anchor = (
            Certificate.parse(each.public_bytes(Encoding.DER)) for each in (certificate, authority.certificate)
        )
    except FormatError as error:
        raise _refused(error.failure.detail) from error
    path = find_path(made, (), (anchor,), PathRules(), now, _PROFILES[purpose])
    failures: list[Failure] = list(path.failures) if isinstance(path, NoPath) else []
    failures += purposes.key_failures(made)
    if purpose == CODE_SIGNING and not made.is_ca:
        failures += purposes.leaf_failures(made)
    if failures:
        reasons = ",".join(dict.fromkeys(failure.code for failure in failures))
        raise _refused("; ".join(failure.detail for failure in failures), reasons=reasons)


def _own_entry(authority: Authority, certificate: x509.Certificate | int) -> IndexEntry:
    """The entry of a certificate of this CA. Raises `RefusedError` (not-issued)."""
    if isinstance(certificate, int):
        known = authority.index.find(certificate)
        if known is None:
            raise _refused(f"{authority.name} knows no certificate with the serial number {certificate:x}")
        return known
    made, own = fitness.parse(certificate), fitness.parse(authority.certificate)
    try:
        if made.issuer_name != own.subject_name or made == own:
            raise _refused(f"{made.subject} was issued by {made.issuer}, not by {authority.name}")
        made.verify_issued_by(own)
    except FormatError as error:
        raise _refused(f"{authority.name} did not issue {made.subject}: {error.failure.detail}") from error
    known = authority.index.find(made.serial)
    return known or _entry(certificate, _purpose_of(made))


def _purpose_of(certificate: Certificate) -> str:
    if certificate.is_ca:
        return AUTHORITY
    usages = certificate.extended_key_usage or frozenset()
    return TIME_STAMPING if purposes.TIME_STAMPING in usages else CODE_SIGNING


def _entry(certificate: x509.Certificate, purpose: str) -> IndexEntry:
    made = fitness.parse(certificate)
    key = key_fingerprint(made.key)
    return IndexEntry(made.serial, made.subject, purpose, made.not_before, made.not_after, made.fingerprint, key)


def _refused(detail: str, **evidence: str | int) -> RefusedError:
    return RefusedError("not-issued", detail, **evidence)
