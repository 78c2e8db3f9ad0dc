"""Installed ESXi hosts in an audit: where a host's files are, and which belong to which VIB.

What a host has is found by names alone and decides nothing: each VIB is a target of its own (`installed_vib`), and
what the whole shows is found when all were examined (`esxi_end`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from functools import cached_property
from pathlib import Path

from modseal.auditing.esxi_end import BootBank, HostEnd
from modseal.auditing.installed_vib import InstalledVib
from modseal.auditing.target import LeftOut
from modseal.depot import boot_config, esxi_database
from modseal.depot.esxi_database import Database, Documents, OddFile
from modseal.errors import FormatError, InputError
from modseal.files.part import FilePart
from modseal.format import descriptor
from modseal.format.manifest import Manifest
from modseal.values import dataclass

_BOOT_FILE = re.compile(r".+\.[a-z][0-9]{2}", re.IGNORECASE)
"""How hosts call the payloads in a boot bank, but for a few with a name of their own: `net_e100.v00`, `k.b00`."""

_OVER_DATABASE = "a host lays it over its database when it boots, and shows it then"


@dataclass(frozen=True)
class Host:
    """A host that was found: its database, where its payloads are, and how its documents are called in reports.

    `name` is the folder or archive that has the database; `documents` goes before the path of one. `boot` has what lies
    in the boot bank, and `stored` what lies in `var/db/payloads`, by names without case. `odd` is what lies beside them
    and is read by nobody here. `archive` is the boot bank's own database where `database` is another one, and `unlike`
    the paths of all documents in which the two differ. `again` says that it must be examined as a host of its own.
    """

    name: str
    documents: str
    database: Database
    boot: Mapping[str, FilePart]
    stored: Mapping[str, FilePart] = field(default_factory=dict)
    odd: tuple[OddFile, ...] = ()
    archive: str | None = None
    unlike: tuple[str, ...] = ()
    again: bool = False

    def found(self) -> Iterator[InstalledVib | HostEnd | LeftOut]:
        """Its VIBs in the order of names, its end, and what else lies in its database."""
        for target, _ in self._targets:
            yield target
        bank, odd = self._bank()
        declared = sum(len(manifest.payloads) for _, manifest in self._targets if manifest)
        present = sum(len(target.payloads) for target, _ in self._targets)
        yield HostEnd(
            self.name, self.database, bank, declared, present, (*self.odd, *odd), self.unlike, self.archive or ""
        )
        if not self._is_folder:  # else they are found in the folder, as all other files are
            for path in sorted(self.database.others):
                yield LeftOut(f"{self.name}!/{path}", "neither descriptor, signature nor profile")

    @property
    def files(self) -> Iterator[str]:
        """What need not be found once more: the database's documents or what holds them, and the payloads."""
        if not self._is_folder:  # what else lies in a folder is found like everything
            yield self.name
        yield from (self.documents + path for path in self.database.read)
        yield from (part.path for part in self.parts())

    @property
    def _is_folder(self) -> bool:
        """Whether its database lies in a folder, on a disk or in an image."""
        return self.documents == os.path.join(self.name, "")

    def parts(self) -> Iterator[FilePart]:
        """The payloads that were found, all of which are examined."""
        yield from (part for target, _ in self._targets for _, part in target.payloads)

    def _bank(self) -> tuple[BootBank, list[OddFile]]:
        """What of the boot bank no VIB accounts for. A file counts that is examined as part of one, by its bytes."""
        odd: list[OddFile] = []
        examined = set(self.parts())
        accounted = {name for name, part in self.boot.items() if part in examined}
        strays = [name for name in self.boot if _BOOT_FILE.fullmatch(name) and name not in accounted]
        for name in (name for name, part in self.stored.items() if part not in examined):
            path = f"var/db/payloads/{name}"
            if name in self._places:
                odd.append(OddFile(path, "the boot bank has this payload too, and that is the one that was examined"))
            else:
                strays.append(path)
        code: tuple[str, ...] = ()
        if config := self.boot.get(boot_config.NAME):
            known = accounted | self._boot_files | {*strays}
            try:
                with config.open() as source:
                    loaded = boot_config.decode(source)
            except (FormatError, InputError) as error:
                odd.append(OddFile(boot_config.NAME, f"it cannot be read: {error.failure.detail}"))
            else:
                # What a host makes itself is settings: it can be a module, and never what runs before the modules.
                made = boot_config.OF_THE_HOST
                unknown = (
                    *(name for name in (loaded.kernel,) if name.casefold() not in known),
                    *(name for name in loaded.modules if name.casefold() not in known | made),
                    *(name for name in loaded.besides if name.casefold() in made),
                )
                code = tuple(dict.fromkeys(unknown))
                besides = (name for name in loaded.besides if name.casefold() not in known | made)
                odd += (OddFile(name, "the boot loader takes it, and it is a payload of no VIB") for name in besides)
                every = dict.fromkeys((loaded.kernel, *loaded.modules, *loaded.besides))
                absent = (name for name in every if name.casefold() in self._boot_files - self.boot.keys())
                odd += (OddFile(name, "the host boots it, and it is not beside boot.cfg") for name in absent)
        elif strays or any(target.payloads for target, _ in self._targets):
            odd.append(OddFile(boot_config.NAME, "it is not there, and so nobody can tell what the host boots"))
        if state := self.boot.get(esxi_database.STATE):
            try:
                with state.open() as source:
                    hidden = esxi_database.hidden_in_state(source)
            except (FormatError, InputError) as error:
                odd.append(OddFile(esxi_database.STATE, f"it cannot be read: {error.failure.detail}"))
            else:
                odd += (OddFile(f"{esxi_database.STATE}!/{path}", _OVER_DATABASE) for path in hidden)
        odd += (
            OddFile(file, f"the profile has this path for payload {payload} of {manifest.id}; boot files have none")
            for _, manifest in self._targets
            if manifest
            for payload, file in (self._boot_names(manifest) or {}).items()
            if "/" in file
        )
        undeclared = (
            (manifest.id, payload, file)
            for _, manifest in self._targets
            if manifest
            for payload, file in (self._boot_names(manifest) or {}).items()
            if payload not in {one.name for one in manifest.payloads}
        )
        return BootBank(tuple(sorted(strays)), code, tuple(undeclared)), odd

    def _boot_names(self, manifest: Manifest) -> Mapping[str, str] | None:
        """The boot file of each payload of a VIB; None where no profile lists the VIB."""
        profiles = self.database.profiles
        return next((profile.vibs[manifest.id] for profile in profiles if manifest.id in profile.vibs), None)

    @property
    def _boot_files(self) -> set[str]:
        """The boot files that belong to payloads of its VIBs, whether they are there or not; without case.

        One with a path is none: what lies there is not what was examined.
        """
        files = (
            (self._boot_names(manifest) or {}).get(payload.name, "").casefold()
            for _, manifest in self._targets
            if manifest
            for payload in manifest.payloads
        )
        return {file for file in files if file and "/" not in file}

    @property
    def _places(self) -> set[str]:
        """Where `var/db/payloads` could have the payloads of its VIBs: by type and name, without case."""
        return {
            f"{payload.type}/{name}".casefold()
            for _, manifest in self._targets
            if manifest
            for payload in manifest.payloads
            for name in (payload.name, (self._boot_names(manifest) or {}).get(payload.name, ""))
        }

    @cached_property
    def _targets(self) -> tuple[tuple[InstalledVib, Manifest | None], ...]:
        return tuple(map(self._target, self.database.vibs))

    def _target(self, documents: Documents) -> tuple[InstalledVib, Manifest | None]:
        """A VIB, and its manifest where it can be read: which payloads it has decides nothing but where they are."""
        name = self.documents + documents.path
        try:
            manifest = descriptor.decode(documents.descriptor)
        except FormatError:
            return InstalledVib(self.name, name, documents), None
        boot_names = self._boot_names(manifest)
        payloads = []
        for payload in manifest.payloads:
            boot = (boot_names or {}).get(payload.name, "")
            part = self.boot.get(boot.casefold()) or next(
                filter(None, (self.stored.get(f"{payload.type}/{n}".casefold()) for n in (boot, payload.name))), None
            )
            if part:
                payloads.append((payload.name, part))
        level = self.database.profile.level if self.database.profile else None
        unknown = boot_names is None and (not self.database.profiles or self.database.unread_profiles)
        listed = None if unknown else boot_names is not None
        return InstalledVib(self.name, name, documents, tuple(payloads), listed, level), manifest


def container_in(folder: str) -> str | None:
    """What has the database of the host that a folder is the root, the boot bank or the database of; else None."""
    here, below = _Folder(folder), os.path.join(folder, esxi_database.PLACE)
    if _is_database(folder, here):
        return folder
    if _is_database(below, _Folder(below)):
        return below
    return next(filter(is_archive, here.files), None)


def is_archive(path: str) -> bool:
    """Whether a file is called like the database in a boot bank; on a disc names are in capitals."""
    return os.path.basename(path).casefold() == esxi_database.ARCHIVE


def host_of(container: str) -> Host:
    """The host whose database is in this folder or archive. Raises `InputError`, `FormatError`."""
    if not os.path.isdir(container):
        with FilePart(container).open() as source:
            database = esxi_database.in_archive(source)
        beside = _Folder(os.path.dirname(container) or ".")
        boot, odd = by_name(beside.parts)
        return Host(container, f"{container}!/{esxi_database.PLACE}/", database, boot, odd=(*odd, *beside.odd))
    database = esxi_database.in_folder(Path(container))
    bare = container.rstrip("/")
    root = bare.removesuffix(esxi_database.PLACE) or "."
    alone = Host(container, os.path.join(container, ""), database, {})
    if root == bare:
        own = next(filter(is_archive, _Folder(container).files), None)  # a boot bank, with documents put beside it
        return with_archive(alone, own, FilePart(own)) if own else alone
    # In `bootbank` of a host, or beside `var` where its archives were unpacked in place.
    bank, place = _Folder(os.path.join(root, "bootbank")), _Folder(root)
    boot, odd = by_name(bank.parts if bank.files else place.parts)
    if any(os.path.basename(path) == boot_config.NAME for path in place.files):  # else a root has links of its own
        odd += place.odd
    host = replace(alone, boot=boot, stored=_stored(root), odd=(*odd, *bank.odd))
    archive = boot.get(esxi_database.ARCHIVE)
    return with_archive(host, archive.path, archive) if archive else host


def with_archive(host: Host, name: str, archive: FilePart) -> Host:
    """A host with the database in its boot bank, which it boots with, compared with the one that was copied."""
    try:
        with archive.open() as source:
            other = esxi_database.in_archive(source)
    except (FormatError, InputError):  # who examines it says why
        return replace(host, archive=name, again=True)
    unlike = host.database.unlike(other)
    return replace(host, archive=name, unlike=unlike, again=bool(unlike or other.odd or other.failures))


def _stored(root: str) -> dict[str, FilePart]:
    """The files that a host keeps as payloads, by their type and name."""
    found = {}
    for folder in _Folder(os.path.join(root, "var/db/payloads")).folders:
        for name, part in by_name(_Folder(folder).parts)[0].items():
            found[f"{os.path.basename(folder)}/{name}".casefold()] = part
    return found


def _is_database(folder: str, entries: _Folder) -> bool:
    """Whether a folder is a database: by the folders in it, as the names of its documents say nothing."""
    inside = set(map(os.path.basename, entries.folders))
    if "vibs" not in inside:
        return False
    # A depot's metadata that was unpacked has `vibs` too, and no signatures in it.
    return "profiles" in inside or any(
        path.endswith(".xml.sig") for path in _Folder(os.path.join(folder, "vibs")).files
    )


def by_name(parts: Iterable[tuple[str, FilePart]]) -> tuple[dict[str, FilePart], list[OddFile]]:
    """Files with their paths, by their names without case, as FAT has them; the first of a name, and others as odd."""
    found: dict[str, tuple[str, FilePart]] = {}
    odd = []
    for path, part in parts:
        first, _ = found.setdefault(os.path.basename(path).casefold(), (path, part))
        if first != path:
            odd.append(OddFile(path, f"in a boot bank it has the name of {first}"))
    return {name: part for name, (_, part) in found.items()}, odd


class _Folder:
    """The paths of what is in a folder; nothing where it cannot be read, which its own listing says."""

    def __init__(self, path: str) -> None:
        self.files: list[str] = []
        self.folders: list[str] = []
        self.odd: list[OddFile] = []
        try:
            with os.scandir(path) as entries:
                for entry in sorted(entries, key=lambda one: os.fsencode(one.name)):
                    if entry.is_file(follow_symlinks=False):
                        self.files.append(entry.path)
                    elif entry.is_dir(follow_symlinks=False):
                        self.folders.append(entry.path)
                    else:
                        self.odd.append(OddFile(entry.path, "a boot bank has plain files alone"))
        except OSError:
            return

    @property
    def parts(self) -> Iterator[tuple[str, FilePart]]:
        """Its files, with their paths."""
        return ((path, FilePart(path)) for path in self.files)


def require_container(folder: str) -> str:
    """As `container_in`, for a folder that was named as that of a host. Raises `InputError` where it is none."""
    beside = (os.path.join(folder, name) for name in (os.path.basename(esxi_database.PLACE), "bootbank"))
    found = next(filter(None, map(container_in, (folder, *beside))), None)
    if found is None:
        raise InputError(
            f"{folder}: no database of an installed ESXi host is there: neither `vibs` and `profiles`, nor"
            f" `{esxi_database.PLACE}`, nor `{esxi_database.ARCHIVE}`",
            path=folder,
        ).because("no-esxi-database")
    return found
