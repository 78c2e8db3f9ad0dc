"""What a `module.toml` may say: the closed shape that the reader checks and the JSON Schema is made from.

An unknown key is an error, because a misspelt rule is a rule that does not hold. What one value alone
cannot tell (a link between two keys, a file that is not there) is checked in `spec` and `plan`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

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


class SpecTime(Shape):
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

    def json_schema(self) -> dict[str, Any]:
        """See `Shape.json_schema`."""
        return {"type": "string", "pattern": f"^(?:{TIME.pattern})$"}


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


def _name(about: str) -> Text:
    return Text(rules.MODULE_NAME, form=rules.MODULE_NAME_FORM, most=limits.NAME_LENGTH, about=about)


def _version(about: str) -> Text:
    return Text(rules.VERSION, form=rules.VERSION_FORM, most=limits.NAME_LENGTH, about=about)


def _line(about: str = "") -> Text:
    return Text(most=limits.NAME_LENGTH, about=about)


_FILE = Text(most=_LONGEST_FILE_NAME, about="A file, relative to this spec.")
_MODULE_PATH = Text(most=limits.PATH_LENGTH, about="A path in the module: relative, without a slash in front.")
_MODE = Text(
    re.compile("[0-7]{4}"),
    form="4 octal digits like '0755'",
    least=4,
    most=4,
    about="The path's mode. Without one: 0755 where the owner may execute the file, else 0644.",
)


def _member(about: str) -> Text:
    return Text(rules.MEMBER_NAME, form=rules.MEMBER_NAME_FORM, most=limits.MEMBER_NAME_LENGTH, about=about)


def _constraints(about: str) -> Array:
    return Array(
        Table(
            {"name": _name("The other module, or something that modules provide.")},
            {
                "relation": Text(
                    choices=rules.RELATIONS, about="How its version compares; << and >> are before and after."
                ),
                "version": _version("The version that it is compared with."),
            },
            about="A relation comes with a version, and a version with a relation.",
        ),
        about=about,
    )


_PROVIDED = Array(
    Table(
        {"name": _name("The name that others can depend on.")},
        {
            "relation": Text(choices=("=",), about="Always =, and so by default where there is a version."),
            "version": _version("The version that is provided."),
        },
    ),
    about="What the module provides besides itself, under other names.",
)
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
        "media-type": Text(
            manifest_json.MEDIA_TYPE,
            form=manifest_json.MEDIA_TYPE_FORM,
            most=127,
            about="What it is. An SBOM or provenance is checked to be one.",
        ),
    },
    about="A document that is shipped and signed with the module.",
)
_COMPONENT = Table(
    {"name": _line("The component, such as a library.")},
    {
        "version": _line("Its version."),
        "purl": Text(
            re.compile("pkg:[!-~]+"),
            form="a package URL like pkg:generic/zlib@1.3.1",
            most=1024,
            about="Its package URL.",
        ),
        "license": Text(most=limits.NAME_LENGTH, about="An SPDX identifier or expression, or another name."),
    },
)
_PLATFORM = Table(
    {"version": _line("The host's version, or a pattern of it.")},
    {
        "product": _line("The host's product; embeddedEsx by default."),
        "locale": Text(least=0, most=limits.NAME_LENGTH, about="The host's locale; empty by default, which is any."),
    },
)
_VIB = Table(
    {},
    {
        "type": Text(choices=vib_rules.TYPES, about="Where the host keeps it; bootbank by default."),
        "urls": TextMap(_line(), Text(), about="Kind (such as kb or website) to URL."),
        "tags": Array(_line(), about="Words that the host shows."),
        "maintenance-mode": Boolean(
            about="The host must be in maintenance mode for an installation; false by default."
        ),
        "platforms": Array(_PLATFORM, about="Host versions, such as 8.*; product is embeddedEsx by default."),
        "live-install-allowed": Boolean(about="It can be installed without a reboot; false by default."),
        "live-remove-allowed": Boolean(about="It can be removed without a reboot; false by default."),
        "cimom-restart": Boolean(about="The CIM broker is restarted after an installation; false by default."),
        "stateless-ready": Boolean(about="It works on hosts that boot from the network; true by default."),
        "overlay": Boolean(about="It may have files that another module has; false by default."),
    },
    about="What only a .vib says.",
)
SHAPE = Table(
    {
        "schema": Text(choices=(SCHEMA,), about="The form of this file."),
        "vendor": _line("Who answers for the module. A policy may trust a signer for certain vendors only."),
        "name": _name("What the module is called, in policies and on hosts."),
        "version": _version("Every release has one of its own."),
    },
    {
        "level": Text(
            choices=(*map(str, sorted(Level, reverse=True)), *_ESXCLI_LEVELS),
            about="The claimed acceptance level, community by default.",
        ),
        "summary": Text(least=0, about="What it does, in one line."),
        "description": Text(least=0, about="What it does, in full."),
        "released": SpecTime(about="When it was released (UTC); SOURCE_DATE_EPOCH by default."),
        "payload": Array(_PAYLOAD, most=limits.PAYLOADS, about="The trees that are packed, in the archive's order."),
        "exclude": Array(
            Text(most=limits.PATH_LENGTH),
            about="Shell-style patterns of what lies in this spec's folder and is not shipped, as in a payload: "
            "of other files there that nothing packs, `modseal pack` warns.",
        ),
        "file": Array(_FILE_ENTRY, most=limits.FILES, about="Single files, and modes of paths."),
        "depends": _constraints("What must be on the host, too."),
        "conflicts": _constraints("What must not be on the host together with it."),
        "replaces": _constraints("What it takes the place of."),
        "provides": _PROVIDED,
        "attachment": Array(_ATTACHMENT, most=limits.ATTACHMENTS, about="Documents beside the files. In a .seal only."),
        "component": Array(_COMPONENT, about="What was built into the files, for the SBOM."),
        "attestations": Table(
            {},
            {"sbom": Boolean(about="Embed an SBOM, as `modseal pack --sbom` does.")},
            about="What is made from the packed files, and embedded.",
        ),
        "expected-signers": Array(
            Text(rules.KEY_NAME, form=rules.KEY_NAME_FORM, least=75, most=75),
            most=limits.EXPECTED_SIGNERS,
            about="Public keys that must all have signed (`modseal sign --list` shows them). In a .seal only.",
        ),
        "vib": _VIB,
    },
    about="A module to pack: module.toml, as `modseal pack` reads it.",
)
