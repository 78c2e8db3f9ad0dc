"""Installed ESXi hosts in an audit: each VIB of the database as a target, and what the database and profile show.

A host takes a `.vib` apart: descriptor and signature go into its database, payloads into the boot bank under names that
the image profile has. Here they are put together again, in the form of a `.vib`, and examined as one. A payload that is
not among the files that were given is *absent*: the VIB is then undecided, whoever signed it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from modseal.auditing.depots import bounded, finding_of
from modseal.auditing.finding import Finding
from modseal.auditing.rule import Hit, Row, Rule, Subject
from modseal.auditing.rules import esxi as rules
from modseal.auditing.target import End, LeftOut, Opened
from modseal.depot import esxi_database, values
from modseal.depot.esxi_database import Database, Documents
from modseal.depot.esxi_profile import Profile
from modseal.errors import FormatError, InputError, Scalar
from modseal.files.identity import Identity
from modseal.files.part import FilePart
from modseal.format import ar, descriptor
from modseal.format import rules as format_rules
from modseal.format.level import Level
from modseal.format.manifest import MANIFEST_MEMBER, SIGNATURE_MEMBER, Manifest
from modseal.format.shape import quote
from modseal.format.source import BytesSource, Joined, Source

_BOOT_FILE = re.compile(r".+\.[a-z][0-9]{2}", re.IGNORECASE)
"""How hosts call the payloads in a boot bank, but for a few with a name of their own: `net_e100.v00`, `k.b00`."""
_NAMED = 20
"""VIBs that one finding names."""


@dataclass(frozen=True, slots=True)
class InstalledVib:
    """A VIB of a host's database. `documents` are as they were read; `payloads` are those that were found, by name.

    `listed` says whether the image profile has it, None where no profile says; `level` is that of the profile.
    """

    host: str
    name: str
    documents: Documents
    payloads: tuple[tuple[str, FilePart], ...] = ()
    listed: bool | None = None
    level: Level | None = None

    @property
    def size(self) -> int:
        """See `Target.size`."""
        return len(self.documents.descriptor) + sum(part.size for _, part in self.payloads)

    @property
    def salt(self) -> str:
        """See `Target.salt`: what the host shows, which payloads were found, and what the profile says."""
        found = (self.documents.shown, self.documents.signature, self.listed, self.level, [n for n, _ in self.payloads])
        return hashlib.sha256(repr(found).encode()).hexdigest()

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """See `Target.open`. Raises `FormatError` for a payload that no member of a `.vib` can be."""
        with ExitStack() as stack:
            members: list[tuple[str, Source]] = [
                (MANIFEST_MEMBER["vib"], BytesSource(self.documents.descriptor)),
                (SIGNATURE_MEMBER, BytesSource(self.documents.signature or b"")),
                *((name, stack.enter_context(part.open())) for name, part in self.payloads),
            ]
            pieces = chain.from_iterable(
                (BytesSource(ar.encode_header(name, one.size)), one, BytesSource(ar.padding(one.size)))
                for name, one in members
            )
            yield Opened(Joined((BytesSource(ar.MAGIC), *pieces)), lambda: None, partial=True)

    def identity(self) -> Identity | None:
        """None: it is several files."""
        return None

    def findings(self, subject: Subject, sha256: str | None) -> Iterator[Finding]:
        """What its place on the host shows, besides what the bundle itself does."""
        hits = (
            *((rules.FORCED, hit) for hit in self._forced(subject)),
            *((rules.NOT_IN_PROFILE, hit) for hit in self._listing(subject)),
            *((rules.REWRITTEN, hit) for hit in self._rewriting(subject)),
        )
        yield from (rule.finding(hit, self.name, sha256) for rule, hit in hits)

    def _forced(self, subject: Subject) -> Iterator[Hit]:
        """Why a host that checks refuses it: nobody signed for the claim, or it is below the host's level."""
        manifest = subject.manifest
        if manifest is None:
            return
        claimed = manifest.claimed_level
        evidence = {"claimed": str(claimed), "host": str(self.level) if self.level else None}
        if claimed > Level.COMMUNITY and not subject.examination.signers:
            if self.documents.signature is None:
                why = "the database has no signature of it"
            elif not self.documents.signature.strip():
                why = "its signature is empty"
            else:
                why = "no signature in its file is over this descriptor"
            yield Hit(f"it claims {claimed}, and {why}", evidence)
        if self.level and claimed < self.level:
            yield Hit(f"it claims {claimed}, below the level {self.level} of the host", evidence)

    def _listing(self, subject: Subject) -> Iterator[Hit]:
        if self.listed is False:
            id_ = subject.manifest.id if subject.manifest else self.name
            yield Hit(f"the image profile does not list {quote(id_)}", {"id": format_rules.shown(id_)})

    def _rewriting(self, subject: Subject) -> Iterator[Hit]:
        """What the host shows is what was signed, but for how it is written."""
        if self.documents.original is None or subject.manifest is None:
            return
        try:
            shown = descriptor.decode(self.documents.shown)
        except FormatError as error:
            yield Hit(f"what the host shows cannot be read: {error.failure.detail}", {"field": None})
            return
        said, signed = (_without_margins(values.of_descriptor(one)) for one in (shown, subject.manifest))
        for name, here, there in values.unequal(said, signed):
            detail = f"the host shows the {name} {here}; the descriptor beside the signature says {there}"
            yield Hit(detail, {"field": name, "shown": format_rules.shown(here), "signed": format_rules.shown(there)})


def _without_margins(found: values.Values) -> dict[str, object]:
    """Values of a descriptor without white space at the ends of texts, which hosts take off."""
    return {name: value.strip() if isinstance(value, str) else value for name, value in found.items()}


class HostVib(NamedTuple):
    """What is kept of an installed VIB until all of its host were seen."""

    bundle: str
    id: str | None
    claimed: Level | None
    proven: Level | None

    @classmethod
    def of(cls, row: Row) -> HostVib:
        """Of a VIB's row."""
        return cls(row.bundle, row.id, row.claimed, row.proven)


@dataclass(frozen=True)
class HostEnd(End):
    """All VIBs of a host have been given."""

    name: str
    database: Database
    ids: frozenset[str]
    boot_files: tuple[str, ...]
    payloads: int
    present: int

    @property
    def held(self) -> int:
        """See `End.held`."""
        return sum(len(vib.shown) for vib in self.database.vibs)

    def findings(self, members: Iterable[HostVib]) -> Iterator[Finding]:
        """What the whole host shows, given its VIBs."""
        found = (finding_of(failure, self.name) for failure in self.database.failures)
        hits = (rule.finding(hit, self.name) for rule, hit in self._hits(tuple(members)))
        return bounded(chain(found, hits), self.name)

    def summary(self, members: Iterable[HostVib]) -> dict[str, object]:
        """The host as JSON has it: what its profile claims, and what its weakest VIB proves."""
        vibs = tuple(members)
        profile = self._profile
        proven = (
            None
            if any(vib.proven is None for vib in vibs)
            else min((vib.proven for vib in vibs if vib.proven), default=None)
        )
        return {
            "host": self.name,
            "profile": profile.name if profile else None,
            "claimed_level": str(profile.level) if profile and profile.level else None,
            "proven_level": str(proven) if proven else None,
            "vibs": len(vibs),
            "vibs_as_claimed": sum(vib.proven is not None and vib.proven == vib.claimed for vib in vibs),
            "payloads": self.payloads,
            "payloads_present": self.present,
        }

    @property
    def _profile(self) -> Profile | None:
        return self.database.profiles[0] if len(self.database.profiles) == 1 else None

    def _hits(self, members: tuple[HostVib, ...]) -> Iterator[tuple[Rule, Hit]]:
        profile = self._profile
        if profile is None:
            count = len(self.database.profiles)
            detail = f"there are {count} image profiles in the database; which VIBs belong to the host cannot be told"
            yield rules.PROFILE, Hit(detail, {"profiles": count}, undecided=True)
            return
        for id_ in sorted(profile.vibs.keys() - self.ids):
            detail = f"the image profile lists {quote(id_)}, which the database does not have"
            yield rules.NOT_IN_DATABASE, Hit(detail, {"id": format_rules.shown(id_)})
        booted = {boot.casefold() for payloads in profile.vibs.values() for boot in payloads.values()}
        for name in self.boot_files:
            if name.casefold() not in booted:
                detail = f"no VIB of the image profile has the boot file {quote(name)}"
                yield rules.BOOT_FILE, Hit(detail, {"file": format_rules.shown(name)})
        claimed = profile.level
        if claimed is None:
            said = (
                f"says {quote(profile.said_level)}, which is none" if profile.said_level else "says no acceptance level"
            )
            detail = (
                f"the image profile {said}; which level the host has, and whether its VIBs reach it, cannot be told"
            )
            unknown = {"profile": format_rules.shown(profile.name), "claimed": format_rules.shown(profile.said_level)}
            yield rules.HOST_LEVEL, Hit(detail, unknown, undecided=True)
        if claimed and claimed > Level.COMMUNITY:
            below = [vib for vib in members if vib.proven is None or vib.proven < claimed]
            if below:
                not_proven = f"{len(below)} of {len(members)} VIBs are not proven to be that"
                detail = f"the image profile claims {claimed}, and {not_proven}"
                evidence: dict[str, Scalar] = {
                    "profile": format_rules.shown(profile.name),
                    "claimed": str(claimed),
                    "below": len(below),
                }
                yield rules.HOST_LEVEL, Hit(detail, evidence, related=tuple(vib.bundle for vib in below[:_NAMED]))


@dataclass(frozen=True)
class Host:
    """A host that was found: its database, where its payloads are, and how its documents are called in reports.

    `name` is the folder or archive that has the database; `documents` goes before the path of one. `boot` has what lies
    in the boot bank, and `stored` what lies in `var/db/payloads`, by names without case.
    """

    name: str
    documents: str
    database: Database
    boot: Mapping[str, FilePart]
    stored: Mapping[str, FilePart] = field(default_factory=dict)

    def found(self) -> Iterator[InstalledVib | HostEnd | LeftOut]:
        """Its VIBs in the order of names, its end, and what else lies in its database."""
        for target, _ in self._targets:
            yield target
        manifests = [manifest for _, manifest in self._targets if manifest]
        boot_files = tuple(sorted(name for name in self.boot if _BOOT_FILE.fullmatch(name)))
        declared = sum(len(manifest.payloads) for manifest in manifests)
        present = sum(len(target.payloads) for target, _ in self._targets)
        ids = frozenset(manifest.id for manifest in manifests)
        yield HostEnd(self.name, self.database, ids, boot_files, declared, present)
        if not os.path.isdir(self.name):  # else they are found in the folder, as all other files are
            for path in sorted(self.database.others):
                yield LeftOut(f"{self.name}!/{path}", "neither descriptor, signature nor profile")

    @property
    def files(self) -> Iterator[str]:
        """What need not be found once more: the database's documents or what holds them, and the payloads."""
        if not os.path.isdir(self.name):  # what else lies in a folder is found like everything
            yield self.name
        yield from (self.documents + path for path in self.database.read)
        yield from (part.path for part in self.parts())

    def parts(self) -> Iterator[FilePart]:
        """The payloads that were found, all of which are examined."""
        yield from (part for target, _ in self._targets for _, part in target.payloads)

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
        profiles = self.database.profiles
        boot_names = next((profile.vibs[manifest.id] for profile in profiles if manifest.id in profile.vibs), None)
        payloads = []
        for payload in manifest.payloads:
            boot = (boot_names or {}).get(payload.name, "")
            part = self.boot.get(boot.casefold()) or next(
                filter(None, (self.stored.get(f"{payload.type}/{n}".casefold()) for n in (boot, payload.name))), None
            )
            if part:
                payloads.append((payload.name, part))
        level = profiles[0].level if len(profiles) == 1 else None
        listed = boot_names is not None if profiles else None
        return InstalledVib(self.name, name, documents, tuple(payloads), listed, level), manifest


def container_in(folder: str) -> str | None:
    """What has the database of the host that a folder is the root, the boot bank or the database of; else None."""
    below = os.path.join(folder, esxi_database.PLACE)
    for path in (folder, below):
        if _is_database(path):
            return path
    return next((path for path in _files(folder) if is_archive(path)), None)


def is_archive(path: str) -> bool:
    """Whether a file is called like the database in a boot bank; on a disc names are in capitals."""
    return os.path.basename(path).casefold() == esxi_database.ARCHIVE


def host_of(container: str) -> Host:
    """The host whose database is in this folder or archive. Raises `InputError`, `FormatError`."""
    if not os.path.isdir(container):
        with FilePart(container).open() as source:
            database = esxi_database.in_archive(source)
        boot = _by_name(_files(os.path.dirname(container) or "."))
        return Host(container, f"{container}!/{esxi_database.PLACE}/", database, boot)
    database = esxi_database.in_folder(Path(container))
    bare = container.rstrip("/")
    root = bare.removesuffix(esxi_database.PLACE) or "."
    boot, stored = ({}, {}) if root == bare else (_booted(root), _stored(root))
    return Host(container, os.path.join(container, ""), database, boot, stored)


def _booted(root: str) -> dict[str, FilePart]:
    """The files of a boot bank: in `bootbank` of a host, or beside `var` where its archives were unpacked in place."""
    return _by_name((*_files(os.path.join(root, "bootbank")), *_files(root)))


def _stored(root: str) -> dict[str, FilePart]:
    """The files that a host keeps as payloads, by their type and name."""
    found = {}
    for folder in _entries(os.path.join(root, "var/db/payloads"), lambda one: one.is_dir(follow_symlinks=False)):
        for name, part in _by_name(_files(folder)).items():
            found[f"{os.path.basename(folder)}/{name}".casefold()] = part
    return found


def _is_database(folder: str) -> bool:
    """Whether a folder is a database: by the folders in it, as the names of its documents say nothing."""
    inside = {os.path.basename(path) for path in _entries(folder, lambda entry: entry.is_dir(follow_symlinks=False))}
    if "vibs" not in inside:
        return False
    # A depot's metadata that was unpacked has `vibs` too, and no signatures in it.
    return "profiles" in inside or any(path.endswith(".xml.sig") for path in _files(os.path.join(folder, "vibs")))


def _by_name(paths: Iterable[str]) -> dict[str, FilePart]:
    """Files by their names without case, as FAT has them; the first of a name."""
    found: dict[str, FilePart] = {}
    for path in paths:
        found.setdefault(os.path.basename(path).casefold(), FilePart(path))
    return found


def _files(folder: str) -> list[str]:
    return _entries(folder, lambda entry: entry.is_file(follow_symlinks=False))


def _entries(folder: str, wanted: Callable[[os.DirEntry[str]], bool]) -> list[str]:
    """The paths of what is wanted of a folder; none where it cannot be read, which its own listing says."""
    try:
        with os.scandir(folder) as entries:
            return sorted(os.path.join(folder, entry.name) for entry in entries if wanted(entry))
    except OSError:
        return []


def require_container(folder: str) -> str:
    """As `container_in`, for a folder that was named as that of a host. Raises `InputError` where it is none."""
    beside = os.path.join(folder, os.path.basename(esxi_database.PLACE))
    found = container_in(folder) or container_in(beside)
    if found is None:
        raise InputError(
            f"{folder}: no database of an installed ESXi host is there: neither `vibs` and `profiles`, nor"
            f" `{esxi_database.PLACE}`, nor `{esxi_database.ARCHIVE}`",
            path=folder,
        )
    return found
