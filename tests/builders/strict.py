"""The short ways of the readers, which compare bytes with those that our own writer would make, switched off."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from unittest import mock

from modseal.format import ar, canonical_json, known_blocks, rules, source, tar, visor
from modseal.trust import signers


@contextlib.contextmanager
def strict_readers() -> Iterator[None]:
    """Headers are parsed, documents are written again piece by piece, and files are read part by part.

    No block is known, no path is a usual one, and no signer is remembered.
    """
    with (
        mock.patch.object(tar, "expected_header", return_value=None),
        mock.patch.object(visor, "recognise_header", return_value=None),
        mock.patch.object(ar, "recognise_header", return_value=None),
        mock.patch.object(known_blocks, "recall", return_value=None),
        mock.patch.object(rules, "_USUAL_PATH", re.compile("(?!)")),
        mock.patch.object(signers, "_remember"),
        mock.patch.object(canonical_json, "AT_ONCE", 0),
        mock.patch.object(source, "WHOLE", -1),
    ):
        yield
