"""Image profiles wherever they are: a file of ours, a depot of either kind, the database of an ESXi host. All unproved.

VMware's profiles name modules by ids alone. What an id means is read from the bundles or descriptors that are there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from modseal import limits
from modseal.bundle.open import OpenBundle
from modseal.depot import signed
from modseal.depot.esxi_database import Database
from modseal.depot.esxi_profile import Profile
from modseal.depot.files import DepotFiles, looks_like_depot
from modseal.depot.open import open_depot
from modseal.errors import Failure, FormatError, ModsealError, UsageError
from modseal.files.address import is_address
from modseal.files.small import read_small
from modseal.format import image_profile
from modseal.format.image_profile import ImageProfile, ProfileModule, module_of
from modseal.format.level import Level
from modseal.profile.installed import database_at
from modseal.trust.integrity import read_manifest


@dataclass(frozen=True, slots=True)
class FoundProfile:
    """What a profile says, unproved. `place` is where it is; `own` the document where it is one of modseal's.

    `absent` are ids that VMware's profile names and nothing there explains. `level` is None where it is no known one.
    """

    place: str
    name: str
    vendor: str
    version: str
    level: Level | None
    modules: tuple[ProfileModule, ...]
    absent: tuple[str, ...] = ()
    description: str = ""
    own: ImageProfile | None = None

    def as_profile(self) -> ImageProfile:
        """The profile with its modules by digests. Raises `FormatError` (profile-invalid) where some are not known."""
        if self.own:
            return self.own
        if self.level is None:
            raise image_profile.invalid(f"{self.place}: it says no acceptance level that is known")
        if self.absent:
            raise image_profile.invalid(f"{self.place}: it names {self.absent[0]}, which is not there")
        number = int(self.version) if self.version.isdecimal() and len(self.version) < 10 else 1
        return ImageProfile(self.name, self.vendor, number, self.level, self.modules, self.description)


@dataclass(frozen=True, slots=True)
class FoundProfiles:
    """The profiles of a place, and what of them cannot be read."""

    profiles: tuple[FoundProfile, ...]
    failures: tuple[Failure, ...] = ()

    def only(self, place: str, name: str | None) -> FoundProfile:
        """The one of this name, or the only one. Raises `FormatError` for what cannot be read, `UsageError`."""
        for failure in self.failures:
            raise FormatError(failure.code, f"{place}: {failure.detail}", **failure.evidence)
        found = [one for one in self.profiles if name in (None, one.name)]
        if len(found) == 1:
            return found[0]
        names = ", ".join(sorted(one.name for one in self.profiles)[:5])
        if not self.profiles:
            raise UsageError(f"{place} has no image profile")
        if not found:
            raise UsageError(f"{place} has no image profile {name!r}; it has {names}")
        raise UsageError(f"{place} has {len(found)} image profiles ({names}); name one of them")


def read_file(path: Path) -> ImageProfile:
    """The profile in a file of ours. Raises `InputError`, `FormatError` (profile-invalid)."""
    data = read_small(path, limits.PROFILE_SIZE).data
    try:
        return image_profile.decode(data)
    except FormatError as error:
        raise FormatError(error.failure.code, f"{path}: {error.failure.detail}", **error.failure.evidence) from None


def read_profiles(place: str) -> FoundProfiles:
    """The profiles at a path or an address. Raises `InputError`, `FormatError`, `UsageError`."""
    if is_address(place):
        return _of_depot(place)
    path = Path(place)
    if database := database_at(path):
        return _of_database(database, place)
    if path.is_dir() or looks_like_depot(path):
        return _of_depot(place)
    return FoundProfiles((of_own(read_file(path), place),))


def of_own(profile: ImageProfile, place: str) -> FoundProfile:
    """A profile of ours as one that was found."""
    return FoundProfile(
        place,
        profile.name,
        profile.vendor,
        str(profile.version),
        profile.level,
        profile.modules,
        description=profile.description,
        own=profile,
    )


def _of_depot(place: str) -> FoundProfiles:
    with open_depot(place) as files:
        if signed.is_signed_depot(files):
            index = signed.read_index(files)
            found = signed.read_profiles(files, index)
            listed = zip(index.profiles, found, strict=True)
            return FoundProfiles(tuple(of_own(one, f"{files.name}/{each.path}") for each, (one, _) in listed))
        return _of_offline_bundle(files)


def _of_offline_bundle(files: DepotFiles) -> FoundProfiles:
    profiles = []
    for catalog in files.metadata.catalogs:
        paths = {vib.id: catalog.locate(vib.place) for vib in catalog.listed()}
        wanted = {id_ for _, one in catalog.profiles for id_ in one.vibs}
        modules = dict[str, ProfileModule]()
        for id_ in sorted(wanted & paths.keys()):
            if paths[id_] in files.sizes and (module := _module(files, paths[id_])):
                modules[module.id] = module
        profiles += [_of_vmware(one, f"{files.name}/{catalog.path}/{name}", modules) for name, one in catalog.profiles]
    return FoundProfiles(tuple(profiles), files.metadata.failures)


def _module(files: DepotFiles, path: str) -> ProfileModule | None:
    """A bundle by its own manifest; None where that cannot be read."""
    try:
        with files.open(path) as source:
            bundle = OpenBundle(source, path)
            return module_of(read_manifest(bundle.kind, bundle.manifest), hashlib.sha256(bundle.manifest).hexdigest())
    except ModsealError:
        return None


def _of_database(database: Database, place: str) -> FoundProfiles:
    modules: dict[str, ProfileModule] = {}
    failures = list(database.failures)
    for one in database.vibs:
        try:
            module = module_of(read_manifest("vib", one.descriptor), hashlib.sha256(one.descriptor).hexdigest())
        except FormatError as error:
            failures.append(error.failure)
        else:
            modules[module.id] = module
    found = tuple(_of_vmware(one, os.path.join(place, "profiles", one.name), modules) for one in database.profiles)
    return FoundProfiles(found, tuple(failures))


def _of_vmware(profile: Profile, place: str, modules: Mapping[str, ProfileModule]) -> FoundProfile:
    known = sorted((modules[id_] for id_ in profile.vibs if id_ in modules), key=lambda one: one.name)
    for one, other in pairwise(known):
        if one.name == other.name:
            raise image_profile.invalid(f"{place}: it names both {one.id} and {other.id}")
    return FoundProfile(
        place,
        profile.name,
        profile.texts.get("creator", ""),
        profile.texts.get("serialno", ""),
        profile.level,
        tuple(known),
        tuple(sorted(profile.vibs.keys() - modules.keys())),
        profile.texts.get("description", ""),
    )
