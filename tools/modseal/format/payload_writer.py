"""Writing payloads: the same rules as reading, applied before a byte is written.

Files are streamed; memory does not grow with them. The same inputs give the same bytes on any machine:
entries are sorted, and nothing of the file system but what an `Input` says gets in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import BinaryIO

from modseal import limits
from modseal.errors import FormatError, InputError
from modseal.format import compression, rules, tar, visor
from modseal.format.manifest import Digest, Entry, FileType, Payload, View
from modseal.format.meter import READ
from modseal.format.payload import SEAL_TYPES, VIB_TYPES
from modseal.format.source import BLOCK
from modseal.format.visor import VisorLayout
from modseal.values import dataclass

_START = 16
"""Bytes of a file that tell an executable."""


@dataclass(frozen=True, slots=True)
class Input:
    """One path to pack. A file has `open` (which may be called twice) and its `size` in bytes, a link `target`.

    `disk` is where a file or a link was found, without links in the folders above it; empty for what is on no disk.
    """

    path: str
    type: FileType
    mode: int
    target: str | None = None
    open: Callable[[], BinaryIO] | None = None
    size: int = 0
    disk: bytes = b""


def write_seal_payload(
    name: str,
    type: str,  # noqa: A002 - the manifest's word
    inputs: Iterable[Input],
    mtime: int,
    out: BinaryIO,
) -> tuple[Payload, tuple[Entry, ...]]:
    """Write a payload of a `.seal` (`tar+zstd` or `tar+gzip`) to `out`, and declare it and its entries.

    `mtime` is that of every entry, in seconds after 1970. Raises `FormatError` for what the reader would
    refuse, `InputError` for a file that cannot be read or has another size than said; `OSError` of `out`.
    """
    if type not in SEAL_TYPES:
        raise FormatError("unsupported-payload", f"a .seal has no payloads of type {type!r}", type=type)
    packing = _Packing(name, inputs)
    tarred = _Tally(tar.write(packing.items(), mtime))
    pack = compression.zstd_frames if type == "tar+zstd" else compression.gzip
    chunks = _Chunks()
    size = 0
    with closing(pack(iter(tarred))) as packed:
        for block in packed:
            out.write(block)
            chunks.update(block)
            size += len(block)
    _require_sizes(name, size, tarred.size)
    return Payload(name, type, size, tarred.size, chunks.values(), mtime), packing.declared()


def write_vib_payload(
    name: str,
    type: str,  # noqa: A002 - the manifest's word
    inputs: Iterable[Input],
    mtime: int,
    out: BinaryIO,
    layout: VisorLayout | None = None,
) -> tuple[Payload, tuple[Entry, ...]]:
    """Write a payload of a `.vib` (`vgz`, `tgz` or `vzstd`) to `out`, and declare it and its entries.

    The entries have no digests, because a descriptor declares none of files. The payload has those that VMware's
    tools write, in their order (docs/vib.md, section 2). `layout` is for visor tars, whose entries then are in its
    order; without it, the newest form is written and ELF files are marked as executables. Raises as
    `write_seal_payload` does.
    """
    if type not in VIB_TYPES:
        raise FormatError("unsupported-payload", f"modseal writes no payloads of type {type!r}", type=type)
    packing = _Packing(name, inputs, layout, file_digests=False)
    if type == "tgz":
        unpacked = _Tally(tar.write(packing.items(), mtime, tar.Dialect.LEGACY), "sha256", "sha1")
    else:
        unpacked = _Tally(visor.write(list(packing.items()), layout or packing.layout(mtime)), "sha256", "sha1")
    frame = _Tally(compression.zstd(iter(unpacked)), "sha256") if type == "vzstd" else None
    level = 1 if frame else None  # zstd's frame gets no smaller
    with closing(compression.gzip(iter(frame or unpacked), level)) as blocks:
        packed = _Tally(blocks, "sha256")
        out.writelines(packed)
    _require_sizes(name, packed.size, unpacked.size)
    digests = [
        unpacked.digest("sha256", View.UNPACKED),
        packed.digest("sha256", View.RAW),
        unpacked.digest("sha1", View.UNPACKED),
    ]
    if frame:
        digests.append(frame.digest("sha256", View.GUNZIP1))
    option = compression.VZSTD_OPTION if frame else None
    payload = Payload(name, type, packed.size, unpacked.size, digests=tuple(digests), compression_option=option)
    return payload, packing.declared()


class _Packing:
    """The inputs of one payload: sorted, checked, and with `file_digests` digested while their contents pass.

    With the layout of an existing visor tar they are in its order; what it does not have follows.
    """

    def __init__(
        self, name: str, inputs: Iterable[Input], layout: VisorLayout | None = None, *, file_digests: bool = True
    ) -> None:
        self._name = name
        self._file_digests = file_digests
        order = {path: index for index, path in enumerate(layout.fields)} if layout else {}
        self._inputs = sorted(inputs, key=lambda item: (order.get(item.path, len(order)), rules.sort_key(item.path)))
        self._entries = [_entry(item, name) for item in self._inputs]
        self._digests: dict[str, bytes] = {}
        _require_sound(self._entries, ordered=layout is None)

    def items(self) -> Iterator[tar.Item]:
        """What the tar writers take."""
        for item, entry in zip(self._inputs, self._entries, strict=True):
            yield entry, self._content(item)

    def layout(self, mtime: int) -> VisorLayout:
        """The newest layout of a visor tar for these inputs."""
        return VisorLayout(
            fields={
                entry.path: visor.default_fields(entry, mtime, _start(item))
                for item, entry in zip(self._inputs, self._entries, strict=True)
            }
        )

    def declared(self) -> tuple[Entry, ...]:
        """The entries, with the digests of their files where they were asked for."""
        return tuple(replace(entry, sha256=self._digests.get(entry.path)) for entry in self._entries)

    def _content(self, item: Input) -> Iterator[bytes]:
        if item.type is not FileType.FILE:
            return
        if not self._file_digests:
            yield from _read(item)
            return
        digest = hashlib.sha256()
        for block in _read(item):
            digest.update(block)
            yield block
        self._digests[item.path] = digest.digest()


class _Tally:
    """Blocks that pass, with their number of bytes and digests."""

    def __init__(self, blocks: Iterator[bytes], *algorithms: str) -> None:
        self._blocks = blocks
        self._running = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            self.size += len(block)
            for running in self._running.values():
                running.update(block)
            yield block

    def digest(self, algorithm: str, view: View) -> Digest:
        """A digest as a manifest declares it."""
        return Digest(algorithm, view, self._running[algorithm].digest())


class _Chunks:
    """The SHA-256 of each `limits.CHUNK_SIZE` bytes."""

    def __init__(self) -> None:
        self._done: list[bytes] = []
        self._running = hashlib.sha256()
        self._room = limits.CHUNK_SIZE

    def update(self, block: bytes) -> None:
        """Add some bytes."""
        rest = memoryview(block)
        while rest:
            piece, rest = rest[: self._room], rest[self._room :]
            self._running.update(piece)
            self._room -= len(piece)
            if not self._room:
                self._finish()

    def values(self) -> tuple[bytes, ...]:
        """The digests of all chunks, when all bytes have been added."""
        if self._room < limits.CHUNK_SIZE:
            self._finish()
        return tuple(self._done)

    def _finish(self) -> None:
        self._done.append(self._running.digest())
        self._running = hashlib.sha256()
        self._room = limits.CHUNK_SIZE


def _entry(item: Input, payload: str) -> Entry:
    is_file = item.type is FileType.FILE
    mode = tar.LINK_MODE if item.type is FileType.SYMLINK else item.mode
    target = item.target if item.type is FileType.SYMLINK else None
    return Entry(item.path, item.type, mode, item.size if is_file else None, None, target, payload)


def _require_sound(entries: Sequence[Entry], *, ordered: bool) -> None:
    """The rules for entries, one by one and together, that need no bytes to be judged."""
    if sum(entry.size or 0 for entry in entries) > limits.UNPACKED_SIZE:
        raise FormatError("limit-exceeded", f"the files have more than {limits.UNPACKED_SIZE} bytes in all")
    listing = tar.EntryRules(ordered=ordered)
    for entry in entries:
        listing.add(entry)
    rules.require(next(rules.check_tree(entries), None))


def _require_sizes(name: str, packed: int, unpacked: int) -> None:
    if packed > limits.MEMBER_SIZE or unpacked > limits.UNPACKED_SIZE:
        raise FormatError(
            "limit-exceeded",
            f"payload {name!r} has {packed} bytes, unpacked {unpacked}",
            payload=name,
            packed=packed,
            unpacked=unpacked,
        )


def _read(item: Input) -> Iterator[bytes]:
    """The content of a file: exactly as many bytes as were said, or `InputError`."""
    if item.open is None:
        raise InputError(f"{item.path!r} cannot be read", path=item.path)
    left = item.size
    try:
        with item.open() as file:
            while block := file.read(BLOCK):
                left -= len(block)
                READ.count += len(block)
                if left < 0:
                    break
                yield block
    except OSError as error:
        raise InputError.of(item.path, error, " cannot be read") from error
    if left:
        raise InputError(f"{item.path!r} changed its size while it was read", path=item.path, size=item.size).because(
            "changed-meanwhile"
        )


def _start(item: Input) -> bytes:
    return next(_read(item), b"")[:_START] if item.type is FileType.FILE else b""
