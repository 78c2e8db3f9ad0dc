"""Predicts what a host's TPM will say, from what was built: the values of its registers, and the log of register 13.

    4   TCG PC Client Platform Firmware Profile 1.06, section 3.3.4.5: programs by their Authenticode digests
    7   the same, section 3.3.4.8: the variables of Secure Boot, and the entry of db that verified the program
    11  systemd-stub(7): for each part of the program its name, then its content
    12  the same: a command line or credentials from elsewhere, of which there are none

The prediction is for OVMF without other boot programs, options of the firmware's own, or dbx.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from modseal import limits
from modseal.boot import attestation, portable_executable
from modseal.boot.attestation import Expected
from modseal.errors import FormatError
from modseal.files.small import read_small
from modseal.image import firmware

_PROGRAM_SIZE = 1 << 28
_ACTION = b"Calling EFI Application from Boot Option"
_SEPARATOR = bytes(4)
_PARTS = (".linux", ".osrel", ".cmdline", ".initrd")
"""What the stub measures, in its order (systemd 252, src/fundamental/tpm-pcr.c)."""
_LIST_HEAD = 28


def expect(folder: Path) -> Expected:
    """What a host that boots this image must say. Raises `FormatError`, `InputError`."""
    program = read_small(folder / "boot.efi", _PROGRAM_SIZE).data
    store = read_small(folder / "firmware.fd", _PROGRAM_SIZE).data
    name = str(folder / "image.json")
    try:
        facts: dict[str, Any] = json.loads(read_small(folder / "image.json", limits.HOST_DOCUMENT_SIZE).data)
        events: tuple[Mapping[str, Any], ...] = tuple(facts["events"])
    except (ValueError, KeyError, TypeError):
        raise FormatError("bad-manifest", f"{name} is not what `modseal image build` writes") from None
    registers = {
        4: _extended(_started(program)),
        7: _extended(_keys(store)),
        11: _extended(_parts(program)),
        12: _extended(()),
        attestation.MEASURED: attestation.replayed(events),
    }
    return Expected(registers, events)


def _extended(digests: Iterable[bytes]) -> bytes:
    value = bytes(32)
    for one in digests:
        value = hashlib.sha256(value + one).digest()
    return value


def _started(program: bytes) -> Iterable[bytes]:
    yield hashlib.sha256(_ACTION).digest()
    yield hashlib.sha256(_SEPARATOR).digest()
    yield portable_executable.digest(program)  # the stub starts the kernel in it by itself: register 11 has that


def _parts(program: bytes) -> Iterable[bytes]:
    for name in _PARTS:
        content = portable_executable.section(program, name)
        if content is not None:
            yield hashlib.sha256(name.encode() + b"\0").digest()
            yield hashlib.sha256(content).digest()


def _keys(store: bytes) -> Iterable[bytes]:
    found = {one.name: one.data for one in firmware.read_variables(store)}
    yield _variable(firmware.GLOBAL, "SecureBoot", b"\1")
    yield _variable(firmware.GLOBAL, "PK", found.get("PK", b""))
    yield _variable(firmware.GLOBAL, "KEK", found.get("KEK", b""))
    yield _variable(firmware.SECURITY, "db", found.get("db", b""))
    yield _variable(firmware.SECURITY, "dbx", found.get("dbx", b""))
    yield hashlib.sha256(_SEPARATOR).digest()
    yield _variable(firmware.SECURITY, "db", found.get("db", b"")[_LIST_HEAD:])


def _variable(vendor: Any, name: str, data: bytes) -> bytes:
    """The digest of UEFI_VARIABLE_DATA."""
    head = vendor.bytes_le + struct.pack("<QQ", len(name), len(data))
    return hashlib.sha256(head + name.encode("utf-16-le") + data).digest()
