"""What a person should see before signing in two steps: values, for `report`. Needs no signing code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modseal.format.manifest import Manifest
from modseal.pki.algorithms import SignatureAlgorithm
from modseal.pki.certificate import Certificate


@dataclass(frozen=True, slots=True)
class ToSign:
    """The module, the signer, and the bytes that are to be signed with their SHA-256 (lower-case hex).

    `manifest_digest` is that of the manifest's bytes under the algorithm's digest: the messageDigest attribute.
    `chain` are the certificates that go into the block with the signer's. `signing_time` is what the block says.
    """

    bundle: Path
    bundle_sha256: str
    manifest: Manifest
    manifest_digest: str
    certificate: Certificate
    chain: tuple[Certificate, ...]
    algorithm: SignatureAlgorithm
    signing_time: str
    data: bytes
    sha256: str
