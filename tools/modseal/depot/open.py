"""Opens a depot wherever it is: a folder, a zip file, an OCI image layout, a web server or an object store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from modseal.depot import files
from modseal.depot.files import DepotFiles
from modseal.files.address import is_address


@contextmanager
def open_depot(place: str) -> Iterator[DepotFiles]:
    """The depot at a path or an address. Raises `InputError`, `FormatError`, `UsageError` for a bad address."""
    if is_address(place):
        from modseal.depot.remote import open_remote  # fsspec is an extra, and not for those who stay on this machine

        with open_remote(place) as opened:
            yield opened
    else:
        with files.open_depot(place) as opened:
            yield opened
