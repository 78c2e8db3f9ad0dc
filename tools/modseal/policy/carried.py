"""A trust bundle as a file carries it: to be read before anybody endorses or installs it. Nothing of it is proved."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path

from modseal.errors import Failure, FormatError, PolicyError, RefusedError
from modseal.format import trust_bundle
from modseal.format.trust_bundle import POLICY_PATH, TrustBundle
from modseal.pki.certificate import Certificate
from modseal.policy.rotation import policy_of, shortfalls
from modseal.policy.sources import load
from modseal.policy.update import read_file
from modseal.trust.policy import Policy
from modseal.trust.signature import verify_member
from modseal.values import dataclass


@dataclass(frozen=True, slots=True)
class Carried:
    """What a trust bundle says, and by whom its signatures are: whether those people are trusted is not asked.

    `sha256` is that of the whole file, in hex. `policy` is None where it cannot be used, and `problems` say why;
    `missing` has a sentence for each signature that its own root still asks for.
    """

    path: str
    sha256: str
    size: int
    bundle: TrustBundle
    policy: Policy | None
    signers: tuple[Certificate, ...]
    missing: tuple[str, ...]
    problems: tuple[Failure, ...]


def decode(data: bytes, path: str, now: datetime) -> Carried:
    """The trust bundle that some bytes are; `now` is when its signers must be valid. Raises `FormatError`."""
    bundle = trust_bundle.decode(data)
    policy: Policy | None = None
    missing: tuple[str, ...] = ()
    problems: list[Failure] = []
    try:
        policy = policy_of(bundle, f"{path}:{POLICY_PATH}")
    except PolicyError as error:
        problems.append(error.failure)
    signatures = verify_member(bundle.signature, bundle.signed)
    try:
        missing = tuple(shortfalls(bundle, None, now))
    except (FormatError, RefusedError) as error:
        problems.append(error.failure)
    return Carried(
        path,
        hashlib.sha256(data).hexdigest(),
        len(data),
        bundle,
        policy,
        tuple(signer.certificate for signer in signatures.signers),
        missing,
        tuple(problems),
    )


def load_unproved(reference: str, now: datetime) -> Policy | Carried:
    """The policy that a reference names, as `sources.load` gives it; of a trust bundle what it carries, unproved.

    Raises what `sources.load` raises, also for the policy of a trust bundle, and `FormatError` where that one is not
    well formed.
    """
    try:
        return load(reference, now)
    except PolicyError as error:
        if error.failure.evidence.get("cause") != "policy-is-trust-bundle":
            raise
    found = decode(read_file(Path(reference)), reference, now)
    if found.policy is None:
        policy_of(found.bundle, f"{reference}:{POLICY_PATH}")  # raises with all problems
    return found
