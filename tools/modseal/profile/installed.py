"""What a target has already, from a file or folder: a list, an ESXi host's database, or the depot it was made from.

Nothing of it is proved: it says what is there, and grants nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from modseal import limits
from modseal.depot import esxi_database, signed
from modseal.depot.esxi_database import Database
from modseal.depot.files import DepotFiles, looks_like_depot
from modseal.depot.metadata import INDEX, LISTING
from modseal.depot.open import open_depot
from modseal.depot.relations import newest
from modseal.errors import FormatError, InputError, UndecidedError
from modseal.files.open import open_file
from modseal.files.small import read_small
from modseal.format import descriptor
from modseal.format.level import Level
from modseal.format.manifest import Manifest
from modseal.format.shape import quote
from modseal.format.source import FileSource
from modseal.profile import lists
from modseal.profile.candidates import Candidate, of_manifest, read_candidate
from modseal.profile.platform import BASE, PRODUCT, release


@dataclass(frozen=True, slots=True)
class TargetModules:
    """The modules of a target, one of each name; `notes` are what has to be said of every result that rests on them.

    `is_whole` says that all is known that they need and offer. `level` is what the target takes at the least, where it
    says that.
    """

    modules: tuple[Candidate, ...] = ()
    notes: tuple[str, ...] = ()
    is_whole: bool = True
    level: Level | None = None

    @property
    def platform(self) -> str | None:
        """The version of ESXi, by its module `esx-base`; None where it is not there."""
        return next((release(one.version) for one in self.modules if one.name == BASE), None)


BARE_LIST = "the list of installed modules says only names and versions: each counts as offering these and nothing else"


def read_installed(path: Path) -> TargetModules:
    """Read a list (`profile.lists`), an ESXi host's root or database, its `imgdb.tgz`, or a depot.

    Raises `UndecidedError` (list-invalid, and what is wrong with a database or depot), `InputError`.
    """
    try:
        if database := database_at(path):
            return _of_database(database)
        if looks_like_depot(path) or path.is_dir():
            return _of_depot(path)
        modules, is_whole = lists.decode(read_small(path, limits.MANIFEST_SIZE).data)
    except FormatError as error:  # the target's description decides nothing about any bundle
        raise UndecidedError(error.failure.code, f"{path}: {error.failure.detail}", **error.failure.evidence) from None
    return TargetModules(modules, () if is_whole else (BARE_LIST,), is_whole)


def of_manifests(manifests: Iterable[Manifest], level: Level) -> TargetModules:
    """The modules of a host that has their manifests, and takes none below a level."""
    return TargetModules(tuple(map(of_manifest, manifests)), level=level)


def database_at(path: Path) -> Database | None:
    """The database of the ESXi host that a path is, has, or is the archive of; None for what is something else."""
    for folder in (path, path / esxi_database.PLACE):
        if (folder / "vibs").is_dir() and not any((folder / name).exists() for name in (INDEX, LISTING)):
            return esxi_database.in_folder(folder)
    archive = path / esxi_database.ARCHIVE if path.is_dir() else path
    if not archive.is_file() or archive.name.casefold() != esxi_database.ARCHIVE:
        return None
    with open_file(archive) as opened:
        return esxi_database.in_archive(FileSource(opened))


def _of_database(database: Database) -> TargetModules:
    """The VIBs of the image profile where there is one; what the host keeps besides is not installed."""
    for failure in database.failures:
        raise UndecidedError(failure.code, failure.detail, **failure.evidence)
    found: dict[str, Candidate] = {}
    ids: set[str] = set()
    listed = database.profiles[0].vibs.keys() if len(database.profiles) == 1 else None
    for vib in database.vibs:
        try:
            manifest = descriptor.decode(vib.descriptor)
        except FormatError as error:
            raise FormatError(error.failure.code, f"{quote(vib.path)}: {error.failure.detail}") from None
        if listed is not None and manifest.id not in listed:
            continue
        if manifest.name in found:
            raise FormatError("list-invalid", f"the database has {quote(manifest.name)} twice")
        ids.add(manifest.id)
        found[manifest.name] = of_manifest(manifest, vib.descriptor)
    for missing in sorted((listed or set()) - ids):
        raise FormatError("list-invalid", f"the image profile lists {quote(missing)}, which the database does not have")
    if not found:
        raise FormatError("list-invalid", "the database has no VIB")
    notes = []
    if listed is None:
        notes.append(f"there are {len(database.profiles)} image profiles in the database: all of its VIBs count")
    elif len(ids) < len(database.vibs):
        notes.append(f"{len(database.vibs) - len(ids)} VIBs of the database are not in the image profile: none counts")
    level = database.profiles[0].level if len(database.profiles) == 1 else None
    return TargetModules(tuple(found.values()), tuple(notes), level=level)


def _of_depot(path: Path) -> TargetModules:
    with open_depot(str(path)) as files:
        found: dict[str, list[Candidate]] = {}
        for one in _offered(files):
            found.setdefault(one.name, []).append(one)
    if not found:
        what = "folder" if path.is_dir() else "archive"
        detail = f"{path}: this {what} is neither a depot, nor has it a host's database"
        raise InputError(detail, path=str(path)).because("not-a-target")
    several = [name for name, versions in found.items() if len(versions) > 1]
    notes = (f"the depot has several versions of {', '.join(sorted(several))}: the newest counts",) if several else ()
    return TargetModules(tuple(newest(versions) for versions in found.values()), notes)


def _offered(files: DepotFiles) -> Iterator[Candidate]:
    """What a signed depot's index lists; else all bundles that are there, and those that are only described."""
    if signed.is_signed_depot(files):
        for row in signed.read_index(files).bundles:
            platforms = tuple(each.version for each in row.platforms if each.product in ("", PRODUCT))
            yield Candidate(row.name, row.version, row.vendor, row.relationships, platforms)
        return
    for path in files.bundles:
        one = read_candidate(files, path)
        digest = one.digest if path.lower().endswith(".vib") else ""
        yield replace(one, depot="", path="", digest=digest)
    missing = files.metadata.places().difference(files.paths)
    if missing and files.metadata.failures:
        failure = files.metadata.failures[0]
        raise FormatError(failure.code, failure.detail, **failure.evidence)
    for catalog in files.metadata.catalogs:
        described = {catalog.locate(vib.place): vib.manifest for _, vib in catalog.described}
        for path in sorted(missing & described.keys()):
            yield of_manifest(described[path])
