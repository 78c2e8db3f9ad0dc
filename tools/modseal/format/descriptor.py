"""`descriptor.xml`, the manifest of a `.vib`: bytes to values and back (docs/vib.md, section 2).

`decode` reads every form that genuine files have, and no other: either style of empty elements,
attributes in any order, white space between elements, and the one comment that TGZ2VIB5 leaves in
`<vib>`. Nothing about the bytes is normalised for verification: the signature is over them as they came.

`encode` writes VMware's newest form (ESXi 9.0): one line without declaration or final newline, `<urls />`,
attributes in alphabetical order, and the checksums in VMware's order, which both old and new hosts accept.

The descriptor of a stage folder, from which a `.vib` is still to be made, is for `stage_descriptor`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from modseal import limits
from modseal.errors import Failure, FormatError
from modseal.format import rules, vib_rules
from modseal.format.level import Level
from modseal.format.manifest import (
    Constraint,
    Digest,
    Entry,
    FileType,
    Manifest,
    Payload,
    Platform,
    Relationships,
    VibFields,
)
from modseal.format.shape import quote, suggestion
from modseal.format.strict_xml import Node, Unknown, parse
from modseal.format.vib_grammar import COMMENTS_IN_DESCRIPTOR, DESCRIPTOR
from modseal.format.vib_rules import CHECKSUMS, LENGTHS, TYPES
from modseal.format.xml_text import escape, quoted
from modseal.values import regex

VERSION = "5.0"
"""The descriptor version of every genuine file that has one, from 2011 to ESXi 9.0."""

_DIGESTS = {attributes: key for key, attributes in CHECKSUMS.items()}
_LEVELS = {str(level): level for level in Level}
_BOOLEANS = {"false": False, "true": True}
CHOICES: Mapping[str, Mapping[str, object]] = {
    "acceptance-level": _LEVELS,
    **dict.fromkeys(
        (
            *("live-install-allowed", "live-remove-allowed", "cimom-restart", "stateless-ready", "overlay"),
            "maintenance-mode",
        ),
        _BOOLEANS,
    ),
}
"""The elements that say one of a few words."""

_NUMBER = regex(r"0|[1-9][0-9]{0,18}")
_HEX = regex(r"(?:[0-9a-f]{2})+")

_T = TypeVar("_T")


def decode(data: bytes) -> Manifest:
    """The manifest that a `descriptor.xml` says.

    Elements, attributes and a version of the format that modseal does not know are noted in `VibFields.unknown`: a
    verifier is then undecided, and `inspect` can show the rest.

    Raises `FormatError`: limit-exceeded; bad-manifest for what breaks a rule that is known; and the codes
    of `rules` for its paths. The detail names line and column.
    """
    unknown: list[Unknown] = []
    root = parse(data, DESCRIPTOR, comments_in=COMMENTS_IN_DESCRIPTOR, unknown=unknown)
    version = root.attributes.get("version", VERSION)
    if version != VERSION:
        unknown.insert(0, Unknown(f"version {quote(version)}", "vib", root.line, root.column + 1, "", attribute=True))
    return from_tree(root, tuple(map(_unknown, unknown)))


def _unknown(part: Unknown) -> Failure:
    """The failure for a part that modseal does not know, with its place and its text."""
    said = f", which says {quote(part.text)}" if part.text else ""
    return Failure(
        "unsupported-descriptor",
        f"line {part.line}, column {part.column}: modseal does not know {part}{said}",
        {
            "name": rules.shown(part.name),
            "holder": part.holder,
            "line": part.line,
            "column": part.column,
            "text": rules.shown(part.text),
        },
    )


def _unknown_checksums(root: Node) -> Iterator[Failure]:
    """Checksums of a kind that modseal does not know, which are taken out: others may bind the payload all the same."""
    for payload in children(root, "payloads"):
        for node in [node for node in payload.children if _kind(node) not in _DIGESTS]:
            payload.children.remove(node)
            kind, process = _kind(node)
            of = "" if process is None else f" with verify-process {quote(process)}"
            name = f"checksum-type {quote(kind)}{of}"
            yield _unknown(Unknown(name, "checksum", node.line, node.column + 1, node.text, attribute=True))


def _kind(node: Node) -> tuple[str, str | None]:
    """Of which kind a checksum is, and of what."""
    return node.attributes["checksum-type"], node.attributes.get("verify-process")


def from_tree(root: Node, unknown: tuple[Failure, ...] = ()) -> Manifest:
    """The manifest that a parsed document says, which has all that `DESCRIPTOR` has. Raises as `decode` does."""
    unknown += tuple(_unknown_checksums(root))
    manifest = read_manifest(
        root,
        tuple(map(_read_payload, children(root, "payloads"))),
        tuple([Entry(node.text) for node in children(root, "file-list")]),
        unknown,
    )
    for failure in vib_rules.check(manifest):
        raise located(failure, root)
    return manifest


def encode(manifest: Manifest, *, checksums_as_given: bool = False) -> bytes:
    """The `descriptor.xml` of a manifest, in VMware's newest form.

    Its files are all entries but directories, in their order. `checksums_as_given` keeps the order of those too, for a
    description of a descriptor that is there already.
    Raises `FormatError` for a manifest that `decode` would refuse, with the same code.
    """
    rules.require(next(vib_rules.check(manifest), None))
    if manifest.vib and manifest.vib.unknown:
        rules.require(manifest.vib.unknown[0])
    if not checksums_as_given:
        manifest = replace(manifest, payloads=tuple(map(_ordered, manifest.payloads)))
    data = _write(manifest).encode("utf-8")
    if len(data) > limits.MANIFEST_SIZE:
        raise FormatError("limit-exceeded", f"the descriptor has {len(data)} bytes, over {limits.MANIFEST_SIZE}")
    return data


def located(failure: Failure, root: Node) -> FormatError:
    """A failure at the first node that has a value of its evidence."""
    values = set(failure.evidence.values())
    wanted = {"file"} if "path" in failure.evidence else None  # an empty summary is not where an empty path stands
    for node in root.walk():
        texts = [*([node.text] if node.element.text else []), *node.attributes.values()]
        if (wanted is None or node.name in wanted) and not values.isdisjoint(map(rules.shown, texts)):
            located = node.error(failure.detail).failure
            return FormatError(failure.code, located.detail, **{**failure.evidence, **located.evidence})
    return FormatError(failure.code, failure.detail, **failure.evidence)


# Nodes to values.


def read_manifest(
    root: Node, payloads: tuple[Payload, ...], files: tuple[Entry, ...], unknown: tuple[Failure, ...] = ()
) -> Manifest:
    """What a document says that has all that its grammar needs; its payloads and files are read already.

    Raises `FormatError` where one of `CHOICES` says something else.
    """
    nodes = root.by_name()
    return Manifest(
        kind="vib",
        vendor=nodes["vendor"].text,
        name=nodes["name"].text,
        version=nodes["version"].text,
        claimed_level=_value(nodes["acceptance-level"], _LEVELS),
        summary=nodes["summary"].text,
        description=nodes["description"].text,
        released=nodes["release-date"].text if "release-date" in nodes else "",
        relationships=read_relationships(nodes["relationships"]),
        payloads=payloads,
        files=files,
        vib=_read_vib_fields(nodes, has_version="version" in root.attributes, unknown=unknown),
    )


def _read_vib_fields(nodes: Mapping[str, Node], *, has_version: bool, unknown: tuple[Failure, ...]) -> VibFields:
    requires, packed_size = nodes["system-requires"], nodes.get("packed-size")
    urls, tags = (nodes[name].children if name in nodes else () for name in ("urls", "software-tags"))
    return VibFields(
        type=nodes["type"].text if "type" in nodes else TYPES[0],
        urls=tuple([(node.attributes["key"], node.text) for node in urls]),
        tags=tuple([node.text for node in tags]),
        maintenance_mode=_value(next(child for child in requires.children if child.element.text), _BOOLEANS),
        platforms=tuple(map(read_platform, requires.all("softwarePlatform"))),
        live_install_allowed=_value(nodes["live-install-allowed"], _BOOLEANS),
        live_remove_allowed=_value(nodes["live-remove-allowed"], _BOOLEANS),
        cimom_restart=_value(nodes["cimom-restart"], _BOOLEANS),
        stateless_ready=_value(nodes["stateless-ready"], _BOOLEANS),
        overlay=_value(nodes["overlay"], _BOOLEANS),
        packed_size=_plain_number(packed_size, "packed-size", packed_size.text) if packed_size else None,
        lists_files="file-list" in nodes,
        has_version=has_version,
        unknown=unknown,
    )


def read_platform(node: Node) -> Platform:
    """What an element with the attributes of a platform says."""
    return Platform(node.attributes["version"], node.attributes["productLineID"], node.attributes["locale"])


def read_relationships(node: Node) -> Relationships:
    """What `<relationships>` says."""
    return Relationships(*[tuple(map(_read_constraint, child.children)) for child in node.children])


def _read_constraint(node: Node) -> Constraint:
    relation, version = node.attributes.get("relation"), node.attributes.get("version")
    if node.name == "provide" and version is not None:
        relation = "="
    return Constraint(node.attributes["name"], relation, version)


def _read_payload(node: Node) -> Payload:
    return Payload(
        name=node.attributes["name"],
        type=node.attributes["type"],
        size=read_number(node, "size"),
        unpacked_size=read_number(node, "uncompressed-size") if "uncompressed-size" in node.attributes else None,
        digests=tuple(map(_read_checksum, node.children)),
        compression_option=node.attributes.get("compression-option"),
        boot_order=read_number(node, "boot-order") if "boot-order" in node.attributes else None,
        vfat_name=node.attributes.get("vfat-name"),
    )


def _read_checksum(node: Node) -> Digest:
    key = _DIGESTS[_kind(node)]
    algorithm, view = key
    digits = 2 * LENGTHS[algorithm]
    if len(node.text) != digits or not _HEX.fullmatch(node.text):
        raise node.error(f"the checksum {quote(node.text)} is not {digits} lower-case hexadecimal digits")
    return Digest(algorithm, view, bytes.fromhex(node.text))


def children(root: Node, name: str) -> list[Node]:
    """What stands in all children of one name."""
    return [child for node in root.all(name) for child in node.children]


def _value(node: Node, choices: Mapping[str, _T]) -> _T:
    if node.text not in choices:
        raise not_a_choice(node, choices)
    return choices[node.text]


def not_a_choice(node: Node, choices: Mapping[str, object]) -> FormatError:
    """The refusal of a node that says none of a few words."""
    hint = suggestion(node.text, choices)
    return node.error(f"<{node.name}> is {quote(node.text)}, not one of {', '.join(choices)}{hint}")


def read_number(node: Node, name: str) -> int:
    """The number that an attribute says. Raises `FormatError`."""
    return _plain_number(node, name, node.attributes[name])


def _plain_number(node: Node, name: str, text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise node.error(f"the {name} {quote(text)} is not a plain decimal number")
    return int(text)


# Values to text.


def _write(manifest: Manifest) -> str:
    vib = manifest.vib or VibFields()
    relationships = "".join(
        _element(
            label,
            *(
                _element("provide" if label == "provides" else "constraint", **_constraint(label, constraint))
                for constraint in constraints
            ),
        )
        for label, constraints in manifest.relationships.by_label()
    )
    files = [entry.path for entry in manifest.files if entry.type is not FileType.DIRECTORY]
    platforms = (
        _element("softwarePlatform", locale=platform.locale, productLineID=platform.product, version=platform.version)
        for platform in vib.platforms
    )
    return _element(
        "vib",
        _leaf("type", vib.type),
        _leaf("name", manifest.name),
        _leaf("version", manifest.version),
        _leaf("vendor", manifest.vendor),
        _leaf("summary", manifest.summary),
        _leaf("description", manifest.description),
        _leaf("release-date", manifest.released),
        _element("urls", *(_leaf("url", url, key=key) for key, url in vib.urls)),
        _element("relationships", relationships),
        _element("software-tags", *(_leaf("tag", tag) for tag in vib.tags)),
        "" if vib.packed_size is None else _leaf("packed-size", str(vib.packed_size)),
        _element("system-requires", _flag("maintenance-mode", vib.maintenance_mode), *platforms),
        _element("file-list", *(_leaf("file", path) for path in files)) if files or vib.lists_files else "",
        _leaf("acceptance-level", str(manifest.claimed_level)),
        _flag("live-install-allowed", vib.live_install_allowed),
        _flag("live-remove-allowed", vib.live_remove_allowed),
        _flag("cimom-restart", vib.cimom_restart),
        _flag("stateless-ready", vib.stateless_ready),
        _flag("overlay", vib.overlay),
        _element("payloads", *map(_write_payload, manifest.payloads)),
        version=VERSION if vib.has_version else None,
    )


def _constraint(label: str, constraint: Constraint) -> dict[str, str | None]:
    relation = None if label == "provides" else constraint.relation
    return {"name": constraint.name, "relation": relation, "version": constraint.version}


def _ordered(payload: Payload) -> Payload:
    """The payload with its checksums in VMware's order."""
    order = list(CHECKSUMS)
    digests = sorted(payload.digests, key=lambda digest: order.index((digest.algorithm, digest.view)))
    return replace(payload, digests=tuple(digests))


def _write_payload(payload: Payload) -> str:
    checksums = []
    for digest in payload.digests:
        kind, process = CHECKSUMS[digest.algorithm, digest.view]
        checksums.append(_leaf("checksum", digest.value.hex(), **{"checksum-type": kind, "verify-process": process}))
    unpacked = None if payload.unpacked_size is None else str(payload.unpacked_size)
    return _element(
        "payload",
        *checksums,
        **{
            "name": payload.name,
            "type": payload.type,
            "size": str(payload.size),
            "uncompressed-size": unpacked,
            "compression-option": payload.compression_option,
            "boot-order": None if payload.boot_order is None else str(payload.boot_order),
            "vfat-name": payload.vfat_name,
        },
    )


def _flag(name: str, value: bool) -> str:
    return _leaf(name, "true" if value else "false")


def _leaf(name: str, text: str, /, **attributes: str | None) -> str:
    return _element(name, escape(text), **attributes)


def _element(name: str, /, *content: str, **attributes: str | None) -> str:
    written = "".join(f" {key}={quoted(value)}" for key, value in sorted(attributes.items()) if value is not None)
    inside = "".join(content)
    return f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written} />"
