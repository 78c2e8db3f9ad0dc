"""Whether a trust bundle may take the place of the installed one: rotation as TUF does it for roots.

The rule is `succession.advance`. What is the trust bundle's own, each on purpose:

* There is no default root: the first install names the root signers, and every one named must have signed.
* No version may be left out.
* A policy travels with the root, so it changes only with a new, signed version.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from modseal.errors import PolicyError, RefusedError, UsageError
from modseal.format.rooted import Root
from modseal.format.trust_bundle import POLICY_PATH, TrustBundle
from modseal.policy import succession
from modseal.policy.file import parse
from modseal.policy.succession import SuccessionKind
from modseal.trust.policy import Policy
from modseal.values import dataclass

TRUST_BUNDLE = SuccessionKind(
    what="trust bundle",
    older="trust-bundle-rollback",
    conflict="trust-bundle-conflict",
    threshold="trust-bundle-threshold",
    expired="trust-bundle-expired",
    invalid="trust-bundle-invalid",
    gap="trust-bundle-gap",
)


@dataclass(frozen=True, slots=True)
class InstalledBundle:
    """What a store knows: the installed version, and the newest time that it was updated at."""

    bundle: TrustBundle
    newest: datetime


def advance(
    seen: InstalledBundle | None, candidates: Sequence[TrustBundle], initial: Collection[str], at: datetime
) -> TrustBundle:
    """The trust bundle to install, out of one or several; the installed one where it is the newest already.

    `initial` are the root signers' fingerprints for a first install. Raises `RefusedError` (trust-bundle-
    rollback, -conflict, -gap, -threshold, -expired, -invalid), `UndecidedError` (clock-set-back), `UsageError`.
    """
    current = succession.advance(
        TRUST_BUNDLE,
        seen.bundle if seen else None,
        seen.newest if seen else None,
        candidates,
        lambda bundle: _require_first(bundle, initial, at),
        at,
    )
    # Its policy is one that this modseal understands: a gate without a policy blocks everything.
    try:
        policy_of(current, POLICY_PATH)
    except PolicyError as error:
        raise RefusedError("trust-bundle-invalid", f"its policy cannot be used: {error.failure.detail}") from error
    return current


def policy_of(bundle: TrustBundle, source: str) -> Policy:
    """The policy that a trust bundle carries, with the files that it names; `source` is for messages.

    Raises `PolicyError`, also for a file that the policy does not name.
    """
    read: set[str] = set()

    def content(name: str) -> bytes:
        if name not in bundle.files:
            raise FileNotFoundError(2, "the trust bundle has no such file", name)
        read.add(name)
        return bundle.files[name]

    policy = parse(bundle.files[POLICY_PATH], source, content)
    for name in bundle.files:
        if name not in read and name != POLICY_PATH:
            raise PolicyError(
                f"{source}: the trust bundle has the file {name!r}, which its policy does not name"
            ).because("unnamed-file")
    return policy


def shortfalls(bundle: TrustBundle, previous: TrustBundle | None, at: datetime) -> Iterator[str]:
    """A sentence for each root whose threshold is not reached: that of the version itself, and of the one before."""
    return succession.shortfalls(TRUST_BUNDLE, bundle, previous, at)


def _require_first(bundle: TrustBundle, initial: Collection[str], at: datetime) -> None:
    """The first version is trusted only because the installing person names its root signers.

    All that are named have signed, and they alone reach the threshold: who names one signer does not
    trust the others that a file lists.
    """
    if not initial:
        raise UsageError("no trust bundle is installed here yet: name the root signers with --initial-root FINGERPRINT")
    strangers = sorted(set(initial) - set(bundle.root.signers))
    if strangers:
        detail = f"version {bundle.version} has no root signer {strangers[0]}"
        raise succession.below_threshold(TRUST_BUNDLE, detail, bundle)
    for needed in (Root(len(set(initial)), tuple(initial)), Root(bundle.root.threshold, tuple(initial))):
        keys, why = succession.count(succession.signers_of(TRUST_BUNDLE, bundle), needed.signers, at)
        if keys < needed.threshold:
            raise succession.below_threshold(
                TRUST_BUNDLE,
                f"{keys} of the named root signers have signed version {bundle.version}, "
                f"{needed.threshold} are needed{why}",
                bundle,
            )
