"""Write a bundle with another signature member: every other byte stays as it is. Needs no signing code."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from modseal.bundle.open import OpenBundle
from modseal.errors import FormatError, UsageError
from modseal.files.output import output_file
from modseal.format import ar
from modseal.format.manifest import SIGNATURE_MEMBER, Kind
from modseal.format.source import Span, blocks

_SUFFIXES: Mapping[str, Kind] = {".seal": "seal", ".vib": "vib"}


def suffix_kind(path: Path) -> Kind | None:
    """The format that the suffix of a file's name says, in either letter case; None for any other suffix."""
    return _SUFFIXES.get(path.suffix.lower())


def write_signature(bundle: OpenBundle, member: bytes, path: Path, output: Path) -> str:
    """Write the bundle at `path` with another signature member to `output`, atomically, in its old mode.

    Gives the SHA-256 of the file, in hex. Raises `UsageError` where the output has the suffix of the other format.
    """
    named = suffix_kind(output)
    if output.suffix and not named and output != path:
        raise UsageError(f"{output} ends in {output.suffix}, which is no suffix of a bundle; name it .{bundle.kind}")
    if named and named != bundle.kind and output != path:
        raise UsageError(f"{output} is the name of a .{named}, and {path} is a .{bundle.kind}; name the output so")
    digest = hashlib.sha256()
    with output_file(output, os.stat(path).st_mode & 0o777) as file:
        for block in _with_member(bundle, member):
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def _with_member(bundle: OpenBundle, member: bytes) -> Iterator[bytes]:
    """The archive with another signature member; all other bytes are as they are."""
    old = bundle.members[1]
    if old.name != SIGNATURE_MEMBER:
        raise FormatError("member-order", "the second member is not the signature", member=old.name)
    header = old.offset - ar.HEADER_SIZE
    rest = old.offset + old.size + len(ar.padding(old.size))
    yield from blocks(Span(bundle.source, 0, header))
    yield ar.encode_header(SIGNATURE_MEMBER, len(member)) + member + ar.padding(len(member))
    yield from blocks(Span(bundle.source, rest, bundle.source.size - rest))
