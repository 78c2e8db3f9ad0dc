"""Issues certificates and revocation lists in the form that the strict verifier wants (RFC 5280).

For example and test PKIs, and for small vendors without a CA of their own. Times are aware; nothing
here reads a clock. Serial numbers are random, so no two runs give the same certificate.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Digest = hashes.SHA256 | hashes.SHA384 | hashes.SHA512

_DIGESTS: dict[str, type[Digest]] = {"secp384r1": hashes.SHA384, "secp521r1": hashes.SHA512}


_REASONS = {flag.value: flag for flag in x509.ReasonFlags}


class Validity(NamedTuple):
    """The first and the last moment at which something is valid."""

    start: datetime
    end: datetime


class Revoked(NamedTuple):
    """An entry of a CRL. The reason has its name of RFC 5280 section 5.3.1, such as keyCompromise."""

    serial: int
    at: datetime
    reason: str


def name(common_name: str, organization: str) -> x509.Name:
    """A distinguished name of these two parts."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def issue_root(subject: x509.Name, key: Any, validity: Validity, path_length: int = 0) -> x509.Certificate:
    """A self-signed CA with at most `path_length` CAs below one another; by default it issues signers only."""
    builder = _as_authority(_builder(subject, subject, key.public_key(), validity), path_length)
    return builder.sign(key, digest_for(key))


def issue_authority(
    subject: x509.Name,
    public_key: Any,
    issuer: x509.Certificate,
    issuer_key: Any,
    validity: Validity,
    path_length: int,
    purpose: x509.ObjectIdentifier,
) -> x509.Certificate:
    """A CA below another one, which issues for one purpose only: its extended key usage binds everything below it."""
    builder = _as_authority(_builder(subject, issuer.subject, public_key, validity), path_length)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return builder.add_extension(_issued_by(issuer), critical=False).sign(issuer_key, digest_for(issuer_key))


def issue_signer(
    subject: x509.Name,
    public_key: Any,
    issuer: x509.Certificate,
    issuer_key: Any,
    validity: Validity,
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING,
) -> x509.Certificate:
    """A signer's certificate: digitalSignature, one extended key usage, no CA.

    The usage timeStamping is critical (RFC 3161 section 2.3).
    """
    critical = purpose == ExtendedKeyUsageOID.TIME_STAMPING
    builder = (
        _builder(subject, issuer.subject, public_key, validity)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=critical)
        .add_extension(_issued_by(issuer), critical=False)
    )
    return builder.sign(issuer_key, digest_for(issuer_key))


def issue_crl(
    issuer: x509.Certificate,
    issuer_key: Any,
    revoked: Iterable[Revoked],
    validity: Validity,
    number: int = 1,
) -> x509.CertificateRevocationList:
    """A complete revocation list (RFC 5280 section 5).

    `validity` is thisUpdate and nextUpdate; `number` must rise with every list of this issuer.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(validity.start)
        .next_update(validity.end)
        .add_extension(_issued_by(issuer), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for entry in revoked:
        builder = builder.add_revoked_certificate(_revoked(entry))
    return builder.sign(issuer_key, digest_for(issuer_key))


def digest_for(key: Any) -> Digest | None:
    """The digest that a key signs certificates with; None for keys whose algorithm includes it."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return _DIGESTS.get(key.curve.name, hashes.SHA256)()
    return hashes.SHA256() if isinstance(key, rsa.RSAPrivateKey) else None


def _builder(subject: x509.Name, issuer: x509.Name, public_key: Any, validity: Validity) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.start)
        .not_valid_after(validity.end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _as_authority(builder: x509.CertificateBuilder, path_length: int) -> x509.CertificateBuilder:
    constraints = x509.BasicConstraints(ca=True, path_length=path_length)
    builder = builder.add_extension(constraints, critical=True)
    return builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)


def _issued_by(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _revoked(entry: Revoked) -> x509.RevokedCertificate:
    """One entry. The reason `unspecified` is said by leaving it out (RFC 5280 section 5.3.1)."""
    builder = x509.RevokedCertificateBuilder().serial_number(entry.serial).revocation_date(entry.at)
    reason = _REASONS[entry.reason]
    if reason is not x509.ReasonFlags.unspecified:
        builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    return builder.build()


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
