"""A certificate revocation list, read from its DER (RFC 5280 section 5).

The whole list is read at once: a list whose reading stops early at a bad entry would leave out those after
it (X5-10). Complete, direct lists are what is judged; what else a list may be is in `unjudged`, and a list
with anything there is never used.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import field
from datetime import datetime

from modseal.errors import FormatError, foreign
from modseal.format import der
from modseal.format.cms import Algorithm
from modseal.pki.certificate import Certificate
from modseal.pki.extensions import (
    AUTHORITY_KEY_ID,
    CRL_NUMBER,
    DELTA_CRL_INDICATOR,
    EXPIRED_CERTIFICATES_ON_CRL,
    INVALIDITY_DATE,
    ISSUING_DISTRIBUTION_POINT,
    REASON_CODE,
    Extension,
    read_authority_key_id,
    read_extensions,
    read_signed,
)
from modseal.pki.names import DIRECTORY, GeneralName, Name, read_name, read_point_names
from modseal.values import dataclass

REASONS = {
    0: "unspecified",
    1: "keyCompromise",
    2: "cACompromise",
    3: "affiliationChanged",
    4: "superseded",
    5: "cessationOfOperation",
    6: "certificateHold",
    8: "removeFromCRL",
    9: "privilegeWithdrawn",
    10: "aACompromise",
}
"""Section 5.3.1."""

_ENUMERATED = 0x0A
_VERSION_2 = b"\1"
_JUDGED = {AUTHORITY_KEY_ID, CRL_NUMBER, ISSUING_DISTRIBUTION_POINT, EXPIRED_CERTIFICATES_ON_CRL}
_JUDGED_OF_ENTRIES = {REASON_CODE, INVALIDITY_DATE}
_time = functools.lru_cache(maxsize=1024)(der.decode_either_time)


@dataclass(frozen=True, slots=True)
class RevokedEntry:
    """One revoked certificate: since when (the earlier of its two dates), and why."""

    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Scope:
    """Which certificates a list is about (section 5.2.5). No `points` means all of the issuer's."""

    points: frozenset[GeneralName] = frozenset()
    only_users: bool = False
    only_authorities: bool = False
    only_attributes: bool = False
    unjudged: tuple[str, ...] = ()

    def covers(self, certificate: Certificate) -> bool:
        """Whether the list would name this certificate if it were revoked (section 6.3.3 (b)(2))."""
        if self.only_attributes or (self.only_users if certificate.is_ca else self.only_authorities):
            return False
        own = {*certificate.distribution_points, GeneralName(DIRECTORY, certificate.issuer_name)}
        return not self.points or not self.points.isdisjoint(own)


@dataclass(frozen=True, slots=True, eq=False)
class Crl:
    """One CRL: who issued it, when, for how long, what it revokes. Times are aware, in UTC.

    Equal and hashed by its bytes and its source.

    `unjudged` says what in it modseal does not judge. `keeps_expired_since` is where the issuer says that
    certificates which expired before that time may be missing (X.509 expiredCertsOnCRL). `authority_key_id` is which
    key the issuer says it signed with: a hint.
    """

    source: str
    issuer: Name
    this_update: datetime
    next_update: datetime | None
    scope: Scope
    unjudged: tuple[str, ...]
    keeps_expired_since: datetime | None
    authority_key_id: bytes | None
    entries: dict[int, RevokedEntry] = field(repr=False)
    signed_bytes: bytes = field(repr=False)
    signature_algorithm: Algorithm
    signature: bytes = field(repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Crl) and self._bytes == other._bytes

    def __hash__(self) -> int:
        return hash(self._bytes)

    @property
    def _bytes(self) -> tuple[str, bytes, bytes, bytes]:
        return self.source, self.signed_bytes, self.signature_algorithm.raw, self.signature

    @classmethod
    def parse(cls, data: bytes, source: str) -> Crl:
        """From DER; `source` is for messages. Raises `FormatError` (crl-invalid)."""

        def invalid(why: str) -> FormatError:
            return FormatError("crl-invalid", f"{source} is not a readable CRL: {why}")

        with foreign(invalid):
            try:
                return _read(data, source)
            except FormatError as error:
                raise invalid(error.failure.detail) from error


def _read(data: bytes, source: str) -> Crl:
    signed = read_signed(data)
    fields = signed.fields
    version = fields.optional(der.INTEGER)
    signed.require_algorithm()
    issuer = read_name(fields.next())
    this_update = _time(fields.next())
    next_update = fields.optional(der.UTC_TIME) or fields.optional(der.GENERALIZED_TIME)
    entries, unknown = _read_entries(fields.optional(der.SEQUENCE))
    wrapped = fields.optional(der.context(0))
    extensions = read_extensions(der.only(wrapped.content)) if wrapped else {}
    fields.end()
    if (version and version.content != _VERSION_2) or (extensions and not version) or not issuer:
        raise der.malformed("its version does not fit, or it names no issuer")
    scope = _read_scope(extensions.get(ISSUING_DISTRIBUTION_POINT), issuer)
    expired, authority = extensions.get(EXPIRED_CERTIFICATES_ON_CRL), extensions.get(AUTHORITY_KEY_ID)
    return Crl(
        source=source,
        issuer=issuer,
        this_update=this_update,
        next_update=_time(next_update) if next_update else None,
        scope=scope,
        unjudged=(*_unjudged(extensions), *unknown, *scope.unjudged),
        keeps_expired_since=_read_time(expired) if expired else None,
        authority_key_id=read_authority_key_id(authority.value) if authority else None,
        entries=entries,
        signed_bytes=signed.raw,
        signature_algorithm=signed.algorithm,
        signature=signed.signature,
    )


def _unjudged(extensions: dict[str, Extension]) -> Iterator[str]:
    if DELTA_CRL_INDICATOR in extensions:
        yield "it is a delta CRL"
    for oid, extension in extensions.items():
        if extension.critical and oid not in _JUDGED and oid != DELTA_CRL_INDICATOR:
            yield f"critical extension {oid}"


def _read_entries(value: der.Value | None) -> tuple[dict[int, RevokedEntry], tuple[str, ...]]:
    """The entries by serial number, and the critical extensions in them that are not judged."""
    entries: dict[int, RevokedEntry] = {}
    unknown: dict[str, None] = {}
    reader = der.Reader(value.content if value else b"")
    while reader.more():
        fields = reader.enter()
        serial, since, details = fields.integer(), _time(fields.next()), _NO_DETAILS
        if fields.more():
            details = _read_details(fields.take(der.SEQUENCE).content)
            fields.end()
            unknown.update(dict.fromkeys(details.unknown))
        found = RevokedEntry(min(since, details.invalid_since or since), details.reason)
        if other := entries.get(
            serial
        ):  # two entries for one certificate: the earlier time, and no reason if they differ
            reason = found.reason if found.reason == other.reason else REASONS[0]
            found = RevokedEntry(min(found.since, other.since), reason)
        entries[serial] = found
    return entries, tuple(unknown)


@dataclass(frozen=True, slots=True)
class _Details:
    """What an entry's extensions say (section 5.3)."""

    reason: str = REASONS[0]
    invalid_since: datetime | None = None
    unknown: tuple[str, ...] = ()


_NO_DETAILS = _Details()


@functools.lru_cache(maxsize=1024)
def _read_details(content: bytes) -> _Details:
    """Remembered, because the same few extensions are in all entries of a long list."""
    extensions = read_extensions(der.Reader(content))
    critical = [oid for oid, extension in extensions.items() if extension.critical]
    reason = REASONS[0]
    if REASON_CODE in extensions:
        content = der.only_value(extensions[REASON_CODE].value, _ENUMERATED).content
        if len(content) != 1:
            raise der.malformed("a reason code is not a small number")
        reason = REASONS.get(content[0], "unknown")
    return _Details(
        reason=reason,
        invalid_since=_read_time(extensions[INVALIDITY_DATE]) if INVALIDITY_DATE in extensions else None,
        unknown=tuple(f"critical entry extension {oid}" for oid in critical if oid not in _JUDGED_OF_ENTRIES),
    )


def _read_scope(extension: Extension | None, issuer: Name) -> Scope:
    if extension is None:
        return Scope()
    body = der.only(extension.value)
    points = body.optional(der.context(0))
    users, authorities = _flag(body, 1), _flag(body, 2)
    some_reasons = body.optional(0x83)
    indirect, attributes = _flag(body, 4), _flag(body, 5)
    body.end()
    narrower = {"it is for some reasons alone": some_reasons, "it is indirect": indirect}
    unjudged = [text for text, flag in narrower.items() if flag]
    names = read_point_names(points.content, issuer) if points else ()
    if points and not names:
        raise der.malformed("its distribution point has no name")
    return Scope(frozenset(names), users, authorities, attributes, tuple(unjudged))


def _flag(reader: der.Reader, number: int) -> bool:
    value = reader.optional(0x80 | number)
    if value and value.content != b"\xff":
        raise der.malformed("a flag is neither TRUE nor absent")
    return value is not None


def _read_time(extension: Extension) -> datetime:
    return der.decode_generalized_time(der.only_value(extension.value, der.GENERALIZED_TIME))
