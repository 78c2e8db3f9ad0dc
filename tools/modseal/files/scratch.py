"""A folder for what is needed only while a command runs. It is gone afterwards, whatever ends the command."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modseal.files.left_behind import to_the_end


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new private folder. Unlike what is staged, no later run would find it: so a signal does not end its removal."""
    folder = tempfile.TemporaryDirectory(prefix="modseal-")
    try:
        yield Path(folder.name)
    finally:
        to_the_end(folder.cleanup)
