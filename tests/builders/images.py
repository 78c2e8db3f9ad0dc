"""Host images for tests: a small program for the firmware, an empty store of variables, what a build leaves."""

from __future__ import annotations

import json
import struct
import uuid
from pathlib import Path

from builders import pki
from modseal.boot import portable_executable
from modseal.boot.attestation import HostAttestation, encode_again, events, replayed
from modseal.boot.documents import HostDocument
from modseal.format.level import Level
from modseal.image import firmware

HOST = HostDocument("edge", 1, Level.PARTNER, None, None, ())
EVENTS = events(HOST, "e" * 64, 7, [("nginx", "1.0", "a" * 64, "b" * 64)])


def program(*contents: bytes, symbols: bytes = b"") -> bytes:
    """A small executable of PE32+ with a section for each content, as a stub has them."""
    count = len(contents)
    head = bytearray(1024)
    head[:2] = b"MZ"
    struct.pack_into("<I", head, 0x3C, 64)
    struct.pack_into("<4sHH12xH", head, 64, b"PE\0\0", 0x8664, count, 240)
    struct.pack_into("<H30xII", head, 88, 0x20B, 512, 512)
    struct.pack_into("<I", head, 88 + 60, 1024)
    struct.pack_into("<I", head, 88 + 108, 16)
    body = bytearray()
    for number, content in enumerate(contents):
        row = (f".s{number}".encode(), len(content), 4096 * (number + 1), -(-len(content) // 512) * 512)
        struct.pack_into("<8sIIII", head, 88 + 240 + 40 * number, *row, 1024 + len(body))
        body += content.ljust(row[3], b"\0")
    if symbols:
        struct.pack_into("<II", head, 64 + 12, 1024 + len(body), 1)
    return bytes(head + body + symbols)


def empty_store(size: int = 8192) -> bytes:
    """An empty variable store as OVMF has it: a firmware volume with one header and one block map."""
    volume = bytearray(72)
    volume[40:44] = b"_FVH"
    struct.pack_into("<H", volume, 48, 72)
    store = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792").bytes_le + struct.pack("<IBBHI", size, 0x5A, 0xFE, 0, 0)
    return bytes(volume) + store + b"\xff" * (size - len(store))


def built(folder: Path) -> Path:
    """What `image expect` reads of a build."""
    folder.mkdir()
    owner = pki.issue("owner", key=pki.new_key("rsa"))
    sections = [(".osrel", b"ID=x"), (".cmdline", b"root"), (".initrd", b"initrd"), (".linux", b"kernel")]
    signed = firmware.sign_executable(portable_executable.with_sections(program(b"stub"), sections), owner.signer())
    keys = firmware.certificate_list([owner.certificate], uuid.UUID(int=5))
    (folder / "boot.efi").write_bytes(signed)
    (folder / "firmware.fd").write_bytes(
        firmware.store_variables(empty_store(), firmware.secure_boot(keys, keys, keys))
    )
    (folder / "image.json").write_text(
        json.dumps({"program": portable_executable.digest(signed).hex(), "events": EVENTS})
    )
    return folder


def owned(folder: Path) -> None:
    """A host.toml of a host called edge, with the owner's key of db."""
    owner = pki.issue("owner", key=pki.new_key("rsa"))
    (folder / "db.pem").write_bytes(owner.pem)
    (folder / "db.key").write_bytes(owner.key_pem)
    (folder / "db.key").chmod(0o600)
    pin = f'file = "x"\nsha256 = "{"0" * 64}"\n'
    (folder / "host.toml").write_text(
        'schema = "modseal/image@1"\nname = "edge"\nversion = 3\npolicy = "p"\nreleased = 2026-01-31T12:00:00Z\n'
        'keys = {pk = "p", kek = "k", db = {key = "db.key", cert = "db.pem"}}\n'
        + "".join(f"[{name}]\n{pin}" for name in ("kernel", "stub", "firmware", "[package]"))
        + f"[[wheel]]\n{pin.replace('x', 'x-1-py3-none-any.whl', 1)}"
    )


def attestation() -> bytes:
    """A document that says what a host has measured, and proves nothing."""
    return encode_again(HostAttestation(b"key", b"statement", b"signature", {13: replayed(EVENTS)}, EVENTS))


def request(content: bytes = b"") -> bytes:
    """A file that begins as a request to a host, and that nobody has signed."""
    return b"modseal-request 2 9\n{}signature" + content
