"""What a CA remembers: which certificates it issued, which of them are revoked, the number of its last CRL.

It is kept as `index.json` beside the CA's certificate. Nothing here is secret; losing it loses who is revoked.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from modseal.errors import FormatError, KeyMaterialError
from modseal.format import canonical_json
from modseal.format.level import Level
from modseal.format.shape import Array, Integer, Table, Text
from modseal.format.times import parse_time, time_text

SCHEMA = "modseal/ca@1"
ROOT_DAYS, ISSUING_DAYS, SIGNER_DAYS, CRL_DAYS = 7300, 3650, 825, 30
"""How long a root, an issuing CA, a signer's certificate and a CRL are valid where nothing else is said."""
CODE_SIGNING, TIME_STAMPING, AUTHORITY = "code-signing", "time-stamping", "ca"
MOST_CERTIFICATES = 20_000
"""Certificates of one CA: a small PKI has dozens."""
MOST_LISTS = 2**63 - 1
INDEX_SIZE = 32 * 2**20
"""Bytes of an index: about 500 for each of `MOST_CERTIFICATES`, and as much again for long names."""

REASONS = (
    "unspecified",
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
)
"""Reasons for revoking, for good (RFC 5280 section 5.3.1). A hold, which ends, is none."""

_TIME = Text(re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), form="a time like 2026-01-31T12:00:00Z", most=20)
_DIGEST = Text(re.compile(r"[0-9a-f]{64}"), form="64 lower-case hex digits", most=64)
_ENTRY = Table(
    {
        "serial": Text(re.compile(r"[0-9a-f]{1,40}"), form="up to 40 lower-case hex digits", most=40),
        "subject": Text(),
        "purpose": Text(choices=(CODE_SIGNING, TIME_STAMPING, AUTHORITY)),
        "not-before": _TIME,
        "not-after": _TIME,
        "sha256": _DIGEST,
        "key-sha256": _DIGEST,
    },
    {"revoked": _TIME, "reason": Text(choices=REASONS)},
)
_SHAPE = Table(
    {
        "schema": Text(choices=(SCHEMA,)),
        "crl-number": Integer(0, MOST_LISTS),
        "certificates": Array(_ENTRY, most=MOST_CERTIFICATES),
    },
    {"level": Text(choices=[str(level) for level in Level])},
)


class Revocation(NamedTuple):
    """Since when a certificate is revoked (aware), and why: one of `REASONS`."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One certificate. `fingerprint` and `key_fingerprint` are SHA-256 in hex, the latter of its public key."""

    serial: int
    subject: str
    purpose: str
    not_before: datetime
    not_after: datetime
    fingerprint: str
    key_fingerprint: str
    revocation: Revocation | None = None


@dataclass(frozen=True, slots=True)
class Index:
    """All that a CA remembers. `level` is what it is meant for: a policy decides what it grants."""

    entries: tuple[IndexEntry, ...] = ()
    crl_number: int = 0
    level: Level | None = None

    def find(self, serial: int) -> IndexEntry | None:
        """The certificate with a serial number."""
        return next((entry for entry in self.entries if entry.serial == serial), None)

    def with_entry(self, entry: IndexEntry) -> Index:
        """With one more certificate, or with what is new about a known one."""
        if self.find(entry.serial):
            return replace(self, entries=tuple(entry if old.serial == entry.serial else old for old in self.entries))
        if len(self.entries) >= MOST_CERTIFICATES:
            raise KeyMaterialError(f"the CA has issued {MOST_CERTIFICATES} certificates; make a new CA").because(
                "ca-full"
            )
        return replace(self, entries=(*self.entries, entry))


def encode(index: Index) -> bytes:
    """The bytes of `index.json`: indented, for people who look.

    Raises `KeyMaterialError` for what could not be read again: the CA would be lost with it.
    """
    plain: dict[str, Any] = {"schema": SCHEMA}
    if index.level is not None:
        plain["level"] = str(index.level)
    plain["crl-number"] = index.crl_number
    plain["certificates"] = [_plain(entry) for entry in index.entries]
    data = (json.dumps(plain, indent=2, ensure_ascii=False) + "\n").encode()
    _require_size(data, "the CA's new index")
    _require_shape(plain, "the CA's new index")
    return data


def decode(data: bytes, name: str) -> Index:
    """The index of some bytes; `name` is for messages. Raises `KeyMaterialError`."""
    _require_size(data, name)
    try:
        plain: Any = canonical_json.load(data, name)
    except FormatError as error:
        raise KeyMaterialError(error.failure.detail).because("ca-damaged") from None
    _require_shape(plain, name)
    try:
        entries = tuple(map(_entry, plain["certificates"]))
    except ValueError as error:
        raise KeyMaterialError(f"{name} cannot be used: {error}").because("ca-damaged") from None
    if len({entry.serial for entry in entries}) < len(entries):
        raise KeyMaterialError(f"{name} cannot be used: a serial number is there twice").because("ca-damaged")
    level = Level.parse(plain["level"]) if "level" in plain else None
    return Index(entries, plain["crl-number"], level)


def _require_size(data: bytes, name: str) -> None:
    if len(data) > INDEX_SIZE:
        raise KeyMaterialError(f"{name} is over {INDEX_SIZE} bytes: that is not the index of a CA").because(
            "ca-damaged"
        )


def _require_shape(plain: object, name: str) -> None:
    problem = next(iter(_SHAPE.problems(plain)), None)
    if problem:
        raise KeyMaterialError(f"{name} cannot be used: {problem}").because("ca-damaged")


def _plain(entry: IndexEntry) -> dict[str, str]:
    plain = {
        "serial": f"{entry.serial:x}",
        "subject": entry.subject,
        "purpose": entry.purpose,
        "not-before": time_text(entry.not_before),
        "not-after": time_text(entry.not_after),
        "sha256": entry.fingerprint,
        "key-sha256": entry.key_fingerprint,
    }
    if entry.revocation:
        plain |= {"revoked": time_text(entry.revocation.at), "reason": entry.revocation.reason}
    return plain


def _entry(plain: dict[str, str]) -> IndexEntry:
    """Raises `ValueError`."""
    if ("revoked" in plain) != ("reason" in plain):
        raise ValueError(f"certificate {plain['serial']} has one of 'revoked' and 'reason' without the other")
    revocation = Revocation(parse_time(plain["revoked"]), plain["reason"]) if "revoked" in plain else None
    return IndexEntry(
        serial=int(plain["serial"], 16),
        subject=plain["subject"],
        purpose=plain["purpose"],
        not_before=parse_time(plain["not-before"]),
        not_after=parse_time(plain["not-after"]),
        fingerprint=plain["sha256"],
        key_fingerprint=plain["key-sha256"],
        revocation=revocation,
    )
