"""`depot.json`, the index of a signed depot: bytes to values and back (docs/depots.md).

It lists every bundle by digest, with what a solver needs of its manifest, so that a large depot is read without opening
one. It is canonical JSON; whoever signs it signs these bytes. What it says is unproved: `depot.proved` proves it.

The files of a depot, by their paths in it:

    depot.json                  the index
    signatures/SHA256.pkcs7     CMS blocks over the raw bytes of the index with this digest
    rotations/VERSION.json      an earlier index, which the signers before and after it have signed
    bundles/...  recalls/...  profiles/...    what the index lists

A signature has the digest of what it signs in its name. So a new index takes the place of the old one by one rename,
and at every moment the index that is there has its signature.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from modseal import limits
from modseal.errors import FormatError
from modseal.format import canonical_json, rooted, rules
from modseal.format.level import Level
from modseal.format.manifest import Constraint, Kind, Manifest, Platform, Relationships
from modseal.format.recall import NAME
from modseal.format.rooted import HEX, ROOT, TIME, VERSION, Root
from modseal.format.shape import Array, Integer, Table, Text, quote
from modseal.format.times import time_text
from modseal.format.vib_rules import TYPES
from modseal.values import dataclass

SCHEMA = "modseal/depot@1"
INDEX = "depot.json"

_PATH = Text(most=limits.PATH_LENGTH, about="Where it is in the depot.")
_VERSION = Text(rules.VERSION, form=rules.VERSION_FORM, most=limits.NAME_LENGTH)
_CONSTRAINTS = Array(
    Table({"name": NAME}, {"relation": Text(choices=rules.RELATIONS), "version": _VERSION}), least=1, most=limits.ITEMS
)
_RELATIONSHIPS: Mapping[str, str] = {
    "depends": "depends",
    "conflicts": "conflicts",
    "replaces": "replaces",
    "provides": "provides",
    "compatible-with": "compatible_with",
}
_BUNDLE = Table(
    {
        "path": _PATH,
        "kind": Text(choices=("seal", "vib")),
        "size": Integer(1, limits.REMOTE_SIZE),
        "sha256": HEX,
        "vendor": Text(most=limits.NAME_LENGTH),
        "name": NAME,
        "version": _VERSION,
        "level": Text(choices=[str(level) for level in sorted(Level, reverse=True)], about="Claimed, as the rest is."),
    },
    {
        "type": Text(choices=TYPES, about="Of a .vib."),
        "summary": Text(),
        **dict.fromkeys(_RELATIONSHIPS, _CONSTRAINTS),
        "platforms": Array(
            Table({"version": Text(least=0, most=64), "product": Text(least=0, most=64)}, {"locale": Text(most=64)}),
            least=1,
            most=limits.ITEMS,
        ),
    },
    about="One bundle, and what its manifest claims.",
)
_RECALL = Table(
    {"path": _PATH, "name": NAME, "version": VERSION, "size": Integer(1, limits.RECALL_SIZE), "sha256": HEX}
)
_PROFILE = Table(
    {"path": _PATH, "name": NAME, "version": VERSION, "size": Integer(1, limits.PROFILE_SIZE), "sha256": HEX}
)
SHAPE = Table(
    {
        "schema": Text(choices=(SCHEMA,)),
        "name": NAME,
        "version": VERSION,
        "issued": TIME,
        "expires": TIME,
        "root": ROOT,
        "bundles": Array(_BUNDLE, most=limits.DEPOT_BUNDLES, about="Sorted by path."),
    },
    {
        "recalls": Array(_RECALL, least=1, most=limits.RECALLS, about="Sorted by path."),
        "profiles": Array(_PROFILE, least=1, most=limits.DEPOT_PROFILES, about="Image profiles, sorted by path."),
        "previous-root": Table({**ROOT.fields}, about="The root before, where it changes with this version."),
        "rotations": Array(
            Table({"version": VERSION, "sha256": HEX}),
            least=1,
            most=limits.DEPOT_ROTATIONS,
            about="Earlier indexes with which the root changed, in order.",
        ),
    },
    about="The index of a depot. Rules over several values stand in docs/depots.md.",
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A bundle as an index lists it. `type` is that of a `.vib`, else empty; the rest is what its manifest claims."""

    path: str
    kind: Kind
    size: int
    sha256: str
    vendor: str
    name: str
    version: str
    level: Level
    type: str = ""
    summary: str = ""
    relationships: Relationships = field(default_factory=Relationships)
    platforms: tuple[Platform, ...] = ()

    @property
    def id(self) -> str:
        """As `Manifest.id`."""
        return "_".join((self.vendor, self.type or self.kind, self.name, self.version))


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """A recall or an image profile as an index lists it."""

    path: str
    name: str
    version: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class DepotIndex:
    """One version of a depot's index, unproved. `rotations` are versions and SHA-256 of earlier indexes.

    `signed` are the raw bytes, `signature` the signature member; a new version is made with both empty. Times are
    aware, in UTC.
    """

    name: str
    version: int
    issued: datetime
    expires: datetime
    root: Root
    bundles: tuple[Listed, ...]
    recalls: tuple[ListedDocument, ...] = ()
    rotations: tuple[tuple[int, str], ...] = ()
    previous_root: Root | None = None
    profiles: tuple[ListedDocument, ...] = ()
    signed: bytes = field(default=b"", repr=False)
    signature: bytes = field(default=b"", repr=False)

    @property
    def sha256(self) -> str:
        """What identifies this version, however often it is signed: the digest of its raw bytes."""
        return hashlib.sha256(self.signed).hexdigest()

    @property
    def subjects(self) -> tuple[tuple[str, str], ...]:
        """Vendor and name of each module that it speaks of."""
        return tuple(dict.fromkeys((one.vendor, one.name) for one in self.bundles))

    @property
    def files(self) -> dict[str, str]:
        """The SHA-256 of every other file of the depot but the signatures, by path."""
        rotated = {rotation_path(version): sha256 for version, sha256 in self.rotations}
        bundles = {one.path: one.sha256 for one in self.bundles}
        documents = {one.path: one.sha256 for one in (*self.recalls, *self.profiles)}
        return bundles | documents | rotated


def signature_path(sha256: str) -> str:
    """Where the signature over the index with this digest is."""
    return f"signatures/{sha256}.pkcs7"


def rotation_path(version: int) -> str:
    """Where an earlier index is."""
    return f"rotations/{version}.json"


def bundle_path(manifest: Manifest, sha256: str) -> str:
    """Where a bundle is put: a name of its own for each content, so that no file of a depot ever changes."""
    return f"bundles/{manifest.name}-{manifest.version}-{sha256[:16]}.{manifest.kind}"


def recall_path(name: str, version: int, sha256: str) -> str:
    """Where a recall is put."""
    return f"recalls/{name}-{version}-{sha256[:16]}.recall"


def profile_path(name: str, version: int, sha256: str) -> str:
    """Where an image profile is put."""
    return f"profiles/{name}-{version}-{sha256[:16]}.profile"


def listed(manifest: Manifest, path: str, size: int, sha256: str) -> Listed:
    """A bundle as an index has to list it."""
    vib = manifest.vib
    return Listed(
        path=path,
        kind=manifest.kind,
        size=size,
        sha256=sha256,
        vendor=manifest.vendor,
        name=manifest.name,
        version=manifest.version,
        level=manifest.claimed_level,
        type=vib.type if vib else "",
        summary=manifest.summary,
        relationships=manifest.relationships,
        platforms=vib.platforms if vib else (),
    )


def invalid(detail: str, **evidence: str | int) -> FormatError:
    """The refusal of an index."""
    return FormatError("index-invalid", f"the depot's index cannot be used: {detail}", **evidence)


def encode(index: DepotIndex) -> bytes:
    """The bytes of `depot.json`. Raises `FormatError` (index-invalid, bundle-conflict) where `decode` would."""
    plain: dict[str, Any] = {
        "schema": SCHEMA,
        "name": index.name,
        "version": index.version,
        "issued": time_text(index.issued),
        "expires": time_text(index.expires),
        "root": index.root.plain,
        "bundles": [_plain(one) for one in sorted(index.bundles, key=lambda one: one.path)],
    }
    for key, documents in (("recalls", index.recalls), ("profiles", index.profiles)):
        if documents:
            plain[key] = [
                {"path": one.path, "name": one.name, "version": one.version, "size": one.size, "sha256": one.sha256}
                for one in sorted(documents, key=lambda one: one.path)
            ]
    if index.previous_root:
        plain["previous-root"] = index.previous_root.plain
    if index.rotations:
        plain["rotations"] = [{"version": version, "sha256": sha256} for version, sha256 in index.rotations]
    rooted.require(plain, SHAPE, invalid, _problems)
    _require_one_content(index.bundles)
    data = canonical_json.dump(plain)
    if len(data) > limits.DEPOT_INDEX_SIZE:
        raise invalid(f"it is over {limits.DEPOT_INDEX_SIZE} bytes")
    return data


def decode(data: bytes, signature: bytes = b"") -> DepotIndex:
    """An index from its bytes, unproved. Raises `FormatError` (index-invalid, bundle-conflict)."""
    if len(data) > limits.DEPOT_INDEX_SIZE:
        raise invalid(f"it is over {limits.DEPOT_INDEX_SIZE} bytes")
    plain = rooted.load(data, INDEX, SHAPE, invalid, _problems)
    bundles = tuple(map(_read, plain["bundles"]))
    _require_one_content(bundles)
    return DepotIndex(
        name=plain["name"],
        version=plain["version"],
        issued=rooted.parse_time(plain["issued"], invalid),
        expires=rooted.parse_time(plain["expires"], invalid),
        root=rooted.read_root(plain["root"]),
        bundles=bundles,
        recalls=tuple(ListedDocument(**one) for one in plain.get("recalls", ())),
        rotations=tuple((one["version"], one["sha256"]) for one in plain.get("rotations", ())),
        previous_root=rooted.read_root(plain["previous-root"]) if "previous-root" in plain else None,
        profiles=tuple(ListedDocument(**one) for one in plain.get("profiles", ())),
        signed=data,
        signature=signature,
    )


def _require_one_content(bundles: Iterable[Listed]) -> None:
    rules.require(next(rules.check_contents((one.id, one.sha256) for one in bundles), None))


def _problems(plain: dict[str, Any]) -> Iterator[str]:
    yield from rooted.problems(plain, invalid)
    paths: list[str] = []
    for key in ("bundles", "recalls", "profiles"):
        found = [one["path"] for one in plain.get(key, ())]
        if found != sorted(set(found)):
            yield f"{key}: must be sorted by path, each once"
        for path in found:
            failure = rules.check_path(path)
            if failure:
                yield failure.detail
            if not path.startswith(f"{key}/"):
                yield f"{key}: {quote(path)} is not below {key}/"
        paths += found
    if len({rules.fold(path) for path in paths}) < len(paths):
        yield "bundles: two paths differ by case alone"
    versions = [one["version"] for one in plain.get("rotations", ())]
    if versions != sorted(set(versions)) or any(version >= plain["version"] for version in versions):
        yield "rotations: must be in ascending order, each older than the index"
    names = [one["name"] for one in plain.get("recalls", ())]
    if len(set(names)) < len(names):
        yield "recalls: two recalls have one name; the newer one replaces the older"
    versions_of = [(one["name"], one["version"]) for one in plain.get("profiles", ())]
    if len(set(versions_of)) < len(versions_of):
        yield "profiles: two profiles have one name and version"
    for index, one in enumerate(plain["bundles"]):
        yield from (f"bundles[{index}]: {text}" for text in _bundle_problems(one))


def _bundle_problems(plain: dict[str, Any]) -> Iterator[str]:
    if ("type" in plain) != (plain["kind"] == "vib"):
        yield "type: belongs to a .vib"
    for failure in rules.check_line("vendor", plain["vendor"]):
        yield failure.detail
    for key in _RELATIONSHIPS:
        for constraint in plain.get(key, ()):
            for failure in rules.check_constraint(key, _constraint(key, constraint)):
                yield failure.detail


# Values to plain data and back. A key whose value is empty is absent.


def _plain(one: Listed) -> dict[str, Any]:
    found: dict[str, Any] = {
        "path": one.path,
        "kind": one.kind,
        "size": one.size,
        "sha256": one.sha256,
        "vendor": one.vendor,
        "name": one.name,
        "version": one.version,
        "level": str(one.level),
        "type": one.type,
        "summary": one.summary,
        "platforms": [_platform(platform) for platform in one.platforms],
    }
    for key, attribute in _RELATIONSHIPS.items():
        constraints = getattr(one.relationships, attribute)
        found[key] = [_plain_constraint(key, constraint) for constraint in constraints]
    return {key: value for key, value in found.items() if value not in ("", [])}


def _platform(platform: Platform) -> dict[str, str]:
    found = {"version": platform.version, "product": platform.product}
    return found | ({"locale": platform.locale} if platform.locale else {})


def _plain_constraint(key: str, constraint: Constraint) -> dict[str, str]:
    relation = None if key == "provides" else constraint.relation
    values = {"name": constraint.name, "relation": relation, "version": constraint.version}
    return {name: value for name, value in values.items() if value is not None}


def _constraint(key: str, plain: dict[str, str]) -> Constraint:
    relation = "=" if key == "provides" and "version" in plain else plain.get("relation")
    return Constraint(plain["name"], relation, plain.get("version"))


def _read(plain: dict[str, Any]) -> Listed:
    lists = {
        attribute: tuple(_constraint(key, one) for one in plain.get(key, ()))
        for key, attribute in _RELATIONSHIPS.items()
    }
    return Listed(
        path=plain["path"],
        kind=plain["kind"],
        size=plain["size"],
        sha256=plain["sha256"],
        vendor=plain["vendor"],
        name=plain["name"],
        version=plain["version"],
        level=Level.parse(plain["level"]),
        type=plain.get("type", ""),
        summary=plain.get("summary", ""),
        relationships=Relationships(**lists),
        platforms=tuple(
            Platform(one["version"], one["product"], one.get("locale", "")) for one in plain.get("platforms", ())
        ),
    )
