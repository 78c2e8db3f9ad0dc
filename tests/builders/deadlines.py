"""Time that runs fast, for tests of `--deadline` that neither wait for it nor are hurried by a busy machine."""

from __future__ import annotations

import signal


def hurry(left: float = 0.2) -> None:
    """Of the deadline that is set for this process, so many seconds are left; where none is set, none is."""
    if signal.getitimer(signal.ITIMER_REAL)[0]:
        signal.setitimer(signal.ITIMER_REAL, left)
