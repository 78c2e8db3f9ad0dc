"""Makes files that break the glass of a host, and adds the signatures of those who hold its keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from modseal.errors import FormatError, UsageError
from modseal.files.output import output_file
from modseal.format import break_glass as glass_format
from modseal.format.break_glass import BreakGlass
from modseal.format.times import time_text
from modseal.signing import fitness
from modseal.signing.signer import Signer
from modseal.signing.statement_writer import add_block
from modseal.trust.signature import verify_member


def make(host: str, lock: str, reason: str, times: tuple[datetime, datetime], now: datetime) -> BreakGlass:
    """A new file, unsigned; `times` are from when on and until when it may be used. Raises `UsageError`."""
    not_before, expires = times
    if expires <= now:
        raise UsageError(f"{time_text(expires)} is past: the file would never count; give a later --expires")
    made = BreakGlass(host, lock, not_before, expires, reason)
    try:
        return replace(made, signed=glass_format.declare(made))
    except FormatError as error:
        raise UsageError(error.failure.detail) from error  # of what the options say: no file is at fault


def sign(glass: BreakGlass, signers: Sequence[Signer], at: datetime, time: datetime) -> BreakGlass:
    """The file with the signatures of all of them added, each key once.

    `at` and `time` are those of `add_block`. Raises `RefusedError`, `UsageError`.
    """
    member = glass.signature
    for signer in signers:
        mine = fitness.parse(signer.certificate)
        if any(one.certificate.key_der == mine.key_der for one in verify_member(member, glass.signed).signers):
            raise UsageError(f"the key of {mine.subject} has signed already, and counts once")
        member = add_block(glass.signed, member, signer, at, time)
    return replace(glass, signature=member)


def write(glass: BreakGlass, output: Path) -> None:
    """Write the file, atomically. Raises `FormatError`, `InputError`, `UsageError`."""
    data = glass_format.encode(glass)
    with output_file(output) as file:
        file.write(data)
