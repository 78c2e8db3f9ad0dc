"""A recall as bytes: a signed list of modules that are withdrawn, in a file of its own (`format.statement_file`).

Whether its signatures mean anything is for `trust.recalls`.

Each version of a list replaces the one before and says all that is withdrawn. It expires, so that nobody can hide a
newer one for ever by showing the old one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import field
from datetime import datetime
from typing import Any

from modseal import limits
from modseal.errors import FormatError
from modseal.format import canonical_json, rooted, rules, statement_file
from modseal.format.rooted import TIME, VERSION
from modseal.format.shape import Array, Table, Text
from modseal.format.times import time_text
from modseal.values import dataclass, regex

SCHEMA = "modseal/recall@1"
MEMBER = "recall.json"
SUFFIX = ".recall"

NAME = Text(rules.MODULE_NAME, form=rules.MODULE_NAME_FORM, most=limits.NAME_LENGTH)
_LINE = Text(regex(r"[^\x00-\x1f\x7f]+"), form="printable text on one line", most=1000)
_MODULE = Table(
    {
        "vendor": Text(most=limits.NAME_LENGTH),
        "name": NAME,
        "reason": _LINE,
    },
    {
        "versions": Array(
            Table(
                {
                    "relation": Text(choices=rules.RELATIONS),
                    "version": Text(rules.VERSION, form=rules.VERSION_FORM, most=limits.NAME_LENGTH),
                }
            ),
            least=1,
            most=8,
            about="All of these hold for a version that is withdrawn; absent: every version.",
        ),
        "replacement": Text(
            regex(r"[^\x00-\x1f\x7f]+"), form="printable text on one line", most=1000, about="What to use instead."
        ),
    },
)
SHAPE = Table(
    {
        "schema": Text(choices=(SCHEMA,)),
        "name": NAME,
        "version": VERSION,
        "issued": TIME,
        "expires": TIME,
        "modules": Array(_MODULE, most=limits.ITEMS, about="Sorted by vendor and name."),
    },
    about="What a vendor or a site withdraws. Rules over several values stand in docs/depots.md.",
)


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Versions of one module that are withdrawn: those for which all of `versions` hold, or every one.

    `versions` are constraints without a name of their own: relation and version.
    """

    vendor: str
    name: str
    reason: str
    versions: tuple[tuple[str, str], ...] = ()
    replacement: str = ""


@dataclass(frozen=True, slots=True)
class Recall:
    """One version of a recall list, unproved. Times are aware, in UTC.

    `signed` and `signature` are the two raw members; a new version is made with both empty.
    """

    name: str
    version: int
    issued: datetime
    expires: datetime
    modules: tuple[Withdrawn, ...]
    signed: bytes = field(default=b"", repr=False)
    signature: bytes = field(default=b"", repr=False)

    @property
    def sha256(self) -> str:
        """What identifies this version, however often it is signed: the digest of its document."""
        return hashlib.sha256(self.signed).hexdigest()

    @property
    def subjects(self) -> tuple[tuple[str, str], ...]:
        """Vendor and name of each module that it speaks of."""
        return tuple(dict.fromkeys((one.vendor, one.name) for one in self.modules))


def invalid(detail: str, **evidence: str | int) -> FormatError:
    """The refusal of a recall."""
    return FormatError("recall-invalid", f"the recall cannot be used: {detail}", **evidence)


def declare(recall: Recall) -> bytes:
    """The bytes of `recall.json`: what is signed. Raises `FormatError` (recall-invalid)."""
    plain = {
        "schema": SCHEMA,
        "name": recall.name,
        "version": recall.version,
        "issued": time_text(recall.issued),
        "expires": time_text(recall.expires),
        "modules": [_plain(one) for one in sorted(recall.modules, key=_order)],
    }
    rooted.require(plain, SHAPE, invalid, _problems)
    return canonical_json.dump(plain)


def encode(recall: Recall) -> bytes:
    """The whole file. Raises `FormatError` (recall-invalid)."""
    data = statement_file.encode(MEMBER, recall.signed or declare(recall), recall.signature)
    decode(data)
    return data


def decode(data: bytes) -> Recall:
    """A recall from its bytes, unproved. Raises `FormatError` (recall-invalid)."""
    signed, signature = statement_file.decode(data, MEMBER, limits.RECALL_SIZE, invalid)
    plain = rooted.load(signed, MEMBER, SHAPE, invalid, _problems)
    return Recall(
        name=plain["name"],
        version=plain["version"],
        issued=rooted.parse_time(plain["issued"], invalid),
        expires=rooted.parse_time(plain["expires"], invalid),
        modules=tuple(map(_read, plain["modules"])),
        signed=signed,
        signature=signature,
    )


def _plain(one: Withdrawn) -> dict[str, Any]:
    found: dict[str, Any] = {"vendor": one.vendor, "name": one.name, "reason": one.reason}
    if one.versions:
        found["versions"] = [{"relation": relation, "version": version} for relation, version in one.versions]
    if one.replacement:
        found["replacement"] = one.replacement
    return found


def _read(plain: dict[str, Any]) -> Withdrawn:
    versions = tuple((one["relation"], one["version"]) for one in plain.get("versions", ()))
    return Withdrawn(plain["vendor"], plain["name"], plain["reason"], versions, plain.get("replacement", ""))


def _order(one: Withdrawn) -> tuple[str, str, tuple[tuple[str, str], ...], str]:
    return one.vendor, one.name, one.versions, one.reason


def _problems(plain: dict[str, Any]) -> Iterator[str]:
    yield from rooted.problems(plain, invalid)
    found = [_order(_read(one)) for one in plain["modules"]]
    if found != sorted(set(found)):
        yield "modules: must be sorted by vendor, name and versions, each once"
    for one in plain["modules"]:
        for failure in rules.check_line("vendor", one["vendor"]):
            yield failure.detail
