"""Extends a register of this machine's TPM, by the tools of tpm2-tools. Which TPM that is, TPM2TOOLS_TCTI can say."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable

from modseal import limits
from modseal.errors import InputError
from modseal.host.measure import PCR, Measurement

_TOOL = "tpm2_pcrextend"


def extend(measured: Iterable[Measurement]) -> None:
    """Extend the register by each measurement, in order. Raises `InputError` where that is not possible."""
    program = shutil.which(_TOOL)
    if program is None:
        raise InputError(f"{_TOOL} is not installed; it is part of tpm2-tools", path=_TOOL).because("tool-missing")
    arguments = [f"{PCR}:sha256={one.digest.hex()}" for one in measured]
    try:
        done = subprocess.run(  # noqa: S603 - digests alone
            [program, *arguments], capture_output=True, text=True, timeout=limits.TPM_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{_TOOL}: {error}", path=_TOOL).because("tpm-failed") from error
    if done.returncode:
        why = (done.stderr.splitlines() or ["it failed"])[-1]
        raise InputError(f"{_TOOL}: {why}", path=_TOOL).because("tpm-failed")
