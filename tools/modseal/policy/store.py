"""The folder that holds the installed trust bundle, as verifiers read it. `policy.update` writes it.

    state.json         which version is installed, its digest, and the newest time seen: the one pointer,
                       replaced by one rename
    versions/N.trust   every installed version, as it was carried in

Nothing here writes. What is read must belong to root or to the user who reads, and no other user may be
able to write it: others could put any policy into such a store.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from stat import S_ISDIR, S_IWGRP, S_IWOTH, filemode
from typing import Any

from modseal import limits
from modseal.errors import FormatError, UndecidedError
from modseal.files.small import read_small
from modseal.format import canonical_json, trust_bundle
from modseal.format.shape import MAXIMUM_VERSION, Integer, Table, Text
from modseal.format.times import time_text
from modseal.format.trust_bundle import POLICY_PATH
from modseal.policy.rotation import InstalledBundle, policy_of
from modseal.policy.succession import require_clock
from modseal.trust.policy import Policy
from modseal.values import dataclass

SCHEMA = "modseal/trust-store@1"
VARIABLE = "MODSEAL_TRUST_STORE"
STATE = "state.json"
VERSIONS = "versions"

_SHAPE = Table(
    {
        "schema": Text(choices=(SCHEMA,)),
        "version": Integer(1, MAXIMUM_VERSION),
        "sha256": Text(most=64),
        "newest": Text(most=20),
    }
)


@dataclass(frozen=True, slots=True)
class StoreState:
    """What `state.json` says: the installed version, its digest, the newest time seen (aware, UTC)."""

    version: int
    sha256: str
    newest: datetime


def default_folder(environ: Mapping[str, str]) -> Path:
    """The store of this machine (root), or of this user; `MODSEAL_TRUST_STORE` names another."""
    if environ.get(VARIABLE):
        return Path(environ[VARIABLE])
    if os.geteuid() == 0:
        return Path("/etc/modseal/trust")
    return Path("~/.config/modseal/trust").expanduser()


def folder_of(name: str, environ: Mapping[str, str]) -> Path:
    """The store of a name: a folder, or without a name the default one."""
    return Path(name) if name else default_folder(environ)


def load_policy(folder: Path, now: datetime) -> Policy:
    """The policy in force. `now` is the clock, even if bundles are judged at another time (`--at`).

    Raises `UndecidedError` (trust-store-invalid, trust-bundle-expired, clock-set-back), `PolicyError`.
    """
    seen = read(folder)
    if seen is None:
        raise _unusable(f"no trust bundle is installed in {folder}: it has no {STATE}").because("store-empty")
    require_clock(seen.newest, now)
    bundle = seen.bundle
    if now >= bundle.expires:
        detail = f"the installed trust bundle, version {bundle.version}, expired on {time_text(bundle.expires)}"
        raise UndecidedError("trust-bundle-expired", detail, version=bundle.version, expires=time_text(bundle.expires))
    return policy_of(bundle, f"{bundle_path(folder, bundle.version)}:{POLICY_PATH}")


def read(folder: Path) -> InstalledBundle | None:
    """The installed trust bundle and the newest time seen, or None where there is no store yet.

    The signatures were judged at the installation; here the digests are. Raises `UndecidedError`
    (trust-store-invalid).
    """
    if not os.path.lexists(folder / STATE):
        return None
    require_private(folder)
    require_private(folder / VERSIONS)
    state = decode_state(_content(folder / STATE, limits.KEY_FILE_SIZE), str(folder / STATE))
    path = bundle_path(folder, state.version)
    try:
        bundle = trust_bundle.decode(_content(path, limits.TRUST_BUNDLE_SIZE))
    except FormatError as error:
        raise _unusable(f"{path}: {error.failure.detail}") from error
    if (bundle.version, bundle.sha256) != (state.version, state.sha256):
        raise _unusable(f"{path} is not the trust bundle that was installed")
    return InstalledBundle(bundle, state.newest)


def bundle_path(folder: Path, version: int) -> Path:
    """Where a version is kept."""
    return folder / VERSIONS / f"{version}.trust"


def encode_state(state: StoreState) -> bytes:
    """The bytes of `state.json`."""
    plain = {"schema": SCHEMA, "version": state.version, "sha256": state.sha256, "newest": time_text(state.newest)}
    return canonical_json.dump(plain) + b"\n"


def decode_state(data: bytes, name: str) -> StoreState:
    """The state of some bytes. Raises `UndecidedError` (trust-store-invalid)."""
    try:
        plain: Any = canonical_json.load(data, name)
        problem = next(iter(_SHAPE.problems(plain)), None)
        if problem:
            raise _unusable(f"{name}: {problem}")
        return StoreState(plain["version"], plain["sha256"], trust_bundle.parse_time(plain["newest"]))
    except FormatError as error:
        raise _unusable(f"{name}: {error.failure.detail}") from error


def require_private(folder: Path) -> None:
    """Only root or this user may be able to change the folder. Raises `UndecidedError` (trust-store-invalid)."""
    try:
        status = os.stat(folder)
    except OSError as error:
        raise _unusable(f"{folder}: {error.strerror}") from None
    _require_owned(status, folder)
    if not S_ISDIR(status.st_mode):
        raise _unusable(f"{folder} is not a folder")


def _content(path: Path, limit: int) -> bytes:
    """A file of the store, judged by the descriptor that it was read from."""
    data, status = read_small(path, limit, lambda why: _unusable(f"{path}: {why}"), follow=False)
    _require_owned(status, path)
    return data


def _require_owned(status: os.stat_result, path: Path) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise _unusable(f"{path} belongs to user {status.st_uid}, neither to root nor to this user")
    if status.st_mode & (S_IWGRP | S_IWOTH):
        raise _unusable(f"{path} can be written by others ({filemode(status.st_mode)})")


def _unusable(detail: str) -> UndecidedError:
    return UndecidedError("trust-store-invalid", detail)
