"""The provenance of a bundle in a DSSE envelope beside it, for the tools of in-toto.

The statement is the embedded one with one subject more, the bundle file itself: beside the bundle its digest can be
said. It holds until a signature is added to the bundle; the digests of the payloads stay.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from modseal.bundle.attested import Wanted, find, read_declared
from modseal.bundle.open import OpenBundle, open_bundle
from modseal.errors import RefusedError, UsageError
from modseal.files.output import output_file
from modseal.format import canonical_json
from modseal.packing import provenance
from modseal.packing.sign import require_sound, verified
from modseal.signing import dsse, fitness
from modseal.signing.signer import Signer

_WANTED = Wanted("provenance", provenance.NAME, provenance.MEDIA_TYPE)


@dataclass(frozen=True, slots=True)
class Enveloped:
    """An envelope that was written: where, who signed it and how, and the id of the key in it."""

    path: Path
    subject: str
    algorithm: str
    key_id: str


def write(path: Path, output: Path, signer: Signer, at: datetime, algorithm: str | None = None) -> Enveloped:
    """Sign the provenance of the bundle at `path` into an envelope at `output`; the bundle stays as it is.

    `at` is the time that the certificate must be valid at. Raises `RefusedError` (an unfit certificate, an unsound
    bundle, one without provenance), `UsageError`, `KeyMaterialError`, `InputError`.
    """
    if os.path.realpath(output) == os.path.realpath(path):
        raise UsageError(f"{output} is the bundle; name another file for the envelope")
    fitness.check_certificate(signer.certificate, signer.chain, at)
    row = fitness.choose_algorithm(signer.certificate, algorithm)
    with open_bundle(path, with_digest=True) as bundle:
        statement = _statement(bundle, path.name, at)
    data = dsse.envelope(provenance.dump(statement), signer, row)
    with output_file(output) as file:
        file.write(data)
    return Enveloped(output, fitness.parse(signer.certificate).subject, row.name, dsse.key_id(signer))


def _statement(bundle: OpenBundle, name: str, at: datetime) -> dict[str, Any]:
    """The embedded statement, and the bundle in front of its subjects."""
    manifest = require_sound(bundle, at)
    verified(bundle.signature, bundle.manifest, bundle.kind)
    attachment = find(manifest, _WANTED, bundle.name)
    plain = canonical_json.load(read_declared(bundle, attachment), attachment.name)
    if not _is_statement(plain):
        raise RefusedError("bad-manifest", f"{bundle.name}: {attachment.name} is not an in-toto statement v1")
    return {**plain, "subject": [{"name": name, "digest": {"sha256": bundle.sha256()}}, *plain["subject"]]}


def _is_statement(plain: Any) -> bool:
    return (
        isinstance(plain, dict)
        and plain.get("_type") == provenance.STATEMENT_TYPE
        and isinstance(plain.get("predicateType"), str)
        and isinstance(plain.get("subject"), list)
    )
