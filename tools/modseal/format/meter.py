"""How many bytes of bundles, and of files to pack, this process has read: for whoever shows how far it is.

Nothing is decided by it.
"""

from __future__ import annotations


class Meter:
    """A count of bytes."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


READ = Meter()
"""Of this process, since it began."""
