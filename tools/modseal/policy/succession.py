"""Whether a signed, versioned document may take the place of the one before: one rule for every kind that has a root.

Read `advance` top to bottom; it follows the client workflow of the TUF specification, section 5.3, for root
metadata. It does no I/O and reads no clock. Trust bundles (`policy.rotation`) and the indexes of depots
(`depot.proved`) differ only in their `SuccessionKind`. A signature is a CMS block by an exact certificate that
the root lists by fingerprint. It counts only while that certificate is valid at the time of the update, and each key
counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from modseal.codes import CodeName
from modseal.errors import RefusedError, UndecidedError, UsageError
from modseal.format.rooted import Root
from modseal.format.times import time_text
from modseal.pki import purpose
from modseal.pki.certificate import Certificate
from modseal.trust.signature import verify_member
from modseal.values import dataclass


class Rooted(Protocol):
    """A signed, versioned document that says who may sign the next one. Times are aware, in UTC."""

    @property
    def version(self) -> int:
        """Counts up."""

    @property
    def issued(self) -> datetime:
        """When it was made."""

    @property
    def expires(self) -> datetime:
        """From when on it is no longer taken."""

    @property
    def root(self) -> Root:
        """Who may sign the next version."""

    @property
    def sha256(self) -> str:
        """What identifies its content, lower-case hex."""

    @property
    def signed(self) -> bytes:
        """The raw bytes that are signed."""

    @property
    def signature(self) -> bytes:
        """The signature member: CMS blocks over them."""


T = TypeVar("T", bound=Rooted)


@dataclass(frozen=True, slots=True)
class SuccessionKind:
    """What a kind of document is called, the codes of its refusals, and whether every version has to be seen."""

    what: str
    older: CodeName
    conflict: CodeName
    threshold: CodeName
    expired: CodeName
    invalid: CodeName
    gap: CodeName | None = None


def advance(
    kind: SuccessionKind,
    seen: T | None,
    newest: datetime | None,
    candidates: Sequence[T],
    first: Callable[[T], None],
    at: datetime,
) -> T:
    """The document to take, out of one or several; the one that was seen where it is the newest already.

    `newest` is the newest time that was seen. `first` judges the first document ever, and raises. Raises `RefusedError`
    with a code of the kind, `UndecidedError` (clock-set-back), `UsageError`.
    """
    # (1) A clock that was set back would bring expired documents to life again.
    require_clock(newest, at)
    # (2) What is older than the seen version is history: it can be passed along, never taken.
    ordered = sorted(candidates, key=lambda one: one.version)
    if seen and ordered and ordered[-1].version < seen.version:
        detail = f"version {ordered[-1].version} is older than version {seen.version}, which was seen already"
        raise RefusedError(kind.older, detail, version=ordered[-1].version, seen=seen.version)
    # (3) From version to version, each signed by a threshold of the root before it and of its own
    #     (TUF 5.3.4 and 5.3.5). Their expiry does not matter on the way (TUF 5.3.10).
    current = seen
    for one in ordered:
        if current and one.version == current.version:
            _require_same(kind, current, one)
        elif current and one.version > current.version:
            _require_successor(kind, current, one, at)
            current = one
        elif current is None:
            first(one)
            current = one
    if current is None:
        raise UsageError(f"name at least one {kind.what}")
    # (4) The last one is current (TUF 5.3.10), and made before now: else this clock is wrong.
    require_clock(current.issued, at)
    if at >= current.expires:
        detail = f"version {current.version} expired on {time_text(current.expires)}"
        raise RefusedError(kind.expired, detail, version=current.version, expires=time_text(current.expires))
    return current


def require_clock(newest: datetime | None, at: datetime) -> None:
    """Time does not go back: `UndecidedError` (clock-set-back) where `at` is before a time already seen."""
    if newest is not None and at < newest:
        detail = f"the clock shows {time_text(at)}, and {time_text(newest)} was seen already"
        raise UndecidedError("clock-set-back", detail, clock=time_text(at), newest=time_text(newest))


def require_threshold(kind: SuccessionKind, one: Rooted, previous: Rooted | None, at: datetime) -> None:
    """Enough of the document's own root have signed it, and of the root before. Raises `RefusedError`."""
    for sentence in shortfalls(kind, one, previous, at):
        raise below_threshold(kind, f"version {one.version}: {sentence}", one)


def shortfalls(kind: SuccessionKind, one: Rooted, previous: Rooted | None, at: datetime) -> Iterator[str]:
    """A sentence for each root whose threshold is not reached: that of the version itself, and of the one before."""
    found = signers_of(kind, one)
    for version, root in ((one.version, one.root), *([(previous.version, previous.root)] if previous else [])):
        keys, why = count(found, root.signers, at)
        if keys < root.threshold:
            yield f"{keys} of the {root.threshold} root signers that version {version} asks for have signed{why}"


def below_threshold(kind: SuccessionKind, detail: str, one: Rooted) -> RefusedError:
    """The refusal of a document that too few have signed."""
    return RefusedError(kind.threshold, detail, version=one.version, sha256=one.sha256)


def signers_of(kind: SuccessionKind, one: Rooted) -> tuple[Certificate, ...]:
    """Who signed. A block that does not verify refuses the whole; one that we cannot judge counts for no signer."""
    signatures = verify_member(one.signature, one.signed)
    for failure in signatures.failures:
        if failure.code != "unsupported-algorithm":
            raise RefusedError(kind.invalid, f"the {kind.what} cannot be used: {failure.detail}", reason=failure.code)
    return tuple(signer.certificate for signer in signatures.signers)


def count(found: Collection[Certificate], wanted: Collection[str], at: datetime) -> tuple[int, str]:
    """How many distinct keys of wanted signers count, and why others do not, in brackets."""
    keys: set[bytes] = set()
    unusable: list[str] = []
    for certificate in found:
        if certificate.fingerprint in wanted:
            failure = purpose.validity_failure(certificate, at) or next(purpose.key_failures(certificate), None)
            if failure:
                unusable.append(failure.detail)
            else:
                keys.add(certificate.key_der)
    return len(keys), f" ({'; '.join(unusable)})" if unusable else ""


def _require_same(kind: SuccessionKind, current: Rooted, one: Rooted) -> None:
    if one.sha256 != current.sha256:
        detail = f"another {kind.what} has version {current.version}"
        raise RefusedError(kind.conflict, detail, version=current.version, sha256=one.sha256, other=current.sha256)


def _require_successor(kind: SuccessionKind, current: Rooted, one: Rooted, at: datetime) -> None:
    """Where the kind has no gaps, exactly the next version: one that is left out could withdraw a root signer."""
    if kind.gap and one.version != current.version + 1:
        detail = f"version {one.version} does not follow version {current.version}"
        raise RefusedError(kind.gap, detail, version=one.version, after=current.version)
    require_threshold(kind, one, current, at)
