"""Sign in two steps, for a key that no networked machine can reach.

`prepare` says what is to be signed; any tool signs it, anywhere; `attach` completes the block. The result is,
for an algorithm that always gives the same signature, what direct signing writes, byte for byte. Both steps
judge the bundle and the certificate as direct signing does.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from modseal import limits
from modseal.bundle.open import open_bundle
from modseal.errors import RefusedError, UsageError
from modseal.files.output import output_file
from modseal.files.small import read_small
from modseal.format import cms
from modseal.format.times import time_text
from modseal.packing.sign import Signed, add_block, make_ready
from modseal.packing.to_sign import ToSign
from modseal.signing import block, fitness, prepared
from modseal.signing.prepared import PreparedFile
from modseal.signing.tsa import Stamp
from modseal.trust.signature import verify_member

SUMMARY_SUFFIX = ".txt"
STATE_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is to be signed, for a person and a tool, and what `attach` needs to know of it."""

    to_sign: ToSign
    state: PreparedFile


def prepare(
    path: Path,
    certificate: x509.Certificate,
    chain: tuple[x509.Certificate, ...],
    at: datetime,
    signing_time: datetime,
    algorithm: str | None = None,
) -> Preparation:
    """What this certificate's key has to sign for the bundle at `path`. Nothing is written.

    `at` and `signing_time` are as for `sign`. Raises `RefusedError` (an unfit certificate, an unsound bundle),
    `UsageError` (this certificate has signed already, or the algorithm does not fit it), `InputError`.
    """
    fitness.check_certificate(certificate, chain, at)
    row = fitness.choose_algorithm(certificate, algorithm)
    with open_bundle(path) as bundle:
        ready = make_ready(bundle, certificate, at)
        data, sha256 = bundle.manifest, bundle.sha256()
    time = time_text(signing_time)
    unsigned = block.prepare(data, certificate, chain, row, time)
    state = prepared.state_of(data, unsigned, time, certificate, chain)
    to_sign = ToSign(
        bundle=path,
        bundle_sha256=sha256,
        manifest=ready.manifest,
        manifest_digest=hashlib.new(row.digest_name, data).hexdigest(),
        certificate=ready.certificate,
        chain=tuple(map(fitness.parse, chain)),
        algorithm=row,
        signing_time=time,
        data=unsigned.to_be_signed,
        sha256=state.to_be_signed_sha256,
    )
    return Preparation(to_sign, state)


def write(preparation: Preparation, target: Path, summary: str) -> None:
    """Write what is to be signed to `target`, and the summary and the state beside it: all three, or none.

    Raises `UsageError` where one of them is the bundle or a folder, `InputError`.
    """
    contents = {
        state_path(target): prepared.encode(preparation.state),
        target.with_name(target.name + SUMMARY_SUFFIX): summary.encode("utf-8", "backslashreplace"),
        target: preparation.to_sign.data,
    }
    for path in contents:
        if path.is_dir() or (path.exists() and path.samefile(preparation.to_sign.bundle)):
            raise UsageError(f"{path} is {'a folder' if path.is_dir() else 'the bundle'}; name another file to write")
    with ExitStack() as files:
        for path, data in contents.items():
            files.enter_context(output_file(path)).write(data)


def state_path(target: Path) -> Path:
    """Where the state for a prepared file stands. Raises `UsageError` for a path without a file name."""
    if not target.name:
        raise UsageError(f"{target} is not a file name")
    return target.with_name(target.name + STATE_SUFFIX)


def attach(path: Path, output: Path, signature: Path, target: Path, at: datetime, stamp: Stamp | None = None) -> Signed:
    """Append the block that `target` was prepared for, with the signature that was made elsewhere.

    `at` is the time that the certificate must be valid at, still; `stamp` is as for `sign`. Raises
    `RefusedError` (unfit-signature: another bundle, or it does not verify; an unfit certificate, an unsound
    bundle), `UsageError` (this certificate has signed already, no prepared file), `InputError`.
    """
    place = state_path(target)
    state = prepared.decode(_read(place), str(place))
    value = _read(signature)
    fitness.check_certificate(state.certificate, state.chain, at)
    fitness.choose_algorithm(state.certificate, state.algorithm)
    with open_bundle(path) as bundle:
        _ = bundle.members  # an unreadable container ends here
        unsigned = prepared.rebuild(state, bundle.manifest)
        ready = make_ready(bundle, state.certificate, at)
        _require_verifies(unsigned, value, bundle.manifest, signature)
        new = block.complete(unsigned, value, stamp(value) if stamp else None)
        return add_block(bundle, ready, new, path, output)


def _require_verifies(unsigned: block.Prepared, value: bytes, manifest: bytes, name: Path) -> None:
    """The verifier's own word, before a timestamp is asked for."""
    member = cms.join_blocks((block.complete(unsigned, value),))
    if not verify_member(member, manifest).signers:
        family = unsigned.algorithm.family
        hint = "; an ECDSA signature must be in DER, not two bare numbers" if family == "ecdsa" else ""
        detail = f"{name} is no {unsigned.algorithm.name} signature by the certificate's key over what was prepared"
        raise RefusedError("unfit-signature", detail + hint, algorithm=unsigned.algorithm.name)


def _read(path: Path) -> bytes:
    """A small file. A pipe is fine: a signature may come from one."""
    return read_small(
        path,
        limits.PREPARED_SIZE,
        too_large=lambda why: UsageError(f"{path} is {why}: that is neither a signature nor a prepared file"),
        pipes=True,
    ).data
