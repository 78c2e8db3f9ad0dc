"""Writing the archive of a plan: payloads first into an unnamed file, because the manifest stands before them.

A manifest needs the sizes and digests of what follows it, so each payload is written once, aside, and then
copied by the kernel where it can. Memory does not grow with the payloads.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import BinaryIO

from modseal import limits
from modseal.errors import RefusedError
from modseal.files.open import open_file
from modseal.format import ar, descriptor, manifest_json
from modseal.format.manifest import MANIFEST_MEMBER, SIGNATURE_MEMBER, Attachment, Entry, Manifest, Payload
from modseal.format.payload_writer import write_seal_payload, write_vib_payload
from modseal.format.source import BLOCK
from modseal.packing.plan import AttachmentPlan, GeneratedPlan, PayloadPlan, Plan

_ENCODE = {"seal": manifest_json.encode, "vib": descriptor.encode}


@dataclass(frozen=True, slots=True)
class SpooledPart:
    """A member that lies in the spool."""

    name: str
    offset: int
    size: int


def spool_parts(plan: Plan, spool: BinaryIO) -> tuple[Manifest, tuple[SpooledPart, ...]]:
    """Write all payloads and attachments to `spool`, and complete the manifest with what they turned out to be.

    Raises `FormatError` for what the reader would refuse, `InputError` for what cannot be read.
    """
    parts: list[SpooledPart] = []
    payloads: list[Payload] = []
    files: list[Entry] = []
    for item in plan.payloads:
        start = spool.tell()
        payload, entries = _write_payload(item, plan, spool)
        parts.append(SpooledPart(item.name, start, payload.size))
        payloads.append(payload)
        files += entries
    attachments: list[Attachment] = []
    for attachment in plan.attachments:
        start = spool.tell()
        attachments.append(_copy_attachment(attachment, spool))
        parts.append(SpooledPart(attachment.name, start, attachments[-1].size))
    manifest = replace(plan.manifest, payloads=tuple(payloads), files=tuple(files), attachments=tuple(attachments))
    packed = {part.name: part for part in parts}
    for generated in plan.generated:
        start = spool.tell()
        made = _generate(generated, manifest, lambda name: _digest(spool, packed[name]), spool)
        manifest = replace(manifest, attachments=(*manifest.attachments, made))
        parts.append(SpooledPart(made.name, start, made.size))
    return manifest, tuple(parts)


def _generate(item: GeneratedPlan, manifest: Manifest, sha256: Callable[[str], str], spool: BinaryIO) -> Attachment:
    data = item.make(manifest, sha256)
    spool.seek(0, os.SEEK_END)
    spool.write(data)
    return Attachment(item.name, item.media_type, len(data), hashlib.sha256(data).digest())


def _digest(spool: BinaryIO, part: SpooledPart) -> str:
    """The SHA-256 of a part that was written, in hex."""
    digest, left = hashlib.sha256(), part.size
    spool.seek(part.offset)
    while left and (data := spool.read(min(BLOCK, left))):
        digest.update(data)
        left -= len(data)
    return digest.hexdigest()


def write_archive(manifest: Manifest, parts: Sequence[SpooledPart], spool: BinaryIO, out: BinaryIO) -> None:
    """Write the unsigned bundle to `out`. Raises `FormatError` for a manifest that the reader would refuse."""
    encoded = _ENCODE[manifest.kind](manifest)
    out.write(ar.MAGIC)
    _write_member(MANIFEST_MEMBER[manifest.kind], encoded, out)
    _write_member(SIGNATURE_MEMBER, b"", out)
    spool.flush()
    for part in parts:
        out.write(ar.encode_header(part.name, part.size))
        copy_range(spool, part.offset, part.size, out)
        out.write(ar.padding(part.size))


def copy_range(source: BinaryIO, offset: int, size: int, out: BinaryIO) -> None:
    """Append `size` bytes of `source` from `offset` to `out`: in the kernel where the file system can do that."""
    out.flush()
    end = offset + size
    # Not every system, kernel and file system has this call; what it leaves undone is copied below.
    with suppress(OSError, AttributeError):
        while offset < end and (done := os.copy_file_range(source.fileno(), out.fileno(), end - offset, offset)):
            offset += done
    out.seek(0, os.SEEK_END)
    source.seek(offset)
    while offset < end:
        data = source.read(min(BLOCK, end - offset))
        if not data:
            raise RefusedError("truncated", "the temporary file of the payloads was cut while it was copied")
        out.write(data)
        offset += len(data)


def _write_payload(item: PayloadPlan, plan: Plan, spool: BinaryIO) -> tuple[Payload, tuple[Entry, ...]]:
    if plan.manifest.kind == "seal":
        return write_seal_payload(item.name, item.type, item.inputs, plan.mtime, spool)
    return write_vib_payload(item.name, item.type, item.inputs, plan.mtime, spool, item.layout)


def _write_member(name: str, data: bytes, out: BinaryIO) -> None:
    out.write(ar.encode_header(name, len(data)) + data + ar.padding(len(data)))


def _copy_attachment(item: AttachmentPlan, spool: BinaryIO) -> Attachment:
    digest = hashlib.sha256()
    size = 0
    with open_file(item.path) as descriptor:
        while (data := os.read(descriptor, BLOCK)) and size <= limits.ATTACHMENT_SIZE:
            digest.update(data)
            size += len(data)
            spool.write(data)
    return Attachment(item.name, item.media_type, size, digest.digest())
