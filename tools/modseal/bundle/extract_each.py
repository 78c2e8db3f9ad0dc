"""Verify several bundles and unpack each into a folder of its own."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from modseal.bundle.extract import extract
from modseal.bundle.verify import Result
from modseal.errors import InputError, InternalError, UsageError
from modseal.files.folder import make_folder
from modseal.files.staging import require_free
from modseal.trust.policy import Policy


def extract_each(
    paths: Sequence[Path],
    directory: Path,
    policy: Policy | None,
    at: datetime,
    *,
    stage: bool = False,
    shared: bool = False,
) -> Generator[tuple[Result, Path], None, None]:
    """Unpack each of several bundles into a new folder of its own below `directory`, which is made if need be.

    A folder has the name of the bundle's file without its ending. Each bundle is all there or not at all; one that
    is not accepted does not keep the others from it. Raises `UsageError` before anything is written where two would
    have the same folder, or one no name of its own; else what `extract` raises.
    """
    places = {path: directory / path.stem for path in paths}
    for path, place in places.items():
        if path.stem in ("", ".", "..", "-"):
            raise UsageError(f"{path}: it has no name that a folder could have; unpack it alone")
        if len([other for other in paths if other.stem == path.stem]) > 1:
            raise UsageError(f"{path}: two bundles would be unpacked into {place}; unpack them one by one")
        require_free(place if directory.is_dir() else directory, shared=shared)
    made = not directory.is_dir()
    try:
        if made:
            make_folder(directory, 0o755)
        for path, place in places.items():
            try:
                yield extract(path, place, policy, at, stage=stage, shared=shared), place
            except (UsageError, InputError, InternalError) as error:
                yield Result(str(path), None, None, error.failure), place
    except OSError as error:
        raise InputError.of(directory, error, to_write=True) from error
    finally:
        if made:
            with suppress(OSError):  # only where it is empty: nothing was unpacked
                directory.rmdir()
