"""An image profile as bytes: a named, versioned, levelled set of modules, in a file of its own.

The file is that of `format.statement_file`; its document is `profile.json`. Each module is there by vendor, name and
version, and by the SHA-256 of its manifest: that stays when a signature is added to the bundle, and the manifest has
the digests of all the rest. All else that is said of a module is what its manifest says, for people and comparisons;
`profile.validate` holds it against the manifest. Nothing here is proved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import field
from typing import Any

from modseal import limits
from modseal.errors import FormatError
from modseal.format import canonical_json, rooted, rules, statement_file
from modseal.format.level import Level
from modseal.format.manifest import Kind, Manifest
from modseal.format.rooted import HEX, VERSION
from modseal.format.shape import Array, Integer, Table, Text, quote
from modseal.format.vib_rules import TYPES
from modseal.values import dataclass, regex

SCHEMA = "modseal/profile@1"
MEMBER = "profile.json"
SUFFIX = ".profile"
_NAME_FORM = f"1 to {limits.PROFILE_NAME} of A-Z a-z 0-9 . _ + -, the first a letter or digit"

_LEVEL = Text(choices=[str(level) for level in sorted(Level, reverse=True)])
_MODULE = Table(
    {
        "vendor": Text(most=limits.NAME_LENGTH),
        "name": Text(rules.MODULE_NAME, form=rules.MODULE_NAME_FORM, most=limits.NAME_LENGTH),
        "version": Text(rules.VERSION, form=rules.VERSION_FORM, most=limits.NAME_LENGTH),
        "kind": Text(choices=("seal", "vib")),
        "level": _LEVEL,
        "size": Integer(0, limits.REMOTE_SIZE, about="Bytes of all its payloads, as they are packed."),
        "manifest": HEX,
    },
    {"type": Text(choices=TYPES, about="Of a .vib.")},
    about="One module: `manifest` is the SHA-256 of its manifest's raw bytes, and the rest what that manifest claims.",
)
SHAPE = Table(
    {
        "schema": Text(choices=(SCHEMA,)),
        "name": Text(rules.MODULE_NAME, form=_NAME_FORM, most=limits.PROFILE_NAME),
        "vendor": Text(most=limits.PROFILE_VENDOR, about="Who publishes the profile."),
        "version": VERSION,
        "level": Text(choices=_LEVEL.choices, about="All modules are proved for this level or a higher one."),
        "modules": Array(_MODULE, least=1, most=limits.PROFILE_MODULES, about="Sorted by name, each name once."),
    },
    {
        "description": Text(
            regex(r"[^\x00-\x1f\x7f]+"), form="printable text on one line", most=1000, about="What it is for."
        )
    },
    about="Modules that go together. Rules over several values stand in docs/profiles.md.",
)


@dataclass(frozen=True, slots=True)
class ProfileModule:
    """A module of a profile. `manifest` is the SHA-256 of its manifest (hexadecimal), `type` that of a `.vib`."""

    vendor: str
    name: str
    version: str
    kind: Kind
    level: Level
    size: int
    manifest: str
    type: str = ""

    @property
    def id(self) -> str:
        """As `Manifest.id`."""
        return "_".join((self.vendor, self.type or self.kind, self.name, self.version))


def module_of(manifest: Manifest, sha256: str) -> ProfileModule:
    """A module as a profile has to name it; `sha256` is that of its manifest's raw bytes."""
    return ProfileModule(
        manifest.vendor,
        manifest.name,
        manifest.version,
        manifest.kind,
        manifest.claimed_level,
        sum(payload.size for payload in manifest.payloads),
        sha256,
        manifest.vib.type if manifest.vib else "",
    )


@dataclass(frozen=True, slots=True)
class ImageProfile:
    """One version of a profile, unproved. Its modules are sorted by name.

    `signed` are the raw bytes of the document, `signature` is the member beside it; a new version is made with both
    empty.
    """

    name: str
    vendor: str
    version: int
    level: Level
    modules: tuple[ProfileModule, ...]
    description: str = ""
    signed: bytes = field(default=b"", repr=False)
    signature: bytes = field(default=b"", repr=False)

    @property
    def sha256(self) -> str:
        """What identifies this version, however often it is signed: the digest of its document."""
        return hashlib.sha256(self.signed).hexdigest()

    @property
    def subjects(self) -> tuple[tuple[str, str], ...]:
        """Vendor and name of each module that it speaks of."""
        return tuple((one.vendor, one.name) for one in self.modules)


def invalid(detail: str, **evidence: str | int) -> FormatError:
    """The refusal of a profile."""
    return FormatError("profile-invalid", f"the profile cannot be used: {detail}", **evidence)


def declare(profile: ImageProfile) -> bytes:
    """The bytes of `profile.json`: what is signed. Raises `FormatError` (profile-invalid)."""
    plain: dict[str, Any] = {
        "schema": SCHEMA,
        "name": profile.name,
        "vendor": profile.vendor,
        "version": profile.version,
        "level": str(profile.level),
        "modules": [_plain(one) for one in sorted(profile.modules, key=lambda one: one.name)],
    }
    if profile.description:
        plain["description"] = profile.description
    rooted.require(plain, SHAPE, invalid, _problems)
    return canonical_json.dump(plain)


def encode(profile: ImageProfile) -> bytes:
    """The whole file. Raises `FormatError` (profile-invalid)."""
    data = statement_file.encode(MEMBER, profile.signed or declare(profile), profile.signature)
    decode(data)
    return data


def decode(data: bytes) -> ImageProfile:
    """A profile from its bytes, unproved. Raises `FormatError` (profile-invalid)."""
    signed, signature = statement_file.decode(data, MEMBER, limits.PROFILE_SIZE, invalid)
    plain = rooted.load(signed, MEMBER, SHAPE, invalid, _problems)
    return ImageProfile(
        name=plain["name"],
        vendor=plain["vendor"],
        version=plain["version"],
        level=Level.parse(plain["level"]),
        modules=tuple(ProfileModule(**{**one, "level": Level.parse(one["level"])}) for one in plain["modules"]),
        description=plain.get("description", ""),
        signed=signed,
        signature=signature,
    )


def _plain(one: ProfileModule) -> dict[str, Any]:
    found = {
        "vendor": one.vendor,
        "name": one.name,
        "version": one.version,
        "kind": one.kind,
        "level": str(one.level),
        "size": one.size,
        "manifest": one.manifest,
    }
    return found | ({"type": one.type} if one.type else {})


def _problems(plain: dict[str, Any]) -> Iterator[str]:
    for failure in rules.check_line("vendor", plain["vendor"]):
        yield failure.detail
    names = [one["name"] for one in plain["modules"]]
    if names != sorted(set(names)):
        yield "modules: must be sorted by name, each name once"
    if len({name.lower() for name in names}) < len(names):
        yield "modules: two names differ by letter case alone"
    for index, one in enumerate(plain["modules"]):
        if ("type" in one) != (one["kind"] == "vib"):
            yield f"modules[{index}].type: belongs to a .vib"
        for failure in rules.check_line("vendor", one["vendor"]):
            yield f"modules[{index}]: {failure.detail}"
        if Level.parse(one["level"]) < Level.parse(plain["level"]):
            yield f"modules[{index}]: {quote(one['name'])} claims {one['level']}, below the profile's {plain['level']}"
