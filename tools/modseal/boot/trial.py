"""Judges a state that is started for the first time, and has a timer restart a machine that hangs."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Sequence
from contextlib import suppress

from modseal import limits

_GOOD = 10.0
"""Seconds in which every service must run without an end."""
_WATCHDOG = "/dev/watchdog"
_SET_TIMEOUT = 0xC0045706
"""WDIOC_SETTIMEOUT (linux/watchdog.h)."""


class TrialJudge:
    """Judges a trial that began at `now`, in seconds of a clock that never goes back."""

    def __init__(self, now: float) -> None:
        self._began = now

    def given_up(self, troubled: Sequence[str]) -> str | None:
        """Why the state is no good: a module that was refused, a service that has ended."""
        return f"{', '.join(troubled)} does not run" if troubled else None

    def is_good(self, now: float) -> bool:
        """Whether it has run long enough."""
        return now - self._began >= _GOOD


def watchdog() -> int | None:
    """Start the machine's watchdog, where there is one: from here on `feed` must be called again and again."""
    try:
        descriptor = os.open(_WATCHDOG, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return None
    with suppress(OSError):  # one that has another longest time keeps its own
        fcntl.ioctl(descriptor, _SET_TIMEOUT, struct.pack("i", limits.BOOT_WATCHDOG))
    return descriptor


def feed(descriptor: int | None) -> None:
    """Tell the watchdog that process 1 goes on."""
    if descriptor is not None:
        with suppress(OSError):
            os.write(descriptor, b"\0")
