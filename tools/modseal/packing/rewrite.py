"""Write a bundle with another signature member: every other byte stays as it is. Needs no signing code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from modseal.bundle.open import OpenBundle
from modseal.errors import FormatError
from modseal.files.output import output_file
from modseal.format import ar
from modseal.format.manifest import SIGNATURE_MEMBER
from modseal.format.source import Source, Span, blocks


def write_signature(bundle: OpenBundle, member: bytes, path: Path, output: Path) -> None:
    """Write the bundle at `path` with another signature member to `output`, atomically, in its old mode."""
    with output_file(output, os.stat(path).st_mode & 0o777) as file:
        _write(bundle, member, file)


def _write(bundle: OpenBundle, member: bytes, file: BinaryIO) -> None:
    """The archive with another signature member; all other bytes are copied as they are."""
    old = bundle.members[1]
    if old.name != SIGNATURE_MEMBER:
        raise FormatError("member-order", "the second member is not the signature", member=old.name)
    header = old.offset - ar.HEADER_SIZE
    rest = old.offset + old.size + len(ar.padding(old.size))
    _copy(Span(bundle.source, 0, header), file)
    file.write(ar.encode_header(SIGNATURE_MEMBER, len(member)) + member + ar.padding(len(member)))
    _copy(Span(bundle.source, rest, bundle.source.size - rest), file)


def _copy(source: Source, file: BinaryIO) -> None:
    file.writelines(blocks(source))
