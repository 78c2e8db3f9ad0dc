"""A signed depot as its files: the index with its signature, and the earlier indexes that it keeps. All unproved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from modseal import limits
from modseal.depot import index as depot_index
from modseal.depot.files import DepotFiles, open_depot
from modseal.depot.index import INDEX, DepotIndex, invalid, rotation_path, signature_path
from modseal.errors import RefusedError, UsageError
from modseal.format import recall
from modseal.format.recall import Recall
from modseal.format.source import blocks


def is_signed_depot(files: DepotFiles) -> bool:
    """Whether a depot has an index of ours."""
    return INDEX in files.sizes


def read_index(files: DepotFiles) -> DepotIndex:
    """The index, and its signature if there is one. Raises `FormatError` (index-invalid, bundle-conflict)."""
    found = depot_index.decode(content(files, INDEX, limits.DEPOT_INDEX_SIZE))
    return _signed(files, found)


def read_rotations(files: DepotFiles, index: DepotIndex) -> list[DepotIndex]:
    """The earlier indexes that an index names, in order. Raises as `read_index` does."""
    found = []
    for version, sha256 in index.rotations:
        path = rotation_path(version)
        one = depot_index.decode(content(files, path, limits.DEPOT_INDEX_SIZE))
        if (one.version, one.sha256, one.name) != (version, sha256, index.name):
            raise invalid(f"{path} is not the earlier index that it names")
        found.append(_signed(files, one))
    return found


def read_recalls(files: DepotFiles, index: DepotIndex) -> list[tuple[Recall, bytes]]:
    """The recalls that an index lists, each with the bytes of its file. Raises `FormatError`, `InputError`."""
    found = []
    for one in index.recalls:
        data = content(files, one.path, limits.RECALL_SIZE)
        parsed = recall.decode(data)
        if (parsed.name, parsed.version) != (one.name, one.version):
            raise invalid(f"{one.path} is not the recall that it lists")
        found.append((parsed, data))
    return found


def content(files: DepotFiles, path: str, limit: int) -> bytes:
    """A small file of a depot. Raises `FormatError` (index-invalid) where it is missing or over its limit."""
    if path not in files.sizes:
        raise invalid(f"{path} is missing", path=path)
    if files.sizes[path] > limit:
        raise invalid(f"{path} has more than {limit} bytes", path=path)
    with files.open(path) as source:
        return b"".join(blocks(source))


def _signed(files: DepotFiles, index: DepotIndex) -> DepotIndex:
    path = signature_path(index.sha256)
    if path not in files.sizes:
        return index
    return replace(index, signature=content(files, path, limits.SIGNATURE_MEMBER_SIZE))


def require_update(destination: Path, index: DepotIndex) -> None:
    """What is at a destination may become this depot: it is not there, empty, or an earlier version of the same depot.

    Raises `UsageError` for another depot or something else, `RefusedError` (depot-rollback, depot-conflict).
    """
    if not destination.is_dir() or not any(destination.iterdir()):
        return
    with open_depot(destination) as files:
        if not is_signed_depot(files):
            raise UsageError(f"{destination} is not empty, and is no signed depot; name a new folder")
        there = read_index(files)
    if there.name != index.name:
        raise UsageError(f"{destination} is the depot {there.name}, not {index.name}; name another folder")
    if there.version > index.version:
        detail = f"version {index.version} is older than version {there.version}, which is at {destination}"
        raise RefusedError("depot-rollback", detail, version=index.version, seen=there.version)
    if there.version == index.version and there.sha256 != index.sha256:
        detail = f"another index of version {index.version} is at {destination}"
        raise RefusedError("depot-conflict", detail, version=index.version, sha256=index.sha256, other=there.sha256)
