"""The short ways of the readers, which compare bytes with those that our own writer would make, switched off."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import mock

from modseal.format import canonical_json, source, tar


@contextlib.contextmanager
def strict_readers() -> Iterator[None]:
    """Headers of a tar are parsed, documents are written again piece by piece, and files are read part by part."""
    with (
        mock.patch.object(tar, "expected_header", return_value=None),
        mock.patch.object(canonical_json, "AT_ONCE", 0),
        mock.patch.object(source, "WHOLE", -1),
    ):
        yield
