"""Makes trust bundles: what `policy bundle` and `policy endorse` write.

The root signers need not meet: one makes the trust bundle, the others add their signatures to it, each
with a key that never leaves its place. The same policy, version, times and root give the same
declaration, so that they can also compare what they sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from cryptography import x509

from modseal import limits
from modseal.errors import InputError, RefusedError, UsageError
from modseal.format import cms, trust_bundle
from modseal.format.rooted import Root
from modseal.format.rules import check_path
from modseal.format.times import time_text
from modseal.format.trust_bundle import POLICY_PATH, TrustBundle
from modseal.pki import purpose
from modseal.policy.file import parse
from modseal.policy.sources import read_bounded
from modseal.signing import block, fitness
from modseal.signing.signer import Signer
from modseal.trust.signature import verify_member


def gather(policy: Path) -> dict[str, bytes]:
    """The policy, and every file that it names, by the paths that a trust bundle gives them.

    Raises `PolicyError` where the policy cannot be used, `RefusedError` (trust-bundle-invalid) where a
    name leads out of the policy's folder, `InputError`.
    """
    files: dict[str, bytes] = {}

    def read(name: str) -> bytes:
        failure = check_path(name)
        if failure or name == POLICY_PATH:
            why = failure.detail if failure else f"{name} is the policy's own name"
            raise RefusedError(
                "trust-bundle-invalid", f"{policy}: {why}; a trust bundle takes files below the policy's folder"
            ).because("file-not-below")
        files[name] = read_bounded(policy.parent / name)
        return files[name]

    try:
        data = read_bounded(policy)
    except OSError as error:
        raise InputError.of(policy, error) from None
    parse(data, str(policy), read)
    return {POLICY_PATH: data, **files}


def root_of(certificates: Sequence[x509.Certificate], threshold: int, at: datetime, expires: datetime) -> Root:
    """The root that these certificates make.

    Each must be usable from now until the trust bundle expires: who could not sign any more could not
    rotate either. Raises `RefusedError` (unfit-certificate), `UsageError`.
    """
    parsed = [fitness.parse(each) for each in certificates]
    if len({each.key_der for each in parsed}) < len(parsed):
        raise UsageError("two root certificates have the same key; one key is one signer")
    if not 1 <= threshold <= len(parsed) <= limits.ROOT_SIGNERS:
        raise UsageError(
            f"a threshold of {threshold} does not fit {len(parsed)} root certificates; "
            f"there may be at most {limits.ROOT_SIGNERS}"
        )
    for each in parsed:
        failure = (
            purpose.validity_failure(each, at)
            or purpose.validity_failure(each, expires)
            or next(purpose.key_failures(each), None)
        )
        if failure:
            raise RefusedError(
                "unfit-certificate",
                f"{failure.detail}; a root certificate must be usable until the trust bundle expires",
                signer=each.fingerprint,
                reasons=failure.code,
            )
    return Root(threshold, tuple(sorted(each.fingerprint for each in parsed)))


def make(
    files: dict[str, bytes], version: int, issued: datetime, expires: datetime, root: Root, previous: TrustBundle | None
) -> TrustBundle:
    """An unsigned trust bundle. Raises `RefusedError` (trust-bundle-gap), `FormatError` (trust-bundle-invalid)."""
    if previous and version != previous.version + 1:
        detail = f"version {version} does not follow version {previous.version}; the next one is {previous.version + 1}"
        raise RefusedError("trust-bundle-gap", detail, version=version, after=previous.version)
    bundle = TrustBundle(version, issued, expires, root, files)
    return replace(bundle, signed=trust_bundle.declare(bundle))


def endorse(bundle: TrustBundle, signer: Signer, at: datetime) -> TrustBundle:
    """The trust bundle with one signature more, over the raw bytes of its declaration.

    The block has no signing time: the same key, where its algorithm is deterministic, gives the same bytes.
    Raises `RefusedError` (unfit-certificate, or a block that is there already does not verify), `UsageError`.
    """
    certificate = fitness.parse(signer.certificate)
    failure = purpose.validity_failure(certificate, at)
    if failure:
        raise RefusedError("unfit-certificate", failure.detail, signer=certificate.fingerprint, reasons=failure.code)
    before = verify_member(bundle.signature, bundle.signed)
    if any(other.certificate == certificate for other in before.signers):
        raise UsageError(f"{certificate.subject} has signed version {bundle.version} already")
    row = fitness.choose_algorithm(signer.certificate)
    member = bundle.signature + cms.join_blocks((block.build(bundle.signed, signer, row, None),))
    for problem in verify_member(member, bundle.signed).failures:
        if problem.code != "unsupported-algorithm":
            raise RefusedError(problem.code, problem.detail, **problem.evidence).because("trust-bundle-damaged")
    return replace(bundle, signature=member)


def counts(signer: Signer, bundle: TrustBundle, previous: TrustBundle | None) -> bool:
    """Whether the signer is a root signer of the trust bundle or of the one before it."""
    roots = {*bundle.root.signers, *(previous.root.signers if previous else ())}
    return fitness.parse(signer.certificate).fingerprint in roots


def describe(bundle: TrustBundle) -> str:
    """One line: which file it is."""
    return f"version {bundle.version}, expires {time_text(bundle.expires)}, sha256 {bundle.file_sha256}"
