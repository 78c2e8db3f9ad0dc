"""Add timestamps to the signatures of a bundle that have none: what `sign --tsa` does at once, done later.

A token is an unsigned attribute, so that no signature changes. Every other byte of the archive stays
as it is, and so do the blocks that get no token.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from modseal.bundle.open import OpenBundle, open_bundle
from modseal.errors import RefusedError, UsageError
from modseal.format import cms
from modseal.packing.rewrite import write_signature
from modseal.packing.sign import require_sound, verified
from modseal.pki import purpose
from modseal.signing import block
from modseal.signing.tsa import Stamp
from modseal.trust.signature import VerifiedSigner

_BEGIN = b"-----BEGIN "


@dataclass(frozen=True, slots=True)
class Stamped:
    """What was written: where, its SHA-256 (hex), how many tokens were added, and why some signature got none."""

    path: Path
    added: int
    skipped: tuple[str, ...]
    sha256: str


def timestamp(path: Path, output: Path, stamp: Stamp, at: datetime) -> Stamped:
    """Add a token to each verified signature of the bundle at `path` that has none; write to `output` atomically.

    A signature whose certificate is not valid at `at` is left as it is: a timestamp made now proves nothing
    for it. Raises `UsageError` (unsigned, nothing to do), `RefusedError` (an unsound bundle, a block that does
    not verify), `InputError`, and what `stamp` raises.
    """
    with open_bundle(path) as bundle:
        require_sound(bundle, at)
        before = verified(bundle.signature, bundle.manifest, bundle.kind)
        if not bundle.signature:
            raise UsageError(f"{path}: not signed; sign it first")
        lacking = [signer for signer in before.signers if not signer.timestamps]
        skipped = tuple(_unfit(lacking, at))
        chosen = [signer for signer in lacking if purpose.validity_failure(signer.certificate, at) is None]
        if not chosen:
            raise UsageError("; ".join((f"{path}: no signature can use a timestamp", *skipped)))
        member = _stamp_all(bundle, chosen, stamp)
        after = verified(member, bundle.manifest, bundle.kind)
        if [_identity(signer) for signer in after.signers] != [_identity(signer) for signer in before.signers]:
            raise RefusedError("bad-signature", f"{path}: adding a timestamp changed a signature")
        sha256 = write_signature(bundle, member, path, output)
    return Stamped(output, len(chosen), skipped, sha256)


def _identity(signer: VerifiedSigner) -> tuple[int, str, bytes]:
    return signer.block, signer.certificate.fingerprint, signer.signature


def _unfit(signers: list[VerifiedSigner], at: datetime) -> Iterator[str]:
    for signer in signers:
        failure = purpose.validity_failure(signer.certificate, at)
        if failure:
            yield f"block {signer.block}: {failure.detail}, and a timestamp made now cannot help it"


def _stamp_all(bundle: OpenBundle, signers: list[VerifiedSigner], stamp: Stamp) -> bytes:
    """The signature member with a token for each of these signers. It has been read by `cms` already."""
    texts = [_BEGIN + text for text in bundle.signature.split(_BEGIN)[1:]]
    blocks = cms.split_blocks(bundle.signature, bundle.kind)
    for number, data in enumerate(blocks):
        own = [signer for signer in signers if signer.block == number + 1]
        stamped = data
        for signer in own:
            stamped = block.add_timestamp(stamped, signer.signature, stamp(signer.signature))
        if own:
            texts[number] = cms.join_blocks((stamped,))
    return b"".join(texts)
