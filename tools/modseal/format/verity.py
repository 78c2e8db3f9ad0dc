"""Merkle trees of the Linux kernel, in their one common form: SHA-256 over blocks of 4096 bytes, without a salt.

* fs-verity: the digest of a file (Documentation/filesystems/fsverity.rst, "File digest computation").
* dm-verity: the hash tree of an image and its root hash, with the header that `veritysetup` reads
  (Documentation/admin-guide/device-mapper/verity.rst; the header is cryptsetup's DMVerity on-disk format).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable

from modseal.errors import FormatError

BLOCK = 4096
"""Bytes of a block, of data as of hashes."""
_SIZE = hashlib.sha256().digest_size
_SHA256 = 1
_LOG_BLOCK = 12
_VERSION = 1


class Leaves:
    """The hashes of the blocks of some data that arrives in pieces; the last block is filled up with zeros."""

    def __init__(self) -> None:
        self._hashes = bytearray()
        self._rest = b""
        self.size = 0

    def update(self, data: bytes) -> None:
        """Take in the next piece, of any length."""
        self.size += len(data)
        data = self._rest + data
        whole = len(data) - len(data) % BLOCK
        self._hashes += _hashes(data[:whole])
        self._rest = data[whole:]

    def finish(self) -> bytes:
        """The hashes of all blocks in a row: 32 bytes each."""
        self._hashes += _hashes(self._rest)
        self._rest = b""
        return bytes(self._hashes)


def _hashes(data: bytes) -> bytes:
    blocks = (data[at : at + BLOCK].ljust(BLOCK, b"\0") for at in range(0, len(data), BLOCK))
    return b"".join(hashlib.sha256(block).digest() for block in blocks)


def _levels(leaves: bytes) -> tuple[bytes, list[bytes]]:
    """The root hash, and the levels above the data from the lowest, each filled up to whole blocks."""
    levels = []
    while len(leaves) > _SIZE:
        levels.append(leaves.ljust(-(-len(leaves) // BLOCK) * BLOCK, b"\0"))
        leaves = _hashes(leaves)
    return leaves, levels


def fsverity_digest(leaves: Leaves) -> bytes:
    """The fs-verity digest of a file: the SHA-256 of its descriptor (`struct fsverity_descriptor`)."""
    root, _ = _levels(leaves.finish())  # an empty file has no block, and zeros for a root hash
    head = struct.pack("<BBBBIQ", _VERSION, _SHA256, _LOG_BLOCK, 0, 0, leaves.size)
    return hashlib.sha256((head + root).ljust(256, b"\0")).digest()


def fsverity_signed(digest: bytes) -> bytes:
    """What a signature of fs-verity is over: `struct fsverity_formatted_digest`."""
    return b"FSVerity" + struct.pack("<HH", _SHA256, len(digest)) + digest


def dm_verity(pieces: Iterable[bytes], uuid: bytes) -> tuple[bytes, bytes]:
    """The root hash of an image, and what is appended to it: a header and the hash tree, from the top.

    The image must have whole blocks, and `uuid` 16 bytes. Raises `FormatError` for others.
    """
    leaves = Leaves()
    for piece in pieces:
        leaves.update(piece)
    if not leaves.size or leaves.size % BLOCK or len(uuid) != 16:
        raise FormatError("truncated", f"an image of {leaves.size} bytes has no whole blocks of {BLOCK}")
    root, levels = _levels(leaves.finish())
    blocks = leaves.size // BLOCK
    head = struct.pack("<8sII16s32sIIQH6x", b"verity", 1, 1, uuid, b"sha256", BLOCK, BLOCK, blocks, 0)
    return root, head.ljust(BLOCK, b"\0") + b"".join(reversed(levels))
