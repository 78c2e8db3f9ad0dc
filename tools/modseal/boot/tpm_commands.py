"""The few commands of a TPM 2.0 that a host needs: extend a register, read registers, quote them.

Requests and answers are those of "TPM 2.0 Library", part 3 (commands) and part 2 (structures), written here because a
host has no other program. A request goes to the kernel's resource manager (`/dev/tpmrm0`), one write and one read each.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from modseal import limits
from modseal.errors import InputError

Transport = Callable[[bytes], bytes]
"""Sends a request and gives the answer."""

DEVICE = "/dev/tpmrm0"
SHA256 = 0x000B
_NO_SESSIONS, _SESSIONS = 0x8001, 0x8002
_PASSWORD = struct.pack(">IHBH", 0x40000009, 0, 0, 0)
"""TPM_RS_PW with an empty password: the authorisation that a register, and the owner of a new TPM, have."""
_OWNER = 0x40000001
_EXTEND, _READ, _CREATE_PRIMARY, _QUOTE, _FLUSH = 0x182, 0x17E, 0x131, 0x158, 0x165
_ECC, _ECDSA, _NULL, _P256 = 0x0023, 0x0018, 0x0010, 0x0003
_ATTRIBUTES = 0x00050072
"""fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign: it signs what the TPM says alone."""
_AGAIN = (0x922, 0x90A)
"""TPM_RC_RETRY, TPM_RC_TESTING: the same request will be taken a little later."""
_PAUSE = 0.05
_REGISTERS = 24


@dataclass(frozen=True, slots=True)
class Quote:
    """What a TPM says of its registers: the statement (TPMS_ATTEST), the signature's two numbers, the key's point."""

    statement: bytes
    signature: tuple[int, int]
    key: tuple[int, int]


def open_device(descriptor: int) -> Transport:
    """The transport of an open device."""

    def send(request: bytes) -> bytes:
        os.write(descriptor, request)
        return os.read(descriptor, limits.TPM_ANSWER)

    return send


def extend(send: Transport, register: int, digest: bytes) -> None:
    """Extend the SHA-256 bank of a register. Raises `InputError`."""
    values = struct.pack(">IH", 1, SHA256) + digest
    _command(send, _EXTEND, struct.pack(">I", register), _PASSWORD, values)


def read(send: Transport, registers: Sequence[int]) -> dict[int, bytes]:
    """The values of registers, SHA-256. Raises `InputError`."""
    found: dict[int, bytes] = {}
    for register in registers:  # one at a time: how many a TPM gives at once is its own affair
        answer = _command(send, _READ, b"", None, selection([register]))
        count, size = struct.unpack_from(">IH", answer, 4 + len(selection([register])))
        if count != 1 or size != 32:
            raise InputError(f"the TPM has no register {register} with SHA-256").because("tpm-failed")
        found[register] = answer[-32:]
    return found


def quote(send: Transport, registers: Sequence[int], nonce: bytes) -> Quote:
    """A quote of registers over a nonce, by a key that this TPM makes of its own seed: the same one each time.

    Raises `InputError`.
    """
    handle, key = _primary(send)
    try:
        parameters = _sized(nonce) + struct.pack(">H", _NULL) + selection(registers)
        answer = _command(send, _QUOTE, struct.pack(">I", handle), _PASSWORD, parameters)
        statement, rest = _take(answer[4:])
        algorithm, digest = struct.unpack_from(">HH", rest)
        if (algorithm, digest) != (_ECDSA, SHA256):
            raise InputError("the TPM signs with another algorithm than it was asked for").because("tpm-failed")
        r, rest = _take(rest[4:])
        s, _ = _take(rest)
        return Quote(statement, (int.from_bytes(r), int.from_bytes(s)), key)
    finally:
        _command(send, _FLUSH, b"", None, struct.pack(">I", handle))


def selection(registers: Iterable[int]) -> bytes:
    """TPML_PCR_SELECTION of the SHA-256 bank."""
    bits = sum(1 << one for one in registers)
    return struct.pack(">IHB", 1, SHA256, _REGISTERS // 8) + bits.to_bytes(_REGISTERS // 8, "little")


def _primary(send: Transport) -> tuple[int, tuple[int, int]]:
    """A signing key of the owner's hierarchy: its handle, and its point."""
    sensitive = _sized(_sized(b"") + _sized(b""))
    public = struct.pack(">HHIH", _ECC, SHA256, _ATTRIBUTES, 0)
    public += struct.pack(">HHHHHHH", _NULL, _ECDSA, SHA256, _P256, _NULL, 0, 0)
    answer = _command(
        send, _CREATE_PRIMARY, struct.pack(">I", _OWNER), _PASSWORD, sensitive + _sized(public) + _sized(b"") + bytes(4)
    )
    (handle,) = struct.unpack_from(">I", answer)
    area, _ = _take(answer[8:])
    x, rest = _take(area[20:])  # behind type, nameAlg, attributes, policy, and the parameters of the curve
    y, _ = _take(rest)
    return handle, (int.from_bytes(x), int.from_bytes(y))


def _command(send: Transport, code: int, handles: bytes, session: bytes | None, parameters: bytes) -> bytes:
    """Handles and parameters of the answer to a command. Raises `InputError` for a refusal."""
    sessions = struct.pack(">I", len(session)) + session if session else b""
    body = handles + sessions + parameters
    head = struct.pack(">HII", _SESSIONS if session else _NO_SESSIONS, 10 + len(body), code)
    answer, size, result = b"", 0, _AGAIN[0]
    for _ in range(limits.TPM_TRIES):
        try:
            answer = send(head + body)
            _, size, result = struct.unpack_from(">HII", answer)
        except (OSError, struct.error) as error:
            raise InputError(f"the TPM does not answer: {error}").because("tpm-failed") from None
        if result not in _AGAIN:
            break
        time.sleep(_PAUSE)
    if result or size != len(answer):
        raise InputError(f"the TPM refuses command {code:#x}: {result:#x}").because("tpm-failed")
    return answer[10:]


def _sized(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def _take(data: bytes) -> tuple[bytes, bytes]:
    """A value with its size in front, and what comes after it. Raises `InputError`."""
    if len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2]):
        raise InputError("the TPM's answer is cut off").because("tpm-failed")
    end = 2 + int.from_bytes(data[:2])
    return data[2:end], data[end:]
