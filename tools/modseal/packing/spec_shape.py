"""What a `module.toml` may say: the closed shape that the reader checks and the JSON Schema is made from.

An unknown key is an error, because a misspelt rule is a rule that does not hold. What one value alone
cannot tell (a link between two keys, a file that is not there) is checked in `spec` and `plan`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from modseal import limits
from modseal.format import manifest_json, payload, rules, vib_rules
from modseal.format.level import Level
from modseal.format.shape import (
    Array,
    Boolean,
    Problems,
    Shape,
    Table,
    Text,
    TextMap,
    Trail,
    kind,
    quote,
)

SCHEMA = "modseal/module@1"
DEFAULT_PAYLOAD = "payload1"
PAYLOAD_TYPES = (*payload.SEAL_TYPES, *payload.VIB_TYPES)

TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_TIME_FORM = "a time like 2026-01-31T12:00:00Z"
_ESXCLI_LEVELS = ("VMwareCertified", "VMwareAccepted", "PartnerSupported", "CommunitySupported")
_LONGEST_FILE_NAME = 4096


class Time(Shape):
    """A TOML time with an offset, or a text like `2026-01-31T12:00:00Z`; whole seconds."""

    def __init__(self, *, about: str = "") -> None:
        self.about = about

    def check(self, value: object, trail: Trail, found: Problems) -> None:
        """See `Shape.check`."""
        if isinstance(value, datetime):
            if value.tzinfo is None or value.microsecond or not _has_utc(value):
                found.add(trail, f"must have an offset from UTC (or Z) and whole seconds, as in {_TIME_FORM}")
        elif type(value) is not str:
            found.add(trail, f"must be {_TIME_FORM}, not {kind(value)}")
        elif not _is_time(value):
            found.add(trail, f"is {quote(value)}, and must be {_TIME_FORM}")


def _has_utc(value: datetime) -> bool:
    """Whether a time with an offset is within the years 1 to 9999 in UTC too."""
    try:
        value.astimezone(UTC)
    except OverflowError:
        return False
    return True


def _is_time(text: str) -> bool:
    try:
        return bool(TIME.fullmatch(text) and datetime.fromisoformat(text))
    except ValueError:
        return False


_NAME = Text(rules.MODULE_NAME, form=rules.MODULE_NAME_FORM, most=limits.NAME_LENGTH)
_VERSION = Text(rules.VERSION, form=rules.VERSION_FORM, most=limits.NAME_LENGTH)
_LINE = Text(most=limits.NAME_LENGTH)
_FILE = Text(most=_LONGEST_FILE_NAME, about="A file, relative to this spec.")
_MODULE_PATH = Text(most=limits.PATH_LENGTH, about="A path in the module: relative, without a slash in front.")
_MODE = Text(re.compile("[0-7]{4}"), form="4 octal digits like '0755'", least=4, most=4)


def _member(about: str) -> Text:
    return Text(rules.MEMBER_NAME, form=rules.MEMBER_NAME_FORM, most=limits.MEMBER_NAME_LENGTH, about=about)


_CONSTRAINTS = Array(
    Table(
        {"name": _NAME},
        {"relation": Text(choices=rules.RELATIONS), "version": _VERSION},
        about="A relation comes with a version, and a version with a relation.",
    )
)
_PROVIDED = Array(Table({"name": _NAME}, {"relation": Text(choices=("=",)), "version": _VERSION}))
_PAYLOAD = Table(
    {},
    {
        "name": _member(f"The archive member; {DEFAULT_PAYLOAD} by default."),
        "root": Text(most=_LONGEST_FILE_NAME, about="The folder whose tree is packed, relative to this spec."),
        "prefix": Text(most=limits.PATH_LENGTH, about="A path that is put in front of every path of the tree."),
        "type": Text(
            choices=PAYLOAD_TYPES,
            about="tar+zstd (.seal) and vgz (.vib) by default; a type of the other format means its counterpart.",
        ),
        "exclude": Array(
            Text(most=limits.PATH_LENGTH),
            about="Shell-style patterns of what is left out: with a slash for the path below root, "
            "without one for a name at any depth.",
        ),
    },
)
_FILE_ENTRY = Table(
    {"path": _MODULE_PATH},
    {
        "mode": _MODE,
        "source": _FILE,
        "payload": _member("The payload that a file with a source goes to; the first by default."),
    },
    about="Gives a path its mode, or adds a single file from a source.",
)
_ATTACHMENT = Table(
    {
        "name": _member("The archive member."),
        "file": _FILE,
        "media-type": Text(manifest_json.MEDIA_TYPE, form=manifest_json.MEDIA_TYPE_FORM, most=127),
    }
)
_COMPONENT = Table(
    {"name": _LINE},
    {
        "version": _LINE,
        "purl": Text(re.compile("pkg:[!-~]+"), form="a package URL like pkg:generic/zlib@1.3.1", most=1024),
        "license": Text(most=limits.NAME_LENGTH, about="An SPDX identifier or expression, or another name."),
    },
)
_PLATFORM = Table({"version": _LINE}, {"product": _LINE, "locale": Text(least=0, most=limits.NAME_LENGTH)})
_VIB = Table(
    {},
    {
        "type": Text(choices=vib_rules.TYPES),
        "urls": TextMap(_LINE, Text(), about="Kind (such as kb or website) to URL."),
        "tags": Array(_LINE),
        "maintenance-mode": Boolean(about="The host must be in maintenance mode for an installation."),
        "platforms": Array(_PLATFORM, about="Host versions, such as 8.*; product is embeddedEsx by default."),
        "live-install-allowed": Boolean(),
        "live-remove-allowed": Boolean(),
        "cimom-restart": Boolean(),
        "stateless-ready": Boolean(),
        "overlay": Boolean(),
    },
    about="What only a .vib says.",
)
SHAPE = Table(
    {
        "schema": Text(choices=(SCHEMA,)),
        "vendor": _LINE,
        "name": _NAME,
        "version": _VERSION,
    },
    {
        "level": Text(
            choices=(*map(str, sorted(Level, reverse=True)), *_ESXCLI_LEVELS),
            about="The claimed acceptance level, community by default.",
        ),
        "summary": Text(least=0),
        "description": Text(least=0),
        "released": Time(about="SOURCE_DATE_EPOCH by default."),
        "payload": Array(_PAYLOAD, most=limits.PAYLOADS, about="In the order of the archive."),
        "file": Array(_FILE_ENTRY, most=limits.FILES),
        "depends": _CONSTRAINTS,
        "conflicts": _CONSTRAINTS,
        "replaces": _CONSTRAINTS,
        "provides": _PROVIDED,
        "attachment": Array(_ATTACHMENT, most=limits.ATTACHMENTS, about="In a .seal only."),
        "component": Array(_COMPONENT, about="What was built into the files, for the SBOM."),
        "attestations": Table({}, {"sbom": Boolean(about="Embed an SBOM, as `modseal pack --sbom` does.")}),
        "expected-signers": Array(
            Text(rules.KEY_NAME, form=rules.KEY_NAME_FORM, least=75, most=75),
            most=limits.EXPECTED_SIGNERS,
            about="Public keys that must all have signed (`modseal sign --list` shows them). In a .seal only.",
        ),
        "vib": _VIB,
    },
    about="A module to pack: module.toml, as `modseal pack` reads it.",
)
