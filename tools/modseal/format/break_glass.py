"""The file that breaks the glass, as bytes: it ends the strict mode of one host, once (`format.statement_file`).

It names the host, and the lockdown that it ends: that has a random number of its own each time that it begins. So
there is nothing to remember of a file that was used: no later lockdown has its number. Whether its signatures mean
anything is for `host.break_glass`.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any

from modseal import limits
from modseal.errors import FormatError
from modseal.format import canonical_json, rooted, rules, statement_file
from modseal.format.rooted import TIME
from modseal.format.shape import Table, Text
from modseal.format.times import time_text
from modseal.values import dataclass, regex

SCHEMA = "modseal/break-glass@1"
MEMBER = "breakglass.json"

RANDOM_BYTES = 16
"""Bytes of a random number that nobody guesses and that never comes twice (RFC 9562 section 5.4 takes 122 bits)."""
RANDOM = Text(
    regex(f"[0-9a-f]{{{2 * RANDOM_BYTES}}}"),
    form=f"{2 * RANDOM_BYTES} lower-case hex digits",
    least=2 * RANDOM_BYTES,
    most=2 * RANDOM_BYTES,
)
_REASON_LENGTH = 1000
SHAPE = Table(
    {
        "schema": Text(choices=(SCHEMA,)),
        "host": RANDOM,
        "lock": RANDOM,
        "not_before": TIME,
        "expires": TIME,
        "reason": Text(most=_REASON_LENGTH, about="Text on one line."),
    },
    about="What ends one lockdown of one host. Rules over several values stand in docs/host.md.",
)


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """What ends the lockdown `lock` of the host `host`, unproved. Times are aware, in UTC.

    `signed` and `signature` are the two raw members; a new one is made with both empty.
    """

    host: str
    lock: str
    not_before: datetime
    expires: datetime
    reason: str
    signed: bytes = field(default=b"", repr=False)
    signature: bytes = field(default=b"", repr=False)

    @property
    def sha256(self) -> str:
        """What identifies it, however often it is signed: the digest of its document."""
        return hashlib.sha256(self.signed).hexdigest()


def new_random() -> str:
    """A new random number, as `RANDOM` has it."""
    return secrets.token_hex(RANDOM_BYTES)


def invalid(detail: str, **evidence: str | int) -> FormatError:
    """The refusal of such a file."""
    return FormatError("break-glass-invalid", f"the break-glass file cannot be used: {detail}", **evidence)


def declare(glass: BreakGlass) -> bytes:
    """The bytes of `breakglass.json`: what is signed. Raises `FormatError` (break-glass-invalid)."""
    plain = {
        "schema": SCHEMA,
        "host": glass.host,
        "lock": glass.lock,
        "not_before": time_text(glass.not_before),
        "expires": time_text(glass.expires),
        "reason": glass.reason,
    }
    rooted.require(plain, SHAPE, invalid, _problems)
    return canonical_json.dump(plain)


def encode(glass: BreakGlass) -> bytes:
    """The whole file. Raises `FormatError` (break-glass-invalid)."""
    data = statement_file.encode(MEMBER, glass.signed or declare(glass), glass.signature)
    decode(data)
    return data


def decode(data: bytes) -> BreakGlass:
    """A break-glass file from its bytes, unproved. Raises `FormatError` (break-glass-invalid)."""
    signed, signature = statement_file.decode(data, MEMBER, limits.BREAK_GLASS_SIZE, invalid)
    plain = rooted.load(signed, MEMBER, SHAPE, invalid, _problems)
    not_before, expires = (rooted.parse_time(plain[name], invalid) for name in ("not_before", "expires"))
    return BreakGlass(plain["host"], plain["lock"], not_before, expires, plain["reason"], signed, signature)


def _problems(plain: dict[str, Any]) -> Iterator[str]:
    yield from (failure.detail for failure in rules.check_line("reason", plain["reason"], _REASON_LENGTH))
    lasts = rooted.parse_time(plain["expires"], invalid) - rooted.parse_time(plain["not_before"], invalid)
    if lasts <= timedelta():
        yield "expires: is not after not_before"
    if lasts > timedelta(days=limits.BREAK_GLASS_DAYS):
        yield f"expires: is more than {limits.BREAK_GLASS_DAYS} days after not_before"
