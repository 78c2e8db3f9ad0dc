"""Whether a trust bundle may take the place of the installed one: rotation as TUF does it for roots.

Read `advance` top to bottom; it follows the client workflow of the TUF specification, section 5.3, for
root metadata. It does no I/O and reads no clock. The differences, each on purpose:

* A signature is a CMS block by an exact certificate that the root lists by fingerprint. It counts only
  while that certificate is valid at the time of the update, and each key counts once.
* There is no default root: the first install names the root signers, and every one named must have signed.
* A policy travels with the root, so it changes only with a new, signed version.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from modseal.errors import PolicyError, RefusedError, UndecidedError, UsageError
from modseal.format.times import time_text
from modseal.format.trust_bundle import POLICY_PATH, Root, TrustBundle, invalid
from modseal.pki import purpose
from modseal.pki.certificate import Certificate
from modseal.policy.file import parse
from modseal.trust.policy import Policy
from modseal.trust.signature import verify_member


@dataclass(frozen=True, slots=True)
class Seen:
    """What a store knows: the installed version, and the newest time that it was updated at."""

    bundle: TrustBundle
    newest: datetime


def advance(
    seen: Seen | None, candidates: Sequence[TrustBundle], initial: Collection[str], at: datetime
) -> TrustBundle:
    """The trust bundle to install, out of one or several; the installed one where it is the newest already.

    `initial` are the root signers' fingerprints for a first install. Raises `RefusedError` (trust-bundle-
    rollback, -conflict, -gap, -threshold, -expired, -invalid), `UndecidedError` (clock-set-back), `UsageError`.
    """
    # (1) A clock that was set back would bring expired trust bundles to life again.
    require_clock(seen.newest if seen else None, at)
    # (2) What is older than the installed version is history: it can be passed along, never installed.
    ordered = sorted(candidates, key=lambda bundle: bundle.version)
    if seen and ordered and ordered[-1].version < seen.bundle.version:
        newest, installed = ordered[-1].version, seen.bundle.version
        detail = f"version {newest} is older than the installed version {installed}"
        raise RefusedError("trust-bundle-rollback", detail, version=newest, installed=installed)
    # (3) From version to version, each signed by a threshold of the one before it and of its own
    #     (TUF 5.3.4 and 5.3.5). Their expiry does not matter on the way (TUF 5.3.10).
    current = seen.bundle if seen else None
    for bundle in ordered:
        if current and bundle.version == current.version:
            if bundle.sha256 != current.sha256:
                raise RefusedError(
                    "trust-bundle-conflict",
                    f"another trust bundle has version {current.version}",
                    version=current.version,
                    sha256=bundle.sha256,
                    other=current.sha256,
                )
        elif current and bundle.version > current.version:
            _require_successor(current, bundle, at)
            current = bundle
        elif current is None:
            _require_first(bundle, initial, at)
            current = bundle
    if current is None:
        raise UsageError("name at least one trust bundle")
    # (4) The last one is current (TUF 5.3.10), and made before now: else this clock is wrong.
    require_clock(current.issued, at)
    if at >= current.expires:
        detail = f"version {current.version} expired on {time_text(current.expires)}"
        raise RefusedError("trust-bundle-expired", detail, version=current.version, expires=time_text(current.expires))
    # (5) Its policy is one that this modseal understands: a gate without a policy blocks everything.
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
            raise PolicyError(f"{source}: the trust bundle has the file {name!r}, which its policy does not name")
    return policy


def require_clock(newest: datetime | None, at: datetime) -> None:
    """Time does not go back: `UndecidedError` (clock-set-back) where `at` is before a time already seen."""
    if newest is not None and at < newest:
        detail = f"the clock shows {time_text(at)}, and {time_text(newest)} was seen already"
        raise UndecidedError("clock-set-back", detail, clock=time_text(at), newest=time_text(newest))


def shortfalls(bundle: TrustBundle, previous: TrustBundle | None, at: datetime) -> Iterator[str]:
    """A sentence for each root whose threshold is not reached: that of the version itself, and of the one before."""
    found = _signers(bundle)
    for version, root in ((bundle.version, bundle.root), *([(previous.version, previous.root)] if previous else [])):
        keys, unusable = _count(found, root.signers, at)
        if keys < root.threshold:
            why = f" ({'; '.join(unusable)})" if unusable else ""
            yield f"{keys} of the {root.threshold} root signers that version {version} asks for have signed{why}"


def _require_successor(current: TrustBundle, bundle: TrustBundle, at: datetime) -> None:
    """Exactly the next version: one that is left out could be the one that withdrew a root signer."""
    if bundle.version != current.version + 1:
        detail = f"version {bundle.version} does not follow version {current.version}"
        raise RefusedError("trust-bundle-gap", detail, version=bundle.version, after=current.version)
    for sentence in shortfalls(bundle, current, at):
        raise _below_threshold(f"version {bundle.version}: {sentence}", bundle)


def _require_first(bundle: TrustBundle, initial: Collection[str], at: datetime) -> None:
    """The first version is trusted only because the installing person names its root signers.

    All that are named have signed, and they alone reach the threshold: who names one signer does not
    trust the others that a file lists.
    """
    if not initial:
        raise UsageError("no trust bundle is installed here yet: name the root signers with --initial-root FINGERPRINT")
    strangers = sorted(set(initial) - set(bundle.root.signers))
    if strangers:
        raise _below_threshold(f"version {bundle.version} has no root signer {strangers[0]}", bundle)
    for needed in (Root(len(set(initial)), tuple(initial)), Root(bundle.root.threshold, tuple(initial))):
        keys, unusable = _count(_signers(bundle), needed.signers, at)
        if keys < needed.threshold:
            why = f" ({'; '.join(unusable)})" if unusable else ""
            raise _below_threshold(
                f"{keys} of the named root signers have signed version {bundle.version}, "
                f"{needed.threshold} are needed{why}",
                bundle,
            )


def _below_threshold(detail: str, bundle: TrustBundle) -> RefusedError:
    return RefusedError("trust-bundle-threshold", detail, version=bundle.version, sha256=bundle.sha256)


def _signers(bundle: TrustBundle) -> tuple[Certificate, ...]:
    """Who signed. A block that does not verify refuses the whole; one that we cannot judge counts for no signer."""
    signatures = verify_member(bundle.signature, bundle.signed)
    for failure in signatures.failures:
        if failure.code != "unsupported-algorithm":
            raise invalid(failure.detail, reason=failure.code)
    return tuple(signer.certificate for signer in signatures.signers)


def _count(found: Collection[Certificate], wanted: Collection[str], at: datetime) -> tuple[int, list[str]]:
    """How many distinct keys of wanted signers count, and why others do not."""
    keys: set[bytes] = set()
    unusable: list[str] = []
    for certificate in found:
        if certificate.fingerprint in wanted:
            failure = purpose.validity_failure(certificate, at) or next(purpose.key_failures(certificate), None)
            if failure:
                unusable.append(failure.detail)
            else:
                keys.add(certificate.key_der)
    return len(keys), unusable
