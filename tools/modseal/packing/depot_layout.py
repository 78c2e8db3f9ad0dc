"""Writes the files of a signed depot: as a folder, a zip file, or an OCI image layout (OCI image-spec 1.1).

Every file is hashed while it is copied and compared with what the index lists. A new folder is there whole or not at
all. In a folder that is there, new files come first, then the index takes the place of the old one by one rename, then
what is no longer listed goes. No listed file ever changes, so that whoever reads meanwhile finds the old depot or the
new one.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modseal.depot.check import Progress
from modseal.depot.oci import Blob, layout
from modseal.depot.signed import require_listed
from modseal.errors import InputError
from modseal.files.folder import make_folder
from modseal.files.output import output_file
from modseal.files.staging import StagingFolder
from modseal.format.source import BytesSource, Source, blocks
from modseal.format.zip_writer import ZipWriter

Layout = Literal["folder", "zip", "oci"]

_OURS = re.compile(r"bundles/.+-[0-9a-f]{16}\.(seal|vib)|recalls/.+-[0-9a-f]{16}\.recall|rotations/[0-9]+\.json|"
                   r"profiles/.+-[0-9a-f]{16}\.profile|"
                   r"signatures/[0-9a-f]{64}\.pkcs7|blobs/sha256/[0-9a-f]{64}")  # fmt: skip
"""Names that nothing else than a depot's writer gives."""


@dataclass(frozen=True, slots=True)
class Content:
    """A file of a depot: its path, what it has to be, and how to open it."""

    path: str
    size: int
    sha256: str
    open: Callable[[], AbstractContextManager[Source]]


def of_bytes(path: str, data: bytes) -> Content:
    """A file that is at hand."""
    return Content(path, len(data), hashlib.sha256(data).hexdigest(), lambda: nullcontext(BytesSource(data)))


def write(kind: Layout, destination: Path, contents: Sequence[Content], name: str, tell: Progress) -> None:
    """Write a depot of this name; the last of `contents` is its index.

    Raises `FormatError` (bundle-digest-mismatch, metadata-mismatch), `InputError`, `UsageError`.
    """
    if kind == "zip":
        _write_zip(destination, contents, tell)
        return
    if kind == "oci":
        placed = [Blob(one.path, one.size, one.sha256) for one in contents]
        documents, last = layout(name, placed)
        blobs = [Content(f"blobs/sha256/{one.sha256}", one.size, one.sha256, one.open) for one in contents]
        unique = {one.path: one for one in blobs}
        contents = [*unique.values(), *(of_bytes(path, data) for path, data in documents), of_bytes(*last)]
    try:
        if destination.is_dir() and any(destination.iterdir()):
            _update_folder(destination, contents, tell)
        else:
            _write_folder(destination, contents, tell)
    except OSError as error:
        raise InputError.of(destination, error) from error


def _write_folder(destination: Path, contents: Sequence[Content], tell: Progress) -> None:
    with StagingFolder(destination) as staging:
        for done, one in enumerate(contents):
            tell(done, len(contents), one.path)
            with os.fdopen(staging.tree.create(one.path), "wb") as file:
                file.writelines(_copied(one))
                file.flush()
                os.fchmod(file.fileno(), 0o644)
        staging.commit()


def _update_folder(destination: Path, contents: Sequence[Content], tell: Progress) -> None:
    *others, index = contents
    made: list[Path] = []
    try:
        for done, one in enumerate(others):
            tell(done, len(contents), one.path)
            path = destination / one.path
            if not _is_there(path, one):
                made += _make_folders(path.parent)
                with output_file(path) as file:
                    file.writelines(_copied(one))
                made.append(path)
        with output_file(destination / index.path) as file:
            file.writelines(_copied(index))
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        raise
    wanted = {one.path for one in contents}
    for folder in ("bundles", "recalls", "profiles", "rotations", "signatures", "blobs/sha256"):
        for path in (destination / folder).glob("*"):
            relative = f"{folder}/{path.name}"
            if relative not in wanted and _OURS.fullmatch(relative):
                with suppress(OSError):
                    path.unlink()


def _make_folders(path: Path) -> list[Path]:
    """Make a folder and those above it; gives those that were missing, nearest to the root first."""
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for each in reversed(missing):
        make_folder(each, 0o755)
    return missing[::-1]


def _is_there(path: Path, one: Content) -> bool:
    """Whether a file of an earlier version is the same: its name says so, its size and digest prove it."""
    try:
        if path.is_symlink() or path.stat().st_size != one.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == one.sha256
    except OSError:
        return False


def _write_zip(destination: Path, contents: Sequence[Content], tell: Progress) -> None:
    """The index comes first, so that it is found at once."""
    *others, index = contents
    with output_file(destination) as file:
        archive = ZipWriter(file)
        for done, one in enumerate([index, *others]):
            tell(done, len(contents), one.path)
            archive.add(one.path, _copied(one))
        archive.close()


def _copied(one: Content) -> Iterable[bytes]:
    """The bytes of a file. Raises `FormatError` after the last where they are not what is listed."""
    digest, size = hashlib.sha256(), 0
    with one.open() as source:
        for block in blocks(source):
            digest.update(block)
            size += len(block)
            yield block
    require_listed(one.path, one.sha256, digest.hexdigest(), one.size, size)


def kind_of(destination: Path, *, oci: bool) -> Layout:
    """The layout that a destination asks for: a zip file by its suffix, else a folder."""
    if oci:
        return "oci"
    return "zip" if destination.suffix.lower() == ".zip" else "folder"
