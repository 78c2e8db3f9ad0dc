"""Add a signature block to a bundle: with a key at hand, or one that was made elsewhere.

What is signed is the manifest member's raw bytes, and only for a sound bundle: nobody's signature is
put under payloads that do not match. Every other byte of the archive stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from modseal.bundle.open import OpenBundle, open_bundle
from modseal.errors import Failure, RefusedError, UsageError
from modseal.format import cms, rules
from modseal.format.manifest import Kind, Manifest
from modseal.format.times import time_text
from modseal.packing.rewrite import write_signature
from modseal.pki.certificate import Certificate
from modseal.signing import block, fitness
from modseal.signing.signer import Signer
from modseal.signing.tsa import Stamp
from modseal.trust.examination import Verdict
from modseal.trust.integrity import examine_integrity
from modseal.trust.signature import Signatures, verify_member


@dataclass(frozen=True, slots=True)
class Signed:
    """What was written: where, its SHA-256 (hex), how many blocks it has now, and the new signer.

    `expected` are the keys that the manifest expects signatures of and that have not signed yet.
    """

    path: Path
    blocks: int
    subject: str
    fingerprint: str
    algorithm: str
    sha256: str
    expected: tuple[str, ...] = ()


def sign(
    path: Path,
    output: Path,
    signer: Signer,
    at: datetime,
    signing_time: datetime,
    algorithm: str | None = None,
    stamp: Stamp | None = None,
) -> Signed:
    """Append a block by `signer` to the bundle at `path`, and write the result to `output` atomically.

    `at` is the time that the certificate must be valid at; `signing_time` is what the block says, and
    `stamp` gives a timestamp that proves it.
    Raises `RefusedError` (an unfit certificate, an unsound bundle), `UsageError` (this certificate has
    signed already), `InputError`.
    """
    fitness.check_certificate(signer.certificate, signer.chain, at)
    row = fitness.choose_algorithm(signer.certificate, algorithm)
    with open_bundle(path) as bundle:
        ready = make_ready(bundle, signer.certificate, at)
        new = block.build(bundle.manifest, signer, row, time_text(signing_time), stamp)
        return add_block(bundle, ready, new, path, output)


@dataclass(frozen=True, slots=True)
class Ready:
    """A sound bundle that a certificate has not signed yet, and the signatures that it has."""

    manifest: Manifest
    certificate: Certificate
    before: Signatures


def make_ready(bundle: OpenBundle, certificate: x509.Certificate, at: datetime) -> Ready:
    """Whether this certificate may add a block. Raises `RefusedError`, `UsageError` where it has signed already."""
    manifest = require_sound(bundle, at)
    mine = fitness.parse(certificate)
    before = verified(bundle.signature, bundle.manifest, bundle.kind)
    if any(other.certificate == mine for other in before.signers):
        raise UsageError(f"{bundle.name}: already signed with this certificate ({mine.subject})")
    return Ready(manifest, mine, before)


def add_block(bundle: OpenBundle, ready: Ready, new: bytes, path: Path, output: Path) -> Signed:
    """Write the bundle with one block (DER) more, once the verifier has read it back. Raises `RefusedError`."""
    member = append_block(bundle.signature, new)
    signers = _require_verifies(member, bundle, len(ready.before.signers) + 1).signers
    sha256 = write_signature(bundle, member, path, output)
    mine = ready.certificate
    keys = {rules.key_name(signer.certificate.key_der) for signer in signers}
    expected = tuple(key for key in ready.manifest.expected_signers if key not in keys)
    count = len(cms.split_blocks(member, bundle.kind))
    return Signed(output, count, mine.subject, mine.fingerprint, signers[-1].algorithm, sha256, expected)


def append_block(member: bytes, der: bytes) -> bytes:
    """A signature member with one block more; the blocks before it keep their bytes."""
    separator = b"\n" if member and not member.endswith(b"\n") else b""
    return member + separator + cms.join_blocks((der,))


ANY_TIME = datetime.fromtimestamp(0, UTC)
"""Whether a bundle is whole does not depend on the time."""


def require_sound(bundle: OpenBundle, at: datetime) -> Manifest:
    """Refuse to sign or timestamp a broken bundle. Returns its manifest; raises `RefusedError`."""
    examination = examine_integrity(bundle, at)
    primary = examination.primary
    if examination.verdict is not Verdict.ACCEPTED and primary:
        raise RefusedError(primary.code or "bad-manifest", f"{bundle.name}: {primary.detail}", **primary.evidence)
    manifest = examination.manifest
    if manifest is None:
        raise AssertionError("an accepted bundle has a manifest")
    for unknown in manifest.vib.unknown if manifest.vib else ():
        raise RefusedError(unknown.code, f"{bundle.name}: {unknown.detail}", **unknown.evidence)
    return manifest


def verified(member: bytes, manifest: bytes, kind: Kind) -> Signatures:
    """The blocks that are there; one that does not verify would make every verifier refuse the result."""
    signatures = verify_member(member, manifest, kind=kind)
    bad = [failure for failure in signatures.failures if failure.code != "unsupported-algorithm"]
    if bad:
        _refuse(bad[0])
    return signatures


def _require_verifies(member: bytes, bundle: OpenBundle, count: int) -> Signatures:
    """Our own block, read back by the verifier: a key that does not fit its certificate ends here."""
    signatures = verify_member(member, bundle.manifest, kind=bundle.kind)
    if len(signatures.signers) != count:
        _refuse(signatures.failures[-1])
    return signatures


def _refuse(failure: Failure) -> None:
    raise RefusedError(failure.code, failure.detail, **failure.evidence)
