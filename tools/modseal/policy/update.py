"""Install trust bundles into a store: verified as a whole, then switched by one rename, or nothing changes.

`policy.rotation` decides, `policy.store` says what the folder looks like; here it is written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from modseal import limits
from modseal.errors import FormatError, InputError, UsageError
from modseal.files.folder import locked, make_folder
from modseal.files.output import output_file
from modseal.files.small import read_small
from modseal.format import trust_bundle
from modseal.format.trust_bundle import TrustBundle
from modseal.policy import store as trust_store
from modseal.policy.rotation import advance
from modseal.policy.store import StoreState
from modseal.values import dataclass


@dataclass(frozen=True, slots=True)
class Updated:
    """What is installed now, and which version was before (None: none)."""

    folder: Path
    bundle: TrustBundle
    previous: int | None


def read_file(path: Path) -> bytes:
    """The bytes of a trust bundle's file. Raises `InputError`, `FormatError` (trust-bundle-invalid)."""
    too_large = lambda why: trust_bundle.invalid(f"it is {why}")  # noqa: E731
    return read_small(path, limits.TRUST_BUNDLE_SIZE, too_large=too_large, pipes=True).data


def read_bundle(path: Path) -> TrustBundle:
    """The trust bundle of a file, unproved. Raises `InputError`, `FormatError` (trust-bundle-invalid)."""
    try:
        return trust_bundle.decode(read_file(path))
    except FormatError as error:
        failure = error.failure
        raise FormatError(failure.code, f"{path}: {failure.detail}", **failure.evidence) from error


def update(folder: Path, paths: Sequence[Path], initial: Collection[str], now: datetime) -> Updated:
    """Verify trust bundles and install the newest; the state also remembers `now` as the newest time seen.

    `initial` are root signers' fingerprints, for a first install only. Raises what `advance` raises,
    `FormatError`, `InputError`, and `UndecidedError` (trust-store-invalid).
    """
    candidates = [read_bundle(path) for path in paths]
    with _prepared(folder), locked(folder, "another update is running"):  # of two at once, the older one could win
        for each in (folder, folder / trust_store.VERSIONS):
            trust_store.require_private(each)
        seen = trust_store.read(folder)
        if seen and initial:
            raise UsageError(
                f"{folder} has a trust bundle: its root signers change by their signatures, not by --initial-root"
            )
        current = advance(seen, candidates, initial, now)
        state = trust_store.encode_state(StoreState(current.version, current.sha256, now))
        if seen and current is seen.bundle:
            _write(folder / trust_store.STATE, state)
        else:
            _install(folder, current, state)
    return Updated(folder, current, seen.bundle.version if seen else None)


def _install(folder: Path, bundle: TrustBundle, state: bytes) -> None:
    """Write the version first, then the state that names it, so that a crash between the two is harmless."""
    path = trust_store.bundle_path(folder, bundle.version)
    _write(path, trust_bundle.encode(bundle))
    try:
        _write(folder / trust_store.STATE, state)
    except InputError:  # the state was not replaced
        with suppress(OSError):
            path.unlink()
        raise


def _write(path: Path, data: bytes) -> None:
    with output_file(path, 0o644) as file:
        file.write(data)


@contextmanager
def _prepared(folder: Path) -> Iterator[None]:
    """The store's folders, made where they are missing, and removed again where the update fails."""
    wanted = [*reversed([folder, *folder.parents]), folder / trust_store.VERSIONS]
    made: list[Path] = []
    try:
        for each in wanted:
            if not each.exists():
                make_folder(each, 0o755)  # not reduced by the umask: every user may verify
                made.append(each)
        yield
    except BaseException as error:
        for each in reversed(made):
            with suppress(OSError):
                each.rmdir()
        if isinstance(error, OSError):
            raise InputError.of(folder, error) from error
        raise
