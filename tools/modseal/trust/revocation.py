"""Revocation, offline: CRLs that the policy names, judged by RFC 5280 sections 5 and 6.3.

Complete, direct CRLs only. Delta and indirect CRLs, and CRLs that a distribution point narrows, are
refused: what they leave out cannot be judged.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from cryptography import x509

from modseal.errors import Evidence, Failure, FormatError
from modseal.format import der
from modseal.format.cms import Algorithm, read_algorithm
from modseal.trust import algorithms
from modseal.trust.certificate import FOREIGN, Certificate

_JUDGED = {x509.AuthorityKeyIdentifier.oid, x509.CRLNumber.oid}


@dataclass(frozen=True, slots=True, eq=False)
class Crl:
    """One CRL: who issued it, when, for how long, and the parts its signature is over."""

    source: str
    issuer_der: bytes
    this_update: datetime
    next_update: datetime | None
    unjudged: tuple[str, ...]
    signed_bytes: bytes
    signature_algorithm: Algorithm
    signature: bytes
    list: Any

    @classmethod
    def parse(cls, data: bytes, source: str) -> Crl:
        """From DER; `source` is for messages. Raises `FormatError` (crl-invalid)."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return _from_library(x509.load_der_x509_crl(data), data, source)
        except (*FOREIGN, FormatError) as error:
            raise FormatError("crl-invalid", f"{source} is no CRL that can be parsed: {error}") from error

    def entry(self, certificate: Certificate) -> tuple[datetime, str] | None:
        """When a certificate was revoked and why, or None. Raises `FormatError` (crl-invalid)."""
        try:
            found = self.list.get_revoked_certificate_by_serial_number(certificate.serial)
            if found is None:
                return None
            return found.revocation_date_utc, _reason(found)
        except FOREIGN as error:
            raise FormatError("crl-invalid", f"{self.source} has an entry that cannot be parsed: {error}") from error


def _from_library(parsed: x509.CertificateRevocationList, data: bytes, source: str) -> Crl:
    outer = der.Reader(data)
    body = outer.enter()
    outer.end()
    signed = body.take(der.SEQUENCE).raw
    algorithm = read_algorithm(body)
    bits = body.take(der.BIT_STRING).content
    body.end()
    return Crl(
        source=source,
        issuer_der=parsed.issuer.public_bytes(),
        this_update=parsed.last_update_utc,
        next_update=parsed.next_update_utc,
        unjudged=tuple(
            extension.oid.dotted_string
            for extension in parsed.extensions
            if extension.oid not in _JUDGED
            and (extension.critical or isinstance(extension.value, x509.IssuingDistributionPoint | x509.DeltaCRLIndicator))
        ),
        signed_bytes=signed,
        signature_algorithm=algorithm,
        signature=bits[1:],
        list=parsed,
    )


def _reason(entry: x509.RevokedCertificate) -> str:
    for extension in entry.extensions:
        if isinstance(extension.value, x509.CRLReason):
            return extension.value.reason.value
        if extension.critical:
            raise ValueError(f"critical entry extension {extension.oid.dotted_string}")
    return "unspecified"


@dataclass(frozen=True, slots=True)
class RevocationRules:
    """Which CRLs there are, whether every issuer must have one, and how old one may be."""

    crls: tuple[Crl, ...] = ()
    required: bool = False
    maximum_age: timedelta | None = None


def judge(path: tuple[Certificate, ...], rules: RevocationRules, at: datetime) -> list[Failure]:
    """Why a path (signer first, anchor last) fails on revocation at a time; empty where it does not.

    The anchor itself is not checked: the policy is what withdraws an anchor.
    """
    failures: list[Failure] = []
    for certificate, issuer in pairwise(path):
        failures += _judge_one(certificate, issuer, rules, at)
    return failures


def _judge_one(certificate: Certificate, issuer: Certificate, rules: RevocationRules, at: datetime) -> list[Failure]:
    candidates = [crl for crl in rules.crls if crl.issuer_der == issuer.subject_der]
    problems: list[Failure] = []
    current = False
    for crl in candidates:
        problem = _crl_failure(crl, issuer, rules, at)
        if problem and problem.code == "crl-invalid":
            problems.append(problem)
            continue
        # A stale list still proves what it says is revoked; it proves nothing about the rest.
        revoked = _revoked(crl, certificate)
        if revoked:
            return [revoked]
        if problem:
            problems.append(problem)
        else:
            current = True
    if current:
        return []
    if problems:
        return problems[:1]
    if rules.required:
        evidence: Evidence = {"certificate": certificate.fingerprint, "issuer": issuer.subject}
        return [Failure("revocation-unknown", f"the policy names no CRL of {issuer.subject}", evidence)]
    return []


def _crl_failure(crl: Crl, issuer: Certificate, rules: RevocationRules, at: datetime) -> Failure | None:
    evidence: Evidence = {"crl": crl.source, "issuer": issuer.subject, "this_update": crl.this_update.isoformat(),
                          "next_update": crl.next_update.isoformat() if crl.next_update else None, "at": at.isoformat()}
    if crl.unjudged:
        return Failure("crl-invalid", f"{crl.source} has extensions that modseal does not judge: {', '.join(crl.unjudged)}", evidence)
    if issuer.key_usage is not None and not issuer.key_usage.crl_sign:
        return Failure("crl-invalid", f"{issuer.subject} lacks key usage cRLSign", evidence)
    try:
        row, salt = algorithms.identify(crl.signature_algorithm, None, issuer.key)
        algorithms.verify(row, issuer.key, crl.signature, crl.signed_bytes, salt)
    except FormatError as error:
        return Failure("crl-invalid", f"{crl.source} is not signed by {issuer.subject}: {error.failure.detail}", evidence)
    if crl.next_update is None or at > crl.next_update:
        return Failure("crl-stale", f"{crl.source} is past its next update", evidence)
    if rules.maximum_age is not None and at - crl.this_update > rules.maximum_age:
        return Failure("crl-stale", f"{crl.source} is older than the policy allows", evidence)
    return None


def _revoked(crl: Crl, certificate: Certificate) -> Failure | None:
    try:
        entry = crl.entry(certificate)
    except FormatError as error:
        return error.failure
    if entry is None or entry[1] == "removeFromCRL":
        return None
    evidence: Evidence = {"certificate": certificate.fingerprint, "crl": crl.source, "revoked_at": entry[0].isoformat(), "reason": entry[1]}
    return Failure("revoked", f"{certificate.subject} was revoked on {entry[0]:%Y-%m-%d} ({entry[1]})", evidence)

