"""Bytes that arrive in blocks, taken by length: what the readers of unpacked payloads stand on.

Nothing here holds more than a few blocks, however large the payload is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from modseal.codes import CodeName
from modseal.errors import FormatError

Piece = bytes | memoryview
"""Some bytes, which may lie within a larger block: made without a copy of them."""

_ZEROS = bytes(64 * 1024)
_FEW = 64 * 1024
"""Bytes that are copied sooner than a view of them is made and handed on."""


class Stream:
    """Blocks seen as one run of bytes. Too few of them is a `FormatError` with the code given."""

    def __init__(self, blocks: Iterator[bytes], code: CodeName) -> None:
        self._blocks = blocks
        self._block = b""
        self._at = 0
        self._code = code
        self.position = 0
        """How many bytes have been taken."""

    def take(self, length: int) -> bytes:
        """Exactly `length` bytes in one piece; for small lengths."""
        end = self._at + length
        if end <= len(self._block):
            data = self._block[self._at : end]
            self._at = end
            self.position += length
            return data
        return b"".join(self._pieces(length))

    def pieces(self, length: int) -> Iterator[Piece]:
        """Exactly `length` bytes in pieces as they come, none of them copied, or in one where they are few."""
        if length <= _FEW and self._at + length <= len(self._block):
            return iter((self.take(length),))
        return self._pieces(length)

    def _pieces(self, length: int) -> Iterator[Piece]:
        while length:
            if self.at_end():
                early = f"the data ends {length} bytes early, at byte {self.position}"
                raise FormatError(self._code, early if self.position else "there is no data: it is empty")
            piece: Piece = self._block
            if self._at or length < len(piece):
                piece = memoryview(piece)[self._at : self._at + length]
            self._at += len(piece)
            self.position += len(piece)
            length -= len(piece)
            yield piece

    def rest(self) -> Iterator[Piece]:
        """All that has not been taken yet."""
        while not self.at_end():
            piece = memoryview(self._block)[self._at :]
            self._at += len(piece)
            self.position += len(piece)
            yield piece

    def at_end(self) -> bool:
        """Whether nothing is left; this may wait for the next block."""
        while self._at == len(self._block):
            block = next(self._blocks, None)
            if block is None:
                return True
            self._block, self._at = block, 0
        return False

    def zeros(self, length: int, what: str) -> None:
        """Exactly `length` zero bytes; `what` names them where they are not."""
        if length <= len(_ZEROS) and self._block.startswith(_ZEROS[:length], self._at):
            self._at += length
            self.position += length
            return
        for piece in self.pieces(length):
            if not is_zero(piece):
                raise FormatError(self._code, f"{what} before byte {self.position} is not zero")


def is_zero(data: Piece) -> bool:
    """Whether all bytes are zero."""
    return data == bytes(len(data))


def zeros(length: int) -> Iterator[bytes]:
    """That many zero bytes, in pieces."""
    for _ in range(length // len(_ZEROS)):
        yield _ZEROS
    if length % len(_ZEROS):
        yield _ZEROS[: length % len(_ZEROS)]


def regroup(blocks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in blocks of `size`, the last one shorter (but never empty)."""
    parts: list[memoryview] = []
    held = 0
    for block in blocks:
        start = 0
        view = memoryview(block)
        while held + len(block) - start >= size:
            end = start + size - held
            whole = b"".join((*parts, view[start:end]))
            parts, held, start = [], 0, end
            yield whole
        if start < len(block):
            parts.append(view[start:])
            held += len(block) - start
    if parts:
        yield b"".join(parts)


@contextmanager
def ahead(blocks: Iterator[bytes], depth: int) -> Iterator[Iterator[bytes]]:
    """The same blocks, made in a thread that keeps at most `depth` of them ready.

    What the thread raises is raised where its block would have come. The thread has ended when the
    context is left, however it is left.
    """
    # Imported here: most payloads are small, and need no thread.
    import queue
    import threading

    ready: queue.SimpleQueue[bytes | BaseException | None] = queue.SimpleQueue()
    free = threading.Semaphore(depth)
    stopped = threading.Event()

    def work() -> None:
        last: BaseException | None = None
        try:
            for block in blocks:
                ready.put(block)
                free.acquire()
                if stopped.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that consumes
            last = error
        ready.put(last)

    def consume() -> Iterator[bytes]:
        while isinstance(item := ready.get(), bytes):
            free.release()
            yield item
        if item is not None:
            raise item

    thread = threading.Thread(target=work, name="modseal-unpack", daemon=True)
    thread.start()
    try:
        yield consume()
    finally:
        stopped.set()
        free.release()
        thread.join()
