"""Writes an offline bundle: bundles, and the metadata that ESXi's tools read, in one zip file.

Every bundle is examined first, and what is copied is what was examined: its digest is compared while it is copied.
Nothing is signed here. The bundles have their own signatures, and an offline bundle has no place for another one.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from modseal.bundle.open import OpenBundle, open_bundle
from modseal.depot.check import Progress, quiet
from modseal.depot.consistency import inconsistencies
from modseal.depot.files import in_zip
from modseal.depot.offline_plan import METADATA, Choices, OfflinePlan, Vib, plan
from modseal.errors import InputError, InternalError, RefusedError
from modseal.files.open import open_file
from modseal.files.output import output_file, require_output
from modseal.format.image_profile import ImageProfile
from modseal.format.manifest import Manifest
from modseal.format.source import FileSource, Source, blocks, sha256
from modseal.format.zip_writer import ZipWriter
from modseal.packing.sign import ANY_TIME, require_sound


@dataclass(frozen=True, slots=True)
class WrittenOfflineBundle:
    """A depot that was written: where, its SHA-256 where it is one file, and the modules in it."""

    path: Path
    sha256: str | None
    modules: tuple[Manifest, ...]


@dataclass(frozen=True, slots=True)
class Sound:
    """A bundle whose payloads and files are what its manifest declares; who signed it was not asked.

    `name` is what it is called in messages; `open` gives its bytes again.
    """

    name: str
    manifest: Manifest
    size: int
    sha256: str
    open: Callable[[], AbstractContextManager[Source]]


def examine_all(paths: Sequence[Path], progress: Progress = quiet) -> list[Sound]:
    """Every bundle, once it is found sound. Raises `RefusedError`, `InputError`."""
    found = []
    for done, path in enumerate(paths):
        progress(done, len(paths), str(path))
        with open_bundle(path, with_digest=True) as bundle:
            found.append(sound(bundle, partial(_file, path)))
    return found


def sound(bundle: OpenBundle, again: Callable[[], AbstractContextManager[Source]]) -> Sound:
    """An open bundle once it is found sound; `again` opens it later. Raises `RefusedError`."""
    manifest = require_sound(bundle, ANY_TIME)
    return Sound(bundle.name, manifest, bundle.source.size, bundle.sha256(), again)


@contextmanager
def _file(path: Path) -> Iterator[Source]:
    with open_file(path) as descriptor:
        yield FileSource(descriptor)


def build(
    paths: Sequence[Path], output: Path, choices: Choices, epoch: int | None, progress: Progress = quiet
) -> WrittenOfflineBundle:
    """Write an offline bundle of some `.vib` files, atomically; the same input gives the same bytes.

    Its time is `epoch` (seconds after 1970), else the newest release date of the bundles.
    Raises `RefusedError` (bundle-conflict, or what is wrong with a bundle), `UsageError`, `InputError`.
    """
    require_output(output)
    return write(examine_all(paths, progress), output, choices, epoch, progress=progress)


def write(
    held: Sequence[Sound],
    output: Path,
    choices: Choices,
    epoch: int | None,
    profiles: Sequence[ImageProfile] = (),
    progress: Progress = quiet,
) -> WrittenOfflineBundle:
    """Write an offline bundle of sound bundles, and of image profiles of some of them. As `build`."""
    planned = plan([Vib(one.manifest, one.size, one.sha256) for one in held], choices, epoch, profiles)
    with output_file(output) as file:
        _write(file, planned, held, progress)
        file.flush()
        source = FileSource(file.fileno())
        _require_reads_back(source, output, planned)
        digest = sha256(source).hex()
    return WrittenOfflineBundle(output, digest, tuple(one.manifest for one in held))


def _require_reads_back(source: Source, output: Path, planned: OfflinePlan) -> None:
    """What the reader would refuse is not written: it is over a limit, or a fault of ours."""
    metadata = in_zip(source, str(output)).metadata
    for failure in (*metadata.failures, *(one for catalog in metadata.catalogs for one in inconsistencies(catalog))):
        raise RefusedError(failure.code, f"a reader would refuse it: {failure.detail}", **failure.evidence)
    if tuple(one for catalog in metadata.catalogs for _, one in catalog.profiles) != planned.profiles:
        raise InternalError("an image profile is read back as another one")


def _write(file: BinaryIO, planned: OfflinePlan, held: Sequence[Sound], progress: Progress) -> None:
    archive = ZipWriter(file)
    for path, data in {**planned.documents, METADATA: _metadata(planned)}.items():
        archive.add(path, [data])
    for done, (path, one) in enumerate(sorted(zip(planned.places, held, strict=True), key=lambda pair: pair[0])):
        progress(done, len(held), path)
        with same_bytes(one) as pieces:
            archive.add(path, pieces)
    archive.close()


def _metadata(planned: OfflinePlan) -> bytes:
    inner = io.BytesIO()
    archive = ZipWriter(inner)
    for path, data in planned.metadata.items():
        archive.add(path, [data])
    archive.close()
    return inner.getvalue()


@contextmanager
def same_bytes(one: Sound) -> Iterator[Iterator[bytes]]:
    """The bytes of a bundle that was examined before. Raises `InputError` after the last where they are others now."""
    with one.open() as source:
        yield _compared(source, one)


def _compared(source: Source, one: Sound) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for block in blocks(source):
        digest.update(block)
        yield block
    if digest.hexdigest() != one.sha256:
        raise InputError(f"{one.name}: it was changed while the depot was made", path=one.name).because(
            "changed-meanwhile"
        )
