"""Packed bytes to unpacked bytes and back, block by block: gzip, and zstd in two strict shapes.

Unpackers take blocks and give blocks of at most 4 MiB; what a stream claims about its size is never
allocated (a `.seal` frame of up to 4 MiB and the window of a `vzstd`, 128 MiB, are the two bounds). Each
refuses bytes after the end of its data. `limited` stops a bomb at the size that was declared.

The zstd of a `.seal` (RFC 8878) is a run of independent frames without dictionary and checksum (the chunk
digests of the manifest say more). Each frame is a single segment that says its content size, which is 4 MiB in all
but the last. The headers of frames and blocks are read here, because libzstd's streaming interface neither tells
where a frame ends nor bounds what one call may unpack.

No copy may come from further back than the window. libzstd refuses only what its buffer has no more, and gives other
bytes in one call than in many. So nothing is accepted that is longer than its window, unless a digest says its bytes.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from modseal import limits
from modseal.codes import CodeName
from modseal.errors import FormatError, foreign
from modseal.format.inflate import GZIP, faster_zlib, inflate
from modseal.format.stream import Piece, Stream, regroup
from modseal.values import dataclass

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")
Blocks = Generator[bytes, None, None]
"""Bytes in blocks; closing it ends what runs for it."""

GZIP_HEADER = bytes.fromhex("1f8b08000000000002ff")
"""No name, no time, and the last two bytes that Python's gzip and VMware's tools since 7.0 write."""

GZIP_LEVEL = 6
"""Of zlib. Level 9, which VMware's newest tools use, takes six times as long for 0.7 to 0.9 % (docs/adr)."""

GZIP_PARTS_LEVEL = 5
"""Of zlib-ng: at most 0.7 % larger than its level 6, for a seventh to a quarter less time, and within 3 % of zlib's."""

ZSTD_LEVEL = 9
"""93 MB/s on one core and 12 % smaller than gzip -9 on a system's libraries; 12 is half as fast for 0.6 %."""

_GZIP_PART = 1024 * 1024
"""Bytes that are deflated by themselves. Each part costs about 5 bytes, and some matches at its start."""

_DEFLATE_WINDOW = 32 * 1024
"""How far back a match can be (RFC 1951 section 2)."""

GZIP_THREADS = 8
"""Most threads that deflate. Each needs about 3 MiB; one thread hashes for all, and eight keep it busy."""

ZSTD_THREADS = 2
"""Most threads for zstd. Each needs about 18 MiB to pack, and packing stays below 100 MiB on any machine."""

VZSTD_LEVEL = 18
VZSTD_OPTION = f"level={VZSTD_LEVEL}"
"""The compression option of a descriptor for a `vzstd` payload."""

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_BLOCK = 128 * 1024
_LONGEST_NAME = 255
_IDLE: deque[Any] = deque(maxlen=8)
_FNAME = 0x08


def limited(blocks: Iterator[bytes], declared: int | None, packed: int, bound: int | None = None) -> Blocks:
    """The same blocks, but no more bytes than declared, and no fewer.

    Where nothing is declared, the size `packed` bounds them (`limits.UNPACK_RATIO`). `bound` is how many are worth
    reading where the declaration is not signed. Raises `FormatError`: unpacked-size-mismatch, limit-exceeded,
    not-unpacked.
    """
    most = max(limits.UNPACK_FLOOR, limits.UNPACK_RATIO * packed) if declared is None else declared
    code: CodeName = (
        "limit-exceeded" if declared is None or declared > limits.UNPACKED_SIZE else "unpacked-size-mismatch"
    )
    most = min(most, limits.UNPACKED_SIZE)
    size = 0
    for block in blocks:
        size += len(block)
        if size > most:
            raise FormatError(code, f"the payload unpacks to more than {most} bytes", allowed=most)
        if bound is not None and size > bound:
            detail = f"no trusted signer has signed it, so at most {bound} bytes are unpacked"
            raise FormatError("not-unpacked", detail, allowed=bound)
        yield block
    if declared is not None and size != declared:
        raise FormatError(
            "unpacked-size-mismatch",
            f"the payload unpacks to {size} bytes, {declared} were declared",
            declared=declared,
            unpacked=size,
        )


def gunzip(blocks: Iterator[bytes], *, plain: bool = False) -> Blocks:
    """What one gzip member (RFC 1952) holds; `plain` refuses any header but `GZIP_HEADER`.

    Raises `FormatError` (bad-payload) for a second member, trailing bytes, a header with anything but
    a name, and damage.
    """
    stream = Stream(blocks, "bad-payload")
    _gzip_header(stream, plain=plain)
    # The header has been read, and its name; what unpacks gets one that says nothing.
    yield from inflate(chain((GZIP_HEADER,), stream.rest()), GZIP, "the gzip data")


def gzip(blocks: Iterator[bytes], level: int | None = None) -> Blocks:
    """One gzip member with the plain header, made on several cores; the same bytes on any number.

    `level` takes the place of both libraries' usual ones.

    Each part is deflated by itself with the window of bytes before it as its dictionary, and ends with a whole byte
    (`Z_SYNC_FLUSH`), so that the parts after one another are one stream (RFC 1951 section 3.2.4). One part alone is as
    zlib writes it, which VMware's tools use; several are made by zlib-ng, in half the time, where it is installed.
    """
    checksum = size = 0
    crc32 = faster_zlib().crc32

    def parts() -> Iterator[tuple[bytes, bytes, bool]]:
        nonlocal checksum, size
        before, part = b"", b""
        for following in chain(regroup(blocks, _GZIP_PART), (None,)):
            if following is None or size:
                yield before, part, following is None
                before = part[-_DEFLATE_WINDOW:]
            if following is not None:
                part = following
                checksum = crc32(part, checksum)
                size += len(part)

    def deflated(part: tuple[bytes, bytes, bool]) -> bytes:
        before, data, last = part
        library = zlib if last and not before else faster_zlib()
        usual = GZIP_LEVEL if library is zlib else GZIP_PARTS_LEVEL
        deflate = library.compressobj(
            level or usual, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_DEFAULT_STRATEGY, before
        )
        packed: bytes = deflate.compress(data) + deflate.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)
        return packed

    yield GZIP_HEADER
    yield from _on_several_cores(deflated, parts(), GZIP_THREADS, spare=2)
    yield struct.pack("<II", checksum, size & 0xFFFF_FFFF)


def unzstd_frames(blocks: Iterator[bytes]) -> Blocks:
    """What the zstd frames of a `.seal` payload hold, a frame at a time.

    Raises `FormatError` (bad-payload) for any other frame form, for bytes between or after, and damage.
    """
    import zstandard

    damage = foreign(lambda why: _bad(f"a zstd frame is damaged: {why}"))

    def unpack(frame: bytes) -> bytes:
        # Making a decompressor takes longer than unpacking 20 KB: one that is idle is taken, by one thread at a time.
        try:
            library = _IDLE.pop()
        except IndexError:
            library = zstandard.ZstdDecompressor(max_window_size=limits.ZSTD_FRAME)
        with damage:
            unpacked: bytes = library.decompress(frame, read_across_frames=False, allow_extra_data=False)
        _IDLE.append(library)
        return unpacked

    yield from _on_several_cores(unpack, _frames(Stream(blocks, "bad-payload")), ZSTD_THREADS)


def _frames(stream: Stream) -> Iterator[bytes]:
    """The packed frames of a `.seal` payload: each full but the last. Raises `FormatError`."""
    size = limits.ZSTD_FRAME
    while not stream.at_end() or not stream.position:
        if size < limits.ZSTD_FRAME:
            raise _bad("bytes follow the last zstd frame")
        header = _frame_header(stream)
        size = header.content or 0
        if not 0 < size <= limits.ZSTD_FRAME or not header.single or header.checksum:
            raise _bad("a zstd frame of a .seal is one segment of 1 byte to 4 MiB, says so, and has no checksum")
        yield b"".join(chain((header.raw,), *_frame_blocks(stream, header.window, size)))


def zstd_frames(blocks: Iterator[bytes]) -> Blocks:
    """The zstd frames of a `.seal` payload, made on several cores, in order; the same bytes on any number."""
    import zstandard

    idle: deque[zstandard.ZstdCompressor] = deque()

    def compress(block: bytes) -> bytes:
        try:
            compressor = idle.pop()
        except IndexError:
            compressor = zstandard.ZstdCompressor(
                ZSTD_LEVEL, write_checksum=False, write_content_size=True, write_dict_id=False
            )
        frame = compressor.compress(block)
        idle.append(compressor)
        return frame

    yield from _on_several_cores(compress, regroup(blocks, limits.ZSTD_FRAME), ZSTD_THREADS)


def _on_several_cores(work: Callable[[T], bytes], parts: Iterator[T], threads: int, spare: int = 0) -> Blocks:
    """What `work` makes of each part, in order, on that many threads at most. A lone part needs no thread.

    `spare` parts wait, so that no thread is idle while the caller is busy with what was made.
    What `parts` raises comes in its turn, after all that is before it: on any number of cores alike.
    """
    workers = 0  # asked for when there is a second part: the system counts its cores anew each time
    waiting: deque[Callable[[], bytes]] = deque()
    pool: ThreadPoolExecutor | None = None
    late: FormatError | None = None
    try:
        while True:
            try:
                part = next(parts, None)
            except FormatError as error:
                late = error
                break
            if part is None:
                break
            if pool is None and waiting:
                workers = workers or min(os.cpu_count() or 1, threads)
                if workers > 1:
                    pool = _threads(workers)
                else:
                    yield waiting.popleft()()
            waiting.append(pool.submit(work, part).result if pool else partial(work, part))
            if pool and len(waiting) >= workers + spare:
                yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()
        if late:
            raise late
    finally:
        if pool:
            pool.shutdown(cancel_futures=True)


def _threads(workers: int) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor  # most payloads are small

    return ThreadPoolExecutor(workers, "modseal-part")


def unzstd(blocks: Iterator[bytes], *, digested: bool = False) -> Blocks:
    """What the one zstd frame of a `vzstd` payload holds; its window may have `limits.ZSTD_WINDOW`.

    `digested` says that a SHA-256 over what comes out is declared and will be compared: only then may there be more
    than the window, where decoders need not agree.
    Raises `FormatError` (bad-payload) for a second frame, trailing bytes, a dictionary, and damage.
    """
    import zstandard

    stream = Stream(blocks, "bad-payload")
    header = _frame_header(stream)
    if header.window > limits.ZSTD_WINDOW:
        raise _bad(f"the zstd window has {header.window} bytes, {limits.ZSTD_WINDOW} are allowed")
    frame = zstandard.ZstdDecompressor(max_window_size=limits.ZSTD_WINDOW).decompressobj()
    unpack = foreign(lambda why: _bad(f"the zstd data is damaged: {why}"))(frame.decompress)
    unpacked = 0
    unpack(header.raw)
    for index, block in enumerate(_frame_blocks(stream, header.window)):
        if index * limits.ZSTD_BLOCK > unpacked + limits.UNPACK_FLOOR:
            raise _bad("the zstd data is cut into needlessly many blocks")
        # One block at a time unpacks to at most 128 KiB.
        data = unpack(b"".join(block))
        unpacked += len(data)
        if unpacked > header.window and not digested:
            raise _bad("the zstd data is longer than its window, and no SHA-256 of the unpacked bytes is declared")
        if data:
            yield data
    if header.checksum and (data := unpack(stream.take(4))):
        yield data
    if not frame.eof:
        raise _bad("the zstd data ends early")
    if header.content not in (None, unpacked):  # libzstd does not compare them where the last block is empty
        raise _bad(f"the zstd data has {unpacked} bytes, and its header says {header.content}")
    if not stream.at_end():
        raise _bad("bytes follow the zstd frame")


def zstd(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The zstd frame of a `vzstd` payload as VMware's 9.0 tools set it up: level 18, a window of 128 MiB."""
    import zstandard

    parameters = zstandard.ZstdCompressionParameters.from_level(
        VZSTD_LEVEL,
        window_log=limits.ZSTD_WINDOW.bit_length() - 1,
        enable_ldm=True,
        write_content_size=False,
        write_checksum=False,
        write_dict_id=False,
    )
    frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    for block in blocks:
        if packed := frame.compress(block):
            yield packed
    yield frame.flush()


@dataclass(frozen=True, slots=True)
class _FrameHeader:
    raw: bytes
    content: int | None
    window: int
    single: bool
    checksum: bool


def _frame_header(stream: Stream) -> _FrameHeader:
    """A frame header (RFC 8878, section 3.1.1.1) without dictionary; its reserved bits are zero."""
    start = stream.take(5)
    if start[:4] != _ZSTD_MAGIC:
        raise _bad("the data is not a zstd frame")
    descriptor = start[4]
    if descriptor & 0b0001_1011:
        raise _bad("a zstd frame has a dictionary or reserved bits")
    single, width = bool(descriptor & 0x20), (0, 2, 4, 8)[descriptor >> 6]
    window, size = b"", 0
    if not single:
        window = stream.take(1)
        base = 1 << (10 + (window[0] >> 3))  # Window_Descriptor: an exponent, and eighths of it (section 3.1.1.1.2)
        size = base + base // 8 * (window[0] & 7)
    field = stream.take(1 if single and not width else width)
    content = int.from_bytes(field, "little") + (256 if len(field) == 2 else 0) if field else None
    raw = start + window + field
    return _FrameHeader(raw, content, (content or 0) if single else size, single, bool(descriptor & 4))


def _frame_blocks(stream: Stream, window: int, content: int | None = None) -> Iterator[tuple[Piece, ...]]:
    """The blocks of a frame (RFC 8878, section 3.1.1.2), each in pieces with its header, to the last one.

    None is larger than the window. Where the content size is given, there are no more blocks and bytes than a sane
    packer makes of it.
    """
    most = min(window, _ZSTD_BLOCK)
    blocks, room = 0, (content or 0) + (content or 0) // 64 + limits.KIB
    last = False
    while not last:
        head = stream.take(3)
        field = int.from_bytes(head, "little")
        last, kind, size = bool(field & 1), field >> 1 & 3, field >> 3
        if kind == 3 or size > most or (not size and (kind == 2 or not last)):
            raise _bad("a zstd block is of the reserved type, larger than the window or 128 KiB, or empty")
        length = 1 if kind == 1 else size
        blocks += 1
        room -= length
        if content is not None and (room < 0 or blocks > content // limits.ZSTD_BLOCK + 2):
            raise _bad("a zstd frame is larger than its content, or cut into needlessly many blocks")
        yield (head, *stream.pieces(length))


def _gzip_header(stream: Stream, *, plain: bool) -> None:
    header = stream.take(len(GZIP_HEADER))
    if plain and header != GZIP_HEADER:
        raise _bad("the gzip header is not in the one form of a .seal")
    if header[:3] != GZIP_HEADER[:3]:
        raise _bad("the data is not gzip")
    if header[3] & ~_FNAME:
        raise _bad("the gzip header has reserved flags, or fields other than a name")
    if header[3] and all(stream.take(1) != b"\0" for _ in range(_LONGEST_NAME + 1)):
        raise _bad(f"the name in the gzip header is longer than {_LONGEST_NAME} bytes")


def _bad(detail: str) -> FormatError:
    return FormatError("bad-payload", detail)
