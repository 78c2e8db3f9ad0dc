"""`manifest.json`, the manifest of a `.seal`: bytes to values and back.

The encoding is `canonical_json`, and each manifest has exactly one: a key whose value is empty is
absent, and `decode` refuses any bytes that `encode` would not write. So duplicate keys, other escapes,
floats, byte order marks and the like need no rule each.

What a manifest says:

* Payloads in the order of the archive, each with the SHA-256 of every `limits.CHUNK_SIZE` bytes (the
  last chunk is shorter), its unpacked size, and the one modification time of all its entries.
* Files in the order of their payloads, and within a payload strictly ascending by `rules.sort_key`. A path
  is declared once in the whole module. Parent directories need not be declared: what installs a module makes
  them with mode 0755. A declared directory has its mode; a symbolic link has none (it is 0777).
* Set-user-id, set-group-id and sticky bits are what the mode says: declared and signed like any other.
* Attachments in the order of the archive, after the payloads.
* Expected signers: public keys that must all have signed, so that a stripped signature is seen.

A module without payloads has no files: it only relates other modules.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from modseal import limits
from modseal.errors import Failure, FormatError
from modseal.format import canonical_json, rules
from modseal.format.level import Level
from modseal.format.manifest import (
    MANIFEST_MEMBER,
    Attachment,
    Constraint,
    Entry,
    FileType,
    Manifest,
    Payload,
    Relationships,
)
from modseal.format.shape import Array, Integer, Table, Text, Variant, quote
from modseal.values import regex

MEMBER = MANIFEST_MEMBER["seal"]
SCHEMA = "modseal/manifest@1"
PAYLOAD_TYPES = ("tar+zstd", "tar+gzip")
LINK_MODE = 0o777
LATEST_TIME = 2**33 - 1
"""Seconds after 1970: eleven octal digits in the ustar header."""

_RELEASED = regex(r"(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z")
MEDIA_TYPE = regex(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")
"""RFC 6838, section 4.2, in lower case and a little shorter."""
MEDIA_TYPE_FORM = "a media type in lower case, without parameters"

_NAME = Text(rules.MODULE_NAME, form=rules.MODULE_NAME_FORM, most=limits.NAME_LENGTH)
_VERSION = Text(rules.VERSION, form=rules.VERSION_FORM, most=limits.NAME_LENGTH)
_MEMBER = Text(rules.MEMBER_NAME, form=rules.MEMBER_NAME_FORM, most=limits.MEMBER_NAME_LENGTH)
_SHA256 = Text(regex("[0-9a-f]{64}"), form="64 lower-case hexadecimal digits", most=64, least=64)
_MODE = Text(regex("[0-7]{4}"), form="4 octal digits", least=4, most=4)
_PATH = Text(most=limits.PATH_LENGTH, about="Relative to the root that the module is installed under.")

_CONSTRAINTS = Array(
    Table(
        {"name": _NAME},
        {"relation": Text(choices=rules.RELATIONS), "version": _VERSION},
        about="A relation comes with a version, and a version with a relation.",
    ),
    least=1,
)
_PROVIDED = Array(Table({"name": _NAME}, {"version": _VERSION}), least=1)
_PAYLOAD = Table(
    {
        "name": _MEMBER,
        "type": Text(choices=PAYLOAD_TYPES),
        "size": Integer(1, limits.MEMBER_SIZE, about="Bytes of the archive member."),
        "unpacked-size": Integer(0, limits.UNPACKED_SIZE, about="Bytes of the tar."),
        "chunk-size": Integer(limits.CHUNK_SIZE, limits.CHUNK_SIZE, about="Bytes of every chunk but the last."),
        "chunks": Array(_SHA256, least=1, most=-(-limits.MEMBER_SIZE // limits.CHUNK_SIZE), about="Their SHA-256."),
        "mtime": Integer(0, LATEST_TIME, about="Modification time of every entry, in seconds after 1970."),
    }
)
_ENTRY = Variant(
    "type",
    {
        "file": Table(
            {"path": _PATH, "mode": _MODE, "payload": _MEMBER, "size": Integer(0, limits.FILE_SIZE), "sha256": _SHA256}
        ),
        "directory": Table({"path": _PATH, "mode": _MODE, "payload": _MEMBER}),
        "symlink": Table({"path": _PATH, "payload": _MEMBER, "target": Text(most=limits.LINK_LENGTH)}),
    },
)
_ATTACHMENT = Table(
    {
        "name": _MEMBER,
        "media-type": Text(MEDIA_TYPE, form=MEDIA_TYPE_FORM, most=127),
        "size": Integer(0, limits.ATTACHMENT_SIZE),
        "sha256": _SHA256,
    }
)
SHAPE = Table(
    {
        "schema": Text(choices=(SCHEMA,)),
        "vendor": Text(most=limits.NAME_LENGTH),
        "name": _NAME,
        "version": _VERSION,
        "level": Text(
            choices=[str(level) for level in sorted(Level, reverse=True)],
            about="The claimed acceptance level: unproved until a signer's anchor grants it.",
        ),
    },
    {
        "summary": Text(),
        "description": Text(),
        "released": Text(_RELEASED, form="a time like 2026-01-31T12:00:00Z"),
        "depends": _CONSTRAINTS,
        "conflicts": _CONSTRAINTS,
        "replaces": _CONSTRAINTS,
        "provides": _PROVIDED,
        "payloads": Array(_PAYLOAD, least=1, most=limits.PAYLOADS, about="In the order of the archive."),
        "files": Array(_ENTRY, least=1, most=limits.FILES, about="Every path of every payload, in their order."),
        "attachments": Array(_ATTACHMENT, least=1, most=limits.ATTACHMENTS, about="In the order of the archive."),
        "expected-signers": Array(
            Text(rules.KEY_NAME, form=rules.KEY_NAME_FORM, most=75, least=75),
            least=1,
            most=limits.EXPECTED_SIGNERS,
            about="SHA-256 of the public keys that must all have signed, in ascending order.",
        ),
    },
    about="The signed metadata of a .seal bundle. Rules over several values stand in docs/format.md.",
)


def encode(manifest: Manifest) -> bytes:
    """The one encoding of a manifest.

    Raises `FormatError` for a manifest that `decode` would refuse, with the same code.
    """
    _require_sound(manifest)
    plain = _to_plain(manifest)
    if manifest.files:
        plain["files"] = list(plain["files"])
    _require_shape(plain)
    data = canonical_json.dump(plain)
    _require_size(data)
    return data


def decode(data: bytes) -> Manifest:
    """The manifest that some bytes encode.

    Raises `FormatError`: limit-exceeded; bad-manifest for anything that `encode` would not write; and the
    codes of `rules` for what the paths, modes and links of the files break.
    """
    _require_size(data)
    plain = canonical_json.load(data, MEMBER)
    _require_shape(plain)
    manifest = _from_plain(plain)
    # What has the shape of a manifest is also what is written for one: to the value, so here to the byte.
    canonical = canonical_json.is_canonical(data, plain)
    del plain  # of 50,000 files it takes 40 MiB, and what is written for comparison comes a file at a time
    _require_sound(manifest)
    if not canonical:
        canonical_json.require_canonical(data, _to_plain(manifest), MEMBER)
    return manifest


def check(manifest: Manifest) -> Iterator[Failure]:
    """All that is wrong with the manifest of a `.seal`, beyond the shape of each value."""
    if manifest.kind != "seal" or manifest.vib is not None or manifest.relationships.compatible_with:
        yield _bad("this is not the manifest of a .seal: it has fields that only a .vib has")
    yield from rules.check_module(manifest)
    if manifest.released and not _is_time(manifest.released):
        yield _bad(f"released is {quote(manifest.released)}, and must be a time like 2026-01-31T12:00:00Z")
    for payload in manifest.payloads:
        if payload.digests or payload.compression_option is not None or payload.unpacked_size is None:
            yield _bad(f"payload {payload.name!r} has fields of a .vib, or lacks its unpacked size")
        expected, present = -(-payload.size // limits.CHUNK_SIZE), len(payload.chunks)
        if present != expected:
            yield _bad(f"payload {payload.name!r} of {payload.size} bytes must have {expected} chunks, not {present}")
    yield from rules.check_expected_signers(manifest.expected_signers)
    yield from _check_files(manifest)


def _check_files(manifest: Manifest) -> Iterator[Failure]:
    """Each entry belongs to a payload, has the fields of its type, and they are in the one order."""
    order = {payload.name: index for index, payload in enumerate(manifest.payloads)}
    last = (-1, b"")
    for entry in manifest.files:
        index = order.get(entry.payload or "")
        if index is None:
            yield _bad(f"{quote(entry.path)} is in payload {entry.payload!r}, which is not declared")
            return
        if not _has_fields_of_its_type(entry):
            yield _bad(f"{quote(entry.path)} has not exactly the fields of a {entry.type}")
        key = (index, rules.sort_key(entry.path))
        if key <= last:
            yield _bad(f"{quote(entry.path)} is out of order: files are sorted by payload, then by path")
        last = key


def _has_fields_of_its_type(entry: Entry) -> bool:
    has_content = entry.size is not None and entry.sha256 is not None and entry.target is None
    has_none = entry.size is None and entry.sha256 is None
    if entry.type is FileType.FILE:
        return has_content and entry.mode is not None
    if entry.type is FileType.DIRECTORY:
        return has_none and entry.mode is not None and entry.target is None
    return entry.type is FileType.SYMLINK and has_none and entry.mode == LINK_MODE and entry.target is not None


def _is_time(text: str) -> bool:
    """A day that the calendar has, and a time of it; no leap second, which most clocks do not have."""
    from datetime import datetime

    try:
        return bool(_RELEASED.fullmatch(text) and datetime.fromisoformat(text))
    except ValueError:
        return False


def _require_size(data: bytes) -> None:
    if len(data) > limits.MANIFEST_SIZE:
        raise FormatError("limit-exceeded", f"{MEMBER} has {len(data)} bytes, over the limit of {limits.MANIFEST_SIZE}")


def _require_shape(plain: object) -> None:
    problems = SHAPE.problems(plain)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise canonical_json.bad(MEMBER, f"{problems[0]}{more}")


def _require_sound(manifest: Manifest) -> None:
    rules.require(next(check(manifest), None))


def _bad(detail: str) -> Failure:
    return Failure("bad-manifest", detail)


def _to_plain(manifest: Manifest) -> dict[str, Any]:
    """What is written; its files come one at a time."""
    related = manifest.relationships
    optional = {
        "summary": manifest.summary,
        "description": manifest.description,
        "released": manifest.released,
        "depends": [_constraint_to_plain(constraint) for constraint in related.depends],
        "conflicts": [_constraint_to_plain(constraint) for constraint in related.conflicts],
        "replaces": [_constraint_to_plain(constraint) for constraint in related.replaces],
        "provides": [_without_none(name=provided.name, version=provided.version) for provided in related.provides],
        "payloads": [_payload_to_plain(payload) for payload in manifest.payloads],
        "files": map(_entry_to_plain, manifest.files) if manifest.files else (),
        "attachments": [
            {
                "name": attachment.name,
                "media-type": attachment.media_type,
                "size": attachment.size,
                "sha256": attachment.sha256.hex(),
            }
            for attachment in manifest.attachments
        ],
        "expected-signers": list(manifest.expected_signers),
    }
    return {
        "schema": SCHEMA,
        "vendor": manifest.vendor,
        "name": manifest.name,
        "version": manifest.version,
        "level": str(manifest.claimed_level),
        **{key: value for key, value in optional.items() if value},
    }


def _constraint_to_plain(constraint: Constraint) -> dict[str, Any]:
    return _without_none(name=constraint.name, relation=constraint.relation, version=constraint.version)


def _payload_to_plain(payload: Payload) -> dict[str, Any]:
    return {
        "name": payload.name,
        "type": payload.type,
        "size": payload.size,
        "unpacked-size": payload.unpacked_size,
        "chunk-size": limits.CHUNK_SIZE,
        "chunks": [chunk.hex() for chunk in payload.chunks],
        "mtime": payload.mtime,
    }


def _entry_to_plain(entry: Entry) -> dict[str, Any]:
    plain: dict[str, Any] = {"path": entry.path, "payload": entry.payload, "type": str(entry.type)}
    if entry.target is not None:
        plain["target"] = entry.target
        return plain
    plain["mode"] = f"{entry.mode:04o}"
    if entry.sha256 is not None:
        plain["sha256"] = entry.sha256.hex()
        plain["size"] = entry.size
    return plain


def _without_none(**values: str | None) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _from_plain(plain: dict[str, Any]) -> Manifest:
    return Manifest(
        kind="seal",
        vendor=plain["vendor"],
        name=plain["name"],
        version=plain["version"],
        claimed_level=Level.parse(plain["level"]),
        summary=plain.get("summary", ""),
        description=plain.get("description", ""),
        released=plain.get("released", ""),
        relationships=Relationships(
            depends=_constraints(plain, "depends"),
            conflicts=_constraints(plain, "conflicts"),
            replaces=_constraints(plain, "replaces"),
            provides=tuple(
                Constraint(item["name"], "=" if "version" in item else None, item.get("version"))
                for item in plain.get("provides", ())
            ),
        ),
        payloads=tuple(
            Payload(
                item["name"],
                item["type"],
                item["size"],
                item["unpacked-size"],
                tuple(map(bytes.fromhex, item["chunks"])),
                item["mtime"],
            )
            for item in plain.get("payloads", ())
        ),
        files=tuple(map(_entry_from_plain, plain.get("files", ()))),
        attachments=tuple(
            Attachment(item["name"], item["media-type"], item["size"], bytes.fromhex(item["sha256"]))
            for item in plain.get("attachments", ())
        ),
        expected_signers=tuple(plain.get("expected-signers", ())),
    )


def _constraints(plain: dict[str, Any], key: str) -> tuple[Constraint, ...]:
    if key not in plain:
        return ()
    return tuple(Constraint(item["name"], item.get("relation"), item.get("version")) for item in plain[key])


def _entry_from_plain(item: dict[str, Any]) -> Entry:
    if item["type"] == "file":
        return Entry(
            item["path"],
            FileType.FILE,
            int(item["mode"], 8),
            item["size"],
            bytes.fromhex(item["sha256"]),
            None,
            item["payload"],
        )
    if item["type"] == "directory":
        return Entry(item["path"], FileType.DIRECTORY, int(item["mode"], 8), payload=item["payload"])
    return Entry(item["path"], FileType.SYMLINK, LINK_MODE, target=item["target"], payload=item["payload"])
