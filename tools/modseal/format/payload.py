"""A payload, measured: one pass over its bytes gives every digest, its size and its listing.

What a payload holds is untrusted until step 7 has compared its digests, so `measure` judges nothing that
the manifest declares but the chunk digests of a `.seal`: those are checked before a byte reaches the
unpacker. The caller compares the rest, in `trust.examine`; `measure` reports what is not well formed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from modseal import limits
from modseal.errors import Failure, FormatError
from modseal.format import compression, tar
from modseal.format.manifest import Entry, FileType, Payload, View
from modseal.format.source import Source, blocks
from modseal.format.stream import Piece, Stream, ahead
from modseal.values import dataclass

if TYPE_CHECKING:
    from modseal.format.visor import VisorLayout

THREAD_FROM = 8 * limits.MIB
"""Size, packed or declared, from which unpacking gets a thread of its own; below, starting one does not pay."""

THREAD_DEPTH = 16
"""Blocks of 256 KiB that the thread may be ahead: with four it stands idle on a busy machine (docs/adr)."""

FRAME_DEPTH = 1
"""The same for the frames of a `.seal`, which have 4 MiB each, and are unpacked ahead of the thread themselves."""

ALGORITHMS = ("sha1", "sha256", "sha384", "sha512")
"""The digests that can be computed, by hashlib's names. Others are left out of the result."""

_NEW: dict[str, Any] = {name: getattr(hashlib, name) for name in ALGORITHMS}
"""`hashlib.new` looks each up anew."""

_ELF_HEAD = 18
"""Bytes of an ELF header up to the end of e_type (System V ABI, "ELF Header")."""

SEAL_TYPES = ("tar+zstd", "tar+gzip")
VIB_TYPES = ("vgz", "tgz", "vzstd")
VISOR_TYPES = ("vgz", "vzstd")


class Sink(Protocol):
    """Where unpacked entries go. What its methods raise ends the measuring."""

    def begin(self, entry: Entry) -> None:
        """A new entry: path, type, mode, size and target are known."""

    def write(self, data: Piece) -> None:
        """The next bytes of the file that was begun."""

    def end(self, entry: Entry) -> None:
        """The entry is complete; that of a file now has its SHA-256."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a payload turned out to be.

    `digests` has every declared (algorithm, view) that could be computed, and the SHA-256 of the raw bytes of a
    `.vib` always, of a `.seal` where it was asked for; a view that could not be read to its end has none.
    `unpacked_size` is the size of the tar, or None where unpacking failed. `entries` are as the listing has them,
    with `payload` set and the SHA-256 of files; `listed` says that they are all. `failures` are in the order in
    which they were met, each with the payload's name in its evidence. `relocatable` are the paths of the files that
    are ELF relocatable objects, as kernel modules are.
    """

    digests: Mapping[tuple[str, View], bytes]
    size: int
    unpacked_size: int | None
    entries: tuple[Entry, ...]
    failures: tuple[Failure, ...]
    listed: bool
    relocatable: frozenset[str] = frozenset()


def measure(
    payload: Payload,
    source: Source,
    *,
    sink: Sink | None = None,
    room: int | None = None,
    bound: int | None = None,
    raw: bool = False,
    declared: Iterable[Entry] = (),
    file_digests: bool = True,
) -> Measured:
    """One pass over a payload; `source` is its member. Bad content gives failures, not an exception.

    A payload without digests is that of a `.seal`; `raw` asks for the SHA-256 of its raw bytes. `room` is how many
    entries it may have, by default `limits.FILES`; `bound` how many bytes are unpacked at most, by default all that
    are declared. `declared` are the entries that a sound manifest says a `.seal` payload has: what is as declared need
    not be parsed (`tar.read`). Without `file_digests`, the files of a `.vib` have no SHA-256: its descriptor declares
    none. Entries go to `sink` while they are read, before the payload as a whole is known to be good. An error of
    reading the file itself (`OSError`) is raised.
    Failures: payload-digest-mismatch (a chunk), bad-payload, unpacked-size-mismatch, bad-listing,
    unsafe-path, unsafe-type, unsafe-mode, unsafe-link, limit-exceeded, not-unpacked, unsupported-payload, truncated.
    Collisions of paths over the whole module are for `rules.check_tree`.
    """
    sealed = payload.type in SEAL_TYPES and not payload.digests
    measuring = (_Seal if sealed else _Vib)(payload, source, sink, room, bound, raw=raw or not sealed)
    measuring.declared = () if sink else declared
    measuring.file_digests = file_digests or sealed or sink is not None
    measuring.run()
    return measuring.result()


def read_layout(payload: Payload, source: Source) -> tuple[VisorLayout, tuple[Entry, ...]]:
    """How the visor tar of a sound payload is laid out, and its entries in order.

    This is a separate pass, so the digests are compared again: the file may have been changed meanwhile.
    Raises `FormatError`: those of `measure`, for a file that changed.
    """
    from modseal.format import visor

    reading = _Vib(payload, source, None)
    found = visor.read_layout(Stream(reading.tar(), "bad-listing"))
    reading.drain()
    actual = reading.digests()
    if any(actual.get((digest.algorithm, digest.view)) != digest.value for digest in payload.digests):
        raise FormatError("payload-digest-mismatch", f"payload {payload.name!r} changed while it was read")
    return found


class _PayloadMeasuring:
    """The pass: packed blocks, perhaps in a thread, then the digests of the tar and its listing."""

    def __init__(
        self,
        payload: Payload,
        source: Source,
        sink: Sink | None = None,
        room: int | None = None,
        bound: int | None = None,
        *,
        raw: bool = False,
    ) -> None:
        self.payload = payload
        self.source = source
        self.sink = sink
        self.room = room
        self.bound = bound
        self.failures: list[Failure] = []
        self.entries: list[Entry] = []
        self.relocatable: set[str] = set()
        self.listed = False
        self.unpacked_size: int | None = None
        self.raw = _Digests(payload, View.RAW, also=["sha256"] if raw else [])
        self.unpacked = _Digests(payload, View.UNPACKED)
        self.declared: Iterable[Entry] = ()
        self.file_digests = True
        self.start()

    def start(self) -> None:
        """What a kind of payload needs besides."""

    def unpack(self) -> compression.Blocks:
        """The tar, not yet limited."""
        raise NotImplementedError

    def list_entries(self, stream: Stream) -> Iterator[tar.Found]:
        """The entries of the tar."""
        raise NotImplementedError

    def digests(self) -> dict[tuple[str, View], bytes]:
        """All digests of the payload."""
        raise NotImplementedError

    def limited(self, unpacked: Iterator[bytes]) -> compression.Blocks:
        """The tar, no larger than declared."""
        return compression.limited(unpacked, self.payload.unpacked_size, self.source.size, self.bound)

    def tar(self) -> Iterator[bytes]:
        """The tar, limited and digested."""
        return self._account(self.limited(self.unpack()))

    def run(self) -> None:
        """Read everything, and collect what is wrong."""
        # What unpacks may have threads, which a failure after it would leave until garbage is collected.
        with closing(self.unpack()) as unpacked, self._thread(self.limited(unpacked)) as ready:
            tarred = self._account(ready)
            self.listed = self._attempt(self._list, tarred)
            # After a bad listing the digests of the whole still tell what happened.
            self._attempt(_drain, tarred)

    def result(self) -> Measured:
        """What was found."""
        return Measured(
            self.digests(),
            self.source.size,
            self.unpacked_size,
            tuple(self.entries),
            tuple(self.failures),
            self.listed,
            frozenset(self.relocatable),
        )

    def fail(self, failure: Failure) -> None:
        """Note a failure."""
        self.failures.append(replace(failure, evidence={**failure.evidence, "payload": self.payload.name}))

    def _thread(self, unpacked: compression.Blocks) -> AbstractContextManager[Iterator[bytes]]:
        if max(self.source.size, self.payload.unpacked_size or 0) >= THREAD_FROM:
            return ahead(unpacked, FRAME_DEPTH if self.payload.type == "tar+zstd" else THREAD_DEPTH)
        return closing(unpacked)

    def _account(self, unpacked: Iterator[bytes]) -> Iterator[bytes]:
        size = 0
        for block in unpacked:
            size += len(block)
            self.unpacked.update(block)
            yield block
        self.unpacked_size = size
        self.unpacked.complete = True

    def _attempt(self, action: Callable[[Iterator[bytes]], None], data: Iterator[bytes]) -> bool:
        try:
            action(data)
        except FormatError as error:
            self.fail(error.failure)
            return False
        return True

    def _list(self, tarred: Iterator[bytes]) -> None:
        for entry, content in self.list_entries(Stream(tarred, "bad-listing")):
            self._take(entry if entry.payload else entry.found_in(self.payload.name), content)

    def _take(self, entry: Entry, content: Iterator[Piece]) -> None:
        if self.sink:
            self.sink.begin(entry)
        if entry.type is FileType.FILE:
            digest = hashlib.sha256() if self.file_digests else None
            head = b""
            for piece in content:
                if digest:
                    digest.update(piece)
                if len(head) < _ELF_HEAD:
                    head += piece[: _ELF_HEAD - len(head)]
                if self.sink:
                    self.sink.write(piece)
            if digest and digest.digest() != entry.sha256:
                entry = replace(entry, sha256=digest.digest())
            if is_relocatable(head):
                self.relocatable.add(entry.path)
        if self.sink:
            self.sink.end(entry)
        self.entries.append(entry)


class _Seal(_PayloadMeasuring):
    """A payload of a `.seal`: chunk digests instead of one over the whole."""

    def unpack(self) -> compression.Blocks:
        """See `_PayloadMeasuring.unpack`."""
        if self.payload.type == "tar+gzip":
            return compression.gunzip(self.raw.tee(self._chunks()), plain=True)
        return compression.unzstd_frames(self.raw.tee(self._chunks()))

    def list_entries(self, stream: Stream) -> Iterator[tar.Found]:
        """See `_PayloadMeasuring.list_entries`."""
        return tar.read(stream, tar.Dialect.CANONICAL, self.payload.mtime, self.room, self.declared)

    def digests(self) -> dict[tuple[str, View], bytes]:
        """None but those that were asked for: the chunks have been compared."""
        return self.raw.values()

    def _chunks(self) -> compression.Blocks:
        declared = self.payload.chunks
        count = -(-self.source.size // limits.CHUNK_SIZE)
        if count != len(declared):
            raise FormatError("payload-digest-mismatch", f"the payload has {count} chunks, not {len(declared)}")
        for index, chunk in enumerate(blocks(self.source, limits.CHUNK_SIZE)):
            if hashlib.sha256(chunk).digest() != declared[index]:
                raise FormatError(
                    "payload-digest-mismatch",
                    f"chunk {index} of the payload has another digest",
                    chunk=index,
                    offset=index * limits.CHUNK_SIZE,
                )
            yield chunk


class _Vib(_PayloadMeasuring):
    """A payload of a `.vib`: digests over up to three views of it."""

    def start(self) -> None:
        """See `_PayloadMeasuring.start`."""
        if self.bound is not None and self.payload.type == "vzstd":
            self.bound = min(self.bound, limits.UNTRUSTED_VZSTD)
        self.gunzipped = _Digests(self.payload, View.GUNZIP1)
        self._digested = self.raw.digested(blocks(self.source))
        self._packed: Iterator[bytes] = self._digested

    def run(self) -> None:
        """See `_PayloadMeasuring.run`. The raw digests cover all bytes, even if an error was found in them."""
        if self.payload.type in VIB_TYPES:
            # Of a large payload, the packed bytes are digested in a thread of their own, ahead of what unpacks them.
            with self._thread(self._digested) as packed:
                self._packed = packed
                super().run()
                self._attempt(_drain, packed)  # what the decompressor did not read
            return
        self.fail(Failure("unsupported-payload", f"payloads of type {self.payload.type!r} are not looked into"))
        if any(digest.view in (View.GUNZIP1, View.UNPACKED) for digest in self.payload.digests):
            self._attempt(_drain, self.tar())
        self._attempt(_drain, self._packed)

    def drain(self) -> None:
        """Digest the packed bytes that the decompressor did not read."""
        _drain(self._packed)

    def unpack(self) -> compression.Blocks:
        """See `_PayloadMeasuring.unpack`."""
        gunzipped = self.gunzipped.tee(compression.gunzip(self._packed))
        if self.payload.type != "vzstd":
            return gunzipped
        digested = any((one.algorithm, one.view) == ("sha256", View.UNPACKED) for one in self.payload.digests)
        frame = compression.limited(gunzipped, None, self.source.size, self.bound)
        return compression.unzstd(frame, digested=digested)

    def list_entries(self, stream: Stream) -> Iterator[tar.Found]:
        """See `_PayloadMeasuring.list_entries`."""
        if self.payload.type == "tgz":
            return tar.read(stream, tar.Dialect.LEGACY, room=self.room)
        from modseal.format import visor  # imported here: most bundles are no `.vib`

        return visor.read(stream, self.room)

    def digests(self) -> dict[tuple[str, View], bytes]:
        """See `Measured.digests`."""
        return self.raw.values() | self.gunzipped.values() | self.unpacked.values()


class _Digests:
    """The declared digests of one view, being computed."""

    def __init__(self, payload: Payload, view: View, also: Iterable[str] = ()) -> None:
        wanted = {*also, *[digest.algorithm for digest in payload.digests if digest.view is view]}
        self._view = view
        self._running = {name: new(usedforsecurity=False) for name, new in _NEW.items() if name in wanted}
        self.complete = False

    def update(self, block: bytes) -> None:
        """Add some bytes."""
        for running in self._running.values():
            running.update(block)

    def tee(self, source: compression.Blocks) -> compression.Blocks:
        """The blocks, digested if there is anything to compute."""
        return self.digested(source) if self._running else source

    def digested(self, source: Iterator[bytes]) -> compression.Blocks:
        """Pass blocks on and digest them."""
        for block in source:
            self.update(block)
            yield block
        self.complete = True

    def values(self) -> dict[tuple[str, View], bytes]:
        """The digests, if the view was read to its end."""
        return {(name, self._view): running.digest() for name, running in self._running.items() if self.complete}


def is_relocatable(head: bytes) -> bool:
    """Whether a file that starts like this is an ELF relocatable object (e_type ET_REL), in either byte order.

    The byte order that the header names is not asked: a loader may not ask it either.
    """
    return head.startswith(b"\x7fELF") and head[16:_ELF_HEAD] in (b"\1\0", b"\0\1")


def _drain(data: Iterator[bytes]) -> None:
    for _ in data:
        pass
