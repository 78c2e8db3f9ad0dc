"""What is in a key, certificate, request or CRL file, in lines for people, and what to warn of.

Everything that can be shown is public: of a private key, its kind and the fingerprint of its public half.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    load_der_private_key,
    load_der_public_key,
)

from modseal.ca import request
from modseal.ca.authority import Authority
from modseal.ca.index import IndexEntry
from modseal.errors import FormatError, KeyMaterialError, RefusedError, foreign
from modseal.format import pem
from modseal.pki import purpose
from modseal.pki.certificate import Certificate
from modseal.pki.crl import Crl
from modseal.pki.public_key import kind_of_key
from modseal.signing import fitness, material
from modseal.signing.key_file import key_fingerprint
from modseal.signing.material import Passphrase

SOON = timedelta(days=90)
"""How long before its end a certificate is warned of: ordering, carrying and trusting a new one takes weeks."""
CRL_SOON = timedelta(days=7)
"""How long before its next update a CRL is warned of, unless it has been renewed since."""

_TIME = "%Y-%m-%d %H:%M:%S UTC"
_WIDTH = 12


@dataclass(frozen=True, slots=True)
class Description:
    """Lines, not yet safe for a terminal, and sentences to warn with. `is_secret`: who reads the file has a key."""

    lines: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    is_secret: bool = False


def describe_file(path: Path, passphrase: Passphrase | None, now: datetime) -> Description:
    """All that a PEM, DER or PKCS #12 file has. `passphrase` None leaves an encrypted PEM key closed.

    Raises `KeyMaterialError` where there is nothing that modseal knows, `InputError`.
    """
    data, shared = material.read_file(path)
    with foreign(lambda _: _damaged(path)):  # some values are parsed by the library when they are first asked for
        parts = list(_parts(path, data, passphrase, now))
    if not parts:
        raise KeyMaterialError(f"{path} has no key, certificate, request or CRL that modseal knows").because(
            "nothing-known"
        )
    lines = [line for number, part in enumerate(parts) for line in (*([""] if number else []), *part.lines)]
    own = [warning for part in parts for warning in part.warnings]
    return Description(tuple(lines), (*(shared if any(part.is_secret for part in parts) else ()), *own))


def describe_authority(authority: Authority, now: datetime) -> Description:
    """A CA's certificate, and what it has issued."""
    own = _certificate(authority.certificate, now)
    index = authority.index
    counts = f"{len(index.entries)} issued, {sum(entry.revocation is not None for entry in index.entries)} revoked"
    lines = [
        *own.lines,
        _line("meant for", str(index.level or "any level")),
        _line("last CRL", str(index.crl_number or "none")),
    ]
    lines += ["", f"certificates: {counts}", *(f"  {_entry(entry, now)}" for entry in index.entries)]
    known = [
        each for entry in index.entries if not entry.revocation for each in _expiry(entry.subject, entry.not_after, now)
    ]
    return Description(tuple(lines), (*own.warnings, *known))


def certificate_warnings(certificate: x509.Certificate, now: datetime) -> tuple[str, ...]:
    """Whether a certificate has expired, or will soon."""
    return tuple(_expiry(certificate.subject.rfc4514_string(), certificate.not_valid_after_utc, now))


def _parts(path: Path, data: bytes, passphrase: Passphrase | None, now: datetime) -> Iterator[Description]:
    if pem.is_der(data):
        yield from _der_part(path, data, passphrase, now)
        return
    try:
        blocks = pem.read(data)
    except ValueError as error:
        raise KeyMaterialError(f"{path}: {error}").because("part-damaged") from None
    for block in blocks:
        yield _pem_part(path, block, passphrase, now)


def _pem_part(path: Path, block: pem.PemBlock, passphrase: Passphrase | None, now: datetime) -> Description:
    if block.label.endswith("PRIVATE KEY"):
        return _private_key(path, block, passphrase)
    if block.label == "PUBLIC KEY":
        return Description(("public key", *_key_lines(_load(load_der_public_key, block.content, path))))
    if block.label == pem.CERTIFICATE:
        return _certificate(_load(x509.load_der_x509_certificate, block.content, path), now)
    if block.label in pem.REQUESTS:
        return _request(request.parse_request(block.content, str(path)))
    if block.label == pem.CRL:
        return _crl(_load(x509.load_der_x509_crl, block.content, path), path, now)
    return Description((f"{block.label}: not something that modseal knows",))


def _der_part(path: Path, data: bytes, passphrase: Passphrase | None, now: datetime) -> Iterator[Description]:
    if material.is_pkcs12(data):
        found = material.read_key(path, passphrase)
        yield Description(("private key (PKCS #12)", *_key_lines(found.key.public_key())), is_secret=True)
        for certificate in found.certificates:
            yield _certificate(certificate, now)
        return
    readers: tuple[tuple[Any, Any], ...] = (
        (x509.load_der_x509_certificate, lambda value: _certificate(value, now)),
        (x509.load_der_x509_crl, lambda value: _crl(value, path, now)),
        (x509.load_der_x509_csr, _request),
        (load_der_public_key, lambda value: Description(("public key", *_key_lines(value)))),
        (
            lambda raw: load_der_private_key(raw, None),
            lambda value: Description(("private key, not encrypted", *_key_lines(value.public_key())), is_secret=True),
        ),
    )
    for load, show in readers:
        try:
            value = _load(load, data, path)
        except KeyMaterialError:
            continue
        yield show(value)
        return


def _load(load: Any, data: bytes, path: Path) -> Any:
    with foreign(lambda _: _damaged(path)), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is odd is shown, not warned about
        return load(data)


def _damaged(path: Path) -> KeyMaterialError:
    return KeyMaterialError(f"{path} has a part that cannot be parsed").because("part-damaged")


def _private_key(path: Path, block: pem.PemBlock, passphrase: Passphrase | None) -> Description:
    is_encrypted = block.label.startswith("ENCRYPTED") or block.headers
    if is_encrypted and passphrase is None:
        return Description(("private key, encrypted (--passphrase-file shows more)",), is_secret=True)
    key = material.pem_key(path, block.text, passphrase)
    how = "encrypted" if is_encrypted else "not encrypted"
    return Description((f"private key, {how}", *_key_lines(key.public_key())), is_secret=True)


def _key_lines(public_key: Any) -> Iterator[str]:
    yield _line("key", kind_of_key(public_key))
    yield _line("key sha256", key_fingerprint(public_key))


def _request(found: x509.CertificateSigningRequest) -> Description:
    is_signed = request.is_signed(found)
    lines = (
        "request for a certificate",
        _line("subject", found.subject.rfc4514_string()),
        *_key_lines(found.public_key()),
    )
    signed = _line("signature", "verifies" if is_signed else "does NOT verify")
    return Description((*lines, signed), () if is_signed else ("the request is not signed with its own key",))


def _certificate(found: x509.Certificate, now: datetime) -> Description:
    try:
        parsed = Certificate.parse(found.public_bytes(Encoding.DER))
    except FormatError as error:
        return Description(("certificate", _line("unusable", error.failure.detail)), (error.failure.detail,))
    lines = [
        "certificate",
        _line("subject", parsed.subject),
        _line("issuer", "itself" if parsed.is_self_issued else parsed.issuer),
        _line("serial", f"{parsed.serial:x}"),
        _line("valid from", f"{parsed.not_before:{_TIME}}"),
        _line("valid until", f"{parsed.not_after:{_TIME}}"),
        *_key_lines(parsed.key),
        _line("sha256", parsed.fingerprint),
        _line("is for", _uses(found, parsed)),
    ]
    weak = [failure.detail for failure in purpose.key_failures(parsed)]
    return Description(tuple(lines), (*_expiry(parsed.subject, parsed.not_after, now), *weak))


def _uses(found: x509.Certificate, parsed: Certificate) -> str:
    """What a certificate may be used for by the verifier's rules, without regard to the time."""
    usages = parsed.extended_key_usage
    if parsed.is_ca:
        length = "" if parsed.path_length is None else f", with {parsed.path_length} more CAs below it"
        kinds = {purpose.CODE_SIGNING: "code signing", purpose.TIME_STAMPING: "time stamping"}
        named = [kinds.get(each, each) for each in sorted(usages or ())]
        scope = f" for {', '.join(named)} alone" if named else ""
        return f"issuing certificates{scope}{length}"
    if usages == frozenset({purpose.TIME_STAMPING}):
        return "time stamping"
    try:
        fitness.check_certificate(found, (), parsed.not_before)
    except RefusedError as error:
        return f"nothing that modseal accepts: {error.failure.detail}"
    return "code signing"


def _crl(found: x509.CertificateRevocationList, path: Path, now: datetime) -> Description:
    try:
        parsed = Crl.parse(found.public_bytes(Encoding.DER), str(path))
    except FormatError as error:
        return Description(("CRL", _line("unusable", error.failure.detail)), (error.failure.detail,))
    issuer = found.issuer.rfc4514_string()
    until = f"{parsed.next_update:{_TIME}}" if parsed.next_update else "not said"
    lines = [
        "CRL",
        _line("issuer", issuer),
        _line("number", _crl_number(found)),
        _line("issued", f"{parsed.this_update:{_TIME}}"),
        _line("next update", until),
        _line("revokes", f"{len(parsed.entries)} certificates"),
        *(f"    {serial:x}  since {entry.since:%Y-%m-%d}  {entry.reason}" for serial, entry in parsed.entries.items()),
    ]
    return Description(tuple(lines), tuple(_crl_age(issuer, parsed, now)))


def _crl_number(found: x509.CertificateRevocationList) -> str:
    try:
        return str(found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number)
    except Exception:  # noqa: BLE001 - not there, or such that the library cannot read it
        return "none"


def _crl_age(issuer: str, crl: Crl, now: datetime) -> Iterator[str]:
    if crl.next_update is None:
        yield f"the CRL of {issuer} has no next update, and no verifier takes it; write a new one"
    elif crl.next_update < now:
        yield f"the CRL of {issuer} is past its next update; write a new one, or fetch it from the CA"
    elif crl.next_update < now + CRL_SOON:
        yield f"the CRL of {issuer} ends on {crl.next_update:%Y-%m-%d}; write a new one, or fetch it from the CA"


def _entry(entry: IndexEntry, now: datetime) -> str:
    if entry.revocation:
        state = f"revoked on {entry.revocation.at:%Y-%m-%d} ({entry.revocation.reason})"
    else:
        state = f"{'expired on' if entry.not_after < now else 'until'} {entry.not_after:%Y-%m-%d}"
    return f"{entry.serial:x}  {entry.purpose}  {entry.subject}  {state}"


def _expiry(subject: str, not_after: datetime, now: datetime) -> Iterator[str]:
    if not_after < now:
        yield f"{subject} expired on {not_after:%Y-%m-%d}"
    elif not_after < now + SOON:
        yield f"{subject} expires on {not_after:%Y-%m-%d}, in {(not_after - now).days} days; replace it in time"


def _line(label: str, value: str) -> str:
    return f"  {label:<{_WIDTH}} {value}"
