"""The functions that `import modseal` gives: what the commands do, for programs. docs/api.md shows them at work.

Each takes paths or open files, judges by the clock unless a time is given, and returns values; nothing is printed.
What a file *is* never raises: it is in the result. What the caller did wrong, and files that cannot be read or written,
raise a `ModsealError`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeAlias

from modseal.errors import UsageError

if TYPE_CHECKING:
    from modseal.auditing.run import Audit
    from modseal.bundle.inspect import Inspection
    from modseal.bundle.verify import Result
    from modseal.packing.pack import Packed
    from modseal.packing.sign import Signed
    from modseal.trust.policy import Policy

PathLike: TypeAlias = str | os.PathLike[str]
File: TypeAlias = PathLike | BinaryIO
"""A path, or an open file that has a descriptor, of which only the file itself counts and not the position."""
PolicyLike: TypeAlias = "PathLike | Policy"
"""A policy, or where it is: a file, a trust store, or the name of a built-in policy."""


def load_policy(reference: PathLike) -> Policy:
    """The policy of a file, of a trust store (a folder, or `store:`), or a built-in one: `strict` or `vmware`.

    Raises `PolicyError`, and `UndecidedError` for a trust store that cannot be used.
    """
    from modseal.policy import sources

    return sources.load(os.fspath(reference))


def verify(bundle: File, policy: PolicyLike, *, at: datetime | None = None, digest: bool = True) -> Result:
    """Examine a bundle under a policy. Whether it is accepted is in the result: `result.verdict`, `result.require()`.

    `at` is an aware time, by default now. `digest` asks for the SHA-256 of the whole file besides.
    """
    from modseal.bundle import verify as room

    path, name = _place(bundle)
    return replace(room.verify(path, _policy(policy), _time(at), with_digest=digest), bundle=name)


def inspect(bundle: File) -> Inspection:
    """What a bundle says of itself, every value of it unproved. Raises `InputError`."""
    from modseal.bundle import inspect as room

    path, name = _place(bundle)
    return replace(room.inspect(path), bundle=name)


def extract(
    bundle: File, destination: PathLike, policy: PolicyLike | None, *, at: datetime | None = None, stage: bool = False
) -> Result:
    """Verify a bundle and unpack it into a new folder, in one pass. Nothing is there unless the result is accepted.

    `policy` may be None only on purpose: then who made the bundle is not asked. `stage` makes a `.vib` a stage folder.
    Raises `UsageError`, `InputError`.
    """
    from modseal.bundle import extract as room

    path, name = _place(bundle)
    chosen = None if policy is None else _policy(policy)
    return replace(room.extract(path, Path(destination), chosen, _time(at), stage=stage), bundle=name)


def pack(
    spec: PathLike,
    output: PathLike | None = None,
    *,
    format: Literal["seal", "vib"] | None = None,
    version: str | None = None,
    released: datetime | None = None,
    fields: Mapping[str, str | bool] = {},
    keep_modes: bool = False,
    sbom: bool = False,
) -> Packed:
    """Pack a module into an unsigned bundle: a `module.toml`, a folder with one, or a stage folder.

    Same input, same bytes; SOURCE_DATE_EPOCH sets the times. By default, `output` is named after the module.
    `version`, `released` (an aware time) and `fields` go before what the spec says: text, or a bool for a flag of a
    `.vib`, by the names that `modseal pack --set` takes. `keep_modes` takes the modes of files as they are on disk.
    Raises `SpecError` with all problems at once, `RefusedError`, `UsageError`, `InputError`.
    """
    from modseal.packing import given
    from modseal.packing import pack as room

    return room.pack(
        Path(spec),
        Path(output) if output else None,
        format,
        environ=os.environ,
        sbom=sbom,
        given=given.of_arguments(version, released and _time(released), fields),
        keep_modes=keep_modes,
    )


def sign(
    bundle: PathLike,
    output: PathLike | None = None,
    *,
    key: PathLike,
    cert: PathLike | None = None,
    chain: Sequence[PathLike] = (),
    passphrase: bytes | None = None,
    algorithm: str | None = None,
    tsa: Sequence[str] = (),
    at: datetime | None = None,
) -> Signed:
    """Add a signature block; `output` is by default the bundle itself, replaced at once.

    `key` is a file or a URI (`pkcs11:`, a plug-in's); `tsa` has the addresses of timestamp authorities, in order.
    Raises `RefusedError` (an unfit certificate, an unsound bundle), `KeyMaterialError`, `UsageError`, `InputError`.
    """
    from modseal.packing import sign as room
    from modseal.signing import keys
    from modseal.signing.tsa import Authorities

    def given() -> bytes:
        if passphrase is None:
            raise UsageError(f"{os.fspath(key)} needs a passphrase or a PIN, and none was given")
        return passphrase

    signer = keys.open(os.fspath(key), Path(cert) if cert else None, tuple(map(Path, chain)), given)
    now = _time(at)
    stamp = Authorities(tuple(tsa)).stamp if tsa else None
    return room.sign(Path(bundle), Path(output or bundle), signer, now, now, algorithm, stamp)


def audit(
    paths: PathLike | Iterable[PathLike], policy: PolicyLike, *, at: datetime | None = None, jobs: int | None = 1
) -> Audit:
    """Examine every bundle below some paths: files, folders, depots. `jobs` are processes; None: one a core.

    The result has its numbers in `summary`, each bundle in `results()`, and what the rules found in `findings()`.
    """
    from modseal.auditing.request import Request, perform

    names = tuple(os.fspath(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths))
    return perform(Request(names, _policy(policy), _time(at), jobs=jobs))


def _policy(policy: PolicyLike) -> Policy:
    return load_policy(policy) if isinstance(policy, str | os.PathLike) else policy


def _time(at: datetime | None) -> datetime:
    """A time in UTC, in whole seconds. Raises `UsageError` for one that does not say where it is."""
    if at is not None and at.utcoffset() is None:
        raise UsageError(f"the time {at} has no zone; give an aware one, such as datetime(2026, 1, 31, tzinfo=UTC)")
    return (at or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)


def _place(file: File) -> tuple[Path, str]:
    """Where a file can be opened, and how results name it."""
    if isinstance(file, str | os.PathLike):
        return Path(file), os.fspath(file)
    try:
        # Opened again by this path, from its start; `/dev/fd` is what is left of a stream (`files.stream`).
        return Path(f"/proc/{os.getpid()}/fd/{file.fileno()}"), str(getattr(file, "name", "open file"))
    except (AttributeError, OSError) as error:
        raise UsageError("an open file needs a descriptor; write bytes that are in memory to a file first") from error
