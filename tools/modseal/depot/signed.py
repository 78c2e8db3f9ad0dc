"""A signed depot as its files: the index with its signature, and the earlier indexes that it keeps. All unproved."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from modseal import limits
from modseal.depot import index as depot_index
from modseal.depot.files import DepotFiles, open_depot
from modseal.depot.index import INDEX, DepotIndex, invalid, rotation_path, signature_path
from modseal.errors import Failure, FormatError, RefusedError, UsageError
from modseal.format import image_profile, recall, rules
from modseal.format.image_profile import ImageProfile
from modseal.format.recall import Recall
from modseal.format.shape import quote
from modseal.format.source import blocks


def is_signed_depot(files: DepotFiles) -> bool:
    """Whether a depot has an index of ours."""
    return INDEX in files.sizes


def read_index(files: DepotFiles) -> DepotIndex:
    """The index, and its signature if there is one. Raises `FormatError` (index-invalid, bundle-conflict)."""
    found = depot_index.decode(content(files, INDEX, limits.DEPOT_INDEX_SIZE))
    return _signed(files, found)


def read_rotations(files: DepotFiles, index: DepotIndex) -> list[DepotIndex]:
    """The earlier indexes that an index names, in order. Raises as `read_index` does, and bundle-digest-mismatch."""
    found = []
    for version, sha256 in index.rotations:
        path = rotation_path(version)
        data = content(files, path, limits.DEPOT_INDEX_SIZE)
        require_listed(path, sha256, hashlib.sha256(data).hexdigest())
        one = depot_index.decode(data)
        if (one.version, one.name) != (version, index.name):
            raise invalid(f"{path} is not the earlier index that it names")
        found.append(_signed(files, one))
    return found


def read_recalls(files: DepotFiles, index: DepotIndex) -> list[tuple[Recall, bytes]]:
    """The recalls that an index lists, each with the bytes of its file.

    Raises `FormatError` (index-invalid, recall-invalid, bundle-digest-mismatch, metadata-mismatch), `InputError`.
    """
    found = []
    for one in index.recalls:
        data = content(files, one.path, limits.RECALL_SIZE)
        require_listed(one.path, one.sha256, hashlib.sha256(data).hexdigest(), one.size, len(data))
        parsed = recall.decode(data)
        if (parsed.name, parsed.version) != (one.name, one.version):
            raise invalid(f"{one.path} is not the recall that it lists")
        found.append((parsed, data))
    return found


def read_profiles(files: DepotFiles, index: DepotIndex) -> list[tuple[ImageProfile, bytes]]:
    """The image profiles that an index lists, each with the bytes of its file.

    Raises `FormatError` (index-invalid, profile-invalid, bundle-digest-mismatch, metadata-mismatch), `InputError`.
    """
    found = []
    for one in index.profiles:
        data = content(files, one.path, limits.PROFILE_SIZE)
        require_listed(one.path, one.sha256, hashlib.sha256(data).hexdigest(), one.size, len(data))
        parsed = image_profile.decode(data)
        if (parsed.name, parsed.version) != (one.name, one.version):
            raise invalid(f"{one.path} is not the image profile that it lists")
        found.append((parsed, data))
    return found


def content(files: DepotFiles, path: str, limit: int) -> bytes:
    """A small file of a depot. Raises `FormatError` (index-invalid) where it is missing or over its limit."""
    if path not in files.sizes:
        raise invalid(f"{path} is missing", path=path)
    if files.sizes[path] > limit:
        raise invalid(f"{path} has more than {limit} bytes", path=path)
    with files.open(path) as source:
        if source.size > limit:  # of a server's file, only the index said how large it is
            raise invalid(f"{path} has more than {limit} bytes", path=path)
        return b"".join(blocks(source))


def unlike_listed(path: str, listed: str, found: str, listed_size: int = 0, size: int = 0) -> Iterator[Failure]:
    """Where a file is not the one that an index names, by its SHA-256, or where the index gives another size.

    Its name and version are never enough: others' signed files may have them too.
    """
    if found != listed:
        detail = f"{quote(path, limits.PATH_LENGTH)} has the SHA-256 {found}, and the index lists {listed}"
        yield Failure("bundle-digest-mismatch", detail, {"path": rules.shown(path), "listed": listed, "found": found})
    elif size != listed_size:
        detail = f"the index says that {quote(path, limits.PATH_LENGTH)} has {listed_size} bytes; it has {size}"
        yield Failure("metadata-mismatch", detail, {"path": rules.shown(path), "field": "size"})


def require_listed(path: str, listed: str, found: str, listed_size: int = 0, size: int = 0) -> None:
    """Raises `FormatError` with what `unlike_listed` finds."""
    for failure in unlike_listed(path, listed, found, listed_size, size):
        raise FormatError(failure.code, failure.detail, **failure.evidence)


def _signed(files: DepotFiles, index: DepotIndex) -> DepotIndex:
    path = signature_path(index.sha256)
    if path not in files.sizes:
        return index
    return replace(index, signature=content(files, path, limits.SIGNATURE_MEMBER_SIZE))


def require_update(destination: Path, index: DepotIndex) -> None:
    """What is at a destination may become this depot: it is not there, empty, or an earlier version of the same depot.

    Raises `UsageError` for another depot or something else, `RefusedError` (depot-rollback, depot-conflict).
    """
    if not (any(destination.iterdir()) if destination.is_dir() else destination.is_file()):
        return
    try:
        with open_depot(destination) as files:
            there = read_index(files) if is_signed_depot(files) else None
    except FormatError as error:
        raise UsageError(f"{destination} is there, and is not a depot: {error.failure.detail}") from error
    if there is None:
        raise UsageError(f"{destination} is there, and is not a signed depot; name a new one")
    if there.name != index.name:
        raise UsageError(f"{destination} is the depot {there.name}, not {index.name}; name another one")
    if there.version > index.version:
        detail = f"version {index.version} is older than version {there.version}, which is at {destination}"
        raise RefusedError("depot-rollback", detail, version=index.version, seen=there.version)
    if there.version == index.version and there.sha256 != index.sha256:
        detail = f"another index of version {index.version} is at {destination}"
        raise RefusedError("depot-conflict", detail, version=index.version, sha256=index.sha256, other=there.sha256)
