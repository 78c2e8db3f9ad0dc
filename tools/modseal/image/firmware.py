"""What the firmware verifies with, and what it verifies: signatures of executables, lists of keys, stored variables.

Lists and variables: UEFI 2.10 sections 32.4.1 and 8.2.2; the store that variables lie in is that of EDK II
(MdeModulePkg, VariableFormat.h).
"""

from __future__ import annotations

import hashlib
import struct
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from modseal.boot import authenticode, portable_executable
from modseal.errors import FormatError, RefusedError
from modseal.signing.signer import Signer

GLOBAL = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
SECURITY = uuid.UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
_ENABLE = uuid.UUID("f0a30bc7-af08-4556-99c4-001009c93a44")
_CUSTOM = uuid.UUID("c076ec0c-7028-4399-a072-71ee5c448b9f")
_X509 = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
_SHA256 = uuid.UUID("c1c41626-504c-4092-aca9-41f936934328")
_AUTHENTICATED_STORE = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792")
_IN_FORCE = 0x3F
_KEPT, _AUTHENTICATED = 0x3, 0x27
"""Attributes of variables: kept and seen at boot; these at runtime, too, and changed only by who has the key."""


def require_key(certificate: x509.Certificate, what: str) -> None:
    """Raises `RefusedError` (unfit-certificate) for a key that not every firmware takes."""
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < 2048:
        detail = f"{what}: firmware takes RSA keys of 2048 bits and more"
        raise RefusedError("unfit-certificate", detail).because("firmware-key")


def sign_executable(data: bytes, signer: Signer) -> bytes:
    """An executable, signed for UEFI. The same key gives the same bytes: no time is in it."""
    digest = portable_executable.digest(data)
    signature = signer.sign(authenticode.ALGORITHM, authenticode.signed(digest))
    return portable_executable.with_signature(data, authenticode.envelope(digest, signer.certificate, signature))


def certificate_list(certificates: Iterable[x509.Certificate], owner: uuid.UUID) -> bytes:
    """Certificates as the value of PK, KEK or db: an EFI_SIGNATURE_LIST for each."""
    lists = []
    for one in certificates:
        data = owner.bytes_le + one.public_bytes(Encoding.DER)
        lists.append(_X509.bytes_le + struct.pack("<III", 28 + len(data), 0, len(data)) + data)
    return b"".join(lists)


def digest_list(digests: Iterable[bytes], owner: uuid.UUID) -> bytes:
    """SHA-256 digests of programs as the value of dbx: one EFI_SIGNATURE_LIST. Nothing for none."""
    rows = [owner.bytes_le + one for one in digests]
    size = 16 + hashlib.sha256().digest_size
    head = _SHA256.bytes_le + struct.pack("<III", 28 + size * len(rows), 0, size)
    return head + b"".join(rows) if rows else b""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the firmware."""

    name: str
    vendor: uuid.UUID
    attributes: int
    data: bytes


def secure_boot(pk: bytes, kek: bytes, db: bytes, dbx: bytes = b"") -> list[Variable]:
    """The variables of a firmware that starts what these keys have signed, and nothing else; nor what is in dbx."""
    revoked = [Variable("dbx", SECURITY, _AUTHENTICATED, dbx)] if dbx else []
    return [
        *revoked,
        Variable("PK", GLOBAL, _AUTHENTICATED, pk),
        Variable("KEK", GLOBAL, _AUTHENTICATED, kek),
        Variable("db", SECURITY, _AUTHENTICATED, db),
        Variable("SecureBootEnable", _ENABLE, _KEPT, b"\1"),
        Variable("CustomMode", _CUSTOM, _KEPT, b"\0"),
    ]


def store_variables(template: bytes, variables: Iterable[Variable]) -> bytes:
    """An empty variable store of EDK II (such as OVMF_VARS.fd) with these variables in it. Raises `FormatError`."""
    first, end = _bounds(template)
    if template[first : first + 2] != b"\xff\xff":
        raise FormatError("malformed-archive", "the variable store is not an empty one")
    rows = bytearray()
    for one in variables:
        name = one.name.encode("utf-16-le") + b"\0\0"
        time = struct.pack("<HBBBBBxIhBx", 1970, 1, 1, 0, 0, 0, 0, 0, 0) if one.attributes & 0x20 else bytes(16)
        rows += struct.pack("<HBxIQ16sIII", 0x55AA, _IN_FORCE, one.attributes, 0, time, 0, len(name), len(one.data))
        rows += one.vendor.bytes_le + name + one.data
        rows += b"\xff" * (-len(rows) % 4)
    if first + len(rows) > end:
        raise FormatError("limit-exceeded", "the keys do not fit into the firmware's variables")
    return template[:first] + bytes(rows) + template[first + len(rows) :]


def _bounds(store: bytes) -> tuple[int, int]:
    """Where the variables of a store of EDK II begin, and where it ends. Raises `FormatError`."""
    try:
        (start,) = struct.unpack_from("<H", store, 48)  # HeaderLength of EFI_FIRMWARE_VOLUME_HEADER
        size, store_format, state = struct.unpack_from("<IBB", store, start + 16)
    except struct.error:
        raise FormatError("truncated", "the firmware's variables are cut off") from None
    if store[40:44] != b"_FVH" or store[start : start + 16] != _AUTHENTICATED_STORE.bytes_le:
        raise FormatError("malformed-archive", "it is no variable store of EDK II with authenticated variables")
    if (store_format, state) != (0x5A, 0xFE):
        raise FormatError("malformed-archive", "the variable store is not a healthy one")
    if start + size > len(store):
        raise FormatError("truncated", "the firmware's variables are cut off")
    return start + 28, start + size


def read_variables(store: bytes) -> list[Variable]:
    """The variables of a store that are in force. Raises `FormatError`."""
    found = []
    at, _ = _bounds(store)
    try:
        while store[at : at + 2] == b"\xaa\x55":
            state, attributes, name_size, size = struct.unpack_from("<2xBxI28xII", store, at)
            name_at = at + 60
            name = store[name_at : name_at + name_size].decode("utf-16-le").rstrip("\0")
            data = store[name_at + name_size : name_at + name_size + size]
            if state == _IN_FORCE:
                found.append(Variable(name, uuid.UUID(bytes_le=store[at + 44 : at + 60]), attributes, data))
            at = name_at + name_size + size
            at += -at % 4
    except (struct.error, ValueError):
        raise FormatError("truncated", "the firmware's variables are cut off") from None
    return found
