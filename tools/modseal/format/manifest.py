"""A manifest as values: what a bundle says about itself, in either encoding.

`manifest_json` and `descriptor` turn these values into bytes and back. The rules that both
encodings share, and that the packer calls too, are in `rules`. A manifest is only what the file
says: `trust.examine` decides which parts are proved.
"""

from __future__ import annotations

import enum
from dataclasses import field
from typing import Literal

from modseal.errors import Failure
from modseal.format.level import Level
from modseal.values import dataclass

Kind = Literal["seal", "vib"]

MANIFEST_MEMBER: dict[Kind, str] = {"seal": "manifest.json", "vib": "descriptor.xml"}
SIGNATURE_MEMBER = "sig.pkcs7"
SUFFIXES = (".seal", ".vib")
"""How files with bundles are called, in lower case."""


class FileType(enum.StrEnum):
    """What a path may be. There is no other kind: no device, socket, FIFO or hard link."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


class View(enum.StrEnum):
    """Which bytes of a payload a digest is over."""

    RAW = "raw"
    """The archive member as it is."""
    GUNZIP1 = "gunzip1"
    """After one gunzip (the zstd frame inside a `vzstd`)."""
    UNPACKED = "unpacked"
    """Fully decompressed: the tar."""
    TXT_MLE = "txt-mle"
    """What Intel's TXT measures when it starts the payload. modseal cannot compute it; the other digests bind all."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a module. In a `.vib` manifest only `path` is known; the rest is None."""

    path: str
    type: FileType | None = None
    mode: int | None = None
    size: int | None = None
    sha256: bytes | None = None
    target: str | None = None
    payload: str | None = None

    def found_in(self, payload: str) -> Entry:
        """The same entry, of this payload."""
        return Entry(self.path, self.type, self.mode, self.size, self.sha256, self.target, payload)


@dataclass(frozen=True, slots=True)
class Digest:
    """A declared digest of a payload: hashlib's name of the algorithm, the view, the value."""

    algorithm: str
    view: View
    value: bytes


@dataclass(frozen=True, slots=True)
class Payload:
    """A declared payload.

    `type` is `tar+zstd` or `tar+gzip` in a `.seal`; `vgz`, `tgz`, `vzstd` or another text in a
    `.vib`. `unpacked_size` is None where the descriptor does not say it. A `.seal` has `chunks` (the
    SHA-256 of each `limits.CHUNK_SIZE` bytes) and `mtime` (of every entry); a `.vib` has `digests`,
    in document order. `boot_order` and `vfat_name` are where a host's boot loader finds it (docs/vib.md).
    """

    name: str
    type: str
    size: int
    unpacked_size: int | None
    chunks: tuple[bytes, ...] = ()
    mtime: int = 0
    digests: tuple[Digest, ...] = ()
    compression_option: str | None = None
    boot_order: int | None = None
    vfat_name: str | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A declared attachment: a member after the payloads, bound by its digest."""

    name: str
    media_type: str
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Constraint:
    """A relation to another module: name, and relation with version or neither.

    `relation` is one of `<<`, `<=`, `=`, `>=`, `>>`.
    """

    name: str
    relation: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Relationships:
    """What a module needs, refuses, supersedes and offers."""

    depends: tuple[Constraint, ...] = ()
    conflicts: tuple[Constraint, ...] = ()
    replaces: tuple[Constraint, ...] = ()
    provides: tuple[Constraint, ...] = ()
    compatible_with: tuple[Constraint, ...] = ()

    def by_label(self) -> tuple[tuple[str, tuple[Constraint, ...]], ...]:
        """All five lists, each with its name in messages, in the order of both formats."""
        return (
            ("depends", self.depends),
            ("conflicts", self.conflicts),
            ("replaces", self.replaces),
            ("provides", self.provides),
            ("compatibleWith", self.compatible_with),
        )


@dataclass(frozen=True, slots=True)
class Platform:
    """A `softwarePlatform` of a descriptor."""

    version: str
    product: str = "embeddedEsx"
    locale: str = ""


@dataclass(frozen=True, slots=True)
class VibFields:
    """What only a `.vib` says: see docs/vib.md for each.

    `packed_size` is a sum that some tools write, None where it is absent. `lists_files` is False where there is no
    `<file-list>` at all, `has_version` where `<vib>` has no version. `unknown` has a failure for each element and
    attribute that modseal does not know: what they mean cannot be judged.
    """

    type: str = "bootbank"
    urls: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    maintenance_mode: bool = False
    platforms: tuple[Platform, ...] = ()
    live_install_allowed: bool = False
    live_remove_allowed: bool = False
    cimom_restart: bool = False
    stateless_ready: bool = True
    overlay: bool = False
    packed_size: int | None = None
    lists_files: bool = True
    has_version: bool = True
    unknown: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle says about itself. `released` is ISO 8601 text; `vib` is None for a `.seal`.

    `expected_signers` are public keys as `rules.key_name` writes them, in a `.seal` alone: each must have signed.
    """

    kind: Kind
    vendor: str
    name: str
    version: str
    claimed_level: Level
    summary: str = ""
    description: str = ""
    released: str = ""
    relationships: Relationships = field(default_factory=Relationships)
    payloads: tuple[Payload, ...] = ()
    files: tuple[Entry, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    vib: VibFields | None = None
    expected_signers: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The module's id as VIB tools write it (not a content address)."""
        return "_".join((self.vendor, self.vib.type if self.vib else "seal", self.name, self.version))
