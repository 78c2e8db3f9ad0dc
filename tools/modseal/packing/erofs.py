"""Makes EROFS images that depend on their files alone: no times, no owners but root, no attributes, a named UUID."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from modseal.errors import InputError, UsageError
from modseal.format import verity

_SECONDS = 600
_PIECE = 1 << 20


def make(tree: Path, image: Path, uuid: bytes, *, compressed: bool = False) -> None:
    """An image of a folder, in whole blocks. Raises `UsageError` without mkfs.erofs, `InputError`."""
    text = uuid.hex()
    dashed = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
    packed = ("-zlz4hc,6", "-C65536") if compressed else ()
    command = ["mkfs.erofs", "-T0", "--all-root", "-x-1", "-U", dashed, *packed, str(image), str(tree)]
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
    }  # no SOURCE_DATE_EPOCH: it would count
    try:
        done = subprocess.run(  # noqa: S603 - paths of our own
            command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except FileNotFoundError:
        raise UsageError("mkfs.erofs is not installed; it is in the package erofs-utils") from None
    except subprocess.TimeoutExpired:
        raise InputError(f"mkfs.erofs took more than {_SECONDS} seconds").because("erofs-failed") from None
    if done.returncode:
        raise InputError(f"mkfs.erofs failed: {done.stderr.strip()[-200:]}").because("erofs-failed")
    with image.open("r+b") as file:
        file.truncate(-(-image.stat().st_size // verity.BLOCK) * verity.BLOCK)


def append_verity(image: Path, uuid: bytes) -> tuple[bytes, int]:
    """Append a dm-verity hash tree to an image; gives the root hash, and how many bytes the image had."""
    with image.open("r+b") as file:
        root, hashes = verity.dm_verity(iter(lambda: file.read(_PIECE), b""), uuid)
        size = file.tell()
        file.write(hashes)
    return root, size
