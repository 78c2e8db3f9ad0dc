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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modseal import limits
from modseal.boot import attestation, portable_executable
from modseal.boot.attestation import Expected
from modseal.boot.documents import Sha256Text
from modseal.errors import FormatError
from modseal.files.small import read_small
from modseal.format.shape import Table
from modseal.image import firmware

FILES = ("boot.efi", "firmware.fd", "image.json")
"""What is read of an image's folder."""
_FACTS = Table({"program": Sha256Text, "events": attestation.EVENTS})
_PROGRAM_SIZE = 1 << 28
_ACTION = b"Calling EFI Application from Boot Option"
_SEPARATOR = bytes(4)
_PARTS = (".linux", ".osrel", ".cmdline", ".initrd")
"""What the stub measures, in its order (systemd 252, src/fundamental/tpm-pcr.c)."""
_LIST_HEAD = 28


def expect(folder: Path) -> Expected:
    """What a host that boots this image must say. Raises `FormatError`, `InputError`."""
    facts = _facts(folder / FILES[2])
    events: tuple[Mapping[str, Any], ...] = tuple(facts["events"])
    with _named(folder / FILES[0]) as path:
        program = read_small(path, _PROGRAM_SIZE).data
        started, parts = _extended(_started(program)), _extended(_parts(program))
        if portable_executable.digest(program).hex() != facts["program"]:
            raise FormatError("bad-manifest", f"it is not the program that {FILES[2]} names")
    with _named(folder / FILES[1]) as path:
        keys = _extended(_keys(read_small(path, _PROGRAM_SIZE).data))
    registers = {4: started, 7: keys, 11: parts, 12: _extended(()), attestation.MEASURED: attestation.replayed(events)}
    return Expected(registers, events)


def _facts(path: Path) -> dict[str, Any]:
    """What the build says of the image, as far as it is needed here."""
    with _named(path):
        try:
            facts = json.loads(read_small(path, limits.HOST_DOCUMENT_SIZE).data)
            needed = {name: facts.get(name) for name in ("program", "events")}
        except (ValueError, RecursionError, AttributeError):
            raise FormatError("bad-manifest", "it is not what `modseal image build` writes") from None
        if problem := next(iter(_FACTS.problems(needed)), None):
            raise FormatError("bad-manifest", f"it is not what `modseal image build` writes: {problem}")
    return needed


@contextmanager
def _named(path: Path) -> Iterator[Path]:
    """What is wrong with a file of the folder is told with its path, and with what to do about the folder."""
    try:
        yield path
    except FormatError as error:
        raise FormatError(error.failure.code, f"{path}: {error.failure.detail}").because("no-image") from None


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
    if missing := [name for name in ("PK", "KEK", "db") if name not in found]:
        raise FormatError("missing-member", f"the firmware's variables have no {missing[0]}")
    yield _variable(firmware.GLOBAL, "SecureBoot", b"\1")
    yield _variable(firmware.GLOBAL, "PK", found["PK"])
    yield _variable(firmware.GLOBAL, "KEK", found["KEK"])
    yield _variable(firmware.SECURITY, "db", found["db"])
    yield _variable(firmware.SECURITY, "dbx", found.get("dbx", b""))
    yield hashlib.sha256(_SEPARATOR).digest()
    yield _variable(firmware.SECURITY, "db", found["db"][_LIST_HEAD:])


def _variable(vendor: Any, name: str, data: bytes) -> bytes:
    """The digest of UEFI_VARIABLE_DATA."""
    head = vendor.bytes_le + struct.pack("<QQ", len(name), len(data))
    return hashlib.sha256(head + name.encode("utf-16-le") + data).digest()
