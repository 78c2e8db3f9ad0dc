"""The documents of an offline bundle's metadata: values to bytes, in the forms of genuine ones (docs/depots.md).

What is written here `documents` reads back to the same values. `index.xml`, `vendor-index.xml` and `vmware.xml` are
indented and end with a line feed; bulletins and descriptions stand on one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from modseal.depot.documents import Bulletin, DescribedVib, ListedVib, Vendor
from modseal.format import descriptor
from modseal.format.manifest import Constraint, Platform, Relationships
from modseal.format.xml_text import Element, branch, indented, leaf, one_line

CONTENT = ("VMware ESX", "http://www.vmware.com/depotmanagement/esx")
"""The name and type of what a depot has, the same in all genuine ones."""

METADATA_VERSION, VIB_VERSION = "3.0", "1.4.5"
"""The version of `vmware.xml` and of its entries, the same in all genuine ones."""


def write_index(vendors: Iterable[Vendor]) -> bytes:
    """An `index.xml`."""
    content = branch("content", leaf("name", CONTENT[0]), leaf("type", CONTENT[1]))
    return _document(
        "vendorList",
        (
            branch(
                "vendor",
                leaf("name", vendor.name),
                leaf("code", vendor.code),
                leaf("indexfile", vendor.file),
                leaf("patchUrl", ""),
                leaf("relativePath", vendor.folder),
                content,
            )
            for vendor in vendors
        ),
    )


def write_vendor_index(platforms: Sequence[Platform], url: str) -> bytes:
    """A `vendor-index.xml`, in which each platform names the same metadata archive."""
    return _document(
        "metaList",
        (
            branch(
                "metadata",
                leaf("productId", platform.product),
                leaf("version", platform.version),
                leaf("locale", platform.locale),
                leaf("url", url),
                leaf("channelName", "default"),
            )
            for platform in platforms
        ),
    )


def write_listing(timestamp: str, listing: Iterable[tuple[Bulletin, Sequence[ListedVib]]]) -> bytes:
    """A `vmware.xml`; `timestamp` is a time without a zone, with microseconds."""
    head = (leaf("version", METADATA_VERSION), leaf("timestamp", timestamp))
    return _document(
        "metadataResponse", (*head, *(_bulletin(bulletin, map(_listed, vibs)) for bulletin, vibs in listing))
    )


def write_bulletin(bulletin: Bulletin) -> bytes:
    """A bulletin as its own document."""
    return one_line(_bulletin(bulletin, (leaf("vibID", id_) for id_ in bulletin.vibs))).encode("utf-8")


def write_described(vib: DescribedVib) -> bytes:
    """A file of `vibs/`: the descriptor written anew, with the place of the bundle after the software tags.

    Raises `FormatError` for a manifest that has what modseal does not know.
    """
    plain = vib.manifest.vib and replace(vib.manifest.vib, packed_size=None)  # here it is the bundle's
    text = descriptor.encode(replace(vib.manifest, vib=plain), checksums_as_given=True).decode("utf-8")
    place = (
        leaf("relative-path", vib.place.path),
        leaf("packed-size", str(vib.place.size)),
        *(leaf("checksum", value, **{"checksum-type": kind}) for kind, value in vib.place.checksums),
    )
    before, mark, after = text.partition("<system-requires>")
    return (before + "".join(map(one_line, place)) + mark + after).encode("utf-8")


def _document(name: str, children: Iterable[Element]) -> bytes:
    return indented(branch(name, *children)).encode("utf-8")


def _bulletin(bulletin: Bulletin, vibs: Iterable[Element]) -> Element:
    texts = dict(bulletin.texts)
    component = bulletin.component
    specs = () if component is None else (
        Element("componentNameSpec", attributes={"name": component[0], "uiString": component[1]}),
        Element("componentVersionSpec", attributes={"version": component[2], "uiString": component[3]}),
    )  # fmt: skip
    released = leaf("releaseDate", texts["releaseDate"])
    before = (leaf(name, text) for name, text in bulletin.texts if name != "releaseDate")
    platforms = branch("platforms", *(_platform("softwarePlatform", each) for each in bulletin.platforms))
    return branch("bulletin", *before, *specs, released, platforms, branch("vibList", *vibs))


def _listed(vib: ListedVib) -> Element:
    checksums = (
        branch("checksum", leaf("checksumType", kind), leaf("checksum", value)) for kind, value in vib.place.checksums
    )
    return branch(
        "vib",
        leaf("vibVersion", VIB_VERSION),
        leaf("vibID", vib.id),
        leaf("name", vib.name),
        leaf("version", vib.version),
        leaf("vendor", vib.vendor),
        leaf("vibType", vib.type),
        leaf("summary", vib.summary),
        branch(
            "systemReqs",
            _flag("maintenanceMode", value=vib.maintenance_mode),
            *(_platform("swPlatform", each) for each in vib.platforms),
        ),
        _relationships(vib.relationships),
        branch(
            "postInstall",
            _flag("rebootRequired", value=vib.reboot_required),
            _flag("hostdRestart", value=vib.hostd_restart),
        ),
        branch("softwareTags", *(leaf("tag", tag) for tag in vib.tags)),
        branch(
            "vibFile",
            leaf("sourceUrl", ""),
            leaf("relativePath", vib.place.path),
            leaf("packedSize", str(vib.place.size)),
            *checksums,
        ),
    )


def _relationships(relationships: Relationships) -> Element:
    lists = (
        branch(label, *(_constraint("provide" if label == "provides" else "constraint", one) for one in constraints))
        for label, constraints in relationships.by_label()
    )
    return branch("relationships", *lists)


def _constraint(element: str, constraint: Constraint) -> Element:
    relation = None if element == "provide" else constraint.relation
    values = {"name": constraint.name, "relation": relation, "version": constraint.version}
    return Element(element, attributes={name: value for name, value in values.items() if value is not None})


def _platform(element: str, platform: Platform) -> Element:
    attributes = {"version": platform.version, "locale": platform.locale, "productLineID": platform.product}
    return Element(element, attributes=attributes)


def _flag(name: str, *, value: bool) -> Element:
    return leaf(name, "true" if value else "false")
