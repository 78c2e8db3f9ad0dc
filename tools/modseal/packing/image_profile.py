"""Signs and writes image profiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from modseal.errors import FormatError, UsageError
from modseal.files.output import output_file
from modseal.format import image_profile
from modseal.format.image_profile import ImageProfile
from modseal.signing.signer import Signer
from modseal.signing.statement_writer import add_block
from modseal.signing.tsa import Stamp


def finish(
    profile: ImageProfile, signers: Sequence[Signer], at: datetime, time: datetime, stamp: Stamp | None = None
) -> ImageProfile:
    """The profile with its bytes, signed by all of `signers`, who may be none.

    `at` is the time that their certificates must be valid at, `time` the one that the signatures say. Raises
    `UsageError` for what a profile cannot say, `RefusedError`.
    """
    try:
        made = replace(profile, signed=image_profile.declare(profile), signature=b"")
    except FormatError as error:
        raise UsageError(error.failure.detail) from error  # of what the options say: no profile is at fault
    for signer in signers:
        made = replace(made, signature=add_block(made.signed, made.signature, signer, at, time, stamp=stamp))
    return made


def write(profile: ImageProfile, output: Path) -> None:
    """Write a profile to its file, atomically. Raises `FormatError`, `InputError`, `UsageError`."""
    data = image_profile.encode(profile)
    with output_file(output) as file:
        file.write(data)
