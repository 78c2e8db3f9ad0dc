"""The elements of a depot's metadata, in their one order (docs/depots.md).

What may be there is what genuine depots of VMware, of its partners' and the community's tools have: all children
in this order, but where it says otherwise.
"""

from __future__ import annotations

from modseal import limits
from modseal.format.strict_xml import Child, ElementRule
from modseal.format.vib_grammar import DESCRIPTOR, PLATFORM, RELATIONSHIPS, leaf

INDEX = ElementRule(
    "vendorList",
    Child(
        ElementRule(
            "vendor",
            Child(leaf("name")),
            Child(leaf("code")),
            Child(leaf("indexfile")),
            Child(leaf("patchUrl")),
            Child(leaf("relativePath")),
            Child(ElementRule("content", Child(leaf("name")), Child(leaf("type")))),
        ),
        most=limits.DEPOT_VENDORS,
    ),
)
COMMENTS_IN_INDEX = frozenset({"vendorList"})
"""TGZ2VIB5 says there who made the depot."""

VENDOR_INDEX = ElementRule(
    "metaList",
    Child(
        ElementRule(
            "metadata",
            Child(leaf("productId")),
            Child(leaf("version")),
            Child(leaf("locale")),
            Child(leaf("patchUrl"), 0),
            Child(leaf("url")),
            Child(leaf("channelName")),
        ),
        most=limits.ITEMS,
    ),
)

_BULLETIN = (
    *(
        Child(leaf(name))
        for name in ("id", "vendor", "summary", "severity", "category", "urgency", "releaseType", "description")
    ),
    Child(leaf("kbUrl")),
    Child(leaf("contact")),
    Child(ElementRule("componentNameSpec", required=("name", "uiString")), 0),
    Child(ElementRule("componentVersionSpec", required=("version", "uiString")), 0),
    Child(leaf("releaseDate")),
    Child(ElementRule("platforms", Child(ElementRule("softwarePlatform", required=PLATFORM), 0, limits.ITEMS))),
)
BULLETIN = ElementRule(
    "bulletin", *_BULLETIN, Child(ElementRule("vibList", Child(leaf("vibID"), 0, limits.ZIP_ENTRIES)))
)

_CHECKSUM = ElementRule("checksum", Child(leaf("checksumType")), Child(leaf("checksum")))
_LISTED_VIB = ElementRule(
    "vib",
    *(Child(leaf(name)) for name in ("vibVersion", "vibID", "name", "version", "vendor", "vibType", "summary")),
    Child(
        ElementRule(
            "systemReqs",
            Child(leaf("maintenanceMode"), 0),
            Child(leaf("maintenance-mode"), 0),  # as TGZ2VIB5 spells it
            Child(ElementRule("swPlatform", required=PLATFORM), 0, limits.ITEMS),
        )
    ),
    Child(RELATIONSHIPS),
    Child(ElementRule("postInstall", Child(leaf("rebootRequired")), Child(leaf("hostdRestart")))),
    Child(ElementRule("softwareTags", Child(leaf("tag"), 0, limits.ITEMS)), 0),
    Child(
        ElementRule(
            "vibFile",
            Child(leaf("sourceUrl")),
            Child(leaf("relativePath")),
            Child(leaf("packedSize")),
            Child(_CHECKSUM, 1, limits.DEPOT_CHECKSUMS),
        )
    ),
)
LISTING = ElementRule(
    "metadataResponse",
    Child(leaf("version")),
    Child(leaf("timestamp")),
    Child(
        ElementRule("bulletin", *_BULLETIN, Child(ElementRule("vibList", Child(_LISTED_VIB, 0, limits.ZIP_ENTRIES)))),
        0,
        limits.ZIP_ENTRIES,
    ),
)

_LOCATION = (
    Child(leaf("relative-path")),
    Child(leaf("packed-size")),
    Child(leaf("checksum", "checksum-type"), 1, limits.DEPOT_CHECKSUMS),
)


def _described(after: str) -> ElementRule:
    """A descriptor with the location of its bundle, its packed size among it, after one of its elements."""
    children = [_misspelt(child) for child in DESCRIPTOR.children if child.element.name != "packed-size"]
    place = [child.element.name for child in children].index(after) + 1
    return ElementRule("vib", *children[:place], *_LOCATION, *children[place:], optional=("version",))


def _misspelt(child: Child) -> Child:
    """TGZ2VIB5 spells `maintenance-mode` as `vmware.xml` does, in one genuine depot."""
    if child.element.name != "system-requires":
        return child
    right, *others = child.element.children
    return Child(ElementRule("system-requires", Child(right.element, 0), Child(leaf("maintenanceMode"), 0), *others))


DESCRIBED = _described("software-tags")
DESCRIBED_LAST = _described("payloads")
"""As TGZ2VIB5 writes it."""
