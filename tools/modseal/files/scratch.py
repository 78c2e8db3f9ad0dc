"""A folder for what is needed only while a command runs. It is gone afterwards, whatever ends the command."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modseal.files.left_behind import to_the_end

_TRIES, _PAUSE = 20, 0.1
"""A signal that comes while a tool is started leaves it running: it writes on, until it misses what is removed."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new private folder. Unlike what is staged, no later run would find it: so a signal does not end its removal."""
    folder = tempfile.TemporaryDirectory(prefix="modseal-")
    try:
        yield Path(folder.name)
    finally:
        to_the_end(lambda: _remove(folder))


def _remove(folder: tempfile.TemporaryDirectory[str]) -> None:
    for _ in range(_TRIES):
        try:
            return folder.cleanup()
        except OSError:
            time.sleep(_PAUSE)
    return folder.cleanup()
