"""What a CA does with its folder: come to be, issue, revoke, write its CRL. Each is one function, all or nothing.

`now` is aware. `secret` gives the passphrase of the CA's key when it is asked for. Raises `UsageError`, `InputError`,
`KeyMaterialError`, and `RefusedError` (not-issued, unfit-certificate).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from modseal.ca import authority, folder
from modseal.ca.description import certificate_warnings
from modseal.ca.index import CODE_SIGNING, ISSUING_DAYS, ROOT_DAYS, IndexEntry
from modseal.ca.request import authority_name, read_request
from modseal.errors import UsageError
from modseal.files.staging import require_free
from modseal.format.level import Level
from modseal.signing.key_file import encode_key, new_key
from modseal.signing.material import read_certificate

Secret = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was made: for whom, until when, for which purpose; and what the CA's keeper should know."""

    subject: str
    until: datetime
    purpose: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WrittenCrl:
    """A CRL that was written: its number, whose it is, how many are revoked, until when; and what to know."""

    number: int
    issuer: str
    revoked: int
    until: datetime | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parent:
    """The CA above a new one: its folder, the passphrase of its key, and what the new one may issue for."""

    folder: Path
    secret: Secret
    purpose: str = CODE_SIGNING


def make(
    place: Path,
    name: str,
    organization: str | None,
    level: Level | None,
    days: int | None,
    kind: str,
    secret: Callable[[], bytes | None],
    now: datetime,
    parent: Parent | None = None,
) -> Issued:
    """Make a CA in a new folder: a root, or below a parent, which notes that it has issued it.

    `kind` is one of `signing.key_file.KEY_TYPES`; `secret` gives the passphrase of the new key, None for no encryption.
    """
    subject = authority_name(name, organization)
    require_free(place)
    parent_key, warnings = folder.read_key(parent.folder, parent.secret) if parent else (None, ())
    passphrase = secret()
    key = new_key(kind)
    encoded = encode_key(key, passphrase)
    if parent:
        with folder.opened(parent.folder) as above:
            made, index = authority.make_issuing(
                above.authority, parent_key, subject, key, days or ISSUING_DAYS, now, parent.purpose, level
            )
            folder.create(place, made, encoded, _pem(made.certificate), (above, index))
            warnings += certificate_warnings(above.authority.certificate, now)
    else:
        made = authority.make_root(subject, key, days or ROOT_DAYS, now, level)
        folder.create(place, made, encoded, _pem(made.certificate))
    return Issued(made.name, made.certificate.not_valid_after_utc, parent.purpose if parent else "", warnings)


def issue(place: Path, request: Path, output: Path, days: int, purpose: str, secret: Secret, now: datetime) -> Issued:
    """Issue a signer's certificate for the key and the name of a request, and write it."""
    found = read_request(request)
    folder.require_public(output, place)
    key, warnings = folder.read_key(place, secret)
    with folder.opened(place) as own:
        made, index = authority.issue_certificate(own.authority, key, found, days, now, purpose)
        own.publish(index, output, _pem(made))
    if list(found.extensions):
        warnings += ("the request asks for extensions, which are not taken over: the CA sets its own",)
    warnings += certificate_warnings(own.authority.certificate, now)
    return Issued(made.subject.rfc4514_string(), made.not_valid_after_utc, purpose, warnings)


def revoke(place: Path, certificate: Path | None, serial: str | None, reason: str, now: datetime) -> IndexEntry:
    """Note that a certificate is revoked, which its file or its serial number (in hex) names; the next CRL has it."""
    which = _which(certificate, serial)
    with folder.opened(place) as own:
        index = authority.revoke(own.authority, which, reason, now)
        own.publish(index)
    entry = index.find(which if isinstance(which, int) else which.serial_number)
    if entry is None:
        raise AssertionError("what was revoked is in the index")
    return entry


def write_crl(place: Path, output: Path, days: int, secret: Secret, now: datetime) -> WrittenCrl:
    """Write the CA's CRL, with the next number."""
    folder.require_public(output, place)
    key, warnings = folder.read_key(place, secret)
    with folder.opened(place) as own:
        made, index = authority.make_crl(own.authority, key, days, now)
        own.publish(index, output, made.public_bytes(Encoding.PEM))
    warnings += certificate_warnings(own.authority.certificate, now)
    return WrittenCrl(index.crl_number, own.authority.name, len(made), made.next_update_utc, warnings)


def _which(certificate: Path | None, serial: str | None) -> x509.Certificate | int:
    """The certificate of a file, or a serial number."""
    if (certificate is None) == (serial is None):
        raise UsageError("give either the certificate's file or --serial")
    if certificate:
        return read_certificate(certificate)
    plain = (serial or "").replace(":", "").lower()
    if not 1 <= len(plain) <= 40 or not set(plain) <= set("0123456789abcdef"):
        raise UsageError(f"{serial!r} is not a serial number in hex digits")
    return int(plain, 16)


def _pem(certificate: Any) -> bytes:
    data: bytes = certificate.public_bytes(Encoding.PEM)
    return data
