"""The three roles, and who has which: the certificate names one, and its CA grants it or does not.

As with the levels of modules, what a certificate says of itself is a claim, and the owner of the host has said for each
CA how far its word goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from modseal.errors import Failure, FormatError, RefusedError
from modseal.format.rules import key_name
from modseal.pki.certificate import Certificate
from modseal.pki.crl import Crl
from modseal.pki.path import NoPath, PathRules, find_paths, revocation_failures
from modseal.pki.purpose import ChainProfile, key_failures
from modseal.pki.revocation import RevocationRules

ROLES = ("reader", "operator", "admin")
PREFIX = "modseal:"
"""An organizational unit of a subject that begins so names a role."""

_ORGANIZATIONAL_UNIT = "2.5.4.11"
_CLIENT_AUTHENTICATION = "1.3.6.1.5.5.7.3.2"
_PROFILE = ChainProfile("client authentication", _CLIENT_AUTHENTICATION)


class Role(IntEnum):
    """What somebody may do; each may do what those before it may."""

    READER = 0
    OPERATOR = 1
    ADMIN = 2

    def __str__(self) -> str:
        return ROLES[self]

    @classmethod
    def named(cls, word: str) -> Role:
        """The role of a word of `ROLES`."""
        return cls(ROLES.index(word))


@dataclass(frozen=True, slots=True)
class ClientCa:
    """A CA of clients with those below it that a path may go through, the highest role it grants, and its CRLs."""

    certificates: tuple[Certificate, ...]
    grants: Role
    crls: tuple[Crl, ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the subject of the certificate, the name of its key (`format.rules.key_name`), and the role."""

    name: str
    key: str
    role: Role


def caller(der: bytes, authorities: Sequence[ClientCa], at: datetime) -> Caller:
    """Who a certificate stands for, and in which role. That it was used with its key, TLS has proved.

    Raises `FormatError` and `RefusedError` with what speaks against it: the codes of steps 3 to 5, and role-missing.
    """
    certificate = Certificate.parse(der)
    _require([*_leaf_failures(certificate), *key_failures(certificate)])
    claimed = _claimed(certificate)
    granted: list[Role] = []
    failures: list[Failure] = []
    for authority in authorities:
        found = _proved_under(certificate, authority, at)
        if found:
            failures += found
        else:
            granted.append(authority.grants)
    _require([failure for failure in failures if failure.code == "revoked"])  # whatever another CA says of it
    if not granted:
        # What says most about this certificate: under the other CAs there is no path at all.
        failures.sort(key=lambda failure: failure.code == "no-path")
        _require(failures)
    if claimed is None or claimed > max(granted):
        said = f"claims the role {claimed}" if claimed is not None else f"names no one role (OU={PREFIX}reader)"
        detail = f"the certificate of {certificate.subject} {said}, and its CA grants {max(granted)} at most"
        raise RefusedError("role-missing", detail, certificate=certificate.fingerprint, subject=certificate.subject)
    return Caller(certificate.subject, key_name(certificate.key_der), claimed)


def _claimed(certificate: Certificate) -> Role | None:
    """The one role that a subject names; None where it names none, several, or one that is not known."""
    units = [
        str(value)
        for relative in certificate.subject_name
        for oid, value in relative
        if oid == _ORGANIZATIONAL_UNIT and str(value).startswith(PREFIX)
    ]
    words = [one.removeprefix(PREFIX) for one in units]
    return Role.named(words[0]) if len(words) == 1 and words[0] in ROLES else None


def _leaf_failures(certificate: Certificate) -> list[Failure]:
    """RFC 5280 sections 4.2.1.3, 4.2.1.9 and 4.2.1.12; a purpose has to be named, as everywhere here."""
    evidence = {"certificate": certificate.fingerprint, "subject": certificate.subject}
    wrong = []
    if certificate.extended_key_usage is None or _CLIENT_AUTHENTICATION not in certificate.extended_key_usage:
        wrong.append("has no extended key usage clientAuth")
    if certificate.key_usage is not None and not certificate.key_usage.digital_signature:
        wrong.append("has no key usage digitalSignature")
    if certificate.is_ca:
        wrong.append("is that of a CA")
    return [Failure("wrong-purpose", f"the certificate of {certificate.subject} {one}", evidence) for one in wrong]


def _proved_under(certificate: Certificate, authority: ClientCa, at: datetime) -> list[Failure]:
    """What speaks against a certificate under a CA; nothing where it leads there and is not revoked."""
    anchor, *between = authority.certificates
    rules = PathRules(
        revocation=RevocationRules(authority.crls, required=bool(authority.crls)), intermediates=tuple(between)
    )
    paths = find_paths(certificate, (), (anchor,), rules, at, _PROFILE)
    if isinstance(paths, NoPath):
        return list(paths.failures)
    return revocation_failures(paths[0], rules, at)


def _require(failures: Sequence[Failure]) -> None:
    for failure in failures[:1]:
        raise FormatError(failure.code, failure.detail, **failure.evidence)
