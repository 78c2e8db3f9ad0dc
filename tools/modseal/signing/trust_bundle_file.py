"""Makes and endorses the files of trust bundles: `trust_bundle_writer` says what goes into one, here it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from modseal.errors import UsageError
from modseal.files.output import output_file
from modseal.format import trust_bundle
from modseal.format.trust_bundle import TrustBundle
from modseal.policy.rotation import shortfalls
from modseal.policy.update import read_bundle
from modseal.signing import trust_bundle_writer as writer
from modseal.signing.material import read_certificates
from modseal.signing.signer import Signer


@dataclass(frozen=True, slots=True)
class Written:
    """A trust bundle that was written; `missing` has a sentence for each signature that is still asked for."""

    path: Path
    bundle: TrustBundle
    missing: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def make(
    policy: Path,
    output: Path,
    version: int,
    times: tuple[datetime, datetime],
    signers: Sequence[Signer],
    others: Sequence[Path],
    now: datetime,
    *,
    threshold: int | None = None,
    previous: Path | None = None,
) -> Written:
    """Make a trust bundle of a policy and every file that it names.

    `times` are when it is issued and when it expires. The root signers are the `signers`, who sign now, and those whose
    certificates are in the files `others`; by default it takes all of them.
    Raises `UsageError`, `InputError`, `PolicyError`, `KeyMaterialError`, `RefusedError`.
    """
    certificates = [signer.certificate for signer in signers]
    for path in others:
        found = read_certificates(path)
        if len(found) > 1:
            raise UsageError(f"{path} has {len(found)} certificates; a root signer is one")
        certificates += found
    issued, expires = times
    root = writer.root_of(certificates, len(certificates) if threshold is None else threshold, now, expires)
    old = read_bundle(previous) if previous else None
    made = writer.make(writer.gather(policy), version, issued, expires, root, old)
    for signer in signers:
        made = writer.endorse(made, signer, now)
    return _write(output, made, old, now)


def endorse(path: Path, output: Path, signer: Signer, now: datetime, *, previous: Path | None = None) -> Written:
    """Add a root signer's signature to the trust bundle at `path`.

    Raises `RefusedError`, `UsageError`, `InputError`, and `FormatError` for a trust bundle that is not well formed.
    """
    made, old = read_bundle(path), read_bundle(previous) if previous else None
    endorsed = writer.endorse(made, signer, now)
    warnings: tuple[str, ...] = ()
    if not writer.counts(signer, made, old):
        where = f"version {made.version}" + (f" or {old.version}" if old else "; give --previous if it is one of that")
        warnings = (f"this is not a root signer of {where}",)
    return _write(output, endorsed, old, now, warnings)


def _write(
    path: Path, made: TrustBundle, previous: TrustBundle | None, now: datetime, warnings: tuple[str, ...] = ()
) -> Written:
    data = trust_bundle.encode(made)
    with output_file(path) as file:
        file.write(data)
    return Written(path, made, tuple(shortfalls(made, previous, now)), warnings)
