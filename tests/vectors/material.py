"""What the vectors are made of: bundles whose bytes are the same everywhere."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from builders import bundles, zstd_blocks
from builders.bundles import Bundle
from builders.pki import Identity
from modseal.format import compression, tar
from modseal.format.manifest import Entry, FileType, Kind
from vectors.keys import AT, SIGNER


@dataclass(frozen=True)
class Vector:
    """One vector. `code` is None where the bundle is accepted."""

    name: str
    data: bytes = field(repr=False)
    kind: Kind
    code: str | None
    about: str
    policy: str = "trusting"
    at: datetime = AT
    undecided: bool = False

    @property
    def entry(self) -> dict[str, Any]:
        """Its entry of the index."""
        verdict = "undecided" if self.undecided else "rejected" if self.code else "accepted"
        return {
            "name": self.name,
            "bundle": f"bundles/{self.name}.{self.kind}",
            "policy": f"policies/{self.policy}.toml",
            "at": f"{self.at:%Y-%m-%dT%H:%M:%SZ}",
            "verdict": verdict,
            "code": self.code,
            "about": self.about,
        }


def seal(
    name: str, bundle: Bundle | bytes, code: str | None, about: str, policy: str = "trusting", **more: Any
) -> Vector:
    data = bundle if isinstance(bundle, bytes) else bundle.data
    return Vector(name, data, "seal", code, about, policy, **more)


def vib(
    name: str, bundle: Bundle | bytes, code: str | None, about: str, policy: str = "trusting", **more: Any
) -> Vector:
    return replace(seal(name, bundle, code, about, policy, **more), kind="vib")


def stored(data: bytes, final: bool = True) -> bytes:
    """A gzip member that has the data uncompressed."""
    pieces = [data[at : at + 65535] for at in range(0, len(data), 65535)]
    blocks = [
        struct.pack("<BHH", final and at == len(pieces) - 1, len(piece), len(piece) ^ 0xFFFF) + piece
        for at, piece in enumerate(pieces)
    ]
    return compression.GZIP_HEADER + b"".join(blocks) + struct.pack("<II", zlib.crc32(data), len(data))


def frame(data: bytes) -> bytes:
    """A zstd frame that has the data in raw blocks."""
    size = 128 * 1024
    return zstd_blocks.frame(
        *[zstd_blocks.raw(data[at : at + size]) for at in range(0, len(data), size)], content=len(data)
    )


def good(kind: Kind = "seal", *signers: Identity, packer: Callable[[bytes], bytes] = stored, **changes: Any) -> Bundle:
    """A good bundle, as `bundles.make` gives it, with a stored payload."""
    made = bundles.make(kind, *(signers or (SIGNER,)), **changes)
    unpacked = bundles.tar_of(made)
    if packer is not stored:
        made = made.with_manifest(payloads=(replace(made.manifest.payloads[0], type="tar+zstd"),))
    return made.with_payload(packer(unpacked), unpacked)


SEAL, VIB = good(), good("vib")


TAR = bundles.tar_of(SEAL)


NAME = SEAL.manifest.payloads[0].name


def entry(path: str, data: bytes = b"", kind: FileType = FileType.FILE, target: str | None = None) -> bytes:
    """A tar entry with its content, under any path."""
    one = Entry("x", kind, 0o644, len(data), target=target)
    block = tar.encode_header(one, bundles.MTIME)
    return headed(block, 0, path.encode().ljust(100, b"\0")) + data + bytes(-len(data) % 512)


def headed(block: bytes, at: int, value: bytes) -> bytes:
    """A tar header with other bytes at an offset, and its true checksum."""
    block = block[:at] + value + block[at + len(value) :]
    blank = block[:148] + b" " * 8 + block[156:512]
    return tar.with_checksum(blank, sum(blank)) + block[512:]


def tarred(*entries: bytes) -> Bundle:
    """A bundle whose payload has these entries and nothing that is declared."""
    data = b"".join(entries) + bytes(1024)
    return SEAL.with_payload(stored(data), data)


def with_tar(data: bytes) -> Bundle:
    return SEAL.with_payload(stored(data), data)
