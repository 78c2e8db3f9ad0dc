"""The documents of a depot's metadata: bytes to values (docs/depots.md).

None of it is signed. What it says is only ever compared with the bundles; nothing is believed because it is here,
and no path is opened because it is here (`metadata` judges them first).
"""

from __future__ import annotations

import re
from dataclasses import replace

from modseal.depot import grammar
from modseal.format import descriptor
from modseal.format.manifest import Manifest, Platform, Relationships
from modseal.format.shape import quote
from modseal.format.strict_xml import Node, parse
from modseal.format.vib_grammar import COMMENTS_IN_DESCRIPTOR
from modseal.values import dataclass

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_BOOLEANS = {"false": False, "true": True}


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor of `index.xml`, and where its own index is: `folder` and `file` as they stand there."""

    name: str
    code: str
    folder: str
    file: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bundle is said to be, and what it is said to be by. `checksums` are types and values as they stand."""

    path: str
    size: int
    checksums: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Bulletin:
    """A bulletin (since 7.0 a component, where it has the name and version of one). `vibs` are ids."""

    id: str
    vendor: str
    texts: tuple[tuple[str, str], ...]
    """Every other text, by its element: severity, urgency, release date and so on."""
    component: tuple[str, str, str, str] | None
    """Name and version of the component, each followed by its text for people."""
    platforms: tuple[Platform, ...]
    vibs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListedVib:
    """A bundle as `vmware.xml` lists it."""

    id: str
    type: str
    name: str
    version: str
    vendor: str
    summary: str
    maintenance_mode: bool
    platforms: tuple[Platform, ...]
    relationships: Relationships
    reboot_required: bool
    hostd_restart: bool
    tags: tuple[str, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class DescribedVib:
    """A bundle as a file of `vibs/` describes it: the descriptor written anew, and the bundle's place."""

    manifest: Manifest
    place: Place


def read_index(data: bytes) -> tuple[Vendor, ...]:
    """The vendors of an `index.xml`. Raises `FormatError` (bad-manifest, limit-exceeded), as all here."""
    root = parse(data, grammar.INDEX, comments_in=grammar.COMMENTS_IN_INDEX)
    return tuple(
        Vendor(_text(node, "name"), _text(node, "code"), _text(node, "relativePath"), _text(node, "indexfile"))
        for node in root.children
    )


def read_vendor_index(data: bytes) -> tuple[str, ...]:
    """Where the metadata archives of a vendor are: each once, however many platforms name it."""
    root = parse(data, grammar.VENDOR_INDEX)
    return tuple(dict.fromkeys(_text(node, "url") for node in root.children))


def read_listing(data: bytes) -> tuple[tuple[Bulletin, tuple[ListedVib, ...]], ...]:
    """The bulletins of a `vmware.xml`, each with its bundles."""
    root = parse(data, grammar.LISTING)
    found = []
    for node in root.all("bulletin"):
        vibs = tuple(map(_listed, node.all("vibList")[0].children))
        found.append((_bulletin(node, tuple(vib.id for vib in vibs)), vibs))
    return tuple(found)


def read_bulletin(data: bytes) -> Bulletin:
    """A bulletin of its own document."""
    root = parse(data, grammar.BULLETIN)
    return _bulletin(root, tuple(node.text for node in root.all("vibList")[0].children))


def read_described(data: bytes) -> DescribedVib:
    """A file of `vibs/`. Also raises what `descriptor.decode` does."""
    last = data.rfind(b"<relative-path>") > data.rfind(b"</payloads>")
    root = parse(data, grammar.DESCRIBED_LAST if last else grammar.DESCRIBED, comments_in=COMMENTS_IN_DESCRIPTOR)
    _maintenance_mode(root.all("system-requires")[0])
    checksums = tuple((node.attributes["checksum-type"], node.text) for node in root.all("checksum"))
    place = Place(_text(root, "relative-path"), _number(root.all("packed-size")[0]), checksums)
    if root.attributes.get("version", descriptor.VERSION) != descriptor.VERSION:
        raise root.error(f"the descriptor has version {quote(root.attributes['version'])}, not {descriptor.VERSION}")
    manifest = descriptor.from_tree(root)
    # The packed size here is that of the bundle, not what its descriptor may say.
    return DescribedVib(replace(manifest, vib=manifest.vib and replace(manifest.vib, packed_size=None)), place)


def _bulletin(node: Node, vibs: tuple[str, ...]) -> Bulletin:
    name, version = node.find("componentNameSpec"), node.find("componentVersionSpec")
    if (name is None) != (version is None):
        raise node.error("a component needs both <componentNameSpec> and <componentVersionSpec>")
    return Bulletin(
        id=_text(node, "id"),
        vendor=_text(node, "vendor"),
        texts=tuple((child.name, child.text) for child in node.children if child.element.text),
        component=_component(name.attributes, version.attributes) if name and version else None,
        platforms=tuple(map(descriptor.read_platform, node.all("platforms")[0].children)),
        vibs=vibs,
    )


def _component(name: dict[str, str], version: dict[str, str]) -> tuple[str, str, str, str]:
    return name["name"], name["uiString"], version["version"], version["uiString"]


def _listed(node: Node) -> ListedVib:
    requires, restart, file = (node.all(name)[0] for name in ("systemReqs", "postInstall", "vibFile"))
    checksums = tuple((_text(one, "checksumType"), _text(one, "checksum")) for one in file.all("checksum"))
    return ListedVib(
        id=_text(node, "vibID"),
        type=_text(node, "vibType"),
        name=_text(node, "name"),
        version=_text(node, "version"),
        vendor=_text(node, "vendor"),
        summary=_text(node, "summary"),
        maintenance_mode=_maintenance_mode(requires),
        platforms=tuple(map(descriptor.read_platform, requires.all("swPlatform"))),
        relationships=descriptor.read_relationships(node.all("relationships")[0]),
        reboot_required=_boolean(restart.all("rebootRequired")[0]),
        hostd_restart=_boolean(restart.all("hostdRestart")[0]),
        tags=tuple(tag.text for tags in node.all("softwareTags") for tag in tags.children),
        place=Place(_text(file, "relativePath"), _number(file.all("packedSize")[0]), checksums),
    )


def _maintenance_mode(node: Node) -> bool:
    """In its own spelling or in TGZ2VIB5's, and in one of them."""
    found = [child for child in node.children if child.element.text]
    if len(found) != 1:
        raise node.error(f"<{node.name}> must say once whether the host has to be in maintenance mode")
    return _boolean(found[0])


def _text(node: Node, name: str) -> str:
    return node.all(name)[0].text


def _boolean(node: Node) -> bool:
    if node.text not in _BOOLEANS:
        raise node.error(f"<{node.name}> is {quote(node.text)}, neither true nor false")
    return _BOOLEANS[node.text]


def _number(node: Node) -> int:
    if not _NUMBER.fullmatch(node.text):
        raise node.error(f"<{node.name}> is {quote(node.text)}, not a plain decimal number")
    return int(node.text)
