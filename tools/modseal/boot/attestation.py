"""What a host says of itself for another machine to check: a quote of its TPM, and the log of what was measured.

    4   the program that the firmware started: boot.efi
    7   the firmware's keys, and the one that verified boot.efi
    11  the parts of boot.efi: kernel, command line (with the root hash), initramfs
    12  what else the stub was given, on the boot partition or by the firmware: nothing
    13  what process 1 has measured: host, policy, generation, each module, what was refused

The first four are the firmware's and the stub's; the registers are those of the UAPI Group's "Linux TPM PCR Registry".
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from modseal import limits
from modseal.boot.documents import HostDocument, Sha256Text
from modseal.boot.requests import Running
from modseal.boot.tpm_commands import Quote, selection
from modseal.causes import CauseName
from modseal.errors import Failure, FormatError, KeyMaterialError, RefusedError
from modseal.format import canonical_json
from modseal.format.shape import Array, Scalar, Table, Text, TextMap
from modseal.host.measure import START, Measurement, extend

SCHEMA, EXPECTED = "modseal/attestation@1", "modseal/image-expected@1"
_NONE: Mapping[str, CauseName] = {SCHEMA: "no-attestation", EXPECTED: "no-expectation"}
REGISTERS = (4, 7, 11, 12, 13)
MEASURED = 13
_MAGIC, _QUOTE = 0xFF544347, 0x8018
"""TPM_GENERATED_VALUE and TPM_ST_ATTEST_QUOTE: what only a TPM itself signs with a restricted key."""
_CLOCK, _FIRMWARE = 17, 8
_BASE64 = Text(most=8192)
EVENTS = Array(TextMap(Text(most=64), Scalar(), most=16), most=limits.HOST_MODULES + 16)
"""The shape of what is measured into register 13."""
_NUMBER = Text(re.compile("[0-9]|1[0-9]|2[0-3]"), form="the number of a register, 0 to 23", most=2)
_SHAPES = {
    SCHEMA: Table(
        {
            "schema": Text(choices=(SCHEMA,)),
            "key": _BASE64,
            "statement": _BASE64,
            "signature": _BASE64,
            "registers": TextMap(_NUMBER, Sha256Text, most=24),
            "events": EVENTS,
        }
    ),
    EXPECTED: Table(
        {
            "schema": Text(choices=(EXPECTED,)),
            "registers": Table({str(one): Sha256Text for one in REGISTERS}),
            "events": EVENTS,
        }
    ),
}


@dataclass(frozen=True, slots=True)
class Expected:
    """What a host must say: the value of each of `REGISTERS`, and what was measured into register 13."""

    registers: Mapping[int, bytes]
    events: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class HostAttestation:
    """What a host has said, unproved: the key, the quote, registers, the log."""

    key: bytes
    statement: bytes
    signature: bytes
    registers: Mapping[int, bytes]
    events: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class HostProof:
    """What a TPM with a known key has proved: its registers, and how they differ from what is expected."""

    key: str
    events: tuple[Mapping[str, Any], ...]
    differences: tuple[Failure, ...]


def events(
    host: HostDocument,
    policy: str,
    generation: int,
    modules: Iterable[tuple[str, str, str, str]],
    refused: Iterable[tuple[str, str]] = (),
    failed: Running | None = None,
) -> tuple[Mapping[str, Any], ...]:
    """What is measured of a host, in order. Modules: name, version, SHA-256 of the manifest, root hash.

    `policy` is the digest of all that the policy says; refused are bundles, with the code; failed is the state that was
    tried last, and did not run well.
    """
    return (
        {"what": "host", "name": host.name, "version": host.version, "level": str(host.level), "policy": policy},
        {"what": "generation", "number": generation},
        *(
            {"what": "module", "name": name, "version": version, "manifest": manifest, "root": root}
            for name, version, manifest, root in sorted(modules)
        ),
        *({"what": "refused", "bundle": bundle, "code": code} for bundle, code in sorted(refused)),
        *([{"what": "failed", "version": failed.version, "generation": failed.generation}] if failed else ()),
    )


def replayed(found: Iterable[Mapping[str, Any]]) -> bytes:
    """The value of register 13 after these events."""
    return extend(START, (Measurement(dict(one)) for one in found))


def encode(quote: Quote, registers: Mapping[int, bytes], found: Sequence[Mapping[str, Any]]) -> bytes:
    """The document of an attestation."""
    key = ec.EllipticCurvePublicNumbers(*quote.key, ec.SECP256R1()).public_key()
    return encode_again(
        HostAttestation(
            key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            quote.statement,
            encode_dss_signature(*quote.signature),
            registers,
            tuple(found),
        )
    )


def encode_again(found: HostAttestation) -> bytes:
    """The document of an attestation that was read."""
    plain = {
        "schema": SCHEMA,
        "key": _text(found.key),
        "statement": _text(found.statement),
        "signature": _text(found.signature),
        "registers": {str(number): value.hex() for number, value in found.registers.items()},
        "events": [dict(one) for one in found.events],
    }
    return canonical_json.dump(plain) + b"\n"


def public_key(data: bytes, name: str) -> bytes:
    """A public key in PEM as DER. Raises `KeyMaterialError`."""
    try:
        return load_pem_public_key(data).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyMaterialError(f"{name} is not a public key in PEM").because("not-a-public-key") from None


def key_pem(found: HostAttestation) -> str:
    """The key that an attestation says it is signed with, in PEM. Raises `FormatError`."""
    try:
        key = load_der_public_key(found.key)
    except (ValueError, UnsupportedAlgorithm):
        raise _bad("the attestation", SCHEMA, "its key is none") from None
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def decode(data: bytes, name: str) -> HostAttestation:
    """Raises `FormatError`."""
    plain = _decode(data, name, SCHEMA)
    try:
        parts = [base64.b64decode(plain[one], validate=True) for one in ("key", "statement", "signature")]
    except ValueError:
        raise _bad(name, SCHEMA, "it has something that is not Base64") from None
    return HostAttestation(parts[0], parts[1], parts[2], _registers(plain), tuple(plain["events"]))


def encode_expected(expected: Expected) -> bytes:
    """The document of what is expected."""
    registers = {str(number): value.hex() for number, value in expected.registers.items()}
    events_ = [dict(one) for one in expected.events]
    return canonical_json.dump({"schema": EXPECTED, "registers": registers, "events": events_}) + b"\n"


def decode_expected(data: bytes, name: str) -> Expected:
    """Raises `FormatError`."""
    plain = _decode(data, name, EXPECTED)
    found = Expected(_registers(plain), tuple(plain["events"]))
    if found.registers[MEASURED] != replayed(found.events):
        raise _bad(name, EXPECTED, "its events do not replay to its register 13")
    return found


def verify(found: HostAttestation, expected: Expected, nonce: bytes, key: bytes) -> HostProof:
    """What an attestation proves, by a TPM's key (DER, SubjectPublicKeyInfo) that is known already.

    Raises `RefusedError` (attestation-invalid) where it proves nothing: another key, another nonce, a statement that no
    TPM has made of these registers, a log that does not replay.
    """
    if found.key != key:
        raise _invalid("it is signed by another key than the one that is known")
    public = load_der_public_key(key)
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise _invalid("the key is none of an elliptic curve")
    try:
        public.verify(found.signature, found.statement, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise _invalid("the signature does not verify") from None
    extra, selected, digest = _statement(found.statement)
    if extra != nonce:
        raise _invalid("it answers another nonce")
    numbers = sorted(found.registers)
    if selected != selection(numbers):
        raise _invalid("the statement is about other registers than the document")
    if hashlib.sha256(b"".join(found.registers[one] for one in numbers)).digest() != digest:
        raise _invalid("the registers are not those of the statement")
    if found.registers.get(MEASURED) != replayed(found.events):
        raise _invalid("the log does not replay to register 13")
    return HostProof(hashlib.sha256(key).hexdigest(), found.events, tuple(_differences(found, expected)))


def _differences(found: HostAttestation, expected: Expected) -> Iterable[Failure]:
    for number in sorted({*REGISTERS, *expected.registers}):
        now, value = found.registers.get(number), expected.registers.get(number)
        if now is None or now != value:
            wanted_value = value.hex() if value else "nothing"
            detail = f"register {number} is {now.hex() if now else 'not quoted'}, and {wanted_value} is expected"
            yield Failure("attestation-unexpected", detail, {"register": number})
    # By what is measured of them: True is 1 to Python, and to no register.
    measured, wanted = ([Measurement(dict(one)).line() for one in each.events] for each in (found, expected))
    for one, line in zip(expected.events, wanted, strict=True):
        if line not in measured:
            yield Failure("attestation-unexpected", f"it was not measured: {_shown(one)}")
    for place, (one, line) in enumerate(zip(found.events, measured, strict=True)):
        if line not in wanted:
            yield Failure("attestation-unexpected", f"it was measured, and is not expected: {_shown(one)}")
        elif measured[:place].count(line) >= wanted.count(line):
            yield Failure("attestation-unexpected", f"it was measured again: {_shown(one)}")
    if measured != wanted and sorted(measured) == sorted(wanted):
        yield Failure("attestation-unexpected", "the same was measured in another order")


def _shown(event: Mapping[str, Any]) -> str:
    words = (f"{name} {value}" for name, value in sorted(event.items()) if name != "what")
    return f"{event.get('what')}: {', '.join(words)}"


def _statement(data: bytes) -> tuple[bytes, bytes, bytes]:
    """The nonce, the selection of registers and their digest in a TPMS_ATTEST of a quote."""
    try:
        magic, kind = struct.unpack_from(">IH", data)
        if (magic, kind) != (_MAGIC, _QUOTE):
            raise _invalid("the statement is none of a TPM about its registers")
        _, rest = _take(data[6:])
        extra, rest = _take(rest)
        rest = rest[_CLOCK + _FIRMWARE :]
        size = len(selection(()))
        digest, rest = _take(rest[size:])
        at = len(data) - len(rest) - len(digest) - 2 - size
    except struct.error:
        raise _invalid("the statement is cut off") from None
    if rest:
        raise _invalid("the statement has something behind its end")
    return extra, data[at : at + size], digest


def _take(data: bytes) -> tuple[bytes, bytes]:
    (size,) = struct.unpack_from(">H", data)
    if len(data) < size + 2:
        raise struct.error
    return data[2 : 2 + size], data[2 + size :]


def _invalid(why: str) -> RefusedError:
    return RefusedError("attestation-invalid", f"the attestation proves nothing: {why}")


def _registers(plain: Any) -> dict[int, bytes]:
    return {int(number): bytes.fromhex(value) for number, value in plain["registers"].items()}


def _decode(data: bytes, name: str, schema: str) -> Any:
    if len(data) > limits.HOST_DOCUMENT_SIZE:
        detail = f"{name} has over {limits.HOST_DOCUMENT_SIZE} bytes"
        raise FormatError("limit-exceeded", detail).because(_NONE[schema])
    try:
        plain = canonical_json.load(data, name)
    except FormatError as error:
        raise error.because(_NONE[schema]) from None
    problem = next(iter(_SHAPES[schema].problems(plain)), None)
    if problem:
        raise _bad(name, schema, str(problem))
    return plain


def _bad(name: str, schema: str, why: str) -> FormatError:
    return canonical_json.bad(name, why).because(_NONE[schema])


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
