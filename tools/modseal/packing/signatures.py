"""List and remove the signature blocks of a bundle.

Neither judges trust: a row says who claims to have signed, and whether that signature is one
over this manifest. Removing takes whole blocks out; the blocks that stay keep their bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modseal.bundle.open import OpenBundle, open_bundle
from modseal.errors import Failure, FormatError, UsageError
from modseal.format import cms, manifest_json, rules
from modseal.format.cms import SignerInfo
from modseal.packing.rewrite import write_signature
from modseal.pki.certificate import Certificate
from modseal.trust.signature import Signatures, verify_member

_BEGIN = b"-----BEGIN "
_FINGERPRINT = re.compile("(?:sha256:)?([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class SignatureRow:
    """One signature: its block (from 1), who made it, and `failure` where it does not verify over this manifest.

    `certificate` is that of the verified signer, else the one that the signature claims, if it is in the block.
    """

    block: int
    certificate: Certificate | None
    algorithm: str
    claimed_time: str | None
    timestamps: int
    failure: Failure | None

    @property
    def fingerprint(self) -> str | None:
        """The SHA-256 of the certificate, lower-case hex."""
        return self.certificate.fingerprint if self.certificate else None


@dataclass(frozen=True, slots=True)
class SignatureListing:
    """All signatures of a bundle, and the expected keys of its manifest that have made none that verifies."""

    blocks: int
    rows: tuple[SignatureRow, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Removed:
    """What was taken out, how many blocks are left, which expected signers are missing; the file's SHA-256 (hex)."""

    path: Path
    rows: tuple[SignatureRow, ...]
    blocks: int
    missing: tuple[str, ...]
    sha256: str


def list_signatures(path: Path) -> SignatureListing:
    """The signatures of the bundle at `path`.

    Raises `FormatError` where the container or the signature member cannot be read, `InputError`.
    """
    with open_bundle(path) as bundle:
        return _list(bundle, bundle.signature)


def remove(path: Path, output: Path, fingerprint: str) -> Removed:
    """Take out every block of the signer with this certificate fingerprint; write to `output` atomically.

    Raises `UsageError` (no fingerprint, no such block, or one with another signer too), `FormatError`,
    `InputError`.
    """
    wanted = _parse(fingerprint)
    with open_bundle(path) as bundle:
        rows = _list(bundle, bundle.signature).rows
        numbers = {row.block for row in rows if row.fingerprint == wanted}
        gone = tuple(row for row in rows if row.block in numbers)
        if not gone:
            raise UsageError(f"{path}: no block by sha256:{wanted}; `modseal sign --list` shows the blocks")
        if any(row.fingerprint != wanted for row in gone):
            raise UsageError(f"{path}: block {gone[0].block} is signed by another signer too, and cannot be divided")
        member = _without(bundle.signature, numbers)
        after = _list(bundle, member)
        sha256 = write_signature(bundle, member, path, output)
    return Removed(output, gone, after.blocks, after.missing, sha256)


def _parse(fingerprint: str) -> str:
    found = _FINGERPRINT.fullmatch(fingerprint.lower().replace(":", "").replace("sha256", "sha256:", 1))
    if not found:
        raise UsageError(
            f"{fingerprint!r} is not a fingerprint: give the SHA-256 of a certificate, 64 hexadecimal digits"
        )
    return found[1]


def _without(member: bytes, numbers: set[int]) -> bytes:
    texts = [_BEGIN + text for text in member.split(_BEGIN)[1:]]
    return b"".join(text for number, text in enumerate(texts, 1) if number not in numbers)


def _list(bundle: OpenBundle, member: bytes) -> SignatureListing:
    _ = bundle.members  # an unreadable container ends here
    blocks = cms.split_blocks(member, bundle.kind)
    rows: list[SignatureRow] = []
    verified: set[str] = set()
    for number, block in enumerate(blocks, 1):
        result = verify_member(cms.join_blocks((block,)), bundle.manifest)
        verified.update(rules.key_name(signer.certificate.key_der) for signer in result.signers)
        rows += _rows(number, block, result)
    missing = tuple(key for key in _expected(bundle) if key not in verified)
    return SignatureListing(len(blocks), tuple(rows), missing)


def _rows(number: int, block: bytes, result: Signatures) -> Iterator[SignatureRow]:
    """One row for each signature of a block, or for a block that cannot be read."""
    try:
        data = cms.decode(block)
        certificates = tuple(map(Certificate.parse, data.certificates))
    except FormatError as error:
        yield SignatureRow(number, None, "unknown", None, 0, error.failure)
        return
    signers, failures = list(result.signers), list(result.failures)  # both in the order of the block
    for info in data.signers:
        signer = signers.pop(0) if signers and signers[0].signature == info.signature else None
        failure = None if signer else failures.pop(0)
        certificate = signer.certificate if signer else _claimed(info, certificates)
        algorithm = signer.algorithm if signer else info.signature_algorithm.oid
        yield SignatureRow(number, certificate, algorithm, info.signing_time, len(info.timestamps), failure)


def _claimed(info: SignerInfo, certificates: tuple[Certificate, ...]) -> Certificate | None:
    """The certificate that a signer identifier fits (RFC 5652 section 5.3)."""
    for one in certificates:
        by_key = info.key_id is not None and one.key_id == info.key_id
        if by_key or (one.serial, one.issuer_der) == (info.serial, info.issuer):
            return one
    return None


def _expected(bundle: OpenBundle) -> tuple[str, ...]:
    if bundle.kind != "seal":
        return ()
    try:
        return manifest_json.decode(bundle.manifest).expected_signers
    except FormatError:
        return ()  # a list of blocks is wanted most where something is wrong
