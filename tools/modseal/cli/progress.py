"""How far a long command is: one line on a terminal, which is gone when the command has an answer.

A command that ends within a second shows nothing, and where standard error is not a terminal there never is anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from modseal.format.meter import READ
from modseal.report.text import safe

if TYPE_CHECKING:
    from threading import Event

DELAY = 1.0
"""Seconds before the line appears: what is quicker needs none."""
PERIOD = 0.2
"""Seconds between two looks at the meter: often enough to be seen to move."""
_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_ERASE = "\r\x1b[K"


@contextmanager
def progress(what: str, path: Path | None = None) -> Iterator[None]:
    """While the block runs, show how many bytes were read, of as many as the file at `path` has."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return
    from threading import Event, Thread

    total = 0
    with suppress(OSError, ValueError):
        total = os.stat(path).st_size if path else 0
    ended = Event()
    shown = Thread(target=_show, args=(what, total, ended), daemon=True)
    shown.start()
    try:
        yield
    finally:
        ended.set()
        shown.join()


def _show(what: str, total: int, ended: Event) -> None:
    import shutil

    start, pause, is_shown = READ.count, DELAY, False
    while not ended.wait(pause):
        done, pause = READ.count - start, PERIOD
        of = f" of {_amount(total)}" if total else ""
        line = f"modseal: {safe(what)}: {_amount(min(done, total) if total else done)}{of} read"
        sys.stderr.write(_ERASE + line[: shutil.get_terminal_size().columns - 1])
        sys.stderr.flush()
        is_shown = True
    if is_shown:
        sys.stderr.write(_ERASE)
        sys.stderr.flush()


def _amount(size: int) -> str:
    for unit, name in _UNITS:
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"
