"""What two-step signing keeps between its steps: the certificates without their key, and the state file.

The state says how the block was going to be built, so that the second step builds the same one. It needs no
protection of its own: the second step judges all of it again, and the signature proves the rest.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from modseal import limits
from modseal.errors import FormatError, RefusedError, UsageError, foreign
from modseal.format import canonical_json, pem
from modseal.format.shape import Array, Table, Text
from modseal.pki.algorithms import ALGORITHMS
from modseal.signing import block
from modseal.signing.signer import certify

SCHEMA = "modseal/prepared@1"

_SHA256 = Text(re.compile("[0-9a-f]{64}"), form="64 lower-case hexadecimal digits", least=64, most=64)
SHAPE = Table(
    {
        "schema": Text(choices=(SCHEMA,)),
        "manifest-sha256": _SHA256,
        "to-be-signed-sha256": _SHA256,
        "algorithm": Text(choices=tuple(ALGORITHMS)),
        "signing-time": Text(most=limits.NAME_LENGTH),
        "certificates": Array(
            Text(most=limits.PREPARED_SIZE),
            least=1,
            most=limits.CERTIFICATES_PER_BLOCK,
            about="PEM, the signer's first.",
        ),
    },
    about="What `modseal sign --prepare` prepared.",
)


@dataclass(frozen=True, slots=True)
class PreparedFile:
    """How a block is going to be built. The two digests are lower-case hex; `chain` is nearest first."""

    manifest_sha256: str
    to_be_signed_sha256: str
    algorithm: str
    signing_time: str
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]


def read_identity(cert: Path, chain: Sequence[Path]) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
    """The signer's certificate (the first of `cert`) and those above it, by the rules of direct signing.

    Raises `RefusedError` (unfit-certificate), `KeyMaterialError`, `InputError`.
    """
    return certify(lambda _: True, cert, cert, (), chain)


def state_of(manifest: bytes, prepared: block.Prepared, signing_time: str, certificate: x509.Certificate,
             chain: Sequence[x509.Certificate]) -> PreparedFile:  # fmt: skip
    """The state for a block that lacks only its signature."""
    return PreparedFile(
        hashlib.sha256(manifest).hexdigest(),
        hashlib.sha256(prepared.to_be_signed).hexdigest(),
        prepared.algorithm.name,
        signing_time,
        certificate,
        tuple(chain),
    )


def encode(state: PreparedFile) -> bytes:
    """The state file: JSON, laid out for reading."""
    certificates = (state.certificate, *state.chain)
    plain = {
        "schema": SCHEMA,
        "manifest-sha256": state.manifest_sha256,
        "to-be-signed-sha256": state.to_be_signed_sha256,
        "algorithm": state.algorithm,
        "signing-time": state.signing_time,
        "certificates": [each.public_bytes(Encoding.PEM).decode("ascii") for each in certificates],
    }
    return (json.dumps(plain, indent=2) + "\n").encode("ascii")


def decode(data: bytes, name: str) -> PreparedFile:
    """The state of a file that `encode` wrote; `name` is the file's. Raises `UsageError` for anything else."""
    plain = _load(data, name)
    with foreign(lambda _: _not_ours(name, "a certificate in it cannot be parsed")):
        contents = [pem.contents(text.encode(), pem.CERTIFICATE) for text in plain["certificates"]]
        certificates = [x509.load_der_x509_certificate(content) for (content,) in contents]
    return PreparedFile(
        plain["manifest-sha256"],
        plain["to-be-signed-sha256"],
        plain["algorithm"],
        plain["signing-time"],
        certificates[0],
        tuple(certificates[1:]),
    )


def rebuild(state: PreparedFile, manifest: bytes) -> block.Prepared:
    """The block that was prepared, built again for these bytes.

    Raises `RefusedError` (unfit-signature) where they are not those that it was prepared for, or the state was
    changed since.
    """
    if hashlib.sha256(manifest).hexdigest() != state.manifest_sha256:
        raise RefusedError("unfit-signature", "this was prepared for another bundle: the manifest is not the same",
                           prepared=state.manifest_sha256)  # fmt: skip
    row = ALGORITHMS[state.algorithm]
    prepared = block.prepare(manifest, state.certificate, state.chain, row, state.signing_time)
    if hashlib.sha256(prepared.to_be_signed).hexdigest() != state.to_be_signed_sha256:
        raise RefusedError("unfit-signature", "what was prepared has been changed since")
    return prepared


def _load(data: bytes, name: str) -> Any:
    try:
        plain = canonical_json.load(data, name)
    except FormatError as error:
        raise _not_ours(name, error.failure.detail) from None
    problems = SHAPE.problems(plain)
    if problems:
        raise _not_ours(name, str(problems[0]))
    return plain


def _not_ours(name: str, why: str) -> UsageError:
    return UsageError(f"{name} is not what `modseal sign --prepare` wrote: {why}")
