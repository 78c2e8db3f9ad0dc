"""How much room modules take: packed, as the bundles are, and installed, as their files are. Nothing is proved.

Of a `.seal` the manifest says the size of each file. A `.vib` does not: its payloads are unpacked and counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from modseal import limits
from modseal.bundle.open import OpenBundle, open_bundle
from modseal.depot.check import Progress, quiet
from modseal.depot.files import looks_like_depot
from modseal.depot.open import open_depot
from modseal.errors import FormatError, UndecidedError, UsageError
from modseal.files.address import is_address
from modseal.format.image_profile import SUFFIX, ImageProfile
from modseal.format.level import Level
from modseal.format.manifest import Manifest
from modseal.profile.found import read_file
from modseal.trust.integrity import read_manifest


@dataclass(frozen=True, slots=True)
class ModuleSize:
    """The room that one module takes, in bytes; `installed` is None where it could not be measured. Unproved."""

    vendor: str
    name: str
    version: str
    level: Level
    packed: int
    installed: int | None
    place: str
    manifest: str

    @property
    def room(self) -> int:
        """What it takes once it is installed; packed, where that is not known."""
        return self.packed if self.installed is None else self.installed


@dataclass(frozen=True, slots=True)
class SizeGroup:
    """Modules that have something in common."""

    label: str
    modules: tuple[ModuleSize, ...]

    @property
    def packed(self) -> int:
        """Bytes of their bundles."""
        return sum(one.packed for one in self.modules)

    @property
    def installed(self) -> int:
        """Bytes that they take, with `ModuleSize.room` of each."""
        return sum(one.room for one in self.modules)


def measure(places: Iterable[str], depots: Iterable[str] = (), progress: Progress = quiet) -> tuple[ModuleSize, ...]:
    """The modules of bundles, depots and image profiles, the largest first, each content once.

    The bundles of a profile are looked for in `depots`. Raises `FormatError`, `InputError`, `UsageError`, and
    `UndecidedError` (profile-module-missing) where a bundle of a profile is in none of them.
    """
    found: dict[str, ModuleSize] = {}
    for place in places:
        if not is_address(place) and place.endswith(SUFFIX) and Path(place).is_file():
            sizes = _of_profile(read_file(Path(place)), place, tuple(depots), progress)
        elif is_address(place) or looks_like_depot(place):
            sizes = _of_depot(place, lambda _: True, progress)
        else:
            with open_bundle(Path(place)) as bundle:
                sizes = iter((_of_bundle(bundle, bundle.source.size),))
        for one in sizes:
            found.setdefault(one.manifest, one)
    return tuple(sorted(found.values(), key=lambda one: (-one.room, one.name, one.version, one.manifest)))


def by_vendor(modules: Iterable[ModuleSize]) -> list[SizeGroup]:
    """One group a vendor, the largest first."""
    return _groups(modules, lambda one: one.vendor)


def by_level(modules: Iterable[ModuleSize]) -> list[SizeGroup]:
    """One group for each claimed level, the largest first."""
    return _groups(modules, lambda one: str(one.level))


def _groups(modules: Iterable[ModuleSize], key: Callable[[ModuleSize], str]) -> list[SizeGroup]:
    found: dict[str, list[ModuleSize]] = {}
    for one in modules:
        found.setdefault(key(one), []).append(one)
    groups = [SizeGroup(label, tuple(members)) for label, members in found.items()]
    return sorted(groups, key=lambda one: (-one.installed, one.label))


def _of_profile(profile: ImageProfile, place: str, depots: tuple[str, ...], progress: Progress) -> Iterator[ModuleSize]:
    if not depots:
        raise UsageError(f"{place} names modules and has none of them; say with --depot where its bundles are")
    missing = {one.manifest: one for one in profile.modules}
    for depot in depots:
        for one in _of_depot(depot, missing.__contains__, progress):
            if missing.pop(one.manifest, None):
                yield one
    for absent in missing.values():
        detail = f"{place}: no bundle of {absent.name} {absent.version} is in the depots"
        raise UndecidedError("profile-module-missing", detail, module=absent.name, manifest=absent.manifest)


def _of_depot(place: str, wanted: Callable[[str], bool], progress: Progress) -> Iterator[ModuleSize]:
    with open_depot(place) as files:
        for done, path in enumerate(files.bundles):
            progress(done, len(files.bundles), path)
            with files.open(path) as source:
                bundle = OpenBundle(source, f"{files.name}/{path}")
                if wanted(hashlib.sha256(bundle.manifest).hexdigest()):
                    yield _of_bundle(bundle, source.size)


def _of_bundle(bundle: OpenBundle, packed: int) -> ModuleSize:
    bundle.members  # noqa: B018 - raises where the container cannot be read
    manifest = read_manifest(bundle.kind, bundle.manifest)
    digest = hashlib.sha256(bundle.manifest).hexdigest()
    installed = _files_of(manifest) if bundle.kind == "seal" else _unpacked(bundle, manifest)
    names = (manifest.vendor, manifest.name, manifest.version)
    return ModuleSize(*names, manifest.claimed_level, packed, installed, bundle.name, digest)


def _files_of(manifest: Manifest) -> int:
    return sum(entry.size or 0 for entry in manifest.files)


def _unpacked(bundle: OpenBundle, manifest: Manifest) -> int | None:
    """The files in the payloads of a `.vib`; a payload that is none of files counts as it is unpacked."""
    members = {member.name: member for member in bundle.members}
    total = 0
    for payload in manifest.payloads:
        if payload.name not in members:
            return None
        try:
            found = bundle.measure(payload, members[payload.name], up_to=limits.UNTRUSTED_UNPACKED, to_sink=False)
        except FormatError:
            return None
        if found.unpacked_size is None:
            return None
        total += sum(entry.size or 0 for entry in found.entries) if found.entries else found.unpacked_size
    return total
